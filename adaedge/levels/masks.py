"""The full network with channels set to zero: what a narrower level must equal.

May import: of this part ``channel_groups``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from adaedge.levels.channel_groups import ChannelGroup


@contextmanager
def masking(net: nn.Module, groups: Iterable[ChannelGroup], kept: Mapping[str, int]) -> Iterator[None]:
    """Zero, for as long as the block runs, every channel but the first ``kept`` of each group, wherever it occurs.

    Args:
        net: the network; its tensors are restored bit for bit.
        groups: the groups that are masked.
        kept: name of the group → channels that are left.

    Example:
        >>> from adaedge.levels.channel_groups import Member
        >>> net = nn.Linear(1, 2, bias=False)
        >>> group = ChannelGroup("", 2, (Member("weight", 0, torch.arange(2), torch.arange(2)),))
        >>> with masking(net, [group], {"": 1}):
        ...     net(torch.ones(1, 1))[0, 1].item()
        0.0
    """
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    before: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        for group in groups:
            for member in group.members:
                tensor = state[member.tensor].detach()
                before.append((tensor, tensor.clone()))
                tensor.index_fill_(member.dim, member.dropped(kept[group.name]).to(tensor.device), 0)
        yield
    finally:
        for tensor, content in reversed(before):
            tensor.copy_(content)
