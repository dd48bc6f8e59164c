"""Find channel groups: heads by their structure, channels with torch-pruning's dependency graph.

May import: ``graph``; of this part ``attention``, ``channel_groups``, ``projections``. torch-pruning's graph is Fang et
al., "DepGraph: Towards Any Structural Pruning", CVPR 2023; none of its pruners is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch_pruning
from torch import nn
from torch_pruning import ops
from torch_pruning._helpers import _HybridIndex
from torch_pruning.ops import OPTYPE

from adaedge.graph.signature import Signature
from adaedge.levels.attention import head_groups
from adaedge.levels.channel_groups import ChannelGroup, Counter, Member
from adaedge.levels.projections import hidden_layers

_ROOTS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
_NORMS_OVER_CHANNELS = {OPTYPE.LN: "LayerNorm", OPTYPE.GN: "GroupNorm"}
_WITHOUT_TENSORS = {
    OPTYPE.CONCAT, OPTYPE.SPLIT, OPTYPE.ELEMENTWISE, OPTYPE.RESHAPE, OPTYPE.UNBIND, OPTYPE.EXPAND, OPTYPE.SLICE
}  # fmt: skip


_LIMIT = 1_000_000  # indices that one group's search may look at: some seconds


class UnprunableError(Exception):
    """Why a group is kept whole."""


def find(net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Every group to try, attention heads before the channels that torch-pruning finds, and why others are kept whole.

    Args:
        net: the network, in evaluation mode; left as it is.
        args: an example of its positional arguments.
        kwargs: an example of its keyword arguments.
    """
    heads, without = head_groups(net)
    try:
        groups, whole = trace(net, args, kwargs)
    except Exception as error:  # it runs the model and follows it by rules of its own: either may raise anything
        groups, whole = [], {"network": f"torch-pruning cannot follow it: {type(error).__name__}: {error}"}
    made = {member.tensor for group in groups for member in group.members}
    hidden = [group for group in hidden_layers(net) if group.members[0].tensor not in made and group.name not in whole]
    return [*heads, *groups, *hidden], without | whole


def still_whole(skipped: Mapping[str, str], groups: Sequence[ChannelGroup]) -> dict[str, str]:
    """The modules that are kept whole once these groups are narrowed: none whose channels belong to one of them.

    Example:
        >>> heads = ChannelGroup("attn", 2, (Member("attn.qkv.weight", 0, torch.arange(6), torch.arange(6) % 2),))
        >>> still_whole({"attn.qkv": "its channels are spread unevenly", "head": "an output"}, [heads])
        {'head': 'an output'}
    """
    narrowed = {member.tensor for group in groups for member in group.members if member.dim == 0}
    return {name: reason for name, reason in skipped.items() if f"{name}.weight" not in narrowed}


def trace(net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[ChannelGroup], dict[str, str]]:
    """The channel groups of a network in execution order, and why others are kept whole.

    Args:
        net: the network, in evaluation mode; left as it is.
        args: an example of its positional arguments.
        kwargs: an example of its keyword arguments.

    Returns:
        The groups, and name → reason of those that cannot be narrowed.
    """
    graph = _dependency_graph(net, args, kwargs)
    names = {module: name for name, module in net.named_modules()}
    groups: list[ChannelGroup] = []
    skipped: dict[str, str] = {}
    seen: set[nn.Module] = set()
    for module, name in names.items():  # in the order of definition: a group is named after the first that makes it
        if module in seen or not isinstance(module, _ROOTS) or module not in graph.module2node:
            continue
        try:
            found, complete = _follow_grouped(graph, module)
        except (IndexError, KeyError, ValueError, AttributeError, RuntimeError, TypeError, ZeroDivisionError) as error:
            skipped[name] = f"torch-pruning cannot follow its channels: {error}"
            continue
        seen |= {each.module for each in found if each.outwards}
        try:
            group = _group(graph, names, name, found)
        except UnprunableError as reason:
            skipped[name] = str(reason)
            continue
        if complete:
            groups.append(group)
        else:
            skipped[name] = "its channels meet others in too many ways to be followed"
    return groups, skipped


