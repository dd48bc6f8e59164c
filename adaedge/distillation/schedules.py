"""The learning rate over a training.

May import: ``errors``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from adaedge.errors import TrainingError

Schedule = Callable[[float], float]
"""Progress in [0, 1) → what the optimiser's learning rate is multiplied by. Stateless, so that a resumed run agrees."""


@final
@dataclass(frozen=True, slots=True)
class WarmCosine:
    """Linear from 0 to 1 over the first ``warm_up`` of the training, then half a cosine down to 0.

    Raises:
        TrainingError: if ``warm_up`` is not in [0, 1).

    Example:
        >>> schedule = WarmCosine(warm_up=0.1)
        >>> [round(schedule(progress), 3) for progress in (0.0, 0.05, 0.1, 0.55, 1.0)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    warm_up: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.warm_up < 1:
            raise TrainingError(f"warm_up is a fraction of the training, in [0, 1); got {self.warm_up}")

    def __call__(self, progress: float) -> float:
        """The factor at a progress."""
        if progress < self.warm_up:
            return progress / self.warm_up
        return (1 + math.cos(math.pi * (progress - self.warm_up) / (1 - self.warm_up))) / 2
