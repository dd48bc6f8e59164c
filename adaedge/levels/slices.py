"""A narrower level as a module tree whose parameters are slices of the full ones, in the same memory.

May import: of this part ``channel_groups``.

A prefix of a dimension is a view. Where the positions kept are no prefix (fused query, key and value; a
concatenation), `Gather` picks them from the full parameter when they are used. A view is a leaf of autograd of its own,
so its gradient is handed on to the full parameter as soon as it is complete: an optimiser of the full parameters moves
every level.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, cast, final

import torch
from torch import nn
from torch.nn.utils import parametrize

from adaedge.levels.channel_groups import ChannelGroup, Index, indices, is_prefix

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def sliced(tensor: torch.Tensor, index: Index) -> torch.Tensor:
    """The positions kept of a tensor: a view where they are prefixes, a copy otherwise.

    Example:
        >>> full = torch.arange(6.0).view(2, 3)
        >>> sliced(full, (torch.tensor([0]), None)).data_ptr() == full.data_ptr()
        True
    """
    for dim, positions in enumerate(index):
        if positions is not None:
            tensor = (
                tensor.narrow(dim, 0, len(positions))
                if is_prefix(positions)
                else tensor.index_select(dim, positions.to(tensor.device))
            )
    return tensor


@final
class Gather(nn.Module):
    """Picks a level's positions from a full parameter, for `torch.nn.utils.parametrize`."""

    def __init__(self, index: Index) -> None:
        super().__init__()
        self._dims = [dim for dim, positions in enumerate(index) if positions is not None]
        for dim in self._dims:
            self.register_buffer(f"positions_{dim}", index[dim], persistent=False)

    def forward(self, full: torch.Tensor) -> torch.Tensor:
        """The positions kept."""
        for dim in self._dims:
            full = full.index_select(dim, self.get_buffer(f"positions_{dim}"))
        return full

    def placed(self, full: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """A copy of a full vector with other values where its positions are kept."""
        (dim,) = self._dims
        return full.index_copy(dim, self.get_buffer(f"positions_{dim}"), kept)


def make_level(
    net: nn.Module,
    groups: Iterable[ChannelGroup],
    kept: Mapping[str, int],
    statistics: Mapping[str, torch.Tensor] | None = None,
    *,
    shared: bool = True,
) -> nn.Module:
    """The network with fewer channels.

    Args:
        net: the full network; left as it is.
        groups: its channel groups.
        kept: name of the group → channels kept.
        statistics: name → batch-norm statistics that the level uses as they are; without them it gets slices of the
            full network's, copied.
        shared: whether parameters and other buffers stay in the full network's memory, or are the level's own.
    """
    groups = tuple(groups)
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    index = indices(groups, kept, {name: tensor.shape for name, tensor in state.items()})
    everything = {name: index.get(name, (None,) * tensor.dim()) for name, tensor in state.items()}
    memo: dict[int, Any] = {}
    for name, tensor in state.items():
        if is_statistic(name) and statistics is not None:
            memo[id(tensor)] = statistics[name]
        elif is_statistic(name) or not shared:
            memo[id(tensor)] = _copy(tensor, everything[name])
        else:
            memo[id(tensor)] = _share(tensor, everything[name])
    level = copy.deepcopy(net, memo).train().train(net.training)  # some models cache what they compute of their weights
    for name, entry in index.items():
        if shared and not is_view(entry) and not is_statistic(name):
            _gather(level, name, entry)
    for group in groups:
        _count(level, group, kept.get(group.name, group.size))
    return level


def is_statistic(name: str) -> bool:
    """Whether this is one of the tensors that every level has of its own."""
    return name.rpartition(".")[2] in STATISTICS


def is_view(index: Index) -> bool:
    """Whether a slice is a view of the full tensor: a prefix of every dimension."""
    return all(map(is_prefix, index))


def _copy(full: torch.Tensor, index: Index) -> torch.Tensor:
    own = sliced(full.detach(), index).clone(memory_format=torch.contiguous_format)
    return nn.Parameter(own, requires_grad=full.requires_grad) if isinstance(full, nn.Parameter) else own


def _share(full: torch.Tensor, index: Index) -> torch.Tensor:
    """The full tensor itself where nothing is left out, or where its slice is gathered; a view of it otherwise."""
    if not is_view(index) or all(positions is None for positions in index):
        return full
    view = sliced(full.detach(), index)
    if not isinstance(full, nn.Parameter):
        return view
    parameter: Any = nn.Parameter(view, requires_grad=full.requires_grad)

    def hand_on(narrow: torch.Tensor) -> None:
        if full.grad is None:
            full.grad = torch.zeros_like(full)
        sliced(full.grad, index).add_(cast("torch.Tensor", narrow.grad))
        narrow.grad = None

    if full.requires_grad:
        parameter.register_post_accumulate_grad_hook(hand_on)
    return cast("nn.Parameter", parameter)


def _gather(level: nn.Module, name: str, index: Index) -> None:
    path, _, attribute = name.rpartition(".")
    module = level.get_submodule(path)
    if isinstance(getattr(module, attribute), nn.Parameter):
        parametrize.register_parametrization(
            module, attribute, Gather(index).to(getattr(module, attribute).device), unsafe=True
        )
    else:
        setattr(module, attribute, sliced(getattr(module, attribute), index))


def _count(level: nn.Module, group: ChannelGroup, kept: int) -> None:
    for counter in group.counters:
        module = level.get_submodule(counter.module)
        setattr(module, counter.attribute, getattr(module, counter.attribute) - counter.each * (group.size - kept))
    for setting in group.settings if kept < group.size else ():
        setattr(level.get_submodule(setting.module), setting.attribute, setting.value)
