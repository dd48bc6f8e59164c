"""Compare every channel group with the zero-masked network before it is used (law 3 of the design).

May import: ``graph``; of this part ``channel_groups``, ``masks``, ``permutation``, ``slices``.

A slice that runs is not yet a right one. Each group is masked by a random choice of its channels in the order they
have, and narrowed to the same choice in a random order: both must give the same values. A mistake in any tensor then
shows, whichever channels are kept. What could hide it is dealt with: constants (scales of one, biases of zero,
statistics as created) are made uneven and weights that are nearly zero are made larger; the networks run in double
precision where they can, so that the difference is judged against what masking the group changes, however small a part
of the output that is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.errors import first_line
from adaedge.graph.second_input import randomised
from adaedge.graph.signature import Signature
from adaedge.levels.channel_groups import ChannelGroup
from adaedge.levels.masks import masking
from adaedge.levels.permutation import permute
from adaedge.levels.slices import is_statistic, make_level

_TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-3}  # of what masking changes
_NOISE = {torch.float64: 1e-12, torch.float32: 1e-5}  # of the largest output
_SMALL, _UNEVEN = 1e-2, 1e-3
_UNSEEN, _DRAWS = "without it the output is the same, so that no slice of it can be verified", 4
Progress = Callable[[str, int, int], None]


def verified(
    net: nn.Module,
    groups: Sequence[ChannelGroup],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    progress: Progress | None = None,
) -> tuple[list[ChannelGroup], dict[str, str]]:
    """The groups that can be narrowed, and why others cannot.

    Each group is narrowed alone to half; then all that passed together.

    Args:
        net: the network in evaluation mode; left as it is.
        groups: what to try. Of several with one name the first that can be narrowed is taken; of several that share a
            dimension of a tensor as well.
        args: an example of its positional arguments.
        kwargs: an example of its keyword arguments.
        progress: called as ``progress(what, done, total)``.
    """
    check = _Check.of(net, args, kwargs)
    right: dict[str, ChannelGroup] = {}
    skipped: dict[str, str] = {}
    owners: dict[tuple[str, int], dict[int, str]] = {}
    for done, group in enumerate(groups):
        if progress:
            progress("verify", done, len(groups))
        if group.name in right:
            continue
        places = [(owners.setdefault((m.tensor, m.dim), {}), m.positions.tolist()) for m in group.members]
        tied = next((owned[place] for owned, mine in places for place in mine if place in owned), None)
        problem = check.problem([group]) if tied is None else f"its channels are those of {tied}"
        if problem is None:
            right[group.name] = group
            for owned, mine in places:
                owned.update(dict.fromkeys(mine, group.name))
        else:
            skipped.setdefault(group.name, problem)
    kept = list(right.values())
    if len(kept) > 1 and check.problem(kept) is not None:
        kept, apart = _compatible(check, kept)
        skipped |= apart
    if progress:
        progress("verify", len(groups), len(groups))
    return kept, {name: reason for name, reason in skipped.items() if name not in {group.name for group in kept}}


def _compatible(check: _Check, groups: Sequence[ChannelGroup]) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Groups that can be narrowed together, in order: one that breaks those before it is left out."""
    kept: list[ChannelGroup] = []
    skipped = {}
    for group in groups:
        problem = check.problem([*kept, group])
        if problem is None:
            kept.append(group)
        else:
            skipped[group.name] = f"together with other groups, {problem}"
    return kept, skipped


