"""Hold every channel group against the zero-masked network before it is used (law 3).

May import: ``graph``; of this part ``channel_groups``, ``slicing``.

A slice that runs is not yet a right one: its values are compared with those of the full network whose other channels
are zero. Batch-norms and layer scales that start at zero hide a whole branch, so they are perturbed first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.graph.second_input import randomised
from adaedge.graph.signature import Signature
from adaedge.levels.channel_groups import ChannelGroup
from adaedge.levels.slicing import make_level

_TOLERANCE = 1e-4  # relative to the largest output; a wrong slice is off by far more
_SMALL = 1e-2


def verified(
    net: nn.Module,
    groups: Sequence[ChannelGroup],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Those groups that can be narrowed, and why others cannot.

    Each group is narrowed alone to half; then all that passed together.

    Args:
        net: the network in evaluation mode; left as it is.
        groups: what to try.
        args: an example of its positional arguments.
        kwargs: an example of its keyword arguments.
        progress: called as ``progress(what, done, total)``.
    """
    subject = perturbed(net)
    signature = Signature.of(args, kwargs)
    call = signature.call(randomised(signature, None))
    right: list[ChannelGroup] = []
    skipped: dict[str, str] = {}
    for done, group in enumerate(groups):
        if progress:
            progress("verify", done, len(groups))
        problem = _problem(subject, [group], call)
        if problem is None:
            right.append(group)
        else:
            skipped[group.name] = problem
    if _problem(subject, right, call) is not None:
        right, tied = _compatible(subject, right, call)
        skipped |= tied
    if progress:
        progress("verify", len(groups), len(groups))
    return right, skipped


def _compatible(net: nn.Module, groups: Sequence[ChannelGroup], call: Any) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Groups that can be narrowed together, in order: one that breaks those before it is left out."""
    kept: list[ChannelGroup] = []
    skipped = {}
    for group in groups:
        problem = _problem(net, [*kept, group], call)
        if problem is None:
            kept.append(group)
        else:
            skipped[group.name] = f"together with other groups, {problem}"
    return kept, skipped


def _problem(net: nn.Module, groups: Sequence[ChannelGroup], call: Any) -> str | None:
    """What is wrong when these groups are halved; ``None`` if nothing is."""
    kept = {group.name: group.count(0.5) for group in groups}
    args, kwargs = call
    with torch.no_grad():
        try:
            narrow = make_level(net, groups, kept)(*args, **kwargs)
        except Exception as error:  # a model's own code runs here, and may raise anything
            return f"the narrower network does not run: {_first_line(error)}"
        expected = masked(net, groups, kept)(*args, **kwargs)
    error = difference(narrow, expected)
    if error == float("inf"):
        return "its channels are an output of the model"
    if error <= _TOLERANCE:
        return None
    return f"the narrower network differs from the zero-masked one by {error:.1e} of the largest output"


def masked(net: nn.Module, groups: Iterable[ChannelGroup], kept: Mapping[str, int]) -> nn.Module:
    """A copy of the network in which every channel but the first ``kept`` of each group is zero wherever it occurs."""
    net = copy.deepcopy(net)
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    with torch.no_grad():
        for group in groups:
            for member in group.members:
                tensor = state[member.tensor]
                tensor.index_fill_(member.dim, member.dropped(kept[group.name]).to(tensor.device), 0)
    return net


def perturbed(net: nn.Module) -> nn.Module:
    """A copy of the network in which no scale is so small that it hides a branch."""
    net = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 1 and parameter.is_floating_point() and parameter.abs().max() < _SMALL:
                parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.5 + 0.25)
    return net


def difference(found: Any, expected: Any) -> float:
    """The largest difference between two outputs, relative to the largest expected value; infinite between shapes."""
    worst = 0.0
    for one, other in zip(_tensors(found), _tensors(expected), strict=True):
        if one.shape != other.shape:
            return float("inf")
        if one.numel():
            scale = other.double().abs().max().clamp_min(1e-30)
            worst = max(worst, float((one.double() - other.double()).abs().max() / scale))
    return worst


def _tensors(output: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
