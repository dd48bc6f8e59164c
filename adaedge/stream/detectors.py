"""Detectors of the changes that an answer follows: neither a lamp nor the sensor's noise are among them.

May import: ``errors``, ``operating_point``; of this part ``change``,
``looks``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from adaedge.errors import ScheduleError
from adaedge.operating_point import REFRESH, KeptCurve
from adaedge.stream import looks
from adaedge.stream.change import BlockChange, ChangeDetector, Frame, largest_of_blocks, moved
from adaedge.stream.looks import AS_IT_IS

Luma = npt.NDArray[np.uint8]

_GAINS = 0.7, 1.4  # a lamp does so much; what looks like more is something else
_NOISES = 4.0  # a block has moved if it differs by so many deviations of the noise
_NOISY = 2  # a median difference of so many grey levels is noise; less is a codec's, which an answer may follow
_MOST = 40.0  # more always is one
_MEDIAN_OF_NORMAL = 0.6745  # of a normal distribution's absolute values, in deviations


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What is compared of a frame.

    Attributes:
        luma: of the pixels that are looked at.
        middle: the median of them; its brighter half is above.
        levels: mean of its darker half, and of its brighter.
    """

    luma: Luma
    middle: int
    levels: tuple[float, float]


@final
@dataclass(frozen=True, slots=True)
class MovedBlocks:
    """The share of blocks in which something moved, light and noise left out.

    The same pixels are looked at as by `BlockChange`, in the same blocks. The later frame's light is fitted to the
    earlier's, by one gain and one offset for the whole picture: they follow from by how much most of its darker half
    changed, and most of its brighter. What is left in most places, if that is two grey levels or more, is noise, and a
    block has moved if one of its pixels differs by more than four times that. By 64 levels it has moved altogether, by
    fewer in part. A camera that moves moves most blocks: nothing is kept.

    Example:
        >>> still = np.random.default_rng(0).integers(40, 200, (45, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        >>> moved, lit = still.copy(), still // 5 * 4 + 30
        >>> moved[:, :320] = 255 - moved[:, :320]
        >>> detector = MovedBlocks()
        >>> before = detector.look(still)
        >>> [round(detector.change(before, detector.look(frame)), 1) for frame in (still, lit, moved)]
        [0.0, 0.0, 0.5]
    """

    name: ClassVar[str] = "moved-blocks"
    unit: ClassVar[str] = "of blocks moved"

    def look(self, frame: Frame) -> _Look:
        """The luma of the pixels that are looked at, whole blocks of them."""
        return self.look_at(BlockChange().look(frame))

    def look_at(self, luma: Luma) -> _Look:
        """The same of a frame whose luma is at hand, as `BlockChange` looks at it."""
        middle, dark, below, bright, above = looks.LOOKS.halves(luma)
        level = below / dark
        return _Look(luma, middle, (level, above / bright if bright else level))

    def change(self, before: _Look, after: _Look) -> float:
        """How much moved; frames of different sizes have nothing in common."""
        if before.luma.shape != after.luma.shape:
            return REFRESH
        largest, middle = largest_of_blocks(before.luma, after.luma, _in_the_light_of(before, after.luma))
        noise = middle / _MEDIAN_OF_NORMAL if middle >= _NOISY else 0.0
        return moved(largest, min(_NOISES * noise, _MOST))


def _in_the_light_of(before: _Look, after: Luma) -> npt.NDArray[np.uint8]:
    """What each value of the later frame counts as in the earlier's light.

    By how much most of a half changed is its median, which nothing moves that covers less than half of it.
    """
    (dark, bright) = before.levels
    lift, raised = looks.LOOKS.raised(before.luma, after, before.middle)
    raised = raised if bright > dark else lift
    if not lift and not raised:
        return AS_IT_IS
    spread = bright + raised - dark - lift
    gain = min(max((bright - dark) / spread, _GAINS[0]), _GAINS[1]) if spread > 0 else 1.0
    offset = (dark + bright - gain * (dark + lift + bright + raised)) / 2
    table = np.empty(256, np.uint8)
    looks.LOOKS.lit(gain, offset, table)
    return table


DETECTORS: tuple[ChangeDetector, ...] = (MovedBlocks(), BlockChange())


def look_by(detector: ChangeDetector, frame: Frame, luma: Luma | None) -> Any:
    """A detector's look of a frame.

    Args:
        detector: one of adaedge's, or the user's.
        frame: uint8 (H, W, 3).
        luma: what `BlockChange` compares of it, where that is at hand: adaedge's detectors need no more.
    """
    if luma is not None and isinstance(detector, MovedBlocks):
        return detector.look_at(luma)
    return luma if luma is not None and isinstance(detector, BlockChange) else detector.look(frame)


def check_detector(curve: KeptCurve | None, own: ChangeDetector | None) -> ChangeDetector | None:
    """The detector that a curve was fitted with; ``None`` where there is no curve.

    Args:
        curve: a bundle's.
        own: the user's; one of adaedge's is found by its name.

    Raises:
        ScheduleError: if the user's is another, or it is none of adaedge's and the user gave none.
    """
    if curve is None:
        return None
    found = own or next((one for one in DETECTORS if one.name == curve.detector), None)
    if found is None or found.name != curve.detector:
        measured = f"this stream measures with {found.name!r}" if found else "none of adaedge's has this name"
        raise ScheduleError(
            f"kept answers of this bundle were fitted with the change detector {curve.detector!r}; {measured}. Pass"
            " that one (`Keeping(detector=…)`, `Terminal.stream(detector=…)`), or build the bundle with yours:"
            " `build(…, detector=…)`."
        )
    return found
