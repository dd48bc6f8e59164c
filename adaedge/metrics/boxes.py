"""Answers that are boxes: F1 by greedy matching.

May import: ``errors``; of this part ``intervals``, ``score``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import MetricError
from adaedge.metrics.intervals import bootstrap
from adaedge.metrics.score import Answer, Score, pairs, shapes


class Output(Protocol):
    """An output, or what is known of it: its NumPy type and shape."""

    @property
    def dtype(self) -> Any:
        """NumPy's type, or its name."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions of the output, batch included."""
        ...


@final
@dataclass(frozen=True, slots=True)
class BoxF1:
    """2·TP / (2·TP + FP + FN) over all frames together.

    An answer is boxes (…, M, 4) as x1, y1, x2, y2, their scores (…, M) and, where there are any, their integer labels
    (…, M), in any order; … is nothing or the batch. Of each frame the given boxes, best score first, each take that
    expected box of the same label which they overlap most of those still free, if they overlap it enough.

    Attributes:
        overlap: least intersection over union of a match.
        least_score: boxes below are not counted, expected or given.

    Raises:
        MetricError: if either is not in [0, 1].

    Example:
        >>> box, score = np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([0.9])
        >>> BoxF1().score([[box, score]], [[box + 0.1, score]]).value
        1.0
    """

    overlap: float = 0.5
    least_score: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.overlap <= 1 and 0 <= self.least_score <= 1):
            raise MetricError(f"overlap and least score lie in [0, 1]; got {self.overlap} and {self.least_score}")

    @property
    def name(self) -> str:
        """``f1``; with another ``least_score`` than one half ``f1@SCORE``."""
        return "f1" if self.least_score == 0.5 else f"f1@{self.least_score:g}"

    def score(self, expected: Sequence[Answer], given: Sequence[Answer]) -> Score:
        """How many match."""
        counts = []
        for one, other in pairs(expected, given):
            frames, found = self._frames(one), self._frames(other)
            if len(frames) != len(found):
                raise MetricError(f"{len(found)} frames are given where {len(frames)} are expected: batches differ")
            counts += [self._matched(*frame) for frame in zip(frames, found, strict=True)]
        table = np.array(counts)
        if not table[:, 1].any():
            raise MetricError(
                f"no box of {len(table)} frames, expected or given, has a score of {self.least_score:g}: there is"
                " nothing to judge. Pass frames that hold some, or lower `least_score`."
            )
        return Score(_f1(table), len(table), *bootstrap(table, _f1))

    def _frames(self, answer: Answer) -> list[tuple[Array, Array]]:
        """Boxes and labels of each frame, best score first."""
        boxes, scores, labels = _parts(answer)
        frames = []
        for at in range(len(boxes)):
            order = np.argsort(-scores[at], kind="stable")
            order = order[scores[at][order] >= self.least_score]
            frames.append((boxes[at][order], labels[at][order]))
        return frames

    def _matched(self, expected: tuple[Array, Array], given: tuple[Array, Array]) -> tuple[int, int]:
        """Matches, and boxes of both."""
        overlaps = _overlaps(given[0], expected[0])
        overlaps[given[1][:, None] != expected[1]] = -1
        matches = 0
        for row in range(len(overlaps)):
            if overlaps.shape[1] and overlaps[row].max() >= self.overlap:
                overlaps[:, overlaps[row].argmax()] = -1  # taken
                matches += 1
        return matches, len(given[0]) + len(expected[0])


def find_boxes(outputs: Sequence[Output]) -> tuple[int, int] | None:
    """Which output is the boxes (…, M, 4), and which their floating-point scores (…, M); ``None`` unless one pair is.

    Args:
        outputs: their types and shapes.
    """
    floating = [at for at, one in enumerate(outputs) if np.issubdtype(np.dtype(one.dtype), np.floating)]
    found = [
        (boxes, scores)
        for boxes in floating
        for scores in floating
        if len(outputs[boxes].shape) in (2, 3) and outputs[boxes].shape == (*outputs[scores].shape, 4)
    ]
    return found[0] if len(found) == 1 else None


def _parts(answer: Answer) -> tuple[Array, Array, Array]:
    """Boxes (N, M, 4), scores and labels (N, M)."""
    found = find_boxes(answer)
    shape = answer[found[1]].shape if found else ()
    labels = [one for one in answer if one.dtype.kind in "iu" and one.shape == shape]
    if found is None or len(labels) > 1:
        raise MetricError(
            f"boxes are (…, M, 4) with scores (…, M) and perhaps integer labels (…, M); got {shapes(answer)}."
            " Let the model return these, or pass a metric for such answers."
        )
    boxes, scores = answer[found[0]], answer[found[1]]
    named = labels[0] if labels else np.zeros(shape, np.int64)
    return (boxes, scores, named) if scores.ndim == 2 else (boxes[None], scores[None], named[None])


def _overlaps(some: Array, others: Array) -> Array:
    """Intersection over union of each box with each other, (len(some), len(others)); of equal ones 1, even lines."""
    first, second = some[:, None].astype(np.float64), others[None].astype(np.float64)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    union = _area(first) + _area(second) - shared
    found = np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
    return np.where((first == second).all(axis=-1), 1.0, found)


def _area(boxes: Array) -> Array:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).prod(axis=-1))


def _f1(counts: Array) -> float:
    """Of matches and boxes (frames, 2); 1 where a resample holds no box: nothing was missed."""
    matches, boxes = counts.sum(axis=0)
    return float(2 * matches / boxes) if boxes else 1.0
