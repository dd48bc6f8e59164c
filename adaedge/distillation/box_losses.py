"""How far a student's boxes and their scores are from its teacher's, anchor by anchor.

May import: ``errors``; of this part ``losses``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from adaedge.distillation.losses import check_temperature
from adaedge.errors import TrainingError


@final
@dataclass(frozen=True, slots=True)
class BoxTargets:
    """Heads that answer with M boxes (N, M, 4) and their classes' logits (N, M, classes), before any suppression.

    Classes: the divergence of each anchor's softened class chances, each class by itself (a sigmoid, as one-stage
    detectors have). Boxes: smooth L1. Both are weighed by how likely the teacher finds its best class there, for nearly
    all anchors are background (after Chen et al., 'Learning efficient object detection models with knowledge
    distillation', NeurIPS 2017, sections 3.2 and 3.3, where background is weighed down too).

    Attributes:
        temperature: of the classes.
        boxes: weight of the boxes beside the classes.
        background: weight of an anchor where the teacher sees nothing.

    Example:
        >>> import torch
        >>> answer = {"boxes": torch.rand(2, 9, 4), "logits": torch.randn(2, 9, 3)}
        >>> BoxTargets()(answer, answer).item() < 1e-6
        True
    """

    temperature: float = 1.0
    boxes: float = 1.0
    background: float = 0.05

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, student: Any, teacher: Any) -> Tensor:
        """A scalar, of structures that hold one tensor of boxes and one of logits.

        Raises:
            TrainingError: if they do not, or the two have not the same anchors and classes.
        """
        (own_boxes, own_logits), (boxes, logits) = _boxes_of(student), _boxes_of(teacher)
        if own_boxes.shape != boxes.shape or own_logits.shape != logits.shape:
            raise TrainingError(
                f"the student has boxes {tuple(own_boxes.shape)} and logits {tuple(own_logits.shape)}, the teacher"
                f" {tuple(boxes.shape)} and {tuple(logits.shape)}; heads of the same anchors and classes are compared"
            )
        boxes, logits = boxes.detach().float(), logits.detach().float()
        weight = logits.sigmoid().amax(-1)
        weight = self.background + (1 - self.background) * weight
        chances = (logits / self.temperature).sigmoid()
        found = own_logits.float() / self.temperature
        apart = functional.binary_cross_entropy_with_logits(found, chances, reduction="none")
        least = functional.binary_cross_entropy_with_logits(logits / self.temperature, chances, reduction="none")
        classes = self.temperature**2 * (apart - least).sum(-1)
        places = functional.smooth_l1_loss(own_boxes.float(), boxes, reduction="none").sum(-1)
        return ((classes + self.boxes * places) * weight).sum() / weight.sum()


def _boxes_of(answer: Any) -> tuple[Tensor, Tensor]:
    """Boxes and logits of a head; where both could be either, the first is the boxes."""
    leaves = [leaf for leaf in pytree.tree_leaves(answer) if isinstance(leaf, Tensor) and leaf.dim() == 3]
    boxes = next((leaf for leaf in leaves if leaf.shape[-1] == 4), None)
    logits = next((leaf for leaf in leaves if leaf is not boxes), None)
    if boxes is None or logits is None or boxes.shape[:2] != logits.shape[:2]:
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in pytree.tree_leaves(answer) if isinstance(leaf, Tensor))
        raise TrainingError(
            f"targets of boxes take boxes (N, M, 4) and logits (N, M, classes); got {shapes or type(answer).__name__}"
        )
    return boxes, logits
