"""What makes a student's features comparable with a teacher's of another shape.

May import: ``errors``; of this part ``losses``.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from adaedge.distillation.losses import resized
from adaedge.errors import TrainingError


def projector(student: Tensor, teacher: Tensor) -> nn.Module | None:
    """A projector from features like ``student`` to such as ``teacher``; ``None`` where the shapes are the same.

    Maps (N, C, sides …) get a convolution of kernel 1 and are resized; vectors (N, C) get a linear layer, and so do
    tokens (N, length, C) of one length. Where one is a vector and the other a map, the map's mean is the vector.

    Raises:
        TrainingError: if nothing joins them.

    Example:
        >>> joined = projector(torch.rand(2, 8, 16, 16), torch.rand(2, 32, 8, 8))
        >>> joined(torch.rand(5, 8, 16, 16)).shape
        torch.Size([5, 32, 8, 8])
    """
    if student.shape[1:] == teacher.shape[1:] and student.dim() > 1:
        return None
    found, wanted = student.dim(), teacher.dim()
    if found == wanted == 2:
        return nn.Linear(student.shape[1], teacher.shape[1])
    if found == wanted == 3 and student.shape[1] == teacher.shape[1]:
        return nn.Linear(student.shape[2], teacher.shape[2])
    if found == wanted and 4 <= found <= 5:
        return _Resized(_pointwise(student, teacher), teacher.shape[2:])
    if found in (4, 5) and wanted == 2:
        return nn.Sequential(_Mean(), nn.Linear(student.shape[1], teacher.shape[1]))
    raise TrainingError(
        f"no projector joins the student's {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}: it joins"
        " maps (N, C, …) of as many sides, vectors (N, C), tokens (N, length, C) of one length, and maps with vectors."
        " Name layers whose features are such, or write a loss of your own."
    )


def _pointwise(student: Tensor, teacher: Tensor) -> nn.Module:
    before, after = student.shape[1], teacher.shape[1]
    if before == after:
        return nn.Identity()
    kind: type[nn.Conv2d | nn.Conv3d] = nn.Conv2d if student.dim() == 4 else nn.Conv3d
    return kind(before, after, 1)


@final
class _Resized(nn.Module):
    """Where the result is smaller, it is resized first: the convolution then has less to do."""

    def __init__(self, pointwise: nn.Module, sides: torch.Size) -> None:
        super().__init__()
        self.pointwise, self.sides = pointwise, sides

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.pointwise(resized(features, self.sides))
        return projected


@final
class _Mean(nn.Module):
    """Maps (N, C, …) to their means (N, C)."""

    def forward(self, features: Tensor) -> Tensor:
        return features.flatten(2).mean(2)
