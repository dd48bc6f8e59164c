"""Boxes around what changed: found in a mask of cells, and merged where one box costs less than two.

May import: nothing of adaedge.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.stream.incremental.reach import Box, hull, volume

Mask = npt.NDArray[np.bool_]

MOST = 8
"""Boxes that are told apart: merging compares all pairs."""
_WORTH = 0.8  # a cut of a box in two is made where the two hold less than this share of it


def boxes_of(mask: Mask) -> list[Box]:
    """Boxes around all true cells, at most `MOST`; the one that gains most by it is cut in two first.

    Example:
        >>> mask = np.zeros((8, 8), bool)
        >>> mask[0, 0] = mask[6:, 6:] = True
        >>> boxes_of(mask)
        [((6, 8), (6, 8)), ((0, 1), (0, 1))]
    """
    if not mask.any():
        return []
    parts = [_around(mask, (0,) * mask.ndim)]
    done: list[Box] = []
    while parts and len(parts) + len(done) < MOST:
        parts.sort(key=volume)
        box = parts.pop()
        pair = _halved(mask, box)
        if pair is None:
            done.append(box)
        else:
            parts.extend(pair)
    return done + parts


def _around(mask: Mask, offset: Sequence[int]) -> Box:
    spans = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        (places,) = np.nonzero(mask.any(axis=others))
        spans.append((int(places[0]) + offset[axis], int(places[-1]) + 1 + offset[axis]))
    return tuple(spans)


def _halved(mask: Mask, box: Box) -> tuple[Box, Box] | None:
    """The two boxes of the best cut across one axis; ``None`` where none is worth it."""
    inner = mask[tuple(slice(*span) for span in box)]
    best: tuple[float, int, int] | None = None
    for axis, (start, stop) in enumerate(box):
        if stop - start < 2:
            continue
        volumes = _volumes(inner, axis)
        place = int(volumes.argmin())
        if best is None or volumes[place] < best[0]:
            best = (float(volumes[place]), axis, place + 1)
    if best is None or best[0] > _WORTH * volume(box):
        return None
    _, axis, place = best
    first, second = np.split(inner, [place], axis)
    offset = [start for start, _ in box]
    after = [*offset]
    after[axis] += place
    return _around(first, offset), _around(second, after)


def _volumes(mask: Mask, axis: int) -> npt.NDArray[np.float64]:
    """Together, what the boxes around both sides hold, for each cut after an element of ``axis`` but the last."""
    count = mask.shape[axis]
    lines = np.arange(count)
    others = [other for other in range(mask.ndim) if other != axis]
    full: Any = mask.any(axis=tuple(others))
    ahead, behind = np.ones(count), np.ones(count)
    for other in others:
        flat: Any = mask.any(axis=tuple(rest for rest in others if rest != other))
        flat = flat if axis < other else flat.T
        low = np.where(full, flat.argmax(1), flat.shape[1])
        high = np.where(full, flat.shape[1] - flat[:, ::-1].argmax(1), 0)
        ahead *= np.maximum.accumulate(high) - np.minimum.accumulate(low)
        behind *= (np.maximum.accumulate(high[::-1]) - np.minimum.accumulate(low[::-1]))[::-1]
    first, last = np.maximum.accumulate(np.where(full, lines, -1)), np.where(full, lines, count)
    last = np.minimum.accumulate(last[::-1])[::-1]
    length_ahead = first + 1 - int(full.argmax())
    length_behind = int(count - full[::-1].argmax()) - last
    found: npt.NDArray[np.float64] = (np.maximum(ahead, 0) * length_ahead)[:-1] + (
        np.maximum(behind, 0) * length_behind
    )[1:]
    return found


def merged(boxes: Sequence[Box], cost: Callable[[Box], float]) -> list[Box]:
    """Boxes that cover the given ones, the two that gain most merged first, until merging gains nothing.

    Args:
        boxes: they may overlap.
        cost: of computing a box.

    Example:
        >>> merged([((0, 2), (0, 2)), ((2, 4), (0, 2)), ((90, 92), (0, 2))], cost=lambda box: 4 + volume(box))
        [((90, 92), (0, 2)), ((0, 4), (0, 2))]
    """
    left = dict(enumerate(dict.fromkeys(boxes)))
    costs = {place: cost(box) for place, box in left.items()}
    pairs: dict[tuple[int, int], tuple[float, Box]] = {}

    def compare(one: int, other: int) -> None:
        both = hull((left[one], left[other]))
        pairs[one, other] = costs[one] + costs[other] - cost(both), both

    for one, other in itertools.combinations(left, 2):
        compare(one, other)
    while pairs:
        (one, other), (gain, both) = max(pairs.items(), key=lambda entry: entry[1][0])
        if gain < 0:
            break
        pairs = {pair: found for pair, found in pairs.items() if one not in pair and other not in pair}
        del left[one], left[other]
        place = max(costs) + 1
        costs[place] = cost(both)
        others = list(left)
        left[place] = both
        for third in others:
            compare(third, place)
    return list(left.values())


def scaled(boxes: Sequence[Box], cell: int, offset: Sequence[int], shape: Sequence[int]) -> list[Box]:
    """Boxes of cells as boxes of elements, moved by ``offset`` and within ``shape``."""
    return [
        tuple(
            (start * cell + at, min(stop * cell + at, length))
            for (start, stop), at, length in zip(box, offset, shape, strict=True)
        )
        for box in boxes
    ]
