"""What labels were chosen from: the scores before an argmax at the end of a graph.

May import: nothing of adaedge.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

SCORES = "adaedge_scores"
"""In the meta of an output's node: of these values, classes along dimension 1, the largest is the answer."""
_MOVES = frozenset({
    "_to_copy", "to", "type_as", "squeeze", "unsqueeze", "view", "_unsafe_view", "reshape", "flatten", "expand",
    "select", "permute", "alias", "clone", "contiguous", "detach", "detach_", "upsample_nearest2d",
})  # fmt: skip
"""What may stand behind an argmax without changing what a label is."""
_SOFT = ("softmax", "_softmax", "log_softmax", "_log_softmax")


def before_argmax(module: fx.GraphModule) -> fx.GraphModule | None:
    """The graph with scores in the place of each output that an argmax over classes makes of them.

    Classes are moved to dimension 1. A softmax over them is left out too: it does not change which is the largest. So
    are casts and changes of shape behind the argmax.

    Args:
        module: a graph whose output is a flat tuple; it stays as it is, and the new one shares its parameters.

    Returns:
        ``None`` if no output is made so.
    """
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    graph.graph_copy(module.graph, copies)
    leaves: Any = module.graph.output_node().args[0]
    found = [_scores(leaf) if isinstance(leaf, fx.Node) else None for leaf in leaves]
    if not any(found):
        return None
    outputs = [
        _classes_first(graph, copies[made[0]], made[1]) if made else fx.map_arg(leaf, copies.__getitem__)
        for leaf, made in zip(leaves, found, strict=True)
    ]
    graph.output(tuple(outputs))
    graph.eliminate_dead_code()
    return fx.GraphModule(module, graph)


def _scores(node: fx.Node) -> tuple[fx.Node, int] | None:
    """The node of the scores, and the dimension of their classes."""
    while node.op == "call_function" and operator_name(node) in _MOVES and node.all_input_nodes:
        node = node.all_input_nodes[0]
    index = 0
    if node.target is operator.getitem:
        index = int(node.args[1])  # type: ignore[arg-type]
        node = node.args[0]  # type: ignore[assignment]
    if (operator_name(node), index) not in {("argmax", 0), ("max", 1), ("topk", 1)}:
        return None
    return _of_choice(node)


def _of_choice(node: fx.Node) -> tuple[fx.Node, int] | None:
    source = node.all_input_nodes[0]
    dimensions = source.meta["val"].dim()
    # Of topk the dimension comes after how many are wanted, and is the last one by default.
    chosen = _argument(node, "dim", 2, -1) if operator_name(node) == "topk" else _argument(node, "dim", 1, None)
    if not isinstance(chosen, int) or not source.meta["val"].is_floating_point() or chosen % dimensions == 0:
        return None  # over everything, of integers, or over the batch: no classes
    while operator_name(source) in _SOFT and _argument(source, "dim", 1, -1) % dimensions == chosen % dimensions:
        source = source.all_input_nodes[0]
    return source, chosen % dimensions


def _argument(node: fx.Node, name: str, at: int, otherwise: Any) -> Any:
    return node.args[at] if len(node.args) > at else node.kwargs.get(name, otherwise)


def _classes_first(graph: fx.Graph, node: fx.Node, dim: int) -> fx.Node:
    moved = graph.call_function(torch.ops.aten.movedim.int, (node, dim, 1))
    moved.meta = {"val": node.meta["val"].movedim(dim, 1), SCORES: True}
    return moved


def operator_name(node: fx.Node) -> str:
    """The name of what a node calls, without namespace and overload; empty for what is no operator."""
    return str(getattr(node.target, "_opname", ""))
