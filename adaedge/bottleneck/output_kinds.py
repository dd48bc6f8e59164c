"""Which loss fits a network's answer: by what its last operators make.

May import: ``errors``, ``metrics``, ``graph``; of this part ``losses``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from adaedge.bottleneck.losses import Loss, answer, box_loss, class_loss, dense_loss, direction_loss, map_loss
from adaedge.graph.scores import SCORES
from adaedge.metrics.boxes import find_boxes

_LINEAR = ("linear", "addmm", "mm", "conv", "matmul", "bmm")
_SHAPES = (
    *("view", "reshape", "_unsafe_view", "flatten", "squeeze", "dropout", "alias", "clone", "_to_copy", "to"),
    *("mean", "add", "mul", "div", "upsample", "_upsample"),
)
"""What may stand behind the linear layer: shapes, an average over places or over two classifiers, a bias, a scale, an
interpolation of a map."""


@dataclass(frozen=True, slots=True)
class _Kind:
    dtype: Any
    shape: tuple[int, ...]


def loss_for(tail: nn.Module) -> Loss:
    """The loss of what a tail returns, an argmax at its end already left out; the first rule that holds.

    1. Scores of which an argmax took the largest: `class_loss` of (N, classes), `map_loss` of (N, classes, …).
    2. Boxes (…, M, 4) with scores (…, M): `box_loss`.
    3. (N, classes) from a linear layer: `class_loss`. (N, classes, h, w) from one, interpolated or not: `map_loss`.
    4. Any other map (N, channels, h, w): `dense_loss`.
    5. `direction_loss`: features of two dimensions (of a network without its classifier) end in a norm, a pooling or a
       selection, and sequences have no classes to draw from.
    """
    graph = getattr(tail, "graph", None)
    if not isinstance(graph, fx.GraphModule):
        return _by_shape
    nodes = [leaf for leaf in pytree.tree_leaves(graph.graph.output_node().args) if isinstance(leaf, fx.Node)]
    nodes = [node for node in nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    if not nodes:
        return direction_loss
    if _holds_boxes([node.meta["val"] for node in nodes]):
        return box_loss
    node = next((node for node in nodes if node.meta["val"].is_floating_point()), nodes[0])
    return _of_shape(node.meta["val"], scores=bool(node.meta.get(SCORES)) or _is_linear(node))


def _of_shape(value: torch.Tensor, *, scores: bool) -> Loss:
    several = value.dim() > 1 and value.shape[1] > 1
    if value.dim() == 2:
        return class_loss if scores and several else direction_loss
    if value.dim() >= 4:
        return map_loss if scores and several else dense_loss
    return direction_loss


def _is_linear(node: fx.Node) -> bool:
    while node.op == "call_function" and not _name(node).startswith(_LINEAR) and _name(node).startswith(_SHAPES):
        node = node.all_input_nodes[0]
    return node.op == "call_function" and _name(node).startswith(_LINEAR)


def _holds_boxes(values: list[torch.Tensor]) -> bool:
    kinds = [_Kind(np.dtype(str(value.dtype).removeprefix("torch.")), _shape(value)) for value in values]
    return find_boxes(kinds) is not None


def _shape(value: torch.Tensor) -> tuple[int, ...]:
    """Its dimensions; a batch that is free counts as one sample."""
    return tuple(size if isinstance(size, int) else 1 for size in value.shape)


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _by_shape(output: Any, generator: torch.Generator) -> torch.Tensor:
    return _judged(output)(output, generator)


def known(loss: Loss, output: Any) -> Loss:
    """The loss itself where one is taken for each output by its shape, because no graph tells more."""
    return _judged(output) if loss is _by_shape else loss


def _judged(output: Any) -> Loss:
    leaves = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]
    return box_loss if _holds_boxes(leaves) else _of_shape(answer(output), scores=True)
