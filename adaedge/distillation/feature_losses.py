"""How far a student's features are from its teacher's.

May import: ``errors``; of this part ``losses`` and ``projectors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaedge.distillation.losses import check_same_shape, resized
from adaedge.distillation.projectors import projector
from adaedge.errors import TrainingError


@final
@dataclass(frozen=True, slots=True)
class FeatureMSE:
    """Mean squared error of features, behind a projector that learns with the student and is dropped afterwards.

    A projector is made where the shapes differ: a 1×1 convolution where the channels do, an interpolation where the
    sides of a map do (Romero et al., 'FitNets: hints for thin deep nets', ICLR 2015, section 2.2). See `projector`.

    Example:
        >>> FeatureMSE()(torch.zeros(2, 3), torch.ones(2, 3)).item()
        1.0
    """

    def projector(self, student: Tensor, teacher: Tensor) -> nn.Module | None:
        """What makes features like ``student`` comparable with such as ``teacher``; nothing where they are.

        Raises:
            TrainingError: if nothing can.
        """
        return projector(student, teacher)

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """A scalar.

        Raises:
            TrainingError: if the two differ in shape.
        """
        check_same_shape(student, teacher)
        return functional.mse_loss(student, teacher.detach())


@final
@dataclass(frozen=True, slots=True)
class AttentionTransfer:
    """How far apart the places are that student and teacher attend to, whatever their channels.

    Of features (N, C, …) the mean over the channels of their magnitudes to the power of ``power`` is a map, which is
    scaled to length 1; the loss is the mean square of the difference of both maps (Zagoruyko & Komodakis, 'Paying more
    attention to attention', ICLR 2017, section 3.1). A teacher's map of another size is resized to the student's.

    Attributes:
        power: higher ones look at the strongest places only.

    Example:
        >>> features = torch.rand(2, 8, 4, 4)
        >>> AttentionTransfer()(features, torch.cat([features, features], 1)).item() < 1e-12
        True
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise TrainingError(f"the power of an attention map is above 0; got {self.power}")

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """A scalar.

        Raises:
            TrainingError: if they are no maps of as many sides.
        """
        if student.dim() < 3 or student.dim() != teacher.dim() or len(student) != len(teacher):
            raise TrainingError(
                f"attention transfer takes maps (N, C, …); the student's is {tuple(student.shape)}, the teacher's"
                f" {tuple(teacher.shape)}"
            )
        wanted = resized(self._map(teacher.detach()), student.shape[2:])
        found, wanted = (functional.normalize(each.flatten(1), dim=1) for each in (self._map(student), wanted))
        return (found - wanted).square().mean()

    def _map(self, features: Tensor) -> Tensor:
        return features.abs().pow(self.power).mean(1, keepdim=True)


@final
@dataclass(frozen=True, slots=True)
class Relational:
    """How far the samples of a batch lie from each other, and at which angles, whatever the features' dimensions.

    Distances between all pairs, relative to their mean, and cosines of the angles of all triples, compared by Huber's
    loss (Park et al., 'Relational knowledge distillation', CVPR 2019, equations 5 to 9). It needs a batch of three or
    more; with fewer it is 0.

    Attributes:
        distances: weight of the distances.
        angles: weight of the angles; 0 spares time and memory that grow with the cube of the batch.

    Example:
        >>> samples = torch.rand(5, 7)
        >>> Relational()(3 * samples, samples).item() < 1e-9
        True
    """

    distances: float = 1.0
    angles: float = 2.0

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """A scalar, of anything whose dimension 0 is the batch.

        Raises:
            TrainingError: if the batches differ.
        """
        if len(student) != len(teacher):
            raise TrainingError(f"a batch of {len(student)} cannot relate as one of {len(teacher)}")
        found, wanted = student.flatten(1).float(), teacher.detach().flatten(1).float()
        loss = self.distances * functional.smooth_l1_loss(_distances(found), _distances(wanted))
        if self.angles:
            loss = loss + self.angles * functional.smooth_l1_loss(_angles(found), _angles(wanted))
        return loss if len(student) > 2 else 0 * student.sum()


def _distances(samples: Tensor) -> Tensor:
    """Of all pairs, relative to their mean. A distance of 0 has no gradient, so its square is kept from it."""
    squares = (samples[:, None] - samples[None]).square().sum(-1)
    apart = squares.clamp_min(1e-12).sqrt() * (1 - torch.eye(len(samples), device=samples.device))
    return apart / (apart.sum() / max(1, len(samples) * (len(samples) - 1))).clamp_min(1e-12)


def _angles(samples: Tensor) -> Tensor:
    """Cosines of the angle at sample i between j and k, (i, j, k)."""
    ways = functional.normalize(samples[None] - samples[:, None], dim=2, eps=1e-6)
    return ways @ ways.transpose(1, 2)
