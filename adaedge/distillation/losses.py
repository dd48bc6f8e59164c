"""How far a student's prediction is from its teacher's.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from adaedge.errors import TrainingError


@final
@dataclass(frozen=True, slots=True)
class SoftTargets:
    """Divergence of the student's predictions from the teacher's, both softened.

    ``temperature``² · KL(softmax(teacher / temperature) ‖ softmax(student / temperature)), the mean over the batch; the
    factor keeps the gradient's size when the temperature changes (Hinton et al., 'Distilling the knowledge in a neural
    network', 2015, section 2). The teacher gets no gradient.

    Attributes:
        temperature: above 1, small probabilities count more.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, 1.0]])
        >>> SoftTargets()(logits, logits).item()
        0.0
        >>> round(SoftTargets()(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).item(), 4)
        0.1109
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """A scalar, of logits whose last dimension are the classes.

        Raises:
            TrainingError: if the two differ in shape.
        """
        check_same_shape(student, teacher)
        classes = student.shape[-1]
        soft = functional.log_softmax(student.reshape(-1, classes) / self.temperature, dim=-1)
        wanted = functional.log_softmax(teacher.detach().reshape(-1, classes) / self.temperature, dim=-1)
        return self.temperature**2 * functional.kl_div(soft, wanted, reduction="batchmean", log_target=True)


@final
@dataclass(frozen=True, slots=True)
class SoftTargetMaps:
    """`SoftTargets` at each position of a map: logits (N, classes, …), classes along dimension 1; the mean over both.

    A teacher's map of another size is interpolated to the student's (Liu et al., 'Structured knowledge distillation for
    semantic segmentation', CVPR 2019, section 3.1).

    Attributes:
        temperature: above 1, small probabilities count more.

    Example:
        >>> maps = torch.rand(2, 5, 4, 4)
        >>> SoftTargetMaps(4.0)(maps, functional.interpolate(maps, scale_factor=2)).item() < 1e-3
        True
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """A scalar.

        Raises:
            TrainingError: if they are no maps of the same classes.
        """
        if student.dim() < 3 or student.shape[:2] != teacher.shape[:2] or student.dim() != teacher.dim():
            raise TrainingError(
                "soft targets at each position take maps (N, classes, …) of the same classes; the student's is"
                f" {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}"
            )
        wanted = resized(teacher.detach(), student.shape[2:])
        return SoftTargets(self.temperature)(student.movedim(1, -1), wanted.movedim(1, -1))


@final
@dataclass(frozen=True, slots=True)
class DecoupledTargets:
    """Soft targets in two parts with weights of their own: the right class against all others, and these among them.

    In plain soft targets the second part fades where the teacher is sure of the right class, which is where the others
    tell most (Zhao et al., 'Decoupled knowledge distillation', CVPR 2022, equations 7 and 11).

    Attributes:
        temperature: of both parts, which count its square.
        right: weight of the right class against all others, the paper's α.
        others: weight of the others among themselves, the paper's β.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, 1.0]])
        >>> DecoupledTargets()(logits, logits).item()
        0.0
    """

    temperature: float = 4.0
    right: float = 1.0
    others: float = 8.0

    uses_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """A scalar.

        Args:
            student: logits (N, classes).
            teacher: the same of the teacher.
            labels: the right classes (N,); without them the teacher's own.

        Raises:
            TrainingError: if the two are no logits of the same classes, three or more.
        """
        check_same_shape(student, teacher)
        if student.dim() != 2 or student.shape[1] < 3:
            raise TrainingError(
                f"decoupled targets take logits (N, classes) of three classes or more; got {tuple(student.shape)}"
            )
        teacher = teacher.detach()
        at = (teacher.argmax(1) if labels is None else labels)[:, None]
        soft, wanted = ((logits / self.temperature).log_softmax(1) for logits in (student, teacher))
        right = _divergence(_against_rest(soft, at), _against_rest(wanted, at))
        others = _divergence(_without(student / self.temperature, at), _without(teacher / self.temperature, at))
        return self.temperature**2 * (self.right * right + self.others * others)


def check_temperature(temperature: float) -> None:
    """Refuse one that is not above 0.

    Raises:
        TrainingError: if it is not.
    """
    if not temperature > 0:
        raise TrainingError(f"a temperature is above 0; got {temperature}")


def check_same_shape(student: Tensor, teacher: Tensor) -> None:
    """Refuse two that PyTorch would stretch to one shape, or could not compare.

    Raises:
        TrainingError: if the shapes differ.
    """
    if student.shape != teacher.shape:
        raise TrainingError(
            f"the student's tensor is {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}; this loss compares"
            " two of one shape"
        )


def resized(maps: Tensor, sides: torch.Size) -> Tensor:
    """Maps (N, C, …) of one to three sides, interpolated linearly where they have others; it shrinks by averaging."""
    if maps.shape[2:] == sides:
        return maps
    if all(new <= old for new, old in zip(sides, maps.shape[2:], strict=True)):
        pool: tuple[Callable[..., Tensor], ...]
        pool = (functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)
        return pool[len(sides) - 1](maps, tuple(sides))
    mode = ("linear", "bilinear", "trilinear")[len(sides) - 1]
    return functional.interpolate(maps, list(sides), mode=mode, align_corners=False)


def _against_rest(logs: Tensor, at: Tensor) -> Tensor:
    """Log chances of one class and of all others together, (N, 2)."""
    rest = torch.scatter(logs, 1, at, -torch.inf).logsumexp(1, keepdim=True)
    return torch.cat([logs.gather(1, at), rest], 1)


def _without(logits: Tensor, at: Tensor) -> Tensor:
    """Log chances of the classes but one, (N, classes − 1)."""
    others = torch.ones_like(logits, dtype=torch.bool).scatter(1, at, False)
    return logits[others].view(len(logits), -1).log_softmax(1)


def _divergence(found: Tensor, wanted: Tensor) -> Tensor:
    return functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
