"""How much a frame differs from another: what decides how much a stateful codec has to send.

May import: ``errors``, ``clip``, ``operating_point``; of this part ``looks``. It is measured on the frame as the camera
gives it, before resizing spreads what moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, final

import numpy as np
import numpy.typing as npt

from adaedge.clip import check_frame, is_frame
from adaedge.operating_point import REFRESH
from adaedge.stream import looks
from adaedge.stream.looks import AS_IT_IS, BLOCK

Frame = npt.NDArray[np.uint8]
Luma = npt.NDArray[np.uint8]

_ROWS = 72  # about so many rows of a frame are looked at: enough for what a network sees, whatever the camera gives
LEVELS = 64  # a difference in luma that counts as a block replaced


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
        height, width = (-(-side // step) for side in frame.shape[:2])
        luma = np.empty((height + -height % BLOCK, width + -width % BLOCK), np.uint8)
        looks.LOOKS.luma(frame, step, luma)
        return luma

    def change(self, before: Luma, after: Luma) -> float:
        """How much changed; frames of different sizes have nothing in common."""
        if before.shape != after.shape:
            return REFRESH
        largest, _ = largest_of_blocks(before, after)
        return moved(largest)


def largest_of_blocks(before: Luma, after: Luma, lit: npt.NDArray[np.uint8] = AS_IT_IS) -> tuple[Luma, int]:
    """The largest difference within each block of what was looked at, and the median of all differences.

    Args:
        before: of one frame.
        after: of a later one.
        lit: what each value of the later one counts as.
    """
    height, width = before.shape
    largest = np.empty((height // BLOCK, width // BLOCK), np.uint8)
    return largest, looks.LOOKS.apart(before, after, lit, largest)


def moved(largest: Luma, still: float = 0.0) -> float:
    """How much of all blocks moved: by ``LEVELS`` or more altogether, by fewer in part, up to ``still`` not at all."""
    total: int = looks.LOOKS.moved(largest, still, LEVELS)
    return total / (LEVELS * largest.size)


def look_of(frame: Any, inputs: Sequence[npt.NDArray[Any]]) -> Luma | None:
    """The look of a frame, or of the newest image among a model's inputs, for `change_between`; ``None`` of neither.

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
