"""Contexts: what is known of a coefficient before its change is, as rows of look-up tables.

May import: of this part ``change_tables``, ``tables``, ``transform``.

Coefficients are coded in groups, from the most important on, so that both ends know of each what its neighbours in
earlier groups did. A neighbour is next to it along a side of the grid, or the component before or after at its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.payload.latent.change_tables import ACTIVITY_ROW, GROUPS, NEAR, PACE
from adaedge.payload.latent.tables import LOWEST_CLASS
from adaedge.payload.latent.transform import TransformCode

Ints = npt.NDArray[np.int32]

SHARES = (16, 4)
"""The first groups end at these fractions of all coefficients; the last holds the rest."""
START = 16
"""Activity after a refresh, before anything is known of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some coefficients that are coded together.

    Attributes:
        start: the first, in the order in which they are sent.
        stop: behind the last.
        near: (neighbours, stop - start), their neighbours that were coded before; the number of all where there is
            none.
        first_row: the first row of coefficients that have any of these, or of those that have none.
    """

    start: int
    stop: int
    near: Ints
    first_row: npt.NDArray[np.uint8]

    @property
    def all(self) -> slice:
        """The group's coefficients among all."""
        return slice(self.start, self.stop)

    def near_rows(self, sizes: Array) -> Array:
        """Row of what each coefficient's neighbours did in this frame.

        Args:
            sizes: uint8, magnitudes of the changes so far, at most 2, one more than there are coefficients; the rest 0.
        """
        near = np.take(sizes, self.near, mode="clip")
        found: Array = np.minimum(np.add.reduce(near, axis=0, dtype=np.uint8), NEAR - 1)
        found += self.first_row
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Contexts:
    """How a rate's coefficients are coded.

    Attributes:
        classes: row of each coefficient's class.
        around: (neighbours, coefficients), all neighbours that are sent; the number of all where there is none.
        groups: in order.
    """

    classes: Ints
    around: Ints
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return len(self.classes)

    def before(self, activity: Array) -> tuple[Array, Array]:
        """Rows of each coefficient's own activity, and of that around it."""
        padded = np.append(activity, np.zeros(1, activity.dtype))
        total = np.add.reduce(np.take(padded, self.around, mode="clip"), axis=0, dtype=np.uint16)
        return np.take(ACTIVITY_ROW, activity), np.take(ACTIVITY_ROW, np.minimum(total >> 1, 255))


@lru_cache(maxsize=64)
def contexts(latents: TransformCode, rate: int) -> Contexts:
    """The contexts of a bottleneck's rate."""
    order, classes = latents.sent(rate)
    count = len(order)
    around = _neighbours(latents, order)
    assert len(SHARES) + 1 == GROUPS
    ends = [*(-(-count // share) for share in SHARES), count]
    groups = []
    for start, stop in zip([0, *ends], ends, strict=False):
        near = np.where(around[:, start:stop] < start, around[:, start:stop], count)
        first_row = NEAR * np.asarray((near < count).any(axis=0), np.uint8)
        groups.append(Group(start, stop, np.ascontiguousarray(near, np.int32), first_row))
    return Contexts((classes.each - LOWEST_CLASS).astype(np.int32), around.astype(np.int32), tuple(groups))


def pace_row(changed: int, of: int) -> int:
    """Row of how many of so many changed, in octaves.

    Example:
        >>> [pace_row(changed, 256) for changed in (0, 1, 2, 64, 256)]
        [0, 1, 2, 6, 8]
    """
    return min((128 * changed // max(of, 1) + (changed > 0)).bit_length(), PACE - 1)


def _neighbours(latents: TransformCode, order: Array) -> Array:
    """(neighbours, coefficients): places in what is sent; the number of all where there is none."""
    positions, components = latents.spread.shape
    count = len(order)
    ranks = np.full((positions, components), count, np.int64)
    ranks.reshape(-1)[order] = np.arange(count)
    found = [_moved(ranks, 1, step, count) for step in (1, -1)]
    prefix, sides = latents.layout.prefix, latents.layout.sides if latents.places.size else ()
    grid = ranks[prefix:].reshape(*sides, components) if sides else ranks
    for axis in range(len(sides)):
        for step in (1, -1):
            whole = np.full_like(ranks, count)
            whole[prefix:] = _moved(grid, axis, step, count).reshape(-1, components)
            found.append(whole)
    return np.stack([each.reshape(-1)[order] for each in found])


def _moved(ranks: Array, axis: int, step: int, nothing: int) -> Array:
    """Each entry's neighbour along an axis, one step before it or after."""
    moved = np.roll(ranks, step, axis)
    edge = [slice(None)] * ranks.ndim
    edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
    moved[tuple(edge)] = nothing
    return moved
