"""Put each group's channels into the order of their importance, so that every narrower level is a prefix.

May import: of this part ``channel_groups``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from adaedge.levels.channel_groups import ChannelGroup


def permute(net: nn.Module, groups: Iterable[ChannelGroup], scores: Mapping[str, torch.Tensor]) -> None:
    """Reorder the network's channels in place, the most important first; it still computes the same function.

    Args:
        net: the network; its tensors are changed.
        groups: which channels change together.
        scores: name of the group → importance of each of its channels; ties keep their order.
    """
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    with torch.no_grad():
        for group in groups:
            order = torch.argsort(scores[group.name], descending=True, stable=True).cpu()
            for member in group.members:
                tensor = state[member.tensor]
                content = tensor.index_select(member.dim, member.moved(order).to(tensor.device))
                tensor.index_copy_(member.dim, member.positions.to(tensor.device), content)
