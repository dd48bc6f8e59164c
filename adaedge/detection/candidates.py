"""Candidates: which of a detector's boxes come before the suppression, with which score and label.

May import: nothing of adaedge. Scores are compared with the threshold as logits first, which is quick, and those that
are near or above it are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adaedge.arrays import Array

_MARGIN = 1e-3  # of a logit: rounding must not decide before the score itself is known


class Candidates(NamedTuple):
    """Boxes that are looked at.

    Attributes:
        boxes: which of the heads' boxes, (M,).
        scores: float32 (M,).
        labels: (M,).
    """

    boxes: Array
    scores: Array
    labels: Array


def of_levels(logits: Array, centres: Array | None, ends: Sequence[int], threshold: float, most: int) -> Candidates:
    """The best pairs of box and class of each feature map, by sigmoid scores.

    Args:
        logits: (A, C).
        centres: logits (A, 1) of how near the place is to the object's centre: the score is the square root of the
            product of both; ``None`` where there are none.
        ends: where each feature map's boxes end.
        threshold: scores that are not above it do not count.
        most: so many of each feature map.
    """
    parts = []
    for begin, end in zip((0, *ends), ends, strict=False):
        parts.append(_of_level(logits[begin:end], None if centres is None else centres[begin:end], threshold, most))
        parts[-1] = parts[-1]._replace(boxes=parts[-1].boxes + begin)
    return _joined(parts)


def _of_level(logits: Array, centres: Array | None, threshold: float, most: int) -> Candidates:
    classes = logits.shape[1]
    nearness = None if centres is None else sigmoid(centres)
    at = np.flatnonzero(logits > _least_logits(threshold, nearness) - _MARGIN)
    scores = sigmoid(logits.reshape(-1)[at])
    if nearness is not None:
        scores = np.sqrt(scores * nearness[at // classes, 0])
    above = scores > threshold
    chosen = _best(scores[above], most)
    at, scores = at[above][chosen], scores[above][chosen]
    return Candidates(at // classes, scores, at % classes)


def of_classes(logits: Array, background: int | None, threshold: float, most: int) -> Candidates:
    """The best boxes of each class, by softmax scores; one class after another.

    Args:
        logits: (A, C).
        background: the class that is no object.
        threshold: scores that are not above it do not count.
        most: so many of each class.
    """
    scores, parts = np.ascontiguousarray(softmax(logits).T), []
    for label, row in enumerate(scores):
        if label != background:
            boxes = np.flatnonzero(row > threshold)
            boxes = boxes[_best(row[boxes], most)]
            parts.append(Candidates(boxes, row[boxes], np.full(len(boxes), label)))
    return _joined(parts)


def of_boxes(logits: Array, background: int | None, threshold: float, most: int) -> Candidates:
    """Each box with its best class, by softmax scores; arguments as of `of_classes`, but ``most`` is of all boxes."""
    scores = softmax(logits)
    if background is not None:
        scores[:, background] = -1
    labels = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), labels]
    boxes = np.flatnonzero(best > threshold)
    boxes = boxes[_best(best[boxes], most)]
    return Candidates(boxes, best[boxes], labels[boxes])


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(−x)), in float32."""
    with np.errstate(over="ignore"):
        return np.asarray(np.float32(1) / (np.float32(1) + np.exp(-logits.astype(np.float32))))


def softmax(logits: Array) -> Array:
    """Over the last axis, in float32."""
    powers = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float32))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _best(scores: Array, most: int) -> Array:
    """The places of the best scores, best first; of equal ones the earlier."""
    if len(scores) > 4 * most:  # else sorting all is as quick
        some = np.flatnonzero(scores >= np.partition(scores, -most)[-most])
        return np.asarray(some[np.argsort(-scores[some], kind="stable")][:most])
    return np.argsort(-scores, kind="stable")[:most]


def _joined(parts: Sequence[Candidates]) -> Candidates:
    return Candidates(*map(np.concatenate, zip(*parts, strict=True)))


def _least_logits(threshold: float, nearness: Array | None) -> Array:
    """What a logit must be above, at least, for its score to be above the threshold; of each place, (A, 1) or ()."""
    with np.errstate(divide="ignore"):
        least = np.asarray(threshold if nearness is None else np.minimum(threshold**2 / nearness, 1))
        return np.asarray(np.log(least) - np.log1p(-least))
