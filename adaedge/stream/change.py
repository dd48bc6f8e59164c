"""How much a frame differs from another: what decides how much a stateful codec has to send.

May import: ``errors``, ``clip``, ``operating_point``. It is measured on the frame as the camera gives it, before
resizing spreads what moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, final

import numpy as np
import numpy.typing as npt

from adaedge.clip import check_frame, is_frame
from adaedge.operating_point import REFRESH

Frame = npt.NDArray[np.uint8]
Luma = npt.NDArray[np.uint8]

_ROWS = 72  # about so many rows of a frame are looked at: enough for what a network sees, whatever the camera gives
_BLOCK = 4  # sides of a block, in looked-at pixels: 20 of 360 rows
LEVELS = 64.0  # a difference in luma that counts as a block replaced
_WEIGHTS = np.array([[[77]], [[150]], [[29]]], np.uint16)  # of red, green and blue in luma, in 256ths (ITU-R BT.601)


class ChangeDetector(Protocol):
    """Measures change in two steps, so that of an earlier frame only what is compared has to be kept.

    Attributes:
        name: what a bundle calls it: a curve that was fitted with one detector says nothing of another. Whatever
            changes what it measures, a threshold say, belongs in the name.
        unit: what a change of 1 is all of, for people: ``of blocks moved``.
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def unit(self) -> str:
        """See above."""
        ...

    def look(self, frame: Frame) -> Any:
        """What is compared of a frame, uint8 (H, W, 3).

        Raises:
            SourceError: if it is no such frame.
        """
        ...

    def change(self, before: Any, after: Any) -> float:
        """How much changed between two frames that were looked at, in [0, 1]: 0 nothing, 1 all of it."""
        ...


@final
@dataclass(frozen=True, slots=True)
class BlockChange:
    """The mean over blocks of the largest difference in luma within each, as a share of 64 levels and at most 1.

    A maximum, because something small that moves matters as much as something large; a mean over blocks, because both
    the bytes of a video codec and the answer follow how many of them moved, and how far. Every k-th pixel of every
    k-th row is looked at, k so that about 72 rows are: a tenth of a millisecond for a frame of any size.

    Example:
        >>> still = np.full((360, 640, 3), 100, np.uint8)
        >>> moved = still.copy()
        >>> moved[:, :320] += 32
        >>> detector = BlockChange()
        >>> detector.change(detector.look(still), detector.look(moved))
        0.25
    """

    name: ClassVar[str] = "blocks"
    unit: ClassVar[str] = "of what blocks can change"

    def look(self, frame: Frame) -> Luma:
        """The luma of the pixels that are looked at, whole blocks of them."""
        check_frame(frame)
        step = max(1, frame.shape[0] // _ROWS)
        seen = frame[::step, ::step]
        # Few calls: between two frames a network has run, and neither the frame nor NumPy is in any cache.
        red, green, blue = seen.transpose(2, 0, 1).copy() * _WEIGHTS
        red += green
        red += blue
        return _whole((red >> 8).astype(np.uint8))

    def change(self, before: Luma, after: Luma) -> float:
        """How much changed; frames of different sizes have nothing in common."""
        if before.shape != after.shape:
            return REFRESH
        largest = np.minimum(largest_of_blocks(np.maximum(before, after) - np.minimum(before, after)), np.uint8(LEVELS))
        return sum(largest.tobytes()) / (LEVELS * largest.size)


def largest_of_blocks(apart: Luma) -> Luma:
    """The largest difference within each block, of what was looked at: (height, width) → (columns, rows) of blocks."""
    rows = _largest(apart.reshape(len(apart) // _BLOCK, _BLOCK, -1))
    return _largest(rows.T.reshape(-1, _BLOCK, len(rows)))


def _whole(luma: Luma) -> Luma:
    """With a last block that is not whole made so by its own last pixels."""
    height, width = luma.shape
    if height % _BLOCK == width % _BLOCK == 0:
        return luma
    whole = np.empty((height + -height % _BLOCK, width + -width % _BLOCK), np.uint8)
    whole[:height, :width] = luma
    whole[height:, :width] = luma[-1]
    whole[:, width:] = whole[:, width - 1 : width]
    return whole


def _largest(lines: Luma) -> Luma:
    """The largest of each four lines, (n, 4, length) → (n, length): quicker so than NumPy's over so short an axis."""
    return np.asarray(np.maximum(np.maximum(lines[:, 0], lines[:, 1]), np.maximum(lines[:, 2], lines[:, 3])))


def look_of(frame: Any, inputs: Sequence[npt.NDArray[Any]]) -> Luma | None:
    """What `change_between` compares of a frame, or of the newest image among a model's inputs; ``None`` of neither.

    Args:
        frame: as it came.
        inputs: what was made of it.
    """
    picture = picture_of(frame, inputs)
    return None if picture is None else BlockChange().look(picture)


def picture_of(frame: Any, inputs: Sequence[npt.NDArray[Any]]) -> Frame | None:
    """The frame, or the newest image among a model's inputs; ``None`` where neither is one."""
    image = frame
    if not isinstance(frame, np.ndarray):
        image = inputs[0][0, -1] if inputs[0].ndim == 5 else inputs[0][0] if inputs[0].ndim == 4 else inputs[0]
    return image if is_frame(image) else None


def change_between(before: Luma | None, after: Luma | None) -> float:
    """How much changed between two frames that were looked at; all of it where one is not known."""
    return REFRESH if before is None or after is None else BlockChange().change(before, after)


def by_change(
    found: Sequence[tuple[float, float]],
    changes: Sequence[float],
    middle: Callable[[Sequence[float]], float] = np.mean,
) -> tuple[float, ...]:
    """The mean of what was found nearest to each amount of change; where nothing was, the next larger one's.

    Args:
        found: pairs of a change and a figure.
        changes: amounts, ascending; something was found at the last.
        middle: what to take of several figures in place of the mean.

    Example:
        >>> by_change([(0.02, 100), (0.04, 120), (0.3, 400), (1.0, 3000)], changes=(0.03, 0.25, 0.5, 1.0))
        (110.0, 400.0, 3000.0, 3000.0)
    """
    nearest = [int(np.abs(np.subtract(changes, change)).argmin()) for change, _ in found]
    means: list[float] = []
    for at in reversed(range(len(changes))):
        values = [figure for place, (_, figure) in zip(nearest, found, strict=True) if place == at]
        means.append(float(middle(values)) if values else means[-1])
    return tuple(reversed(means))
