"""Which groups suffer least when they lose channels, measured on data.

May import: of this part ``channel_groups``, ``masks``.

Each group is narrowed alone to a few sizes, the rest of its channels masked, and the change of the network's output is
its damage. A width then drops channels where a further one does least damage: the damages are taken as additive and
made convex, so that the cheapest segment of any group comes first and narrower levels are nested in wider ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.levels.channel_groups import ChannelGroup
from adaedge.levels.masks import masking

_FRACTIONS = (0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True, slots=True)
class Segment:
    """Channels of one group that are dropped one after another.

    Attributes:
        group: its name.
        channels: how many.
    """

    group: str
    channels: int


def drop_order(net: nn.Module, groups: Sequence[ChannelGroup], batches: Iterable[Any]) -> tuple[Segment, ...]:
    """The segments of all groups, those that do least damage per channel first.

    Args:
        net: the network, its channels in the order of their importance; left as it is.
        groups: its channel groups.
        batches: a tensor, or a tuple of the network's arguments, each; a few dozen samples do.
    """
    batches = [batch if isinstance(batch, tuple) else (batch,) for batch in batches]
    slopes: list[tuple[float, Segment]] = []
    with torch.no_grad():
        expected = [_first(net(*batch)) for batch in batches]
        for group in groups:
            curve = [(group.size, 0.0)]
            for count in sorted({group.count(fraction) for fraction in _FRACTIONS} - {group.size}, reverse=True):
                with masking(net, [group], {group.name: count}):
                    found = [_first(net(*batch)) for batch in batches]
                curve.append((count, sum(map(change, found, expected)) / len(batches)))
            slopes += [(slope, Segment(group.name, more - fewer)) for (more, fewer, slope) in _convex(curve)]
    return tuple(segment for _, segment in sorted(slopes, key=lambda entry: entry[0]))


def allocate(groups: Sequence[ChannelGroup], order: Sequence[Segment] | None, width: float) -> dict[str, int]:
    """Channels kept of each group, when ``width`` is the fraction over all of them; of each alone, without an order.

    Example:
        >>> groups = [ChannelGroup("a", 4, ()), ChannelGroup("b", 4, ())]
        >>> allocate(groups, [Segment("b", 3), Segment("a", 3)], 0.5)
        {'a': 3, 'b': 1}
    """
    if order is None:
        return {group.name: group.count(width) for group in groups}
    kept = {group.name: group.size for group in groups}
    everything = ChannelGroup("", sum(kept.values()), ())
    left = everything.size - everything.count(width)
    for segment in order:
        dropped = min(left, segment.channels)
        kept[segment.group] -= dropped
        left -= dropped
    return kept


def change(found: torch.Tensor, expected: torch.Tensor) -> float:
    """How much an output changed: mean Kullback-Leibler divergence of logits (N, classes), else mean 1 − cosine."""
    if expected.dim() == 2 and expected.shape[1] > 1:
        log_found, log_expected = found.float().log_softmax(1), expected.float().log_softmax(1)
        return float(nn.functional.kl_div(log_found, log_expected, reduction="batchmean", log_target=True))
    return float(1 - nn.functional.cosine_similarity(found.flatten(1).float(), expected.flatten(1).float()).mean())


def _first(output: Any) -> torch.Tensor:
    return next(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor))


def _convex(curve: Sequence[tuple[int, float]]) -> list[tuple[int, int, float]]:
    """The lower convex hull of (channels kept, damage): (from, to, damage per channel), with rising damage."""
    hull: list[tuple[int, float]] = []
    for point in curve:
        while len(hull) > 1 and _slope(hull[-1], point) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(point)
    return [(start[0], end[0], _slope(start, end)) for start, end in pairwise(hull)]


def _slope(start: tuple[int, float], end: tuple[int, float]) -> float:
    return (end[1] - start[1]) / (start[0] - end[0])
