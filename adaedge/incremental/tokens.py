"""A transformer as stages between its attentions: found in the captured graph, whatever library it comes from.

May import: ``errors``, ``graph``, ``stream``.

Between two attentions every operator works on each token alone. So a stage computes any choice of tokens if the sizes
in its views follow from its inputs; attention itself takes the chosen tokens' queries, and all keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from adaedge.errors import CaptureError
from adaedge.graph.capture import Capture
from adaedge.graph.costs import measure
from adaedge.graph.extract import subgraph
from adaedge.graph.liveness import Kind as ValueKind
from adaedge.graph.second_input import randomised
from adaedge.incremental.nodes import Axes, name_of, shape_of
from adaedge.incremental.operators import local, sized_by_inputs
from adaedge.incremental.planner import asked_of, fingerprint
from adaedge.stream.incremental.plan import Held
from adaedge.stream.incremental.reach import Reach
from adaedge.stream.incremental.tokens import Stage, TokenPlan

_ATTENTION = "scaled_dot_product_attention"


@dataclass(frozen=True, slots=True)
class Staged:
    """A token plan and its graphs.

    Attributes:
        plan: see `TokenPlan`.
        front: the network's inputs → embedded tokens.
        stages: of each stage.
        finish: the last tokens → the network's outputs.
        whole: the network's inputs → kept tensors, then outputs.
        constants: without inputs → the network's own tensors that have a row for each token.
        leaves: for each leaf of the network's output its place among the outputs, or a constant.
    """

    plan: TokenPlan
    front: fx.GraphModule
    stages: tuple[fx.GraphModule, ...]
    finish: fx.GraphModule
    whole: fx.GraphModule
    constants: fx.GraphModule
    leaves: tuple[Any, ...]


def staged(found: Capture) -> Staged:
    """The stages of a captured transformer.

    Args:
        found: the network; a mask of its attentions that hides nothing is taken away.

    Raises:
        CaptureError: if it has no attention between tokens of one fixed number, or mixes tokens in other ways.
    """
    steps = list(found.liveness.steps)
    attentions = [node for node in steps if name_of(node) == _ATTENTION]
    if not attentions:
        raise CaptureError("it has no attention")
    tokens = shape_of(attentions[0])[-2]
    for node in attentions:
        sizes = {shape_of(source)[-2] for source in node.args[:3]}  # type: ignore[arg-type]
        if sizes != {tokens} or any(map(node.kwargs.get, ("is_causal", "enable_gqa"))) or _is_masked(node, found):
            raise CaptureError("its attention is masked, or between different numbers of tokens")
    first = _first(found, steps, attentions[0], tokens)
    axes, constants = _followed(found, steps, first)
    if any(node not in axes for node in attentions):
        raise CaptureError("its tokens are mixed before an attention: windows, or a pyramid")
    last = _last(found, steps, attentions[-1], axes)
    return _assembled(found, steps, attentions, first, last, axes, constants)


def _is_masked(node: fx.Node, found: Capture) -> bool:
    """Whether an attention is masked; a constant mask that hides nothing is taken away."""
    mask: Any = node.args[3] if len(node.args) > 3 else node.kwargs.get("attn_mask")
    causal = len(node.args) > 5 and bool(node.args[5])
    if mask is None or causal:
        return causal
    if found.liveness.kinds[mask] is not ValueKind.CONSTANT:
        return True
    (value,) = subgraph(found.graph, [], [mask])()
    if not bool(value.all() if value.dtype == torch.bool else (value == 0).all()):
        return True
    node.args = node.args[:3]
    node.kwargs = {key: given for key, given in node.kwargs.items() if key != "attn_mask"}
    return False


def _singles(found: Capture) -> dict[int, fx.Node]:
    return {place: nodes[0] for place, nodes in found.liveness.crossing.items() if len(nodes) == 1}


def _first(found: Capture, steps: list[fx.Node], attention: fx.Node, tokens: int) -> fx.Node:
    before = steps.index(attention)
    places = [
        place
        for place, node in _singles(found).items()
        if 0 <= place < before and len(shape_of(node)) == 3 and shape_of(node)[1] == tokens
    ]
    if not places:
        raise CaptureError("no tensor of tokens alone leads to its first attention")
    return _singles(found)[max(places)]


def _followed(found: Capture, steps: list[fx.Node], first: fx.Node) -> tuple[dict[fx.Node, Axes], list[fx.Node]]:
    """The token axis of all that follows, as far as tokens are not mixed; constants that have it too."""
    axes: dict[fx.Node, Axes] = {first: (1,)}
    for node in steps[steps.index(first) + 1 :]:
        if name_of(node) == _ATTENTION:
            sources: Any = node.args[:3]
            rank = len(shape_of(node))
            if all(axes.get(source) == (rank - 2,) for source in sources):
                axes[node] = (rank - 2,)
            continue
        known = local(node, axes)
        if known is not None and all(way == (Reach(),) for way in known.reaches.values()):
            axes[node] = known.axes
    kinds = found.liveness.kinds
    constants = [node for node in axes if kinds[node] is ValueKind.CONSTANT]
    late = [node for node in axes if node not in (first, *constants) and not _depends_only(node, axes)]
    if late:
        raise CaptureError(f"{late[0].name} joins the tokens from elsewhere")
    return axes, constants


def _depends_only(node: fx.Node, axes: dict[fx.Node, Axes]) -> bool:
    return all(source in axes or source.op == "get_attr" or _is_constant(source) for source in node.all_input_nodes)


def _is_constant(node: fx.Node) -> bool:
    return node.op != "placeholder" and all(_is_constant(source) for source in node.all_input_nodes)


def _last(found: Capture, steps: list[fx.Node], attention: fx.Node, axes: dict[fx.Node, Axes]) -> fx.Node:
    after = steps.index(attention)
    singles = _singles(found)
    places = [place for place, node in singles.items() if place > after and node in axes]
    if not places:
        raise CaptureError("no tensor of tokens alone leaves its last attention")
    return singles[max(places)]


def _assembled(
    found: Capture,
    steps: list[fx.Node],
    attentions: list[fx.Node],
    first: fx.Node,
    last: fx.Node,
    axes: dict[fx.Node, Axes],
    constants: list[fx.Node],
) -> Staged:
    costs = measure(found.graph, found.signature.tensors)
    body = [node for node in steps[steps.index(first) + 1 : steps.index(last) + 1] if node in axes]
    at: dict[fx.Node, int] = {first: -1}
    for node in body:
        sources = [at[source] for source in node.all_input_nodes if source in at]
        at[node] = max(max(sources, default=0), 0) + (node in attentions)
    whole = {source for node in attentions for source in node.args[1:3]}
    parts, graphs = [], []
    names = {node.name: own for node, own in axes.items()}
    for number in range(len(attentions) + 1):
        nodes = [node for node in body if at[node] == number]
        inside = set(nodes)
        made = [node for node in nodes if node is last or any(at.get(user, -1) > number for user in node.users)]
        taken = list(dict.fromkeys(s for node in nodes for s in node.all_input_nodes if s in axes and s not in inside))
        if any(isinstance(node.meta["val"], tuple | list) for node in (*made, *taken)):
            raise CaptureError("several tensors at once lead from one attention to another")
        graph = subgraph(found.graph, taken, made)
        sized_by_inputs(graph.graph, names)
        _write_out(graph.graph)
        graph.recompile()
        graphs.append(graph)
        whole_here = tuple(node.name for node in taken if node in whole)
        if any(user in inside and user not in attentions for node in taken if node in whole for user in node.users):
            raise CaptureError("keys or values are used for more than attention")
        parts.append(
            Stage(
                tuple(node.name for node in taken if node not in whole),
                whole_here,
                tuple(node.name for node in made),
                tuple(node.name for node in taken),
                sum(costs.macs.get(node, 0) for node in nodes),
            )
        )
    kept = [first, *[node for node in steps if node in whole and node in at], last]
    return _with_graphs(found, parts, graphs, kept, axes, constants, sum(costs.macs.values()))


def _write_out(graph: fx.Graph) -> None:
    """Attention as products and a softmax, so that only queries are scaled: keys are many more than queries here."""
    for node in graph.nodes:
        if name_of(node) != _ATTENTION:
            continue
        query, key, value = node.args[:3]
        scale = node.kwargs.get("scale") or shape_of(node)[-1] ** -0.5
        aten = torch.ops.aten
        with graph.inserting_before(node):
            scaled = graph.call_function(aten.mul.Tensor, (query, scale))
            turned = graph.call_function(aten.transpose.int, (key, -2, -1))
            scores = graph.call_function(aten.matmul.default, (scaled, turned))
            shares = graph.call_function(aten.softmax.int, (scores, -1))
            node.replace_all_uses_with(graph.call_function(aten.matmul.default, (shares, value)))
        graph.erase_node(node)


def _with_graphs(
    found: Capture,
    parts: list[Stage],
    graphs: list[fx.GraphModule],
    kept: list[fx.Node],
    axes: dict[fx.Node, Axes],
    constants: list[fx.Node],
    macs: int,
) -> Staged:
    entries = found.graph.graph.find_nodes(op="placeholder")
    outputs, leaves = asked_of(found)
    front = subgraph(found.graph, entries, kept[:1])
    used = {name for part in parts for name in part.rows}
    constants = [node for node in constants if node.name in used]
    plan = TokenPlan(
        tuple(Held(shape_of(node), (), str(node.meta["val"].dtype).removeprefix("torch.")) for node in entries),
        {node.name: own[0] for node, own in axes.items()},
        kept[0].name,
        kept[-1].name,
        tuple(node.name for node in kept),
        tuple(node.name for node in constants),
        tuple(parts),
        shape_of(kept[0])[1],
        _always(found, front),
        macs,
        fingerprint(found.graph),
    )
    return Staged(
        plan,
        front,
        tuple(graphs),
        subgraph(found.graph, kept[-1:], outputs),
        subgraph(found.graph, entries, [*kept, *outputs]),
        subgraph(found.graph, [], constants),
        leaves,
    )


def _always(found: Capture, front: fx.GraphModule) -> tuple[int, ...]:
    """Tokens that no pixel goes into: equal for two random inputs."""
    with torch.no_grad():
        one, other = (front(*_random(found, seed))[0] for seed in (0, 1))
    same = (one == other).all(2).all(0)
    return tuple(int(place) for place in same.nonzero())


def _random(found: Capture, seed: int) -> Sequence[torch.Tensor]:
    return randomised(found.signature, found.signature.batch, seed)
