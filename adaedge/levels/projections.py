"""Linear maps over channels, whatever module computes them, and the pairs of them that enclose a hidden layer.

May import: of this part ``channel_groups``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from adaedge.levels.channel_groups import ChannelGroup, Counter, Member


@dataclass(frozen=True, slots=True)
class Projection:
    """A linear map over channels: a linear layer, a 1×1 convolution, or transformers' Conv1D.

    Attributes:
        path: of the module.
        out: rows of the map.
        into: columns of the map.
        out_dim: the weight's dimension of the rows; the other one is of the columns.
        counters: the attributes that count rows and columns.
    """

    path: str
    out: int
    into: int
    out_dim: int
    counters: tuple[str, str]

    @classmethod
    def of(cls, path: str, module: nn.Module) -> Projection | None:
        """What a module is as a projection; ``None`` if it is none."""
        if isinstance(module, nn.Linear):
            return cls(path, module.out_features, module.in_features, 0, ("out_features", "in_features"))
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1:
            return cls(path, module.out_channels, module.in_channels, 0, ("out_channels", "in_channels"))
        nx, nf = getattr(module, "nx", None), getattr(module, "nf", None)
        if isinstance(nx, int) and isinstance(nf, int) and getattr(module, "weight", torch.empty(0)).shape == (nx, nf):
            return cls(path, nf, nx, 1, ("nf", "nx"))
        return None


def projections(modules: Mapping[str, nn.Module], outer: str = "") -> list[Projection]:
    """The projections inside a module, in the order of definition.

    Args:
        modules: path → module of the whole network.
        outer: path of the module.
    """
    found = (Projection.of(path, module) for path, module in modules.items() if inside(path, outer))
    return [projection for projection in found if projection is not None]


def inside(path: str, outer: str) -> bool:
    """Whether a module is somewhere in another.

    Example:
        >>> inside("blocks.1.attn", "blocks.1"), inside("blocks.10", "blocks.1"), inside("head", "")
        (True, False, True)
    """
    return path != outer and (not outer or path.startswith(f"{outer}."))


def hidden_layers(net: nn.Module) -> Iterator[ChannelGroup]:
    """Groups to try where torch-pruning cannot follow a network: hidden layers of perceptrons, by their shapes alone.

    Two projections defined one after the other, of which the first widens and the second reads as much.

    Example:
        >>> [group.name for group in hidden_layers(nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4)))]
        ['0']
    """
    for first, second in pairwise(projections(dict(net.named_modules()))):
        if first.out == second.into > first.into:
            yield ChannelGroup(first.path, first.out, _members(net, first, second), _counters(first, second))


def _members(net: nn.Module, first: Projection, second: Projection) -> tuple[Member, ...]:
    each = torch.arange(first.out)
    made = [Member.along(f"{first.path}.weight", first.out_dim, each)]
    if getattr(net.get_submodule(first.path), "bias", None) is not None:
        made.append(Member.along(f"{first.path}.bias", 0, each))
    return (*made, Member.along(f"{second.path}.weight", 1 - second.out_dim, each))


def _counters(first: Projection, second: Projection) -> tuple[Counter, ...]:
    return Counter(first.path, first.counters[0]), Counter(second.path, second.counters[1])
