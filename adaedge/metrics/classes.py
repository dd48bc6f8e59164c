"""Answers that are classes: agreement, label accuracy, divergence of the prediction.

May import: ``errors``; of this part ``intervals``, ``score``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import MetricError
from adaedge.metrics.intervals import bootstrap, wilson
from adaedge.metrics.score import Answer, Score, pairs, shapes


@final
@dataclass(frozen=True, slots=True)
class Agreement:
    """The fraction of samples whose class is the expected one.

    A class is the largest score of (N, C), or the first of the best K indices (N, K) of an answer codec ``best@K``.

    Example:
        >>> scores = [[np.array([[0.1, 0.9]])], [np.array([[0.8, 0.2]])]]
        >>> Agreement().score(scores, [scores[0], scores[0]]).value
        0.5
    """

    name: ClassVar[str] = "agreement"

    def score(self, expected: Sequence[Answer], given: Sequence[Answer]) -> Score:
        """How many agree."""
        return _same([(best_class(one), best_class(other)) for one, other in pairs(expected, given)])


@final
@dataclass(frozen=True, slots=True)
class LabelAccuracy:
    """The fraction of samples whose class is the label. The expected answers are labels: integers (N,).

    Example:
        >>> LabelAccuracy().score([[np.array([1])]], [[np.array([[0.1, 0.9]])]]).value
        1.0
    """

    name: ClassVar[str] = "top1"

    def score(self, expected: Sequence[Answer], given: Sequence[Answer]) -> Score:
        """How many are right."""
        return _same([(_labels(one), best_class(other)) for one, other in pairs(expected, given)])


@final
@dataclass(frozen=True, slots=True)
class Divergence:
    """How near the predicted distribution is to the expected one: exp(−mean KL(expected ‖ given)), KL in nats.

    1 is the same distribution, 0.905 a mean of 0.1 nats. The geometric mean of the probability ratio: where it is 0.9,
    what the expected network says has on average nine tenths of its probability. Scores are logits, (N, C), or of a
    map, (N, C, h, w); each sample counts the mean of its positions.

    Example:
        >>> expected, given = [[np.array([[0.0, 0.0]])]], [[np.array([[0.0, 1.0]])]]
        >>> round(Divergence().score(expected, given).value, 4)  # exp(-0.1201)
        0.8868
    """

    name: ClassVar[str] = "divergence"

    def score(self, expected: Sequence[Answer], given: Sequence[Answer]) -> Score:
        """How near they are."""
        nats = np.concatenate([_nats(one, other) for one, other in pairs(expected, given)])
        return Score(_nearness(nats), nats.size, *bootstrap(nats, _nearness))


def best_class(answer: Answer) -> Array:
    """The class of each sample, (N,).

    Raises:
        MetricError: if the answer is neither class scores nor the best few classes.
    """
    first = answer[0] if answer else np.empty(())
    if first.ndim == 2 and first.shape[1] > 1 and np.issubdtype(first.dtype, np.floating):
        return np.asarray(first.argmax(axis=1))
    if len(answer) == 2 and first.ndim == 2 and first.shape == answer[1].shape and first.dtype.kind in "iu":
        return np.asarray(first[:, 0])
    raise MetricError(
        f"classes are read from scores (N, C), or from the indices and scores of best@K; got {shapes(answer)}."
        " Pass a metric for such answers."
    )


def _labels(answer: Answer) -> Array:
    if len(answer) != 1 or answer[0].ndim != 1 or answer[0].dtype.kind not in "iu":
        raise MetricError(f"labels are integers (N,); got {shapes(answer)}")
    return answer[0]


def _same(classes: Sequence[tuple[Array, Array]]) -> Score:
    for one, other in classes:
        if one.shape != other.shape:
            raise MetricError(f"{len(other)} samples are given where {len(one)} are expected: batches differ")
    same = np.concatenate([one == other for one, other in classes])
    if not same.size:
        raise MetricError("the answers hold no samples")
    value = float(same.mean())
    low, high = wilson(int(same.sum()), same.size)
    return Score(value, same.size, min(low, value), max(high, value))


def _nats(expected: Answer, given: Answer) -> Array:
    """The divergence of each sample, (N,)."""
    one, other = (answer[0] if answer else np.empty(()) for answer in (expected, given))
    floating = np.issubdtype(one.dtype, np.floating) and np.issubdtype(other.dtype, np.floating)
    if one.shape != other.shape or one.ndim not in (2, 4) or one.shape[1] < 2 or not (floating and one.size):
        raise MetricError(
            f"divergence compares logits (N, C) or (N, C, h, w) of the same shape; got {shapes(given)} where"
            f" {shapes(expected)} is expected. An answer codec that keeps the logits is needed: raw, f16 or u8."
        )
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise MetricError("the logits hold NaN or infinity, of which no divergence is known")
    p, q = _log_softmax(one), _log_softmax(other)
    each = (np.exp(p) * (p - q)).sum(axis=1).reshape(len(one), -1).mean(axis=1)
    return np.asarray(np.maximum(each, 0))  # rounding can pass 0


def _log_softmax(logits: Array) -> Array:
    values = logits.astype(np.float64)
    shifted = values - values.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _nearness(nats: Array) -> float:
    return float(np.exp(-nats.mean()))
