"""Where a model can be cut, and how: of a captured model anywhere, of any other at its ends.

May import: ``errors``, ``operating_point``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, final

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.errors import CaptureError, first_line
from adaedge.graph.axes import channel_axes
from adaedge.graph.capture import Capture, evaluating, undisturbed
from adaedge.graph.costs import Costs, counter, measure
from adaedge.graph.extract import head_graph, subgraph, tail_graph, tapped_graph
from adaedge.graph.liveness import Liveness, analyse
from adaedge.graph.names import name_places
from adaedge.graph.signature import Signature
from adaedge.graph.split_points import CrossingTensor, SplitPoint
from adaedge.graph.subgraphs import Head, Tail
from adaedge.operating_point import INPUT, OUTPUT


class Plan(Protocol):
    """The places where a model can be cut."""

    signature: Signature
    points: dict[int, SplitPoint]

    def cut(self, place: int) -> tuple[Head, Tail]:
        """Head and tail at a place."""
        ...

    def tapped(self, places: Sequence[int]) -> nn.Module:
        """The whole model, with what crosses at these places among its outputs."""
        ...


@final
class CapturedPlan:
    """The places of a captured graph.

    Raises:
        CaptureError: if its analysis fails.
    """

    def __init__(self, found: Capture) -> None:
        self.signature = found.signature
        self._capture, self._liveness = found, found.liveness
        try:
            self.points = _points(found)
        except Exception as error:  # an operator that the analysis did not foresee
            raise CaptureError(f"the captured graph cannot be analysed: {first_line(error)}") from error

    def cut(self, place: int) -> tuple[Head, Tail]:
        """Head and tail at a place."""
        module, crossing = self._capture.graph, self._liveness.crossing[place]
        shapes = tuple(tuple(_fixed(size) for size in node.meta["val"].shape) for node in crossing)
        tail = tail_graph(module, crossing, self._liveness, place)
        return (
            Head(head_graph(module, crossing), self.signature),
            Tail(tail, self.points[place].name, shapes, self._capture.out_spec),
        )

    def captured_head(self, place: int) -> Capture:
        """What is before a place, as a capture of its own; its graph writes to nothing."""
        module = self._capture.graph
        crossing = self._liveness.crossing[place]
        graph = subgraph(module, module.graph.find_nodes(op="placeholder"), crossing)
        spec = pytree.tree_structure((0,) * len(crossing))
        return Capture(graph, self.signature, spec, analyse(graph.graph))

    def captured_tail(self, place: int) -> Capture:
        """What is after a place, as a capture of its own that writes to nothing; its example is what crosses then."""
        module, crossing = self._capture.graph, self._liveness.crossing[place]
        leaves: Any = module.graph.output_node().args[0]
        graph = subgraph(module, crossing, leaves)
        with torch.no_grad():
            example = Signature.of(tuple(head_graph(module, crossing)(*self.signature.tensors)), {})
        return Capture(graph, example, self._capture.out_spec, analyse(graph.graph))

    def tapped(self, places: Sequence[int]) -> nn.Module:
        """The whole model, with what crosses at these places among its outputs."""
        crossing = list(itertools.chain.from_iterable(self._liveness.crossing[place] for place in places))
        return Head(tapped_graph(self._capture.graph, crossing), self.signature)


def _fixed(size: int | torch.SymInt) -> int | None:
    return size if isinstance(size, int) else None


def _points(found: Capture) -> dict[int, SplitPoint]:
    liveness, graph = found.liveness, found.graph.graph
    costs = measure(found.graph, found.signature.tensors)
    axes = channel_axes(graph, {node: shape for node, (_, shape) in costs.tensors.items()})
    before = _macs_before(liveness, costs)
    names = name_places(liveness.steps)
    points = {}
    for place, nodes in liveness.crossing.items():
        name, aliases = names[place]
        crossing = tuple(_crossing_tensor(*costs.tensors[node], axes[node]) for node in nodes)
        points[place] = _point(name, aliases, crossing, before[place], before[max(before)])
    return points


def _macs_before(liveness: Liveness, costs: Costs) -> dict[int, int]:
    """Place → MACs up to it. A constant's are charged where it is first used."""
    order = {node: place for place, node in enumerate(liveness.steps)}
    spent = dict.fromkeys(range(-1, max(len(liveness.steps), 1)), 0)
    for node in reversed(liveness.kinds):
        order.setdefault(node, min((order[user] for user in node.users), default=0))
        spent[min(order[node], len(spent) - 2)] += costs.macs.get(node, 0)
    return dict(zip(spent, itertools.accumulate(spent.values()), strict=True))


