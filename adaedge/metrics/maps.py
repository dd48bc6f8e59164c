"""Answers that are label maps: intersection over union.

May import: ``errors``; of this part ``intervals``, ``score``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import MetricError
from adaedge.metrics.intervals import bootstrap
from adaedge.metrics.score import Answer, Score, pairs, shapes


@final
@dataclass(frozen=True, slots=True)
class LabelIoU:
    """Intersection over union of label maps: of each class over all frames together, then the mean over classes.

    A map is integer labels (N, H, W), or logits (N, C, h, w), whose largest counts.

    Attributes:
        classes: which classes count; empty for all that occur, the background among them. One that occurs in no map,
            expected or given, is left out.

    Raises:
        MetricError: from ``score``, if none of the classes occurs in any map.

    Example:
        >>> expected, given = np.array([[[0, 0, 5, 5]]]), np.array([[[0, 0, 0, 5]]])
        >>> LabelIoU((5,)).score([[expected]], [[given]]).value
        0.5
    """

    classes: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """``iou``, and the classes where they are named."""
        return f"iou@{','.join(map(str, self.classes))}" if self.classes else "iou"

    def score(self, expected: Sequence[Answer], given: Sequence[Answer]) -> Score:
        """How much they overlap."""
        frames = [frame for one, other in pairs(expected, given) for frame in zip(*_same_maps(one, other), strict=True)]
        classes = np.asarray(self.classes or sorted({label for frame in frames for label in _labels(frame)}))
        counts = np.array([_counts(*frame, classes) for frame in frames]).reshape(len(frames), 2, len(classes))
        if not counts[:, 1].any():
            raise MetricError(
                f"none of the classes {classes.tolist()} occurs in any of {len(frames)} maps, expected or given."
                " Pass frames that hold them, or name other classes."
            )
        value = _mean_iou(counts)
        return Score(value, len(frames), *bootstrap(counts, _mean_iou))


def _labels(frame: tuple[Array, Array]) -> set[int]:
    return {int(label) for maps in frame for label in np.unique(maps)}


def _same_maps(expected: Answer, given: Answer) -> tuple[Array, Array]:
    """The two label maps (N, H, W)."""
    one, other = _map(expected), _map(given)
    if one.shape != other.shape:
        raise MetricError(
            f"a label map of shape {other.shape} is given where {one.shape} is expected: reduce both by the same"
            " answer codec"
        )
    return one, other


def _map(answer: Answer) -> Array:
    first = answer[0] if answer else np.empty(())
    if first.ndim == 3 and first.dtype.kind in "iu":
        return first
    if first.ndim == 4 and first.shape[1] > 1 and np.issubdtype(first.dtype, np.floating):
        return np.asarray(first.argmax(axis=1))
    raise MetricError(
        f"a label map is integers (N, H, W) or logits (N, C, h, w); got {shapes(answer)}."
        " Pass a metric for such answers."
    )


def _counts(expected: Array, given: Array, classes: Array) -> Array:
    """Pixels of intersection and union of each class, (2, classes)."""
    one, other = (maps.reshape(1, -1) == classes[:, None] for maps in (expected, given))
    return np.stack([(one & other).sum(axis=1), (one | other).sum(axis=1)])


def _mean_iou(counts: Array) -> float:
    """Of counts (frames, 2, classes); 0 where a resample holds none of the classes."""
    intersection, union = counts.sum(axis=0)
    held = union > 0
    return float((intersection[held] / union[held]).mean()) if held.any() else 0.0
