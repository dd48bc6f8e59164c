"""Divide a captured graph into segments that can be computed in part, and those that run as a whole.

May import: ``graph``, ``stream``.

Operators with a known reach, one after another, form a run; each connected piece of a run is cut where one tensor only
goes on, at the places that make a small change cheapest: every cut costs a call and a tensor that is held, and every
operator in between costs the halo that is computed with the change and thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import fx

from adaedge.graph.capture import Capture
from adaedge.graph.costs import Costs as GraphCosts
from adaedge.graph.liveness import Kind as ValueKind
from adaedge.incremental.nodes import Axes, Local, name_of, shape_of
from adaedge.incremental.operators import UNARY, is_resize, local
from adaedge.incremental.units import units_of
from adaedge.stream.incremental.plan import Kind, Segment, Way
from adaedge.stream.incremental.reach import Reach, Reaches

TYPICAL = 0.15
"""Of each side of a map, what changes on a typical frame: the cuts are chosen for it."""
CALL_WORK = 2e6
"""What a call costs, in multiply-accumulates: a tenth of a millisecond."""
TOUCHED = 8.0
"""What an element that is written costs, in multiply-accumulates."""
_LONGEST = 60  # operators in one segment


@dataclass(slots=True)
class Traced:
    """A captured graph with what is known of each operator.

    Attributes:
        steps: the operators on data, in an order in which they can run.
        axes: node → its dimensions along which it can be taken in part.
        locals: node → its reach, where it has one.
    """

    steps: list[fx.Node]
    axes: dict[fx.Node, Axes] = field(default_factory=dict)
    locals: dict[fx.Node, Local] = field(default_factory=dict)

    def kind(self, node: fx.Node) -> Kind:
        """How an operator runs."""
        if node in self.locals:
            return Kind.PART
        return Kind.RESIZE if node in self.axes and is_resize(node, self.axes) else Kind.WHOLE


@dataclass(frozen=True, slots=True)
class Piece:
    """Nodes that run at once, and how."""

    kind: Kind
    nodes: tuple[fx.Node, ...]


def trace(found: Capture, inputs: dict[fx.Node, Axes]) -> Traced:
    """Follow the axes of the inputs through the graph.

    Args:
        found: the captured network.
        inputs: input → the dimensions along which changes of it are told apart.
    """
    data = {node for node, kind in found.liveness.kinds.items() if kind is ValueKind.DATA}
    traced = Traced(_items_first(found.liveness.steps), dict(inputs))
    for node in traced.steps:
        known = local(node, traced.axes) if isinstance(node.meta.get("val"), torch.Tensor | tuple | list) else None
        if known is not None and all(source in data or source.op == "get_attr" for source in known.reaches):
            traced.locals[node], traced.axes[node] = known, known.axes
        elif is_resize(node, traced.axes):
            traced.axes[node] = traced.axes[node.all_input_nodes[0]]
    return traced


def _items_first(steps: Sequence[fx.Node]) -> list[fx.Node]:
    """The items of a tuple right after it, so that no tuple is held."""
    order: list[fx.Node] = []
    taken: set[fx.Node] = set()
    for node in steps:
        if node in taken:
            continue
        order.append(node)
        if isinstance(node.meta.get("val"), tuple | list):
            items = [user for user in node.users if name_of(user) == "getitem"]
            order.extend(items)
            taken.update(items)
    return order


def pieces_of(traced: Traced, costs: GraphCosts) -> list[Piece]:
    """The segments' nodes, in an order in which they can run."""
    found: list[Piece] = []
    run: list[fx.Node] = []
    kind: Kind | None = None
    for node in traced.steps:
        own = traced.kind(node)
        if own is not kind or own is Kind.RESIZE:
            found.extend(_divided(kind, run, traced, costs))
            run, kind = [], own
        run.append(node)
    found.extend(_divided(kind, run, traced, costs))
    return found


def _divided(kind: Kind | None, run: list[fx.Node], traced: Traced, costs: GraphCosts) -> list[Piece]:
    if not run or kind is None:
        return []
    if kind is not Kind.PART:
        return [Piece(kind, tuple(run))]
    pieces: list[Piece] = []
    for component in _components(run):
        pieces.extend(Piece(Kind.PART, part) for part in _cut(component, traced, costs))
    return pieces


def _components(run: list[fx.Node]) -> list[list[fx.Node]]:
    """Connected pieces; nodes that share nothing but an input of the run are apart."""
    root: dict[fx.Node, fx.Node] = {}

    def find(node: fx.Node) -> fx.Node:
        while root[node] is not node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for node in run:
        root[node] = node
        for source in node.all_input_nodes:
            if source in root:
                root[find(source)] = find(node)
    groups: dict[fx.Node, list[fx.Node]] = {}
    for node in run:
        groups.setdefault(find(node), []).append(node)
    return list(groups.values())


def _cut(nodes: list[fx.Node], traced: Traced, costs: GraphCosts) -> list[tuple[fx.Node, ...]]:
    """Cut a piece where one tensor goes on, at the cheapest of such places (dynamic programming)."""
    places = [0, *_single_places(nodes), len(nodes)]
    best: dict[int, tuple[float, int]] = {0: (0.0, 0)}
    for stop in places[1:]:
        prices = _prices(nodes, places, stop, traced, costs)
        best[stop] = min((best[start][0] + price, start) for start, price in prices.items())
    stops, at = [], len(nodes)
    while at > 0:
        stops.append((best[at][1], at))
        at = best[at][1]
    return [tuple(nodes[start:stop]) for start, stop in reversed(stops)]


