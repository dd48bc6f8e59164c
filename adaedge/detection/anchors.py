"""Anchors: the boxes that a detector's heads are told in relation to, one grid for each of its feature maps.

May import: ``errors``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import BundleError

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class AnchorGrid:
    """The anchors of one feature map: the same few boxes at each of its places, row by row.

    Attributes:
        shape: rows and columns of the feature map.
        step: pixels from one place to the next, downwards and to the right.
        cells: the boxes at the first place, x1, y1, x2, y2 in pixels.

    Raises:
        BundleError: if something of it is no number, or there is no box.

    Example:
        >>> anchor_boxes([AnchorGrid(shape=(1, 2), step=(8, 8), cells=((0, 0, 8, 8),))]).tolist()
        [[0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 16.0, 8.0]]
    """

    shape: tuple[int, int]
    step: tuple[float, float]
    cells: tuple[Box, ...]

    def __post_init__(self) -> None:
        try:
            sides = all(type(side) is int and side >= 1 for side in self.shape) and len(self.shape) == 2
            boxes = bool(self.cells) and all(len(cell) == 4 and all(map(math.isfinite, cell)) for cell in self.cells)
            steps = len(self.step) == 2 and all(map(math.isfinite, self.step))
        except TypeError as error:
            raise BundleError(f"an anchor grid is made of numbers: {error}") from error
        if not (sides and boxes and steps):
            raise BundleError(
                f"an anchor grid has rows and columns from 1, a step (down, right), and boxes x1, y1, x2, y2; got"
                f" shape {self.shape}, step {self.step} and {len(self.cells)} boxes"
            )

    @property
    def size(self) -> int:
        """How many anchors it has."""
        return self.shape[0] * self.shape[1] * len(self.cells)


def anchor_boxes(grids: Sequence[AnchorGrid]) -> Array:
    """The boxes of these grids, one grid after another: float32 (anchors, 4), x1, y1, x2, y2 in pixels."""
    return np.concatenate([_boxes(grid) for grid in grids]) if grids else np.zeros((0, 4), np.float32)


def _boxes(grid: AnchorGrid) -> Array:
    down, right = (np.arange(count) * step for count, step in zip(grid.shape, grid.step, strict=True))
    rows, columns = np.meshgrid(down, right, indexing="ij")
    shifts = np.stack([columns, rows, columns, rows], axis=-1).reshape(-1, 1, 4)
    return np.asarray((shifts + np.array(grid.cells)).reshape(-1, 4), np.float32)
