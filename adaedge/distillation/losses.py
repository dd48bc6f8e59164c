"""How far a student is from its teacher.

May import: nothing of adaedge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

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
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0, 1.0]])
        >>> SoftTargets()(logits, logits).item()
        0.0
        >>> round(SoftTargets()(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).item(), 4)
        0.1109
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise TrainingError(f"a temperature is above 0; got {self.temperature}")

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """A scalar, of logits whose last dimension are the classes."""
        classes = student.shape[-1]
        soft = functional.log_softmax(student.reshape(-1, classes) / self.temperature, dim=-1)
        wanted = functional.log_softmax(teacher.detach().reshape(-1, classes) / self.temperature, dim=-1)
        return functional.kl_div(soft, wanted, reduction="batchmean", log_target=True) * self.temperature**2
