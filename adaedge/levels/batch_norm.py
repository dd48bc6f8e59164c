"""Batch-norm statistics: each level has its own, and gets them from data.

May import: of this part ``slices``. A level's channels see other inputs than the full network's, so the full network's
means and variances are wrong for it (Yu et al., "Slimmable neural networks", ICLR 2019, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import nn

from adaedge.levels.slices import is_statistic


@final
class Statistics(nn.Module):
    """Keeps a level's batch-norm statistics where a ``state_dict`` finds them.

    Args:
        level: whose statistics; the tensors are shared with it.
    """

    def __init__(self, level: nn.Module) -> None:
        super().__init__()
        for name, buffer in level.named_buffers():
            if is_statistic(name):
                self.register_buffer(name.replace(".", "/"), buffer)  # a buffer's own name holds no dot

    def tensors(self) -> dict[str, torch.Tensor]:
        """Each statistic by the name that it has in the level."""
        return {name.replace("/", "."): buffer for name, buffer in self.named_buffers()}


def recalibrate(level: nn.Module, batches: Iterable[Any], run: Callable[..., Any] | None = None) -> None:
    """Replace a network's batch-norm statistics by the means over these batches.

    Args:
        level: the network; its mode and everything but the statistics stay as they are.
        batches: a tensor, or a tuple of the network's arguments, each.
        run: what is called with a batch and runs the network; the network itself without it.

    Example:
        >>> net = nn.Sequential(nn.BatchNorm1d(1)).eval()
        >>> recalibrate(net, [torch.tensor([[1.0], [3.0]])])
        >>> net[0].running_mean.item(), net[0].training
        (2.0, False)
    """
    norms = [module for module in level.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    modes = [(module, module.training) for module in level.modules()]
    momenta = [norm.momentum for norm in norms]
    level.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # the mean over all batches
    with torch.no_grad():
        for batch in batches:
            (run or level)(*(batch if isinstance(batch, tuple) else (batch,)))
    for module, mode in modes:
        module.training = mode
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
