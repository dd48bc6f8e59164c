"""The analytic transform: a reduced-rank Karhunen–Loève transform in the metric of the network's own prediction.

May import: of this part ``gathering``. The derivation is in ``docs/explanation/bottleneck.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.bottleneck.gathering import Sample

Array = npt.NDArray[Any]

MAX_POSITIONS = 400
"""Above this many positions no map across them is fitted: it would be larger than what it saves."""


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A linear transform: coefficients = places · (rows − mean) · channels.

    Attributes:
        mean: (width,).
        channels: (width, components).
        back: (components, width), the inverse of ``channels`` on the components.
        places: (positions, positions), or ``None``.
        back_places: the inverse of ``places``, or ``None``.
        variances: (positions, components), of the coefficients, in which one unit of squared error costs half a nat.
    """

    mean: Array
    channels: Array
    back: Array
    places: Array | None
    back_places: Array | None
    variances: Array


def fit_transform(sample: Sample, *, ridge: float, shrinkage: float) -> Transform:
    """The transform of these features and gradients.

    With G the second moment of the gradients, an error δ changes the prediction by ½ δᵀGδ nats. G is taken as a product
    of one metric across positions and one across a row's values; W is its square root. In the space of W all errors
    cost the same, so the Karhunen–Loève transform there is the best linear one, and one step serves all coefficients.

    Args:
        sample: features and gradients.
        ridge: what is added to both metrics' diagonals, as a fraction of their mean.
        shrinkage: how many samples the product of row's and column's variance counts for, in each variance.
    """
    count, positions, width = sample.rows.shape
    flat = sample.gradients.reshape(-1, width).astype(np.float64)
    metric, unmetric = _roots(flat.T @ flat / len(flat), ridge)
    mean = sample.rows.reshape(-1, width).mean(axis=0)
    rows = (sample.rows - mean) @ metric
    places = unplaces = None
    if 1 < positions <= MAX_POSITIONS:
        across = _across(sample.gradients @ unmetric.astype(np.float32))
        places, unplaces = _roots(across * positions / max(np.trace(across), 1e-30), ridge)
        rows = places @ rows
    values, vectors = _principal(rows.reshape(-1, width).T @ rows.reshape(-1, width) / (count * positions))
    rows = rows @ vectors
    if places is not None and unplaces is not None:
        _, turn = _principal(_across(rows / np.sqrt(values + 1e-3 * values[0])))
        places, unplaces = turn.T @ places, unplaces @ turn
        rows = turn.T @ rows
    return Transform(
        mean, metric @ vectors, vectors.T @ unmetric, places, unplaces, _variances(rows, shrinkage, places is not None)
    )


def _variances(rows: Array, shrinkage: float, each: bool) -> Array:
    """(positions, components): each coefficient's own, drawn towards the product of its row's and its column's."""
    found: Array = np.square(rows).mean(axis=0)
    down: Array = found.mean(axis=0, keepdims=True)
    if not each:
        return np.broadcast_to(down, found.shape)
    product = found.mean(axis=1, keepdims=True) * down / max(found.mean(), 1e-30)
    drawn: Array = (len(rows) * found + shrinkage * product) / (len(rows) + shrinkage)
    return drawn


def _across(rows: Array) -> Array:
    """Second moment (positions, positions) over samples and components."""
    wide = rows.transpose(1, 0, 2).reshape(rows.shape[1], -1)
    return (wide @ wide.T).astype(np.float64) / wide.shape[1]


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
