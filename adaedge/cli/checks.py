"""Inputs of a command, looked at before anything is downloaded, built or measured.

May import: ``errors``, ``operating_point``; inside the functions: ``runtime``, ``clip``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from adaedge.cli import show
from adaedge.errors import ModelError, ScheduleError, SourceError
from adaedge.operating_point import Profile

_SECONDS_AT_MOST = 60.0


def readable(source: str | Path) -> None:
    """See that a source exists and that its first frame decodes. A camera is left alone: to look is to open it.

    Raises:
        SourceError: if not.
    """
    from adaedge.runtime import frames

    if str(source).isdigit() or str(source).startswith("/dev/"):
        return
    if next(iter(frames(source)), None) is None:
        raise SourceError(f"{source} holds no frames. Name a video file, or a folder of images.")


def samples(images: Path | None, clips: Iterable[Path] | None, weights: Path | None) -> None:
    """See that what a build is given exists: samples decode, the weights' file is there.

    Raises:
        SourceError: if a folder holds no images, or a video does not decode.
        ModelError: if there are no such weights.
    """
    from adaedge.clip import Clip

    if weights is not None and not weights.is_file():
        raise ModelError(f"there is no file of weights {weights}. Name a .safetensors file with --weights.")
    if images is not None:
        readable(images)
    for clip in clips or ():
        next(iter(Clip.read(clip)))


def writable(*targets: Path | None) -> None:
    """See that the folders exist that files will be written into.

    Raises:
        FileNotFoundError: if one does not.
    """
    for target in targets:
        if target is not None and not target.absolute().parent.is_dir():
            raise FileNotFoundError(2, "No such file or directory", str(target))


def limits(deadline_s: float, accuracy_floor: float, period_s: float) -> None:
    """Refuse limits that cannot be, or that are most likely written in another unit.

    Raises:
        ScheduleError: if one is.
    """
    for option, value_s in (("--deadline", deadline_s), ("--period", period_s)):
        if not value_s > 0:
            raise ScheduleError(f"{option} is a number of seconds above 0; got {value_s:g}")
        if _SECONDS_AT_MOST < value_s < math.inf:
            raise ScheduleError(
                f"{option} is in seconds; {value_s:g} is more than a minute. If milliseconds are meant, give"
                f" {value_s / 1e3:g}."
            )
    if not 0 <= accuracy_floor <= 1:
        raise ScheduleError(
            f"--accuracy-floor is a fraction in [0, 1]; got {accuracy_floor:g}. If per cent are meant, give"
            f" {accuracy_floor / 100:g}."
        )


def say_floor(costs: Profile, accuracy_floor: float) -> None:
    """Say that without a floor the least accurate point may be chosen for every frame, where points differ."""
    known = [cost.accuracy for cost in costs.values() if cost.accuracy is not None]
    if accuracy_floor == 0 and known and min(known) < max(known):
        show.warn(
            f"no --accuracy-floor: the cheapest point is taken however accurate it is. Here points have"
            f" {min(known):.3f} to {max(known):.3f}; --accuracy-floor {0.95 * max(known):.2f} leaves out the worst."
        )
