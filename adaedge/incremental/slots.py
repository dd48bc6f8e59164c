"""Slots of time in a captured network of clips, and the graph that computes the new ones.

May import: ``graph``, ``stream``; of this part ``nodes``, ``operators``, ``planner``, ``segmentation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, fx

from adaedge.graph.capture import Capture
from adaedge.incremental.nodes import Local, name_of, shape_of
from adaedge.incremental.operators import local, sized_by_inputs
from adaedge.incremental.planner import asked_of
from adaedge.incremental.segmentation import trace
from adaedge.stream.incremental.reach import Reach

_BY_ROWS = ("conv", "max_pool", "avg_pool", "adaptive_", "upsample_", "batch_norm")


@dataclass(slots=True)
class Slots:
    """Which tensors have slots along time, and how many of them are new.

    Attributes:
        axes: tensor → its dimension along which slots are, where it has one.
        reaches: operator → what of each input a slot of it depends on.
        share: of the clip's frames those that are new.
    """

    axes: dict[fx.Node, int]
    reaches: dict[fx.Node, dict[fx.Node, Reach]]
    share: float
    _known: dict[fx.Node, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Capture, entry: fx.Node, axis: int, step: int) -> Self:
        """The slots of a captured network, whose input has frames along ``axis``, ``step`` of them new.

        Height and width are followed beside time, as convolutions over all three need it. Where an operator loses them,
        or frames lie in the batch, time is followed by itself, as long as no slot looks at another: a head along time
        costs little, and as a whole it is exact.
        """
        rank = len(shape_of(entry))
        followed = (axis, rank - 2, rank - 1) if rank == 5 else (axis,)
        traced = trace(found, {entry: followed})
        axes, reaches = {entry: axis}, dict[fx.Node, dict[fx.Node, Reach]]()
        for node in traced.steps:
            known, place = traced.locals.get(node), 0
            if known is None:
                known = _rows(node, axes) or local(node, {source: (at,) for source, at in axes.items()})
                known = known if known and all(_is_alone(each[0]) for each in known.reaches.values()) else None
            if known is not None and all(source in axes for source in known.reaches):
                axes[node] = known.axes[place]
                reaches[node] = {source: each[place] for source, each in known.reaches.items()}
        return cls(axes, reaches, step / shape_of(entry)[axis])

    def axis(self, node: fx.Node) -> int:
        """Along which the slots of a tensor are."""
        return self.axes[node]

    def length(self, node: fx.Node) -> int:
        """How many slots there are."""
        return shape_of(node)[self.axis(node)]

    def new(self, node: fx.Node) -> int:
        """How many of them are new."""
        return round(self.length(node) * self.share)

    def has(self, node: fx.Node) -> bool:
        """Whether it is computed slot by slot."""
        if node not in self._known:
            self._known[node] = self._follows(node)
        return self._known[node]

    def before(self, node: fx.Node) -> int:
        """How many slots of a node are computed before the new ones, and thrown away."""
        most = 0
        for source, reach in self.reaches[node].items():
            fresh = self.length(node) - self.new(node), self.length(node)
            first, _ = reach.needed(fresh, self.length(source))
            reached = self.length(source) - self.new(source) - first
            most = max(most, -(-reached // reach.stride))
        return most

    def _follows(self, node: fx.Node) -> bool:
        if node not in self.axes or not isinstance(node.meta.get("val"), Tensor):
            return False
        if not self.new(node) or abs(self.length(node) * self.share - self.new(node)) > 1e-6:
            return False
        if node.op == "placeholder":
            return True
        if any(self.has(source) != (source in self.reaches[node]) for source in node.all_input_nodes):
            return False
        extra = self.before(node)
        return all(
            self.new(source) == self.new(node) * reach.stride
            and extra * reach.stride <= self.length(source) - self.new(source)
            for source, reach in self.reaches[node].items()
        )


class SlideWriter:
    """Writes the graph of a slide.

    Attributes:
        kept: node → how many of its last slots are held.
        computed: operator → the share of its slots that a slide computes.
        is_exact: see `SlidingPlan`.
    """

    def __init__(self, found: Capture, slots: Slots, entry: fx.Node) -> None:
        self.kept: dict[fx.Node, int] = {}
        self.computed: dict[fx.Node, float] = {}
        self.is_exact = True
        self._found, self._slots, self._graph = found, slots, fx.Graph()
        self._steps = [node for node in found.graph.graph.nodes if node.op not in ("placeholder", "output")]
        self._plan()
        self._copies = {entry: self._graph.placeholder(entry.name)}
        self._held = {node: self._graph.placeholder(f"held_{node.name}") for node in self.kept}
        self._joined: dict[fx.Node, fx.Node] = {}
        for node in self._steps:
            self._copies[node] = self._slots_of(node) if slots.has(node) else self._whole(node)

    def finished(self, asked: Sequence[fx.Node]) -> fx.GraphModule:
        """The graph; it returns these nodes, then what is held from then on."""
        after = [self._last(self._together(node), node, count) for node, count in self.kept.items()]
        self._graph.output((*(self._all(node) for node in asked), *after))
        axes = {node.name: (self._slots.axes[node],) for node in self._slots.axes if self._slots.has(node)}
        sized_by_inputs(self._graph, axes)
        module = fx.GraphModule(self._found.graph, self._graph)
        module.graph.eliminate_dead_code()
        module.recompile()
        return module

    def _plan(self) -> None:
        """Which slots are held: those that a following operator reaches back to, or all, where it takes all."""
        for node in self._steps:
            if self._slots.has(node):
                extra = self._slots.before(node)
                self.computed[node] = (self._slots.new(node) + extra) / self._slots.length(node)
                for source, reach in self._slots.reaches[node].items():
                    self.is_exact &= _is_alone(reach)
                    self._keep(source, extra * reach.stride)
            else:
                for source in filter(self._slots.has, node.all_input_nodes):
                    self._keep(source, self._slots.length(source) - self._slots.new(source))
        for node in asked_of(self._found)[0]:
            if self._slots.has(node):
                self._keep(node, self._slots.length(node) - self._slots.new(node))

    def _keep(self, node: fx.Node, count: int) -> None:
        if count > self.kept.get(node, 0):
            self.kept[node] = count

    def _slots_of(self, node: fx.Node) -> fx.Node:
        """An operator on the new slots and those before that it reaches."""
        extra, given = self._slots.before(node), {}
        for source, reach in self._slots.reaches[node].items() if extra else ():
            count = self._slots.new(source) + extra * reach.stride
            given[source] = self._last(self._together(source), source, count)
        made = self._graph.node_copy(node, lambda source: given.get(source, self._copies[source]))
        return self._last(made, node, self._slots.new(node)) if extra else made

    def _whole(self, node: fx.Node) -> fx.Node:
        return self._graph.node_copy(node, self._all)

    def _all(self, node: fx.Node) -> fx.Node:
        return self._together(node) if self._slots.has(node) else self._copies[node]

    def _together(self, node: fx.Node) -> fx.Node:
        """What is held of a tensor and its new slots."""
        if node not in self.kept:
            return self._copies[node]
        if node not in self._joined:
            both = [self._held[node], self._copies[node]]
            self._joined[node] = self._graph.call_function(torch.ops.aten.cat.default, (both, self._slots.axis(node)))
        return self._joined[node]

    def _last(self, value: fx.Node, node: fx.Node, count: int) -> fx.Node:
        """The last slots of what a node became."""
        return last_slots(self._graph, value, self._slots.axis(node), count)


def last_slots(graph: fx.Graph, value: fx.Node, axis: int, count: int) -> fx.Node:
    """A new node: so many slots of a tensor, the last ones."""
    return graph.call_function(torch.ops.aten.slice.Tensor, (value, axis, -count, torch.iinfo(torch.int64).max))


def _is_alone(reach: Reach) -> bool:
    """Whether a slot depends on those that it takes the place of, and on no padding."""
    return reach.before == 0 and reach.after < reach.stride


def _rows(node: fx.Node, axes: Mapping[fx.Node, int]) -> Local | None:
    """An operator of single pictures whose batch the frames are: each row is worked on by itself."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or axes.get(source) != 0 or not name_of(node).startswith(_BY_ROWS):
        return None
    alone = sum(other in axes for other in node.all_input_nodes) == 1
    same = shape_of(node)[:1] == shape_of(source)[:1] and len(shape_of(source)) > 2
    return Local((0,), {source: (Reach(),)}) if alone and same else None
