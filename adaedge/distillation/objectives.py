"""What one batch teaches: forward and backward passes, no optimiser.

May import: ``errors``, ``levels``; of this part ``losses`` and ``switchable_affine``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaedge.distillation.losses import SoftTargets
from adaedge.distillation.switchable_affine import SwitchableAffine
from adaedge.errors import TrainingError
from adaedge.levels import Elastic

Backward = Callable[[Tensor], Any]


class Objective(Protocol):
    """Turns a batch into gradients. Bring your own for another objective."""

    def __call__(self, batch: Any, backward: Backward) -> dict[str, Tensor]:
        """Compute losses and hand each to ``backward`` once; return them under their names, for the log."""
        ...


@final
@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Cross-entropy of a network against labels; a batch is (images, labels)."""

    net: nn.Module

    def __call__(self, batch: tuple[Tensor, Tensor], backward: Backward) -> dict[str, Tensor]:
        """Gradients of one batch."""
        images, labels = batch
        loss = functional.cross_entropy(self.net(images), labels)
        backward(loss)
        return {"loss": loss.detach()}


@final
@dataclass(frozen=True, slots=True)
class Sandwich:
    """The sandwich rule with in-place distillation: all widths learn in one step, from one set of weights.

    The full width learns from the labels; the narrowest and some others learn the full width's predictions on the same
    batch, through which no gradient flows back (Yu & Huang, 'Universally slimmable networks and improved training
    techniques', ICCV 2019, sections 3.2 and 3.3). Gradients add up in the one weight set.

    Attributes:
        elastic: the widths.
        others: how many widths between the full and the narrowest learn in a step, drawn anew each time.
        loss: of a narrower width's logits and the full width's.
        weight: of each narrower width's loss; the full width's counts 1.
        own: width → its own scales and shifts, which learn with it, where it has some; fold them after the training.

    Raises:
        TrainingError: if the network has fewer than two widths.
    """

    elastic: Elastic
    others: int = 2
    loss: Callable[[Tensor, Tensor], Tensor] = field(default_factory=SoftTargets)
    weight: float = 1.0
    own: Mapping[float, SwitchableAffine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.elastic.widths) < 2:
            raise TrainingError("a sandwich takes two widths or more; wrap the network with widths=(1.0, 0.5)")

    def __call__(self, batch: tuple[Tensor, Tensor], backward: Backward) -> dict[str, Tensor]:
        """Gradients of one batch, added up over the widths; only one width's activations are held at a time."""
        images, labels = batch
        logits = self.elastic.level(1.0)(images)
        loss = functional.cross_entropy(logits, labels)
        backward(loss)
        losses = {"width 1": loss.detach()}
        for width in self._narrower():
            narrower = self.own.get(width) or self.elastic.level(width)
            loss = self.loss(narrower(images), logits.detach())
            backward(self.weight * loss)
            losses[f"width {width:g}"] = loss.detach()
        return losses

    def _narrower(self) -> list[float]:
        *between, narrowest = self.elastic.widths[1:]
        if self.others >= len(between):  # nothing to draw
            return [*between, narrowest]
        drawn = torch.randperm(len(between))[: self.others].sort().values.tolist()
        return [*(between[place] for place in drawn), narrowest]
