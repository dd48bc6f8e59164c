"""From a network to a plan: capture it, divide it, and compare each segment's parts with the whole.

May import: ``errors``, ``engine``, ``graph``, ``stream``.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from adaedge.arrays import Array
from adaedge.engine import Arrays, Engine
from adaedge.errors import BundleError, CaptureError
from adaedge.graph.capture import Capture, capture
from adaedge.graph.costs import Costs as GraphCosts
from adaedge.graph.costs import measure
from adaedge.graph.extract import subgraph
from adaedge.graph.liveness import Kind as ValueKind
from adaedge.graph.second_input import randomised
from adaedge.graph.signature import Signature
from adaedge.incremental.nodes import Axes
from adaedge.incremental.operators import sized_by_inputs
from adaedge.incremental.segmentation import Piece, Traced, pieces_of, segment_of, trace
from adaedge.stream.incremental.plan import Held, Kind, Plan, Segment
from adaedge.stream.incremental.reach import Box, is_empty

EXACT = 1e-5
"""Relative to the largest value: what a part may differ from the whole by, because other kernels compute it."""
# Which dimensions of an input can be height, width and time, by how many it has.
_STYLES: tuple[dict[int, Axes], ...] = (
    {2: (1,), 3: (1, 2), 4: (2, 3), 5: (2, 3, 4)},
    {3: (2,), 4: (1, 2), 5: (1, 3, 4)},
    {3: (1,), 5: (3, 4)},
)


@final
class TorchEngine:
    """A graph of PyTorch that takes and returns NumPy arrays."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The graph's outputs, in its own order."""
        with torch.no_grad():
            made = self.graph(*[torch.from_numpy(array) for array in inputs])
        return tuple(tensor.detach().numpy() for tensor in made)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and the graphs of its segments.

    Attributes:
        plan: see `Plan`.
        graphs: of each segment.
        whole: takes the network's inputs and returns all other held tensors.
        plain: takes the network's inputs and returns its outputs.
        signature: how the network is called.
        leaves: for each leaf of the network's output its place among the plan's outputs, or a constant.
        out_spec: the structure of the output.
    """

    plan: Plan
    graphs: tuple[fx.GraphModule, ...]
    whole: fx.GraphModule
    plain: fx.GraphModule
    signature: Signature
    leaves: tuple[Any, ...]
    out_spec: pytree.TreeSpec


@dataclass(frozen=True, slots=True)
class _Place:
    """That a leaf of the output is one of the plan's outputs."""

    at: int


def planned(net: nn.Module, signature: Signature) -> Planned:
    """Make a plan of a network; nothing of it is changed.

    Raises:
        CaptureError: if it cannot be captured, or computes in numbers that NumPy does not have.
    """
    return planned_of(capture(net, signature, dynamic=False))


def planned_of(found: Capture) -> Planned:
    """Make a plan of a captured network.

    Raises:
        CaptureError: if it computes in numbers that NumPy does not have.
    """
    costs = measure(found.graph, found.signature.tensors)
    traced = [trace(found, _axes_of(found, style)) for style in _STYLES]
    best = max(traced, key=lambda one: sum(costs.macs.get(node, 0) for node in one.locals))
    return _verified(_divided(found, costs, best))