@dataclass(frozen=True, slots=True, eq=False)
class _Occurrence:
    """Channels of a group in one module: position in the module's dimension → channel of the group."""

    node: Any
    outwards: bool
    channels: dict[int, int]

    @property
    def module(self) -> Any:
        return self.node.module

    def numbered(self, size: int, groups: int) -> _Occurrence:
        """The same positions, their ``size`` channels taken together to so many groups."""
        each = size // groups
        return replace(self, channels={position: channel // each for position, channel in self.channels.items()})


def _follow_grouped(graph: Any, module: nn.Module) -> tuple[list[_Occurrence], bool]:
    """As ``_follow``; where the channels are read by a grouped convolution, its groups are the channels, in and out."""
    found, complete = _follow(graph, module)
    size = len(found[0].channels)
    behind = [each.module for each in found if _is_grouped(each.module) and not each.outwards]
    for convolution in dict.fromkeys(behind):
        more, whole = _follow(graph, convolution)
        found = [each.numbered(size, convolution.groups) for each in found]
        found += [each.numbered(convolution.out_channels, convolution.groups) for each in more]
        size, complete = convolution.groups, complete and whole
    return found, complete


def _is_grouped(module: Any) -> bool:
    return isinstance(module, ops.TORCH_CONV) and 1 < module.groups < min(module.in_channels, module.out_channels)


def _follow(graph: Any, module: nn.Module) -> tuple[list[_Occurrence], bool]:
    """Where all the output channels of a module occur, the module first, and whether the search was complete.

    This is torch-pruning's own walk over its graph. Its search for what it has met before is quadratic, and on
    attention, where residual streams meet heads in ever new orders, has no end.
    """
    pruner = graph.get_pruner_of_module(module)
    everything = tuple(
        _HybridIndex(idx=channel, root_idx=channel) for channel in range(pruner.get_out_channels(module))
    )
    found: dict[tuple[Any, Any], _Occurrence] = {}
    met: set[tuple[Any, Any, tuple[_HybridIndex, ...]]] = set()
    stack = [(graph.module2node[module], pruner.prune_out_channels, everything)]
    work = 0
    while stack and work < _LIMIT:
        node, handler, indices = stack.pop()
        work += len(indices)
        if (node, handler, indices) in met:
            continue
        met.add((node, handler, indices))
        here = found.setdefault((node, handler), _Occurrence(node, graph.is_out_channel_pruning_fn(handler), {}))
        for index in indices:
            here.channels.setdefault(index.idx, index.root_idx)
        for dependency in node.dependencies:
            if dependency.is_triggered_by(handler):
                mapped = indices
                for mapping in dependency.index_mapping:
                    mapped = mapped if mapping is None else tuple(mapping(mapped))
                if mapped:
                    stack.append((dependency.target, dependency.handler, mapped))
    return list(found.values()), not stack


def _dependency_graph(net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    signature = Signature.of(args, kwargs)

    def run(model: nn.Module, _: Any) -> Any:
        call, named = signature.call(signature.tensors)  # a model may write to the lists it is called with
        return model(*call, **named)

    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        return torch_pruning.DependencyGraph().build_dependency(
            net,
            example_inputs=tuple(args),
            forward_fn=run,
            verbose=False,
        )


def _group(graph: Any, names: Mapping[nn.Module, str], name: str, found: Sequence[_Occurrence]) -> ChannelGroup:
    members: dict[tuple[str, int], Member] = {}
    counters: list[Counter] = []
    size = len(set(found[0].channels.values()))
    for each in found:
        module = each.module
        kind = ops.module2type(module)
        if kind == OPTYPE.OUTPUT:
            raise UnprunableError("its channels are an output of the model")
        if kind in _NORMS_OVER_CHANNELS:
            raise UnprunableError(f"it crosses a {_NORMS_OVER_CHANNELS[kind]}, whose statistics change with the width")
        if kind in _WITHOUT_TENSORS:
            continue
        if kind == OPTYPE.PARAMETER:
            path, dims = graph._param_to_name[module], {"": each.node.pruning_dim % module.dim()}
            owner = next((type(of).__name__ for of, at in names.items() if at == path.rpartition(".")[0]), "")
            if owner.endswith(("LayerNorm", "RMSNorm")):  # a model's own, of which torch-pruning sees the scale only
                raise UnprunableError(f"it crosses a {owner}, whose statistics change with the width")
            attributes: tuple[str, ...] = ()
        else:
            if module not in names:
                raise UnprunableError(f"it runs through a {type(module).__name__}")
            path = names[module]
            dims, attributes = _dimensions(module, kind, each.outwards)
        positions = torch.tensor(list(each.channels), dtype=torch.long)
        channels = torch.tensor(list(each.channels.values()), dtype=torch.long)
        if len(positions) % size or not torch.equal(channels.bincount(minlength=size), _even(positions, size)):
            raise UnprunableError(f"its channels are spread unevenly over {path}")
        for tensor, dim in dims.items():
            full = ".".join(part for part in (path, tensor) if part)
            members[full, dim] = Member(full, dim, positions, channels)
        lengths = {attribute: module.groups if attribute == "groups" else len(positions) for attribute in attributes}
        counters += [Counter(path, attribute, length // size) for attribute, length in lengths.items()]
    return ChannelGroup(name, size, tuple(members.values()), tuple(dict.fromkeys(counters)))


def _even(positions: torch.Tensor, size: int) -> torch.Tensor:
    return torch.full((size,), len(positions) // size)


def _dimensions(module: Any, kind: Any, outwards: bool) -> tuple[dict[str, int], tuple[str, ...]]:
    """Which dimension of which tensor of a module holds the channels, and the attributes that count them.

    Raises:
        UnprunableError: if no slice of the module is the narrower module.
    """
    bias = {"bias": 0} if getattr(module, "bias", None) is not None else {}
    if kind == OPTYPE.DEPTHWISE_CONV and module.in_channels == module.out_channels:
        return {"weight": 0, **bias}, ("out_channels", "in_channels", "groups")
    if kind == OPTYPE.CONV and module.groups == 1:
        out, into = (1, 0) if getattr(module, "transposed", False) else (0, 1)
        return ({"weight": out, **bias}, ("out_channels",)) if outwards else ({"weight": into}, ("in_channels",))
    if _is_grouped(module):  # its groups are the channels: `_follow_grouped`
        return ({"weight": 0, **bias}, ("out_channels", "groups")) if outwards else ({}, ("in_channels",))
    if kind == OPTYPE.LINEAR:
        return ({"weight": 0, **bias}, ("out_features",)) if outwards else ({"weight": 1}, ("in_features",))
    if kind == OPTYPE.BN:
        tensors = ("weight", "bias", "running_mean", "running_var")
        return {name: 0 for name in tensors if getattr(module, name, None) is not None}, ("num_features",)
    if kind == OPTYPE.PRELU:
        return ({"weight": 0}, ("num_parameters",)) if module.num_parameters > 1 else ({}, ())
    if kind == OPTYPE.EMBED:
        return {"weight": 1}, ("embedding_dim",)
    what = "a grouped convolution" if isinstance(module, ops.TORCH_CONV) else f"a {type(module).__name__}"
    raise UnprunableError(f"it runs through {what}, of which a slice is not the narrower one")
