"""Changes: how much each frame of a replay changed, against any frame before it.

May import: ``errors``, ``operating_point``, ``clip``, ``bundle``, ``stream``.

What a payload costs follows how much its frame changed against the frame that both ends hold, and that one is several
frames old whenever frames in between were answered locally. The change over several steps is not the sum of the steps:
what moves on moves mostly where it moved before. So a clip is asked for the change between the very two frames, by the
code that a terminal uses, and only where no clip is at hand are steps composed by a rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self, final

import numpy as np

from adaedge.bundle import Preprocessing
from adaedge.clip import Clip, Frame, as_clip
from adaedge.errors import SourceError
from adaedge.operating_point import REFRESH
from adaedge.stream import BlockChange, ChangeDetector
from adaedge.stream.window import new_share

_POWER = 6.0  # chosen on the first halves of four clips, see `StepChanges`


class Changes(Protocol):
    """How much the frames of a replay differ from each other."""

    def of(self, frame: int, reference: int) -> float:
        """How much a frame changed against an earlier one, in [0, 1]: 0 nothing, 1 all of it.

        Args:
            frame: its number in the replay, from 0.
            reference: the earlier one's.
        """
        ...


@final
class ClipChanges:
    """Changes between the frames of a clip, measured when they are first asked for, and then kept.

    A replay longer than the clip begins it anew: the seam is a cut like any other.

    Args:
        looks: what the detector compares, of each frame.
        detector: what looked at them; `BlockChange` by default.
        preprocessing: of a model that takes a window: so much has changed at least as the share of its frames that are
            new, if more than one is. ``None`` for a model of one frame.

    Attributes:
        detector: what measures the changes.

    Raises:
        SourceError: if there are no frames.

    Example:
        >>> frames = [np.full((36, 64, 3), level, np.uint8) for level in (100, 116, 100)]
        >>> changes = ClipChanges.of_clip(frames)
        >>> changes.of(1, 0), changes.of(2, 1), changes.of(2, 0)
        (0.25, 0.25, 0.0)
    """

    def __init__(
        self,
        looks: Iterable[Any],
        detector: ChangeDetector | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        self._looks = list(looks)
        self.detector: ChangeDetector = BlockChange() if detector is None else detector
        self._preprocessing = preprocessing
        self._known: dict[tuple[int, int], float] = {}
        if not self._looks:
            raise SourceError("changes are those of a clip of at least one frame; got none")

    @classmethod
    def of_clip(
        cls,
        clip: Clip | str | Path | Sequence[Frame],
        *,
        period_s: float | None = None,
        frames: int | None = None,
        detector: ChangeDetector | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> Self:
        """The changes of a clip: of each frame, only what is compared is kept.

        Args:
            clip: a clip, the path of a video, or a list of frames.
            period_s: seconds from a frame of the replay to its next: each is the one that a camera shows then.
                ``None`` takes the clip's frames one after another.
            frames: of how many the replay is: no more are read.
            detector: as above.
            preprocessing: as above.

        Raises:
            SourceError: if the clip cannot be read, or the period is no number above 0.
        """
        looking: ChangeDetector = BlockChange() if detector is None else detector
        shown = as_clip(clip)
        taken = shown if period_s is None else _at_times(shown, period_s)
        return cls(map(looking.look, islice(taken, frames)), looking, preprocessing)

    def __len__(self) -> int:
        return len(self._looks)

    def of(self, frame: int, reference: int) -> float:
        """How much a frame changed against an earlier one."""
        pair = reference % len(self._looks), frame % len(self._looks)
        if pair not in self._known:
            before, after = (self._looks[place] for place in pair)
            self._known[pair] = self.detector.change(before, after)
        return max(self._known[pair], new_share(self._preprocessing, frame - reference))


def _at_times(clip: Clip, period_s: float) -> Iterator[Frame]:
    """The frame that a camera shows at each multiple of the period; one is repeated where the period is shorter."""
    if not 0 < period_s < math.inf:
        raise SourceError(f"the period of a replay with a clip is a number of seconds above 0; got {period_s}")
    taken = 0
    for index, frame in enumerate(clip):
        while math.floor(taken * period_s * clip.fps + 1e-9) <= index:
            yield frame
            taken += 1


@final
class StepChanges:
    """Changes of which only the steps are known: of each frame against the one before.

    Over several steps they are composed by a rule, the sixth root of the sum of their sixth powers, at most 1: above
    their maximum and far below their sum. Among sums of powers from 1 to 8, and the maximum, it was nearest to the
    truth on the first halves of four clips; on their second halves, over 2 to 64 steps, its mean error is 0.045, that
    of the plain sum 0.29 (``benchmarks/composed_changes``). Where a clip is at hand, `ClipChanges` has no such error.

    Args:
        steps: of each frame; the first frame's is never asked for.

    Raises:
        SourceError: if one is no number in [0, 1], or there are none.

    Example:
        >>> changes = StepChanges([1.0, 0.1, 0.1, 0.4])
        >>> [round(changes.of(frame, 0), 3) for frame in (1, 2, 3)]
        [0.1, 0.112, 0.4]
    """

    def __init__(self, steps: Sequence[float]) -> None:
        self._steps = np.asarray(steps, np.float64)
        if self._steps.ndim != 1 or not len(self._steps):
            raise SourceError(f"changes are one number a frame, of a frame or more; got shape {self._steps.shape}")
        wrong = np.flatnonzero(~((self._steps >= 0) & (self._steps <= REFRESH)))
        if len(wrong):
            raise SourceError(f"a change is a number in [0, 1]; that of frame {wrong[0]} is {self._steps[wrong[0]]}")

    def __len__(self) -> int:
        return len(self._steps)

    def of(self, frame: int, reference: int) -> float:
        """How much a frame changed against an earlier one, by the rule."""
        steps = self._steps[reference + 1 : frame + 1]
        largest = float(steps.max(initial=0.0))
        if largest == 0.0:
            return 0.0
        return float(min(REFRESH, largest * ((steps / largest) ** _POWER).sum() ** (1 / _POWER)))


def as_changes(changes: Changes | Sequence[float] | None, frames: int) -> Changes | None:
    """Changes, or a number a frame as such.

    Raises:
        SourceError: if there are fewer numbers than frames, or one is no number in [0, 1].
    """
    if changes is None or hasattr(changes, "of"):
        return changes
    steps = StepChanges(changes)
    if len(steps) < frames:
        raise SourceError(f"a replay of {frames} frames takes as many changes; got {len(steps)}. Give fewer frames.")
    return steps