def _point(
    name: str, aliases: tuple[str, ...], crossing: tuple[CrossingTensor, ...], head_macs: int, macs: int
) -> SplitPoint:
    payload_bytes = sum(tensor.length_bytes for tensor in crossing)
    return SplitPoint(name, payload_bytes, head_macs, macs - head_macs, crossing, aliases)


def _crossing_tensor(dtype: torch.dtype, shape: tuple[int, ...], axis: int | None = None) -> CrossingTensor:
    return CrossingTensor(str(dtype).removeprefix("torch."), shape, axis)


@final
class WholePlan:
    """The two ends of a model that could not be captured: it runs whole, on either side."""

    def __init__(self, net: nn.Module, signature: Signature) -> None:
        self.signature = signature = replace(signature, dynamic=True)  # the model itself takes what it takes
        self._net = net
        with undisturbed(net, signature), torch.no_grad(), counter() as flops:
            args, kwargs = signature.call([tensor.clone() for tensor in signature.tensors])
            self._leaves, self._out_spec = pytree.tree_flatten(net(*args, **kwargs))
        macs = flops.get_total_flops() // 2
        inputs = tuple(_crossing_tensor(tensor.dtype, tuple(tensor.shape)) for tensor in signature.tensors)
        outputs = tuple(
            _crossing_tensor(leaf.dtype, tuple(leaf.shape)) for leaf in self._leaves if isinstance(leaf, torch.Tensor)
        )
        self.points = {-1: _point(INPUT, (), inputs, 0, macs), 0: _point(OUTPUT, (), outputs, macs, macs)}

    def cut(self, place: int) -> tuple[Head, Tail]:
        """Head and tail at an end: one of them is the whole model."""
        whole, signature = _Whole(self._net, self.signature), self.signature
        name = self.points[place].name
        shapes = tuple((None,) * len(tensor.shape) for tensor in self.points[place].crossing)
        if place < 0:
            return Head(_Same(), signature), Tail(whole, name, shapes, self._out_spec)
        return Head(_Tensors(whole), signature), Tail(_Refilled(self._leaves), name, shapes, self._out_spec)

    def tapped(self, places: Sequence[int]) -> nn.Module:
        """The whole model, with what crosses at these ends among its outputs."""
        return Head(_Tensors(_Whole(self._net, self.signature), tuple(places)), self.signature)


@final
class _Whole(nn.Module):
    def __init__(self, net: nn.Module, signature: Signature) -> None:
        super().__init__()
        self.net, self._signature = net, signature

    def forward(self, *tensors: torch.Tensor) -> list[Any]:
        args, kwargs = self._signature.call(tensors)
        with evaluating(self.net):
            return pytree.tree_leaves(self.net(*args, **kwargs))


@final
class _Same(nn.Module):
    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tensors


@final
class _Tensors(nn.Module):
    """The whole model's output tensors, then what crosses at some ends."""

    def __init__(self, whole: _Whole, places: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.whole, self._places = whole, places

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = tuple(leaf for leaf in self.whole(*tensors) if isinstance(leaf, torch.Tensor))
        return outputs + tuple(
            itertools.chain.from_iterable(tensors if place < 0 else outputs for place in self._places)
        )


@final
class _Refilled(nn.Module):
    """The model's flat outputs: the tensors that crossed, in their places among the constants."""

    def __init__(self, leaves: Sequence[Any]) -> None:
        super().__init__()
        self._leaves = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self._where = [at for at, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]

    def forward(self, *features: torch.Tensor) -> list[Any]:
        given = dict(zip(self._where, features, strict=True))
        return [given.get(at, leaf) for at, leaf in enumerate(self._leaves)]
