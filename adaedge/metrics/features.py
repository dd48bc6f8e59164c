"""Answers that are features: their cosine.

May import: ``errors``; of this part ``intervals``, ``score``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import MetricError
from adaedge.metrics.intervals import bootstrap
from adaedge.metrics.score import Answer, Score, pairs, shapes


@final
@dataclass(frozen=True, slots=True)
class Cosine:
    """The mean cosine between what is given and expected; one below 0 counts as 0.

    A sample is all floating-point outputs of one index of the batch, one after another. Nothing but zeros is like
    nothing but zeros (1), and unlike everything else (0).

    Raises:
        MetricError: from ``score``, if the answers hold no samples.

    Example:
        >>> round(Cosine().score([[np.array([[1.0, 0.0]])]], [[np.array([[1.0, 1.0]])]]).value, 4)
        0.7071
    """

    name: ClassVar[str] = "cosine"

    def score(self, expected: Sequence[Answer], given: Sequence[Answer]) -> Score:
        """How near they are."""
        values = np.concatenate([cosines(one, other) for one, other in pairs(expected, given)])
        if not values.size:
            raise MetricError("the answers hold no samples")
        return Score(_mean(values), values.size, *bootstrap(values, _mean))


def cosines(expected: Answer, given: Answer) -> Array:
    """The cosine of each sample, (N,), in [0, 1].

    Raises:
        MetricError: if they are no floating-point features of the same shape, or hold NaN or infinity.

    Example:
        >>> cosines((np.array([[3.0, 4.0], [1.0, 0.0]]),), (np.array([[4.0, 3.0], [0.0, 2.0]]),)).tolist()
        [0.96, 0.0]
    """
    one, other = _vectors(expected), _vectors(given)
    if one.shape != other.shape:
        raise MetricError(f"features of the same shape are compared; got {shapes(given)} where {shapes(expected)} is")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise MetricError("the features hold NaN or infinity, of which no cosine is known")
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = np.divide((one * other).sum(axis=1), lengths, out=np.zeros(len(one)), where=lengths > 0)
    cosines[~one.any(axis=1) & ~other.any(axis=1)] = 1
    return np.asarray(np.clip(cosines, 0, 1))


def _vectors(answer: Answer) -> Array:
    """(N, values) of the floating-point outputs."""
    floating = [one for one in answer if np.issubdtype(one.dtype, np.floating) and one.ndim >= 2]
    if not floating or len({len(one) for one in floating}) > 1:
        raise MetricError(
            f"cosine compares floating-point features (N, …), all of one batch; got {shapes(answer)}."
            " Pass a metric for such answers."
        )
    return np.concatenate(
        [one.reshape(len(one), math.prod(one.shape[1:])).astype(np.float64) for one in floating], axis=1
    )


def _mean(values: Array) -> float:
    return float(values.mean())
