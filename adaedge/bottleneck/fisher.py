"""What the fit needs of the network: features where it is cut, and gradients of its own prediction there.

May import: ``errors``; ``payload.latent``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from adaedge.errors import CodecError
from adaedge.payload.latent import Layout

Array = npt.NDArray[Any]
Loss = Callable[[Any, torch.Generator], torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows of features and of gradients.

    Attributes:
        rows: float64 (N, positions, width).
        gradients: float32 (draws, positions, width), several draws for each of the N.
    """

    rows: Array
    gradients: Array


def called(head: nn.Module, batch: Any) -> Sequence[torch.Tensor]:
    """What a head returns for a tensor, a tuple of the network's arguments, or a dictionary of its keyword ones."""
    found: Sequence[torch.Tensor] = (
        head(**batch) if isinstance(batch, dict) else head(*(batch if isinstance(batch, tuple) else (batch,)))
    )
    return found


def gather(
    head: nn.Module,
    tail: nn.Module,
    images: Iterable[Any],
    layout: Layout,
    *,
    loss: Loss,
    limit: int,
    draws: int,
    seed: int,
) -> Sample:
    """Features at the split point, and the gradient of each drawn loss there. No parameter's gradient is touched.

    Args:
        head: what runs before the split point.
        tail: what runs after it.
        images: a tensor, a tuple of the network's arguments, or a dictionary of its keyword arguments, each; read once.
        layout: how features become rows.
        loss: ``loss(output, generator)``, a scalar; drawn anew each time.
        limit: at most so many batches.
        draws: losses for each batch.
        seed: of the drawn losses.

    Raises:
        CodecError: if there are no images.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, gradients = [], []
    for _, batch in zip(range(limit), images, strict=False):
        with torch.no_grad():
            features = called(head, batch)
        rows.append(layout.rows([feature.detach().cpu().numpy() for feature in features]).astype(np.float64))
        with torch.enable_grad():
            leaves = [feature.detach().requires_grad_() for feature in features]
            output = tail(*leaves)
            for draw in range(draws):
                found = torch.autograd.grad(
                    loss(output, generator), leaves, retain_graph=draw + 1 < draws, materialize_grads=True
                )
                gradients.append(layout.rows([gradient.cpu().numpy() for gradient in found]).astype(np.float32))
    if not rows:
        raise CodecError("no images came to fit the bottleneck with; a few dozen unlabelled ones are enough")
    return Sample(np.concatenate(rows), np.concatenate(gradients))


def class_loss(output: Any, generator: torch.Generator) -> torch.Tensor:
    """The negative log-probability of labels drawn from the prediction itself, (N, classes) logits, summed.

    Half the expected square of its gradient · error is the divergence of the prediction, in nats, to second order.

    Example:
        >>> logits = torch.tensor([[100.0, 0.0, 0.0]])
        >>> abs(float(class_loss(logits, torch.Generator())))
        0.0
    """
    logits = _first(output)
    drawn = torch.multinomial(logits.detach().softmax(1).cpu(), 1, generator=generator).to(logits.device)
    return -logits.log_softmax(1).gather(1, drawn).sum()


def direction_loss(output: Any, generator: torch.Generator) -> torch.Tensor:
    """A random projection of each sample's normalised output, summed.

    Half the expected square of its gradient · error is 1 − cosine of the output, to second order: the projection is on
    a standard normal vector, whose expected outer product is the identity.
    """
    flat = nn.functional.normalize(_first(output).flatten(1).float(), dim=1)
    return (flat * torch.randn(flat.shape, generator=generator).to(flat.device)).sum()


def apart(found: Any, wanted: Any, loss: Loss) -> float | None:
    """What `class_loss` and `direction_loss` stand for, measured: divergence in nats, 1 − cosine; the batch's mean.

    Args:
        found: the output with a bottleneck.
        wanted: the output without.
        loss: one of the two; for another nothing can be measured.
    """
    here, there = _first(found), _first(wanted)
    if loss is _by_shape:
        loss = class_loss if there.dim() == 2 and there.shape[1] > 1 else direction_loss
    if loss is class_loss:
        return float(
            nn.functional.kl_div(here.log_softmax(1), there.log_softmax(1), log_target=True, reduction="batchmean")
        )
    if loss is direction_loss:
        return 1 - float(nn.functional.cosine_similarity(here.flatten(1), there.flatten(1)).mean())
    return None


def loss_for(tail: nn.Module) -> Loss:
    """`class_loss` for a tail whose first output is (N, classes) from a linear layer, `direction_loss` for any other.

    Features of two dimensions (those of a network without its classifier) end in a norm, a pooling or a selection.
    """
    graph = getattr(tail, "graph", None)
    if not isinstance(graph, fx.GraphModule):
        return _by_shape
    node = next(leaf for leaf in pytree.tree_leaves(graph.graph.output_node().args) if isinstance(leaf, fx.Node))
    value = node.meta.get("val")
    if not (isinstance(value, torch.Tensor) and value.dim() == 2 and value.shape[1] > 1):
        return direction_loss
    while node.op == "call_function" and not _name(node).startswith(_LINEAR) and _name(node).startswith(_SHAPES):
        node = node.all_input_nodes[0]
    return class_loss if node.op == "call_function" and _name(node).startswith(_LINEAR) else direction_loss


_LINEAR = ("linear", "addmm", "mm", "conv", "matmul", "bmm")
_SHAPES = (
    *("view", "reshape", "_unsafe_view", "flatten", "squeeze", "dropout", "alias", "clone", "_to_copy", "to"),
    *("mean", "add", "mul", "div"),
)
"""What may stand behind the linear layer: shapes, an average over places or over two classifiers, a bias, a scale."""


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _by_shape(output: Any, generator: torch.Generator) -> torch.Tensor:
    first = _first(output)
    return (class_loss if first.dim() == 2 and first.shape[1] > 1 else direction_loss)(output, generator)


def _first(output: Any) -> torch.Tensor:
    return next(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor))