def leaves_of(leaves: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
    """The leaves of the network's output, of the plan's outputs."""
    return [outputs[leaf.at] if isinstance(leaf, _Place) else leaf for leaf in leaves]


def asked_of(found: Capture) -> tuple[list[fx.Node], tuple[Any, ...]]:
    """The nodes that a network returns, each once, and for each leaf of its output which of them it is."""
    leaves: Any = found.graph.graph.output_node().args[0]
    asked = list(dict.fromkeys(leaf for leaf in leaves if isinstance(leaf, fx.Node)))
    return asked, tuple(_Place(asked.index(leaf)) if isinstance(leaf, fx.Node) else leaf for leaf in leaves)


def _axes_of(found: Capture, style: dict[int, Axes]) -> dict[fx.Node, Axes]:
    entries = found.graph.graph.find_nodes(op="placeholder")
    return {node: style[rank] for node in entries if (rank := node.meta["val"].dim()) in style}


def _divided(found: Capture, costs: GraphCosts, traced: Traced) -> Planned:
    entries = found.graph.graph.find_nodes(op="placeholder")
    pieces = pieces_of(traced, costs)
    asked, kinds = asked_of(found)
    held = _held_nodes(found, pieces, traced, asked)
    places = {node: place for place, node in enumerate(held)}
    segments, graphs = [], []
    for piece in pieces:
        made = [node for node in piece.nodes if node in places]
        if not made:
            continue
        taken = list(_sources(piece, found, places))
        segments.append(segment_of(piece, taken, made, places, traced, costs))
        graphs.append(_graph_of(found, traced, segments[-1].kind, taken, made))
    plan = Plan(
        tuple(_held(node, traced) for node in held),
        tuple(segments),
        tuple(places[node] for node in entries),
        tuple(places[node] for node in asked),
        fingerprint(found.graph),
    )
    whole = subgraph(found.graph, entries, [node for node in held if node not in entries])
    plain = subgraph(found.graph, entries, asked)
    return Planned(plan, tuple(graphs), whole, plain, found.signature, kinds, found.out_spec)


def _graph_of(
    found: Capture, traced: Traced, kind: Kind, taken: Sequence[fx.Node], made: Sequence[fx.Node]
) -> fx.GraphModule:
    graph = subgraph(found.graph, taken, made)
    if kind is Kind.PART:
        sized_by_inputs(graph.graph, {node.name: axes for node, axes in traced.axes.items()})
        graph.recompile()
    return graph


def _held_nodes(found: Capture, pieces: list[Piece], traced: Traced, asked: list[fx.Node]) -> list[fx.Node]:
    """Inputs, what one piece makes and another or the caller takes, and constant maps that are taken in part."""
    entries = found.graph.graph.find_nodes(op="placeholder")
    constant = [node for node in traced.axes if found.liveness.kinds[node] is ValueKind.CONSTANT]
    home = {node: at for at, piece in enumerate(pieces) for node in piece.nodes}
    crossing = [
        node
        for at, piece in enumerate(pieces)
        for node in piece.nodes
        if node in asked or any(home.get(user, at) != at for user in node.users)
    ]
    nodes = list(dict.fromkeys([*entries, *constant, *crossing, *asked]))
    for node in nodes:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            raise CaptureError(f"what crosses at {node.name} is no tensor")
        if value.dtype in (torch.bfloat16,) or value.is_complex() or value.is_sparse:
            raise CaptureError(f"it computes in {value.dtype}, which is not held between frames")
    return nodes


def _sources(piece: Piece, found: Capture, places: dict[fx.Node, int]) -> Iterator[fx.Node]:
    """The held tensors that a piece takes, constants only where they are held."""
    inside = set(piece.nodes)
    seen: set[fx.Node] = set()
    stack = [source for node in piece.nodes for source in node.all_input_nodes]
    order = []
    while stack:
        node = stack.pop(0)
        if node in inside or node in seen:
            continue
        seen.add(node)
        if node in places:
            order.append(node)
        elif found.liveness.kinds[node] is ValueKind.DATA:
            raise CaptureError(f"{node.name} crosses between segments, but is not held")
        else:
            stack.extend(node.all_input_nodes)
    return iter(order)


def _held(node: fx.Node, traced: Traced) -> Held:
    value: torch.Tensor = node.meta["val"]
    shape = tuple(int(size) for size in value.shape)
    axes = traced.axes.get(node, ())
    if any(size == 0 for size in shape):
        axes = ()
    return Held(shape, axes, str(value.dtype).removeprefix("torch."))


def fingerprint(graph: fx.GraphModule) -> str:
    """The fingerprint of all parameters and buffers: their sums tell apart two networks of one architecture."""
    digest = hashlib.sha256()
    for name, tensor in itertools.chain(graph.named_parameters(), graph.named_buffers()):
        values = tensor.detach().double() if not tensor.is_complex() else torch.view_as_real(tensor.detach()).double()
        digest.update(f"{name} {tuple(tensor.shape)} {float(values.sum())!r} {float(values.abs().sum())!r}".encode())
    return digest.hexdigest()[:16]


def _verified(found: Planned) -> Planned:
    """With a segment as a whole where its parts, tried on random values, differ from it or cannot be computed."""
    plan, segments = found.plan, list(found.plan.segments)
    values = values_of(found)
    for index, segment in enumerate(segments):
        if segment.kind is Kind.PART and not parts_fit(plan, segment, TorchEngine(found.graphs[index]), values):
            segments[index] = Segment(Kind.WHOLE, segment.inputs, segment.outputs, macs=segment.macs, work=segment.work)
    return replace(found, plan=replace(plan, segments=tuple(segments)))


def values_of(found: Planned) -> dict[int, Array]:
    """The held tensors of random inputs."""
    plan = found.plan
    inputs = [tensor.numpy() for tensor in randomised(found.signature, found.signature.batch)]
    values = dict(zip(plan.inputs, inputs, strict=True))
    made = [place for place in range(len(plan.held)) if place not in plan.inputs]
    return values | dict(zip(made, TorchEngine(found.whole).run(inputs), strict=True))


def parts_fit(plan: Plan, segment: Segment, engine: Engine, values: dict[int, Array]) -> bool:
    """Whether parts of a segment, computed by an engine, equal the same parts of its whole.

    Args:
        plan: the segment's.
        segment: a ``PART``.
        engine: computes it.
        values: all held tensors.
    """
    for box in _tried(plan.grid(segment)):
        crop = plan.crop(segment, box)
        given = []
        for at, place in enumerate(segment.inputs):
            where = plan.held[place].at(plan.input_box(segment, at, crop)) if segment.source_units(at) else ...
            given.append(np.ascontiguousarray(values[place][where]))
        try:
            made = engine.run(given)
        except (RuntimeError, BundleError):
            return False
        for at, (output, value) in enumerate(zip(segment.outputs, made, strict=True)):
            target = plan.output_box(segment, at, box)
            start = [span[0] * unit for span, unit in zip(crop, segment.target_units(at), strict=True)]
            local = tuple((a - first, b - first) for (a, b), first in zip(target, start, strict=True))
            expected = values[output][plan.held[output].at(target)]
            part = value[plan.held[output].at(local)]
            if not is_empty(target) and not _close(part, expected, values[output]):
                return False
    return True


def _tried(grid: Box) -> Iterator[Box]:
    """The first, the last and a middle element, two lengths, along all axes at once."""
    for where, size in itertools.product(("first", "middle", "last"), (1, 2)):
        box = []
        for start, stop in grid:
            length = min(size, stop - start)
            at = {"first": start, "middle": (start + stop - length) // 2, "last": stop - length}[where]
            box.append((at, at + length))
        yield tuple(box)


def _close(part: Array, expected: Array, whole: Array) -> bool:
    if part.shape != expected.shape:
        return False
    if part.dtype.kind != "f":
        return bool(np.array_equal(part, expected))
    scale = float(np.max(np.abs(whole), initial=0.0))
    return bool(np.max(np.abs(part.astype(np.float64) - expected), initial=0.0) <= EXACT * scale)
