"""What the fit needs of the network: features where it is cut, and gradients of its own prediction there.

May import: ``errors``; ``payload.latent``; of this part ``losses``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from adaedge.arrays import Array
from adaedge.bottleneck.losses import Loss, answer
from adaedge.errors import CodecError
from adaedge.payload.latent import Layout


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
    """The features that a head returns for a tensor, a tuple of arguments, or a dictionary of keyword arguments."""
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
            _check_gradient(output)
            for draw in range(draws):
                found = torch.autograd.grad(
                    loss(output, generator), leaves, retain_graph=draw + 1 < draws, materialize_grads=True
                )
                gradients.append(layout.rows([gradient.cpu().numpy() for gradient in found]).astype(np.float32))
    if not rows:
        raise CodecError("no images came to fit the bottleneck with; a few dozen unlabelled ones are enough")
    return Sample(np.concatenate(rows), np.concatenate(gradients))


def _check_gradient(output: Any) -> None:
    judged = answer(output)
    if not judged.requires_grad:
        raise CodecError(
            f"its output, {str(judged.dtype).removeprefix('torch.')} {tuple(judged.shape)}, has no gradient, and no"
            " argmax over classes makes it: nothing says what it depends on. Let the network return its scores"
        )
