"""Crossing tensors ⇄ rows: one row of values for each position of a common grid.

May import: ``errors``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError

FLOATS = ("float32", "float16", "float64")
LONGEST_SIDE = 400
LEAST_SIDE, MOST_PREFIX = 4, 5
"""An image has at least so many tokens along a side, and at most so many before them."""


@dataclass(frozen=True, slots=True)
class Plane:
    """How one tensor lies on the grid.

    Attributes:
        shape: the tensor's shape without its batch.
        axis: its channel dimension, counted in ``shape``.
        dtype: NumPy name of its type.
        patch: for each other dimension, how many neighbours share a position of the grid.
    """

    shape: tuple[int, ...]
    axis: int
    dtype: str
    patch: tuple[int, ...]

    _split: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _order: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _turned: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _back: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Worked out once: between NumPy's calls, Python takes more time than they do.
        parts: list[int] = []
        outer, inner, channel, patch = [], [], 0, iter(self.patch)
        for dim, side in enumerate(self.shape):
            if dim == self.axis:
                parts.append(side)
                channel = len(parts)
            else:
                part = next(patch)
                parts += [side // part, part]
                outer.append(len(parts) - 1)
                inner.append(len(parts))
        order = (0, *outer, *inner, channel)
        object.__setattr__(self, "_split", tuple(parts))
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_turned", tuple(parts[place - 1] for place in order[1:]))
        object.__setattr__(self, "_back", tuple(np.argsort(order).tolist()))

    @property
    def sides(self) -> tuple[int, ...]:
        """The dimensions that are not the channels."""
        return self.shape[: self.axis] + self.shape[self.axis + 1 :]

    @property
    def width(self) -> int:
        """Values at one position of the grid."""
        return self.shape[self.axis] * math.prod(self.patch)

    def rows(self, tensor: Array) -> Array:
        """(N, *shape) as (N, positions, width)."""
        batch = len(tensor)
        return tensor.reshape(batch, *self._split).transpose(self._order).reshape(batch, -1, self.width)

    def tensor(self, rows: Array) -> Array:
        """The inverse of ``rows``, in the tensor's own type."""
        batch = len(rows)
        turned = rows.reshape(batch, *self._turned).transpose(self._back)
        return np.ascontiguousarray(turned, dtype=self.dtype).reshape(batch, *self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """How all tensors that cross lie on one grid.

    Attributes:
        planes: each tensor's place.
        grid: its sides.
        positions: how many there are on it.
        width: values at one of them.
        sides: those along which neighbours are alike; none where a side is too long for a map along it. A sequence
            whose length is a square and a few more is an image's tokens behind those of classes and registers.
        prefix: how many positions come before those of ``sides``: an image's class and register tokens.

    Example:
        >>> [Layout.of([(1, length, 8)], [2], ["float32"]).sides for length in (197, 12, 2000)]
        [(14, 14), (12,), ()]
        >>> layout = Layout.of([(1, 8, 4, 6)], [1], ["float32"])
        >>> layout.grid, layout.width
        ((4, 6), 8)
        >>> tensor = np.arange(8 * 4 * 6, dtype=np.float32).reshape(1, 8, 4, 6)
        >>> np.array_equal(layout.tensors(layout.rows([tensor]))[0], tensor)
        True
    """

    planes: tuple[Plane, ...]
    grid: tuple[int, ...] = field(init=False, repr=False, compare=False)
    positions: int = field(init=False, repr=False, compare=False)
    width: int = field(init=False, repr=False, compare=False)
    sides: tuple[int, ...] = field(init=False, repr=False, compare=False)
    prefix: int = field(init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        shapes: Sequence[tuple[int, ...]],
        axes: Sequence[int | None],
        dtypes: Sequence[str],
        *,
        max_positions: int = 4096,
        max_width: int = 1024,
    ) -> Layout:
        """The grid of these tensors: the coarsest of them, coarser still where it has too many positions.

        Args:
            shapes: of each tensor, batch first.
            axes: its channel dimension; ``None`` in a tensor of four dimensions means 1.
            dtypes: NumPy name of its type.
            max_positions: a two-dimensional grid of more is cut into patches, if it divides.
            max_width: … but no position holds more values than this.

        Raises:
            CodecError: if the tensors share no grid, or one of them is no feature.
        """
        channels = [1 if axis is None and len(shape) == 4 else axis for shape, axis in zip(shapes, axes, strict=True)]
        told = ", ".join(f"{dtype} {shape}" for shape, dtype in zip(shapes, dtypes, strict=True))
        if not shapes or any(dtype not in FLOATS for dtype in dtypes) or any(not axis for axis in channels):
            raise CodecError(
                f"a bottleneck carries floating-point tensors with a batch and a channel dimension; here cross {told}."
                " Choose a split point between layers, or the codec raw."
            )
        sides = [shape[1:axis] + shape[axis + 1 :] for shape, axis in zip(shapes, channels, strict=True) if axis]
        grid = min(sides, key=math.prod)
        if any(len(side) != len(grid) or any(a % b for a, b in zip(side, grid, strict=True)) for side in sides):
            raise CodecError(
                f"tensors that cross together share no grid: {told}. Choose a split point that one tensor crosses, or"
                " tensors whose height and width are multiples of the smallest's."
            )
        factor = _factor(grid, sum(math.prod(shape[1:]) for shape in shapes), max_positions, max_width)
        patches = [tuple(factor * a // b for a, b in zip(side, grid, strict=True)) for side in sides]
        places = zip(shapes, channels, dtypes, patches, strict=True)
        return cls(
            tuple(Plane(tuple(shape[1:]), axis - 1, dtype, patch) for shape, axis, dtype, patch in places if axis)
        )

    def __post_init__(self) -> None:
        first = self.planes[0]
        grid = tuple(side // part for side, part in zip(first.sides, first.patch, strict=True))
        sides = _sides(grid)
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "positions", math.prod(grid))
        object.__setattr__(self, "width", sum(plane.width for plane in self.planes))
        object.__setattr__(self, "sides", sides)
        object.__setattr__(self, "prefix", math.prod(grid) - math.prod(sides) if sides else 0)

    def rows(self, tensors: Sequence[Array]) -> Array:
        """The tensors as (N, positions, width).

        Raises:
            CodecError: if they are not the tensors of this layout.
        """
        batches = {len(tensor) for tensor in tensors if tensor.ndim}
        known = len(tensors) == len(self.planes) and len(batches) == 1 and batches != {0}
        if not known or any(
            tensor.shape[1:] != plane.shape or tensor.dtype != plane.dtype
            for tensor, plane in zip(tensors, self.planes, strict=True)
        ):
            wanted = ", ".join(f"{plane.dtype} {('N', *plane.shape)}" for plane in self.planes)
            raise CodecError(
                f"this bottleneck carries {wanted}; got"
                f" {', '.join(f'{tensor.dtype} {tensor.shape}' for tensor in tensors)}. Fit one for these shapes."
            )
        parts = [plane.rows(tensor) for plane, tensor in zip(self.planes, tensors, strict=True)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def tensors(self, rows: Array) -> tuple[Array, ...]:
        """The inverse of ``rows``."""
        ends = list(accumulate((plane.width for plane in self.planes), initial=0))
        parts = [rows[..., start:stop] for start, stop in pairwise(ends)]
        return tuple(plane.tensor(part) for plane, part in zip(self.planes, parts, strict=True))


def _sides(grid: tuple[int, ...]) -> tuple[int, ...]:
    """The sides of a grid along which neighbours are alike."""
    sides = grid
    if len(sides) == 1:
        side = math.isqrt(sides[0])
        if side >= LEAST_SIDE and sides[0] - side**2 <= MOST_PREFIX:
            sides = (side, side)
    return sides if max(sides, default=0) <= LONGEST_SIDE and math.prod(sides) > 1 else ()


def _factor(grid: tuple[int, ...], values: int, max_positions: int, max_width: int) -> int:
    """By how much a two-dimensional grid is made coarser."""
    if len(grid) != 2:
        return 1
    fitting = [
        factor
        for factor in range(1, min(grid) + 1)
        if not any(side % factor for side in grid) and values * factor**2 <= max_width * math.prod(grid)
    ]
    enough = [factor for factor in fitting if math.prod(grid) <= max_positions * factor**2]
    return enough[0] if enough else 1
