"""Detectors of the changes that an answer follows: neither a lamp nor the sensor's noise are among them.

May import: ``errors``, ``operating_point``; of this part ``change``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaedge.errors import ScheduleError, SourceError
from adaedge.operating_point import REFRESH, KeptCurve
from adaedge.stream.change import BlockChange, ChangeDetector, Frame

Luma = npt.NDArray[np.uint8]

_ROWS = 108  # a frame is averaged down to about so many rows
_BLOCK = 4  # sides of a block, in averaged pixels
_GAINS = 0.7, 1.4  # a lamp does so much; what looks like more is something else
_NOISES = 4.0  # a block has moved if it differs by so many deviations of the noise
_LEAST = 8.0  # grey levels: less is never a move, and noise is never taken to be less than that
_MOST = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """A frame averaged down, with what is compared of its light.

    Attributes:
        luma: whole blocks of it.
        noise: standard deviation of its noise, in grey levels.
    """

    luma: Luma
    noise: float


@final
@dataclass(frozen=True, slots=True)
class MovedBlocks:
    """The share of blocks in which something moved, light and noise left out.

    Frames are averaged down to about a hundred rows. The later one's light is fitted to the earlier's, one gain and one
    offset for the whole picture: the line through the medians of its darker and brighter half. Then a block has moved
    if one of its 4 by 4 averages differs by more than four times the noise, which is measured on the picture itself,
    and by 8 grey levels at least. A camera that moves moves most blocks: nothing is kept then.

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
        """The luma, averaged down."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise SourceError(f"a frame is uint8 (height, width, 3); got {frame.dtype} {frame.shape}")
        image = Image.fromarray(frame).convert("L")
        factor = max(1, round(frame.shape[0] / _ROWS))
        seen = np.asarray(image.reduce(factor) if factor > 1 else image)
        height, width = seen.shape
        whole = np.pad(seen, ((0, -height % _BLOCK), (0, -width % _BLOCK)), "edge")
        return _Look(whole, _noise(seen))

    def change(self, before: _Look, after: _Look) -> float:
        """How much moved; frames of different sizes have nothing in common."""
        if before.luma.shape != after.luma.shape:
            return REFRESH
        lit = _in_the_light_of(before.luma, after.luma)
        apart = np.maximum(before.luma, lit) - np.minimum(before.luma, lit)
        rows = apart.reshape(apart.shape[0] // _BLOCK, _BLOCK, -1).max(axis=1)
        largest = rows.reshape(len(rows), -1, _BLOCK).max(axis=2)
        noise = np.hypot(before.noise, after.noise)
        return float((largest > min(max(_LEAST, _NOISES * noise), _MOST)).mean())


def _noise(luma: Luma) -> float:
    """The standard deviation of the noise, from the median of second differences: edges are few, noise everywhere.

    A second difference has 6 times the variance, and the median of a normal distribution's absolute value is 0.6745 of
    its deviation.
    """
    if luma.shape[1] < 3:
        return 0.0
    rows = luma[::2].astype(np.int16)
    second = np.abs(rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2])
    return float(np.median(second)) / (0.6745 * 6**0.5)


def _in_the_light_of(before: Luma, after: Luma) -> Luma:
    """The later frame as if its light were the earlier's.

    Medians are not moved by what covers less than half of a half.
    """
    middle = np.median(before)
    dark, bright = before <= middle, before > middle
    if not bright.any():
        offset = float(np.median(after)) - float(middle)
        return _shifted(after, 1.0, -offset)
    lows = float(np.median(before[dark])), float(np.median(after[dark]))
    highs = float(np.median(before[bright])), float(np.median(after[bright]))
    spread = highs[1] - lows[1]
    gain = (highs[0] - lows[0]) / spread if spread > 0 else 1.0
    gain = min(max(gain, _GAINS[0]), _GAINS[1])
    return _shifted(after, gain, (lows[0] + highs[0] - gain * (lows[1] + highs[1])) / 2)


def _shifted(luma: Luma, gain: float, offset: float) -> Luma:
    if abs(gain - 1) < 0.005 and abs(offset) < 0.5:
        return luma
    table = np.clip(np.rint(gain * np.arange(256) + offset), 0, 255).astype(np.uint8)
    return table[luma]


DETECTORS: tuple[ChangeDetector, ...] = (MovedBlocks(), BlockChange())


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
