"""The analytic transform: a reduced-rank Karhunen–Loève transform in the metric of the network's own prediction.

May import: of this part ``fisher``; ``payload.latent``. The derivation is in ``docs/explanation/bottleneck.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adaedge.arrays import Array
from adaedge.bottleneck.fisher import Sample
from adaedge.payload.latent import Layout
from adaedge.payload.latent.transform import positioned

_SIDE_RIDGE = 0.1
"""Ridge of the metrics along the sides: they have fewer entries than channels have, and matter less."""
_FLOOR = 1e-3
"""Components below this fraction of the strongest count no more than it where the sides' transforms are found."""

_FEW, _STANDS = 8, 0.8
"""From so many samples on each position has its own mean, if at most this share of the energy is left then."""
_LARGE, _STANDS_STILL = 300_000, 0.5
"""Means of more bytes than this make an encoder large; they have to leave no more than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A linear transform: coefficients = maps · (rows − mean) · channels, a map along each side of the grid.

    Attributes:
        mean: (1 + prefix, width): of all positions on the grid, and of each before it; or (positions, width), of each.
        channels: (width, components).
        back: (components, width), the inverse of ``channels`` on the components.
        maps: for each side of the grid (side, side).
        back_maps: their inverses.
        variances: (positions, components), of the coefficients, in which one unit of squared error costs half a nat.
    """

    mean: Array
    channels: Array
    back: Array
    maps: tuple[Array, ...]
    back_maps: tuple[Array, ...]
    variances: Array


def fit_transform(sample: Sample, layout: Layout, *, ridge: float, shrinkage: float) -> Transform:
    """The transform of these features and gradients.

    With G the second moment of the gradients, an error δ changes the prediction by ½ δᵀGδ nats. G is taken as a product
    of a metric along each side of the grid and one across a row's values; W is its square root. In the space of W all
    errors cost the same, so the Karhunen–Loève transform there is the best linear one, and one step serves all
    coefficients. The covariance is taken as a product in the same way.

    Args:
        sample: features and gradients.
        layout: how features become rows.
        ridge: what is added to the diagonal of the metric across a row, as a fraction of its mean.
        shrinkage: how many samples the product of row's and column's variance counts for, in each variance.
    """
    width, prefix = sample.rows.shape[2], layout.prefix
    metric, unmetric = _roots(_moment(sample.gradients.reshape(-1, width)), ridge)
    mean = _mean(sample.rows, metric, layout)
    rows = (sample.rows - positioned(mean, layout)) @ metric
    slopes = sample.gradients[:, prefix:] @ unmetric.astype(np.float32)
    maps, back_maps = [], []
    for axis in range(len(layout.sides)):
        moment = _along(slopes, layout, axis)
        root, inverse = _roots(moment * (len(moment) / max(np.trace(moment), 1e-30)), _SIDE_RIDGE)
        slopes = _turned(slopes, inverse.astype(np.float32), layout, axis)
        rows[:, prefix:] = _turned(rows[:, prefix:], root, layout, axis)
        maps.append(root)
        back_maps.append(inverse)
    values, vectors = _principal(_moment(rows.reshape(-1, width)))
    rows = rows @ vectors
    even = rows[:, prefix:] / np.sqrt(values + _FLOOR * values[0] + 1e-30)
    for axis in range(len(layout.sides)):
        _, turn = _principal(_along(even, layout, axis))
        rows[:, prefix:] = _turned(rows[:, prefix:], turn.T, layout, axis)
        maps[axis], back_maps[axis] = turn.T @ maps[axis], back_maps[axis] @ turn
    variances = _variances(rows, shrinkage) if maps else _columns(rows)
    return Transform(mean, metric @ vectors, vectors.T @ unmetric, tuple(maps), tuple(back_maps), variances)


def _mean(rows: Array, metric: Array, layout: Layout) -> Array:
    """One mean for all positions, or one for each where that leaves clearly less to send: the camera stands still.

    Of a position's own mean the rows are apart by less than of another sample's by the sample itself, which is in it:
    by the factor (N − 1) / N.
    """
    prefix, count = layout.prefix, len(rows)
    shared = np.concatenate([rows[:, prefix:].mean(axis=(0, 1))[None], rows[:, :prefix].mean(axis=0)])
    if not layout.sides or count < _FEW:
        return shared
    own = rows.mean(axis=0)
    before = positioned(shared, layout)
    explained = np.square((own - before) @ metric).sum()
    whole = sum(np.square((one - before) @ metric).sum() for one in rows) / count
    left = (whole - explained) * (count / (count - 1)) ** 2
    most = _STANDS if own.size * np.dtype(np.int32).itemsize <= _LARGE else _STANDS_STILL
    return own if left < most * whole else shared


def _variances(rows: Array, shrinkage: float) -> Array:
    """(positions, components): each coefficient's own, drawn towards the product of its row's and its column's."""
    found: Array = np.square(rows).mean(axis=0)
    product = found.mean(axis=1, keepdims=True) * found.mean(axis=0, keepdims=True) / max(found.mean(), 1e-30)
    drawn: Array = (len(rows) * found + shrinkage * product) / (len(rows) + shrinkage)
    return drawn


def _columns(rows: Array) -> Array:
    """(positions, components): the same at all positions."""
    found: Array = np.square(rows).mean(axis=(0, 1))
    everywhere: Array = np.broadcast_to(found, rows.shape[1:])
    return everywhere


def _moment(rows: Array) -> Array:
    """Second moment of the columns."""
    moment: Array = (rows.T @ rows).astype(np.float64) / len(rows)
    return moment


def _sided(rows: Array, layout: Layout, axis: int) -> Array:
    """Rows (N, positions, components) as (…, side, …)."""
    sides = layout.sides
    sided: Array = rows.reshape(len(rows) * math.prod(sides[:axis]), sides[axis], -1)
    return sided


def _turned(rows: Array, turn: Array, layout: Layout, axis: int) -> Array:
    turned: Array = np.matmul(turn, _sided(rows, layout, axis)).reshape(rows.shape)
    return turned


def _along(rows: Array, layout: Layout, axis: int) -> Array:
    """Second moment (side, side) over everything else."""
    sided = _sided(rows, layout, axis)
    moment: Array = np.matmul(sided, sided.transpose(0, 2, 1)).sum(axis=0, dtype=np.float64)
    moment /= len(sided) * sided.shape[2]
    return moment


def _principal(moment: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors, the largest first."""
    values, vectors = np.linalg.eigh(moment)
    return np.maximum(values[::-1], 0), vectors[:, ::-1]


def _roots(moment: Array, ridge: float) -> tuple[Array, Array]:
    """Square root of a second moment with a ridge, and its inverse."""
    level = ridge * max(np.trace(moment) / len(moment), 1e-30)
    values, vectors = np.linalg.eigh(moment + level * np.eye(len(moment)))
    root = np.sqrt(np.maximum(values, level / 2))
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
