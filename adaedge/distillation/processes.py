"""What several processes of one training must agree on.

May import: nothing of adaedge.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import nn


def alike(module: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the first one's weights."""
    for tensor in module.state_dict().values() if accelerator.num_processes > 1 else ():
        torch.distributed.broadcast(tensor, 0)


def mean_gradients(module: nn.Module, accelerator: Accelerator) -> None:
    """Average the gradients over the processes."""
    if accelerator.num_processes > 1:
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, "mean")


def same_statistics(module: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the first one's buffers: what batch-norm gathers, and what a checkpoint holds.

    All in one message: a network has a hundred of them, of a few numbers each.
    """
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    if accelerator.num_processes == 1 or not buffers:
        return
    flat = torch.cat([buffer.detach().flatten().float() for buffer in buffers])
    torch.distributed.broadcast(flat, 0)
    for buffer, part in zip(buffers, torch.split(flat, [buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(part.view_as(buffer))
