"""One frame under way, and what is done with its arrays.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from adaedge.arrays import Array
from adaedge.stream.incremental.costs import Boxes
from adaedge.stream.incremental.plan import Held
from adaedge.stream.incremental.reach import Box

_STEP = 4  # of the elements along each axis one in so many is looked at
_BUSY = 0.25


@dataclass(slots=True)
class Frame:
    """One frame under way."""

    tensors: list[Array]
    scales: list[float]
    tolerance: float
    changed: dict[int, Boxes]
    macs: float = 0.0
    spent: float = 0.0
    parts: int = 0
    boxes: list[tuple[int, Box]] = field(default_factory=list)


def owned(value: Array, others: Sequence[Array]) -> Array:
    """The value, or a copy where it lies in the same memory as another, which may be written to."""
    shared = not value.flags.writeable or any(np.may_share_memory(value, other) for other in others)
    return value.copy() if shared else value


def moved_by(box: Box, origin: Box) -> Box:
    """A box that was counted from where another begins."""
    return tuple((a + first, b + first) for (a, b), (first, _) in zip(box, origin, strict=True))


def is_busy(before: Array, after: Array, held: Held, threshold: float) -> bool:
    """Whether most of an input changed, by a few of its elements: nothing can be left as it was."""
    where: list[slice] = [slice(None)] * after.ndim
    for axis in held.axes:
        where[axis] = slice(None, None, _STEP)
    few = tuple(where)
    apart = np.abs(after[few].astype(np.float32) - before[few].astype(np.float32))
    return bool(np.mean(~(apart <= threshold)) > _BUSY)
