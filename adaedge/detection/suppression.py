"""Non-maximum suppression: of boxes of one class that lie on each other, the one with the best score stays.

May import: nothing of adaedge.
"""

from __future__ import annotations

import numpy as np

from adaedge.arrays import Array


def suppressed(boxes: Array, scores: Array, labels: Array, overlap: float | None, most: int) -> Array:
    """Which boxes stay, best score first; of equal scores the earlier one.

    Args:
        boxes: (M, 4), x1, y1, x2, y2.
        scores: (M,).
        labels: (M,); boxes of different labels do not see each other.
        overlap: a box goes that shares more than this with a better one: intersection over union. ``None``: all stay.
        most: at most so many stay. Nobody looks at the others.

    Example:
        >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [8, 8, 9, 9]], np.float32)
        >>> suppressed(boxes, np.array([0.5, 0.9, 0.3]), np.zeros(3, int), overlap=0.5, most=10).tolist()
        [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    if overlap is None:
        return order[:most]
    boxes, labels = boxes[order], labels[order]
    rivals = _by_label(labels)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = np.ones(len(order), bool)
    kept: list[int] = []
    for at in range(len(order)):
        if not alive[at]:
            continue
        kept.append(at)
        if len(kept) == most:
            break
        others = rivals[int(labels[at])]
        others = others[np.searchsorted(others, at, side="right") :]
        alive[others[_shared(boxes, areas, at, others) > overlap]] = False
    return order[kept]


def _by_label(labels: Array) -> dict[int, Array]:
    """Where the boxes of each label are, ascending."""
    order = np.argsort(labels, kind="stable")
    begins = np.flatnonzero(np.diff(labels[order])) + 1
    return {int(labels[part[0]]): part for part in np.split(order, begins) if len(part)}


def _shared(boxes: Array, areas: Array, at: int, others: Array) -> Array:
    """Intersection over union of one box with others; nothing is shared by two without an area."""
    box, rest = boxes[at], boxes[others]
    wide = np.minimum(box[2], rest[:, 2]) - np.maximum(box[0], rest[:, 0])
    high = np.minimum(box[3], rest[:, 3]) - np.maximum(box[1], rest[:, 1])
    both = np.maximum(wide, 0) * np.maximum(high, 0)
    union = areas[at] + areas[others] - both
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0))