def _single_places(nodes: list[fx.Node]) -> list[int]:
    """After how many nodes exactly one tensor that they made is used later, and it is one."""
    order = {node: place for place, node in enumerate(nodes)}
    last = {node: max((order.get(user, len(nodes)) for user in node.users), default=-1) for node in nodes}
    found: list[int] = []
    alive: list[fx.Node] = []
    for place, node in enumerate(nodes[:-1]):
        alive = [live for live in [*alive, node] if last[live] > place]
        inner = [live for live in alive if last[live] < len(nodes) or live is node]
        single = len(inner) == 1 and isinstance(inner[0].meta.get("val"), torch.Tensor)
        if single and not _is_fused(node, nodes[place + 1]):
            found.append(place + 1)
    return found


def _is_fused(node: fx.Node, following: fx.Node) -> bool:
    """Whether engines make one operator of the two: padding and what pads, a layer and its norm or activation."""
    layer = name_of(node) in ("conv1d", "conv2d", "conv3d", "linear", "batch_norm")
    return "pad" in name_of(node).split("_") or (layer and name_of(following) in UNARY | {"batch_norm"})


def _prices(nodes: list[fx.Node], places: list[int], stop: int, traced: Traced, costs: GraphCosts) -> dict[int, float]:
    """Start → what a typical change costs in the segment from there to ``stop``."""
    previous = places[places.index(stop) - 1]
    ways = _Ways(nodes[:stop], traced)
    total, found = CALL_WORK, {}
    for place in range(stop - 1, -1, -1):
        node = nodes[place]
        if not ways.add(node):
            break
        total += _share(node, ways.found[node], traced) * work_of(node, costs)
        if node in ways.outputs:
            total += TOUCHED * math.prod(shape_of(node)) * TYPICAL ** len(traced.axes[node])
        if place in places:
            found[place] = total
            if stop - place > _LONGEST:
                break
    if not found:  # it cannot be taken in part: it will run as a whole
        found[previous] = CALL_WORK + sum(work_of(node, costs) for node in nodes[previous:stop])
    return found


def _share(node: fx.Node, ways: dict[fx.Node, Reaches], traced: Traced) -> float:
    """Of a node, what is computed of it where a typical share of the outputs is."""
    share = 1.0
    for place, axis in enumerate(traced.axes[node]):
        length = shape_of(node)[axis]
        halo = max((way[place].before + way[place].after for way in ways.values()), default=0)
        share *= min(1.0, (TYPICAL * length + halo) / max(1, length))
    return share


def work_of(node: fx.Node, costs: GraphCosts) -> float:
    """The cost of all of a node, in multiply-accumulates."""
    shape = shape_of(node)
    return costs.macs.get(node, 0) + (TOUCHED * math.prod(shape) if shape else 0.0)


def backwards(part: Sequence[fx.Node], traced: Traced) -> dict[fx.Node, dict[fx.Node, Reaches]] | None:
    """Node (inputs of the part too) → output → what the output depends on of it; ``None`` if two ways disagree."""
    ways = _Ways(part, traced)
    return ways.found if all(ways.add(node) for node in reversed(part)) else None


class _Ways:
    """Node → output → what the output depends on of it, as nodes are added from the last to the first."""

    def __init__(self, part: Sequence[fx.Node], traced: Traced) -> None:
        inside = set(part)
        self.outputs = {node for node in part if not node.users or any(user not in inside for user in node.users)}
        self.found: dict[fx.Node, dict[fx.Node, Reaches]] = {}
        self._traced = traced

    def add(self, node: fx.Node) -> bool:
        """Add a node, all users of which were added; whether all ways from its sources agree."""
        ways = self.found.setdefault(node, {})
        if node in self.outputs:
            ways[node] = (Reach(),) * len(self._traced.axes[node])
        for source, reaches in self._traced.locals[node].reaches.items():
            into = self.found.setdefault(source, {})
            for output, ahead in ways.items():
                through = tuple(near.then(far) for near, far in zip(reaches, ahead, strict=True))
                both = _joined(into[output], through) if output in into else through
                if both is None:
                    return False
                into[output] = both
        return True


def _joined(one: Reaches, other: Reaches) -> Reaches | None:
    pairs = [first.joined(second) for first, second in zip(one, other, strict=True)]
    return None if None in pairs else tuple(pair for pair in pairs if pair is not None)


def segment_of(
    piece: Piece,
    inputs: Sequence[fx.Node],
    outputs: Sequence[fx.Node],
    places: dict[fx.Node, int],
    traced: Traced,
    costs: GraphCosts,
) -> Segment:
    """A piece as a segment; one whose geometry does not fit runs as a whole."""
    macs = sum(costs.macs.get(node, 0) for node in piece.nodes)
    work = sum(work_of(node, costs) for node in piece.nodes)
    ids, made = tuple(places[node] for node in inputs), tuple(places[node] for node in outputs)
    whole = Segment(Kind.WHOLE, ids, made, macs=macs, work=work)
    if piece.kind is Kind.RESIZE:
        return Segment(Kind.RESIZE, ids, made, macs=macs, work=work)
    if piece.kind is Kind.WHOLE:
        return whole
    ways = backwards(piece.nodes, traced)
    units = None if ways is None else units_of(inputs, outputs, ways, len(traced.axes[outputs[0]]))
    if ways is None or units is None:
        return whole
    found = tuple(
        Way(at, outputs.index(output), reaches)
        for at, source in enumerate(inputs)
        for output, reaches in ways.get(source, {}).items()
    )
    return Segment(Kind.PART, ids, made, found, tuple(units.get(node, ()) for node in (*inputs, *outputs)), macs, work)
