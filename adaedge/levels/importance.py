"""How important each channel of a group is.

May import: of this part ``channel_groups``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.levels.channel_groups import ChannelGroup, Member

Scores = dict[str, torch.Tensor]


class Importance(Protocol):
    """Scores the channels of every group."""

    def __call__(self, net: nn.Module, groups: Sequence[ChannelGroup]) -> Scores:
        """Name of the group → one score for each of its channels; the larger, the more important."""
        ...


@final
@dataclass(frozen=True, slots=True)
class L2:
    """The squared L2 norm of a channel's weights, each tensor that it runs through counting the same.

    (Group norm importance: Fang et al., "DepGraph", CVPR 2023, equation 7.)

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 2, bias=False))
        >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [3.0]]))
        >>> weight = Member("0.weight", 0, torch.arange(2), torch.arange(2))
        >>> L2()(net, [ChannelGroup("0", 2, (weight,))])["0"]
        tensor([0.2000, 1.8000])
    """

    def __call__(self, net: nn.Module, groups: Sequence[ChannelGroup]) -> Scores:
        """Name of the group → squared norm of each channel, relative to the group's mean."""
        parameters = dict(net.named_parameters())
        return {group.name: self._scores(group, parameters) for group in groups}

    @staticmethod
    def _scores(group: ChannelGroup, parameters: dict[str, nn.Parameter]) -> torch.Tensor:
        total = torch.zeros(group.size)
        for member in group.members:
            if member.tensor in parameters and parameters[member.tensor].dim() > 1:
                norms = _per_channel(parameters[member.tensor].detach().float().square(), member, group.size)
                total += norms / norms.mean().clamp_min(1e-30)
        return total


@final
@dataclass(frozen=True, slots=True, eq=False)
class Taylor:
    """How much the network's own prediction would change without a channel, to first order, on data.

    The score is the mean over samples of (Σ w·∂L/∂w)² over the channel's weights (Molchanov et al., "Importance
    estimation for neural network pruning", CVPR 2019, equation 8). L is the negative log-probability of a label that is
    drawn from the network's own prediction, so no labels are needed; for an output that is no (N, classes) logits, L is
    a random unit projection of the normalised output.

    Args:
        batches: a tensor, or a tuple of the network's arguments, each; read once.
        samples: at most so many batches.
        loss: ``loss(output, batch)``, a scalar, in the place of L.
        seed: of the drawn labels and projections.
    """

    batches: Iterable[Any]
    samples: int = 64
    loss: Callable[[Any, Any], torch.Tensor] | None = None
    seed: int = 0

    def __call__(self, net: nn.Module, groups: Sequence[ChannelGroup]) -> Scores:
        """Name of the group → mean squared first-order change of each channel."""
        scores = {group.name: torch.zeros(group.size) for group in groups}
        generator = torch.Generator().manual_seed(self.seed)
        parameters = dict(net.named_parameters())
        for _, batch in zip(range(self.samples), self.batches, strict=False):
            with torch.enable_grad():
                output = net(*(batch if isinstance(batch, tuple) else (batch,)))
                loss = self.loss(output, batch) if self.loss else own_loss(output, generator)
                used = [name for name, parameter in parameters.items() if parameter.requires_grad]
                found = torch.autograd.grad(loss, [parameters[name] for name in used], allow_unused=True)
            changes = {
                name: (parameters[name] * gradient).detach().float()
                for name, gradient in zip(used, found, strict=True)
                if gradient is not None
            }
            for group in groups:
                # One tensor holds each weight once: those that make the channel, not those that read it as well.
                makers = [member for member in group.members if member.dim == 0 and member.tensor in changes]
                change = sum((_per_channel(changes[m.tensor], m, group.size) for m in makers), torch.zeros(group.size))
                scores[group.name] += change.square()
        return scores


def own_loss(output: Any, generator: torch.Generator) -> torch.Tensor:
    """A scalar whose gradient says what the output depends on, without labels.

    The negative log-probability of a label drawn from the prediction itself, where the output is (N, classes) logits;
    otherwise a random unit projection of each sample's normalised output.
    """
    first = next(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor))
    if first.dim() == 2 and first.shape[1] > 1:
        probabilities = first.detach().softmax(1).cpu()
        drawn = torch.multinomial(probabilities, 1, generator=generator).to(first.device)
        return -first.log_softmax(1).gather(1, drawn).sum()
    flat = nn.functional.normalize(first.flatten(1).float(), dim=1)
    direction = torch.randn(flat.shape, generator=generator).to(flat.device)
    return (flat * nn.functional.normalize(direction, dim=1)).sum()


def _per_channel(tensor: torch.Tensor, member: Member, size: int) -> torch.Tensor:
    """Sum of the tensor's elements in each channel."""
    others = [dim for dim in range(tensor.dim()) if dim != member.dim]
    sums = (tensor.sum(others) if others else tensor).cpu()
    return torch.zeros(size).index_add_(0, member.channels, sums[member.positions])
