"""Channel groups: the channels that change together when a network becomes narrower.

May import: ``errors``. Says what a group is and which positions a level keeps; changes no network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from adaedge.errors import LevelError

Index = tuple[torch.Tensor | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One dimension of one tensor that a group runs through.

    Attributes:
        tensor: name of the parameter or buffer, as in ``state_dict``.
        dim: the dimension.
        positions: where along it the group is.
        channels: which of the group's channels is at each of these positions.
    """

    tensor: str
    dim: int
    positions: torch.Tensor
    channels: torch.Tensor

    @classmethod
    def along(cls, tensor: str, dim: int, channels: torch.Tensor) -> Member:
        """The member that covers a whole dimension, with these channels from its first position to its last."""
        return cls(tensor, dim, torch.arange(len(channels)), channels)

    def moved(self, order: torch.Tensor) -> torch.Tensor:
        """For each of ``positions``, the one whose content belongs there once the group's channels are ``order``."""
        by_channel = torch.argsort(self.channels, stable=True)
        each = len(self.channels) // len(order)
        places = self.positions[by_channel].view(len(order), each)
        content = torch.empty_like(self.positions)
        content[by_channel] = places[order].flatten()
        return content

    def kept(self, count: int) -> torch.Tensor:
        """The positions of the first ``count`` channels."""
        return self.positions[self.channels < count]

    def dropped(self, count: int) -> torch.Tensor:
        """The positions of all channels but the first ``count``."""
        return self.positions[self.channels >= count]


@dataclass(frozen=True, slots=True)
class Counter:
    """An attribute of a module that counts channels.

    Attributes:
        module: path of the module.
        attribute: its name, such as ``out_channels``.
        each: by how much it shrinks when the group loses one channel.
    """

    module: str
    attribute: str
    each: int = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """An attribute that has another value wherever the group is narrowed.

    Attributes:
        module: path of the module.
        attribute: its name.
        value: what it is set to.
    """

    module: str
    attribute: str
    value: bool


@dataclass(frozen=True, slots=True, eq=False)
class ChannelGroup:
    """Channels that change together, everywhere they occur.

    Attributes:
        name: path of the module that makes them.
        size: number of channels (heads, where the group is of attention heads).
        members: every dimension of every tensor that the group runs through.
        counters: the attributes that count its channels.
        settings: the attributes that change with the first channel that goes.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    counters: tuple[Counter, ...] = ()
    settings: tuple[Setting, ...] = ()

    def count(self, fraction: float) -> int:
        """Channels kept of it at a fraction: ceil(fraction · size), at least one.

        Example:
            >>> ChannelGroup("conv", 10, ()).count(0.75)
            8
        """
        # A width such as 0.7 times 10 is 7.000000000000001 in floating point: that is 7.
        return max(1, min(self.size, math.ceil(round(fraction * self.size, 6))))

    def rounded(self, count: int, multiple: int) -> int:
        """The multiple nearest to so many channels, as far as there are that many; all of them stay all of them.

        A group of attention heads, or of what else is not one position of its first tensor, keeps its count.

        Example:
            >>> conv = ChannelGroup("conv", 40, (Member.along("conv.weight", 0, torch.arange(40)),))
            >>> [conv.rounded(count, 16) for count in (1, 20, 24, 39, 40)]
            [16, 16, 32, 32, 40]
        """
        if count == self.size or any(len(member.channels) != self.size for member in self.members[:1]):
            return count
        return min(self.size, max(1, (count + multiple // 2) // multiple) * multiple)


def check_multiple(multiple: int) -> None:
    """Refuse what no count is a multiple of.

    Raises:
        LevelError: if it is below 1.
    """
    if multiple < 1:
        raise LevelError(f"channels are kept in multiples of at least 1; got {multiple}")


def indices(
    groups: Iterable[ChannelGroup], kept: Mapping[str, int], shapes: Mapping[str, Sequence[int]]
) -> dict[str, Index]:
    """Which positions of every tensor a level keeps.

    Args:
        groups: the groups that are narrowed.
        kept: name of the group → channels kept; a group that is not named is kept whole.
        shapes: name → shape of every tensor.

    Returns:
        Name of each tensor that is narrowed → for each of its dimensions the positions kept, ascending, or ``None`` for
        all of them.
    """
    dropped: dict[str, dict[int, torch.Tensor]] = {}
    for group in groups:
        count = kept.get(group.name, group.size)
        for member in group.members if count < group.size else ():
            masks = dropped.setdefault(member.tensor, {})
            if member.dim not in masks:
                masks[member.dim] = torch.zeros(shapes[member.tensor][member.dim], dtype=torch.bool)
            masks[member.dim][member.dropped(count)] = True
    return {
        name: tuple((~masks[dim]).nonzero().flatten() if dim in masks else None for dim in range(len(shapes[name])))
        for name, masks in dropped.items()
    }


def is_prefix(positions: torch.Tensor | None) -> bool:
    """Whether the positions kept are the first ones.

    Example:
        >>> is_prefix(torch.tensor([0, 1, 2])), is_prefix(torch.tensor([0, 2]))
        (True, False)
    """
    return positions is None or bool(positions[-1] == len(positions) - 1)
