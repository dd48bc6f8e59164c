"""Cut a captured graph at one place into the graphs of head and tail.

May import: nothing of adaedge.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sympy  # type: ignore[import-untyped]
import torch
from torch import fx
from torch.utils._sympy.interp import sympy_interp
from torch.utils._sympy.reference import PythonReferenceAnalysis

from adaedge.graph.functional import write_again
from adaedge.graph.liveness import Kind, Liveness, expression, source_of


def head_graph(module: fx.GraphModule, crossing: Sequence[fx.Node]) -> fx.GraphModule:
    """The graph from the model's inputs to the crossing tensors."""
    return _written_again(_part(module, module.graph.find_nodes(op="placeholder"), tuple(crossing), {}))


def tapped_graph(module: fx.GraphModule, crossing: Sequence[fx.Node]) -> fx.GraphModule:
    """The whole graph, with the model's output tensors and these nodes as its outputs."""
    outputs = [leaf for leaf in _outputs(module) if is_tensor(leaf)]
    return _part(module, module.graph.find_nodes(op="placeholder"), (*outputs, *crossing), {})


def tail_graph(module: fx.GraphModule, crossing: Sequence[fx.Node], liveness: Liveness, place: int) -> fx.GraphModule:
    """The graph from the crossing tensors to the model's flat outputs."""
    aboard = {*crossing, *liveness.steps[place + 1 :]}
    return _written_again(_part(module, crossing, _outputs(module), liveness.kinds, aboard))


def subgraph(module: fx.GraphModule, inputs: Sequence[fx.Node], outputs: Sequence[fx.Node]) -> fx.GraphModule:
    """The graph from some of its tensors to others, with the constants that it needs; of fixed sizes.

    It writes to nothing, so its inputs may lie in memory that is kept.
    """
    return _part(module, tuple(inputs), tuple(outputs), {})


def _written_again(module: fx.GraphModule) -> fx.GraphModule:
    write_again(module.graph)
    module.recompile()
    return module


def _outputs(module: fx.GraphModule) -> tuple[Any, ...]:
    leaves: Any = module.graph.output_node().args[0]
    return tuple(leaves)


def is_tensor(leaf: Any) -> bool:
    """Whether an output leaf is a tensor's node."""
    return isinstance(leaf, fx.Node) and isinstance(leaf.meta.get("val"), torch.Tensor)


def _part(
    module: fx.GraphModule,
    inputs: Sequence[fx.Node],
    outputs: Sequence[Any],
    kinds: Mapping[fx.Node, Kind],
    aboard: Iterable[fx.Node] = (),
) -> fx.GraphModule:
    """Copy what ``outputs`` need; a size of a tensor that is not aboard is rebuilt from the inputs."""
    aboard = set(aboard)
    distant = {
        node
        for node, kind in kinds.items()
        if kind is Kind.SIZE and any(kinds[t] is Kind.DATA and t not in aboard for t in node.all_input_nodes)
    }
    needed = _needed(outputs, {*inputs, *distant})
    graph = fx.Graph()
    copies = {node: _entry(graph, node) for node in inputs}
    sizes: dict[sympy.Symbol, fx.Node] = {}
    for node in module.graph.nodes:
        if node in copies or node not in needed:
            continue
        if node in distant:
            copies[node] = _rebuilt(graph, node, tuple(inputs), copies, sizes)
        else:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(fx.map_arg(tuple(outputs), copies.__getitem__))
    return fx.GraphModule(module, graph)


def _needed(outputs: Sequence[Any], stop: set[fx.Node]) -> set[fx.Node]:
    needed: set[fx.Node] = set()
    stack: list[fx.Node] = [leaf for leaf in outputs if isinstance(leaf, fx.Node)]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(() if node in stop else node.all_input_nodes)
    return needed


def _entry(graph: fx.Graph, node: fx.Node) -> fx.Node:
    entry = graph.placeholder(node.name)
    entry.meta = dict(node.meta)
    return entry


def _rebuilt(
    graph: fx.Graph,
    node: fx.Node,
    inputs: tuple[fx.Node, ...],
    copies: Mapping[fx.Node, fx.Node],
    sizes: dict[sympy.Symbol, fx.Node],
) -> fx.Node:
    """A size as arithmetic on the lengths of the crossing tensors."""
    wanted = expression(node.meta["val"])
    for symbol in wanted.free_symbols - sizes.keys():
        source = source_of(symbol, inputs)
        assert source is not None, "places without a source for a size were left out"
        tensor, axis, factor = source
        length = graph.call_function(torch.ops.aten.sym_size.int, (copies[tensor], axis))
        sizes[symbol] = length if factor == 1 else graph.call_function(operator.floordiv, (length, factor))
    tracer = fx.proxy.GraphAppendingTracer(graph)
    proxies = {symbol: fx.Proxy(sizes[symbol], tracer) for symbol in wanted.free_symbols}
    result: Any = sympy_interp(PythonReferenceAnalysis, proxies, wanted)
    return result.node if isinstance(result, fx.Proxy) else result
