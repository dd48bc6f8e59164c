"""Which values of a captured graph cross each place in execution order.

May import: nothing of adaedge. A value is one of three kinds. *Data* depends on the inputs' values and crosses when
it is made before a place and used after it. A *constant* depends on parameters, constants and sizes only; a *size* is
a length that the batch decides. Neither of the latter ever crosses: both sides compute the ones that they need.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sympy  # type: ignore[import-untyped]
import torch
from torch import fx

Kind = Enum("Kind", ["DATA", "CONSTANT", "SIZE"])
_SIZE_OF_TENSOR = (torch.ops.aten.sym_size.int, torch.ops.aten.sym_stride.int, torch.ops.aten.sym_numel.default)


@dataclass(frozen=True, slots=True)
class Liveness:
    """The places of a graph and what crosses them.

    Attributes:
        steps: the data nodes in execution order; place ``i`` lies after ``steps[i]``, place ``-1`` before the first.
        kinds: the kind of every node.
        crossing: valid place → the nodes that cross it, in execution order.
    """

    steps: tuple[fx.Node, ...]
    kinds: dict[fx.Node, Kind]
    crossing: dict[int, tuple[fx.Node, ...]]


def analyse(graph: fx.Graph) -> Liveness:
    """Find every place where the graph can be cut, with what crosses there."""
    kinds: dict[fx.Node, Kind] = {}
    for node in graph.nodes:
        kinds[node] = _kind(node, kinds)
    steps = tuple(node for node in graph.nodes if node.op == "call_function" and kinds[node] is Kind.DATA)
    order = {node: place for place, node in enumerate(steps)}
    order |= dict.fromkeys(graph.find_nodes(op="placeholder"), -1) | {graph.output_node(): max(len(steps), 1)}
    crossing = _crossing(order, max(len(steps), 1))
    needed = _last_need_of_sizes(graph, kinds, order)
    valid = {
        place: nodes for place, nodes in crossing.items() if _can_cross(nodes) and _sizes_known(place, nodes, needed)
    }
    return Liveness(steps, kinds, valid)


def _kind(node: fx.Node, kinds: dict[fx.Node, Kind]) -> Kind:
    if node.op == "get_attr":
        return Kind.CONSTANT
    if node.op in ("placeholder", "output"):
        return Kind.DATA
    if node.target in _SIZE_OF_TENSOR and not _is_unbacked(node.meta["val"]):
        return Kind.SIZE
    if is_random(node) or any(kinds[source] is Kind.DATA for source in node.all_input_nodes):
        return Kind.DATA
    return Kind.CONSTANT if isinstance(node.meta.get("val"), torch.Tensor | tuple | list) else Kind.SIZE


def is_random(node: fx.Node) -> bool:
    """Whether running the node twice may give two results."""
    tags = getattr(node.target, "tags", ())
    return torch.Tag.nondeterministic_seeded in tags


def _is_unbacked(value: Any) -> bool:
    return isinstance(value, torch.SymInt) and bool(torch.fx.experimental.symbolic_shapes.free_unbacked_symbols(value))


def _crossing(order: dict[fx.Node, int], places: int) -> dict[int, tuple[fx.Node, ...]]:
    """Values made at or before a place and used after it. A used input crosses place -1 even if only its size is."""
    live: dict[int, list[fx.Node]] = {place: [] for place in range(-1, places)}
    for node, made in order.items():
        uses = [order[user] for user in node.users if user in order]
        last = max(uses, default=0 if made < 0 and node.users else made)
        for place in range(made, min(last, places)):
            live[place].append(node)
    first = {node: at for at, node in enumerate(order)}
    return {place: tuple(sorted(nodes, key=lambda node: (order[node], first[node]))) for place, nodes in live.items()}


def _can_cross(nodes: tuple[fx.Node, ...]) -> bool:
    return all(isinstance(node.meta.get("val"), torch.Tensor) for node in nodes)


def _last_need_of_sizes(
    graph: fx.Graph, kinds: dict[fx.Node, Kind], order: dict[fx.Node, int]
) -> dict[sympy.Symbol, int]:
    """Symbol → the last step that needs it through sizes and constants."""
    need: dict[fx.Node, int] = {}
    symbols: dict[sympy.Symbol, int] = {}
    for node in reversed(graph.nodes):
        if kinds[node] is Kind.DATA or node.op == "get_attr":
            continue
        need[node] = max((order[user] if user in order else need.get(user, -1) for user in node.users), default=-1)
        if kinds[node] is Kind.SIZE:
            for symbol in expression(node.meta["val"]).free_symbols:
                symbols[symbol] = max(symbols.get(symbol, -1), need[node])
    return symbols


def _sizes_known(place: int, nodes: tuple[fx.Node, ...], needed: dict[sympy.Symbol, int]) -> bool:
    return all(last <= place or source_of(symbol, nodes) is not None for symbol, last in needed.items())


def source_of(symbol: sympy.Symbol, nodes: tuple[fx.Node, ...]) -> tuple[fx.Node, int, int] | None:
    """A crossing tensor, dimension and factor with ``length == factor · symbol``; the least factor wins."""
    found = [
        (node, axis, int(factor))
        for node in nodes
        for axis, size in enumerate(node.meta["val"].shape)
        if (factor := expression(size) / symbol).is_Integer and factor > 0
    ]
    return min(found, key=operator.itemgetter(2), default=None)


def expression(size: Any) -> sympy.Expr:
    """A length as a sympy expression."""
    return size.node.expr if isinstance(size, torch.SymInt) else sympy.sympify(size)
