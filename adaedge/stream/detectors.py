"""Detectors of the changes that an answer follows: neither a lamp nor the sensor's noise are among them.

May import: ``errors``, ``operating_point``; of this part ``change``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from adaedge.errors import ScheduleError
from adaedge.operating_point import REFRESH, KeptCurve
from adaedge.stream.change import LEVELS, BlockChange, ChangeDetector, Frame, largest_of_blocks

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
        is_bright: which of its pixels are of its brighter half.
        levels: mean of its darker half, and of its brighter.
    """

    luma: Luma
    is_bright: npt.NDArray[np.bool_]
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
        is_bright = luma > _median(np.bincount(luma.ravel(), minlength=256))
        bright, count = int(luma[is_bright].sum(dtype=np.int64)), int(np.count_nonzero(is_bright))
        dark = (int(luma.sum(dtype=np.int64)) - bright) / (luma.size - count)
        return _Look(luma, is_bright, (dark, bright / count if count else dark))

    def change(self, before: _Look, after: _Look) -> float:
        """How much moved; frames of different sizes have nothing in common."""
        if before.luma.shape != after.luma.shape:
            return REFRESH
        lit = _in_the_light_of(before, after.luma)
        apart = np.maximum(before.luma, lit) - np.minimum(before.luma, lit)
        middle = _median(np.bincount(apart.ravel(), minlength=256))
        noise = middle / _MEDIAN_OF_NORMAL if middle >= _NOISY else 0.0
        largest = largest_of_blocks(apart)
        still = largest <= min(_NOISES * noise, _MOST)
        return float(np.where(still, 0, np.minimum(largest, np.uint8(LEVELS))).mean() / LEVELS)


def _median(counts: npt.NDArray[np.intp]) -> int:
    """Of values from 0 on, of which so many are there each."""
    return int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def _in_the_light_of(before: _Look, after: Luma) -> Luma:
    """The later frame as if its light were the earlier's.

    By how much most of a half changed is its median, which nothing moves that covers less than half of it.
    """
    apart = after.astype(np.int16) - before.luma
    (dark, bright) = before.levels
    lift = _median(np.bincount(apart[~before.is_bright] + 255)) - 255
    raised = _median(np.bincount(apart[before.is_bright] + 255)) - 255 if bright > dark else lift
    if not lift and not raised:
        return after
    spread = bright + raised - dark - lift
    gain = min(max((bright - dark) / spread, _GAINS[0]), _GAINS[1]) if spread > 0 else 1.0
    offset = (dark + bright - gain * (dark + lift + bright + raised)) / 2
    table = np.clip(np.rint(gain * np.arange(256) + offset), 0, 255).astype(np.uint8)
    return np.asarray(table[after])


DETECTORS: tuple[ChangeDetector, ...] = (MovedBlocks(), BlockChange())


def look_by(detector: ChangeDetector, frame: Frame, luma: Luma | None) -> Any:
    """What a detector compares of a frame.

    Args:
        detector: one of adaedge's, or the user's.
        frame: uint8 (H, W, 3).
        luma: what `BlockChange` compares of it, where that is at hand: adaedge's detectors need no more.
    """
    if luma is not None and isinstance(detector, MovedBlocks):
        return detector.look_at(luma)
    return luma if luma is not None and isinstance(detector, BlockChange) else detector.look(frame)


def check_detector(curve: KeptCurve | None, own: ChangeDetector | None) -> ChangeDetector | None:
    """What measures the changes that a curve was fitted to; ``None`` where there is no curve.

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