@dataclass(frozen=True, slots=True)
class _Check:
    """A network to try groups on, and what it answers as it is."""

    net: nn.Module
    signature: Signature
    inputs: tuple[torch.Tensor, ...]
    plain: list[torch.Tensor]

    @classmethod
    def of(cls, net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Check:
        """In double precision where the network runs in it, on random inputs where it takes them.

        Raises:
            Exception: whatever the network raises on its example.
        """
        signature = Signature.of(args, kwargs)
        subject = perturbed(net)
        random, example = randomised(signature, None), signature.tensors
        for double, inputs in ((True, random), (False, random), (True, example)):
            with suppress(Exception):  # a model's own code runs here, and may insist on anything
                return cls._of(subject, signature, inputs, double)
        return cls._of(subject, signature, example, False)

    @classmethod
    def _of(cls, subject: nn.Module, signature: Signature, inputs: Sequence[torch.Tensor], double: bool) -> _Check:
        if double:
            subject = copy.deepcopy(subject).double()
            inputs = [tensor.double() if tensor.is_floating_point() else tensor for tensor in inputs]
        return cls(subject, signature, tuple(inputs), _run(make_level(subject, [], {}), signature, inputs))

    def problem(self, groups: Sequence[ChannelGroup]) -> str | None:
        """What is wrong when these groups are halved; ``None`` if nothing is. The network is left as it was."""
        state = {**dict(self.net.named_parameters()), **dict(self.net.named_buffers())}
        for member in (member for group in groups for member in group.members):
            if member.tensor not in state:
                return f"its weight {member.tensor} is another module's as well"
            if int(member.positions.max()) >= state[member.tensor].shape[member.dim]:
                return f"its channels run beyond {member.tensor}"
        problem: str | None = None
        for draw in range(_DRAWS):
            problem = self._problem(groups, torch.Generator().manual_seed(draw))
            if problem != _UNSEEN:  # the few channels of a small group may all be dead
                break
        return problem

    def _problem(self, groups: Sequence[ChannelGroup], generator: torch.Generator) -> str | None:
        kept = {group.name: group.count(0.5) for group in groups}
        orders = {group.name: torch.randperm(group.size, generator=generator) for group in groups}
        ranks = {name: torch.argsort(order) for name, order in orders.items()}
        permute(self.net, groups, {name: -rank for name, rank in ranks.items()})
        try:
            narrow = self._run(make_level(self.net, groups, kept))
        except Exception as error:  # a model's own code runs here, and may raise anything
            return f"the narrower network does not run: {first_line(error)}"
        finally:
            permute(self.net, groups, {name: -order for name, order in orders.items()})
        with masking(self.net, [_relabelled(group, ranks[group.name]) for group in groups], kept):
            expected = self._run(make_level(self.net, [], {}))
        return self._judged(narrow, expected)

    def _run(self, net: nn.Module) -> list[torch.Tensor]:
        return _run(net, self.signature, self.inputs)

    def _judged(self, narrow: list[torch.Tensor], expected: list[torch.Tensor]) -> str | None:
        if [tensor.shape for tensor in narrow] != [tensor.shape for tensor in expected]:
            return "its channels are an output of the model"
        seen, worst = False, 0.0
        for found, right, plain in zip(narrow, expected, self.plain, strict=True):
            if not right.numel() or not right.is_floating_point():
                continue
            effect, error = _largest(right - plain), _largest(found - right)
            noise = _NOISE.get(right.dtype, 1e-2) * _largest(plain)
            allowed = _TOLERANCE.get(right.dtype, 0.1) * effect + noise
            seen = seen or effect > 10 * noise
            if not error <= allowed:  # not a number is no answer either
                worst = max(worst, error / max(effect, 1e-300)) if error == error else float("inf")
        if worst:
            return f"the narrower network differs from the zero-masked one by {worst:.0e} of what masking changes"
        return None if seen else _UNSEEN


def perturbed(net: nn.Module) -> nn.Module:
    """A copy of the network in which neither a small scale nor a constant hides a mistake.

    Example:
        >>> perturbed(nn.LayerNorm(4)).weight.std().item() > 0.01
        True
    """
    net = copy.deepcopy(net).train().eval()  # some models drop what they cached of their weights when they train
    statistics = [tensor for name, tensor in net.named_buffers() if is_statistic(name)]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*net.parameters(), *statistics):
            if tensor.is_floating_point() and tensor.numel():
                _enlarge(tensor)
                _roughen(tensor, torch.rand(tensor.shape, generator=generator).to(tensor))
    return net


def _enlarge(tensor: torch.Tensor) -> None:
    """Let a matrix of small weights pass on as much as it gets: queries and keys must do more than average."""
    gain = tensor.square().mean().sqrt() * (tensor[0].numel() ** 0.5 if tensor.dim() > 1 else 0)
    if 0 < gain < 1:
        tensor.div_(gain)


def _roughen(tensor: torch.Tensor, noise: torch.Tensor) -> None:
    """Make a constant uneven, and what is nearly zero a scale."""
    largest = tensor.abs().max()
    if largest < _SMALL:
        tensor.copy_(0.25 + 0.5 * noise)
    elif tensor.numel() > 1 and tensor.std() < _UNEVEN * largest:
        tensor.mul_(0.75 + 0.5 * noise)


def _relabelled(group: ChannelGroup, ranks: torch.Tensor) -> ChannelGroup:
    """The group with its channels numbered by rank."""
    return replace(group, members=tuple(replace(m, channels=ranks[m.channels]) for m in group.members))


def _run(net: nn.Module, signature: Signature, inputs: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors of the network's output; a model may write to its arguments, so they are its own."""
    args, kwargs = signature.call([tensor.clone() for tensor in inputs])
    with torch.no_grad():
        output = net(*args, **kwargs)
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]


def _largest(tensor: torch.Tensor) -> float:
    return float(tensor.abs().max())
