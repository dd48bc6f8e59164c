"""What changed between two tensors, cell by cell.

May import: nothing of adaedge. A cell is a few elements wide along each axis; all that a tensor holds there counts.
Whatever is not a number has changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.stream.incremental.boxes import Mask, boxes_of, scaled
from adaedge.stream.incremental.plan import Held
from adaedge.stream.incremental.reach import Box

INPUT_CELL = 8
"""Elements that a cell of an input is wide."""


def moved_boxes(before: Array, after: Array, held: Held, threshold: float, cell: int) -> list[Box]:
    """Boxes around the cells that changed.

    Args:
        before: as it was propagated.
        after: as it is.
        held: what both are; its axes are those along which there are boxes.
        threshold: the largest root mean square difference of a cell that does not count; 0 counts every difference.
        cell: how many elements a cell is wide.
    """
    if threshold <= 0:
        mask = _differs(before, after, held.axes, cell)
    else:
        mask = ~(_mean_of_cells(_squared(before, after), held.axes, cell) <= threshold * threshold)
    return scaled(boxes_of(mask), cell, (0,) * mask.ndim, held.lengths)


def died_out(before: Array, after: Array, threshold: float) -> bool:
    """Whether two tensors are the same but for a root mean square difference of at most ``threshold``.

    With a threshold of 0, whether they are equal.
    """
    if threshold <= 0 or after.dtype.kind not in "fiu":
        return bool(np.array_equal(before, after))
    apart = after.astype(np.float32, copy=False) - before.astype(np.float32, copy=False)
    return bool(np.sqrt(np.mean(np.square(apart))) <= threshold)


def alive_boxes(before: Array, after: Array, axes: Sequence[int], threshold: float, cell: int) -> list[Box]:
    """Boxes, from the origin of the two parts, around the cells whose root mean square difference is larger."""
    apart = after.astype(np.float32, copy=False) - before.astype(np.float32, copy=False)
    letters = "abcdefgh"[: apart.ndim]
    squares: Any = np.einsum(f"{letters},{letters}->{''.join(letters[axis] for axis in axes)}", apart, apart)
    count = apart.size // max(1, squares.size)
    limit = threshold * threshold * count
    mask = ~(_mean_of_cells(squares, range(squares.ndim), cell) <= limit)
    shape = [after.shape[axis] for axis in axes]
    return scaled(boxes_of(mask), cell, (0,) * mask.ndim, shape)


def spread_of(tensor: Array) -> float:
    """Standard deviation of an input: what a difference is compared with. At most a few ten thousand elements count."""
    flat = tensor.reshape(-1)
    return float(np.std(flat[:: max(1, flat.size // 50_000)].astype(np.float32)))


def scale_of(tensor: Array) -> float:
    """Root mean square of a tensor, of at most a few ten thousand of its elements."""
    if tensor.dtype.kind not in "fiu" or not tensor.size:
        return 0.0
    flat = tensor.reshape(-1)
    part = flat[:: max(1, flat.size // 50_000)].astype(np.float32)
    return math.sqrt(float(np.mean(np.square(part))))


def _squared(before: Array, after: Array) -> Array:
    apart: Array
    if after.dtype == np.uint8:
        apart = (np.maximum(before, after) - np.minimum(before, after)).astype(np.uint16)
    else:
        apart = after.astype(np.float32, copy=False) - before.astype(np.float32, copy=False)
    found: Array = np.multiply(apart, apart, out=apart)
    return found


def _differs(before: Array, after: Array, axes: Sequence[int], cell: int) -> Mask:
    others = tuple(axis for axis in range(after.ndim) if axis not in axes)
    found: Any = before != after
    found = found.any(axis=others) if others else found
    for axis in range(found.ndim):
        found = np.logical_or.reduceat(found, range(0, found.shape[axis], cell), axis=axis)
    mask: Mask = found
    return mask


def _mean_of_cells(values: Array, axes: Sequence[int], cell: int) -> npt.NDArray[np.float32]:
    """The mean of each cell, over all that the tensor holds there."""
    total: Any = np.uint32 if values.dtype == np.uint16 else np.float32
    others = tuple(axis for axis in range(values.ndim) if axis not in axes)
    elements = np.full((1,) * len(axes), math.prod(values.shape[axis] for axis in others), np.float32)
    # The first axis first: adding whole rows is quick, and leaves a fraction for the others.
    for place, axis in enumerate(axes):
        length = values.shape[axis]
        widths = np.minimum(np.arange(0, length, cell) + cell, length) - np.arange(0, length, cell)
        elements = elements * widths.reshape([-1 if other == place else 1 for other in range(len(axes))])
        values = _sums(values, axis, cell, total)
    if others:
        values = values.sum(axis=others)
    return values.astype(np.float32) / elements


def _sums(values: Array, axis: int, cell: int, dtype: Any) -> Array:
    """Sums of ``cell`` elements along an axis, the last of what is left."""
    if cell == 1:
        return values.astype(dtype, copy=False)
    lines = np.moveaxis(values, axis, 0)
    total = lines[::cell].astype(dtype)
    for offset in range(1, cell):
        part = lines[offset::cell]
        total[: len(part)] += part
    return np.moveaxis(total, 0, axis)
