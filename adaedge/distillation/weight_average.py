"""The running average of a network's weights over its training.

May import: ``errors``.
"""

from __future__ import annotations

import copy
from typing import final

import torch
from torch import Tensor, nn

from adaedge.errors import TrainingError


@final
class WeightAverage(nn.Module):
    """Exponential moving average of weights and of batch-norm statistics.

    A step forgets 1 − ``decay`` of what was; the first ones forget more, (1 + steps) / (10 + steps) of it stays, for
    the weights that a training starts with tell nothing. It is a module, so that a checkpoint holds it.

    Args:
        net: what is averaged.
        decay: in [0, 1).

    Raises:
        TrainingError: if the decay is none.

    Example:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> average = WeightAverage(net, 0.999)
        >>> with torch.no_grad():
        ...     _ = net.weight.fill_(1.0)
        >>> for _ in range(50):
        ...     average.update(net)
        >>> average.net.weight.item() > 0.99
        True
    """

    steps: Tensor

    def __init__(self, net: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise TrainingError(f"the decay of a weight average is in [0, 1); got {decay}")
        self.net, self.decay = copy.deepcopy(net).requires_grad_(False), decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the weights as they are after a step."""
        self.steps += 1
        steps = int(self.steps)
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))
        now = net.state_dict()
        for name, kept in self.net.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(now[name], share)
            else:
                kept.copy_(now[name])
