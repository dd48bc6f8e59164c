"""Groups of attention heads, found by structure: a module that knows its heads, and the projections around them.

May import: of this part ``channel_groups``, ``projections``. torch-pruning follows channels, not heads, so it cannot
narrow attention. What is proposed here is a guess about a module's layout; `verifying` holds it against the zero-masked
network, and the first guess that holds is used. Groups of one name are alternatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import torch
from torch import nn

from adaedge.levels.channel_groups import ChannelGroup, Counter, Member, Setting
from adaedge.levels.projections import Projection, inside, projections

_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")
_HEADS_OF_KEYS = ("num_key_value_heads", "num_kv_heads")
_HEAD_DIMS = ("head_dim", "attention_head_size", "key_value_proj_dim")
_FEW = 4  # of fewer heads a half or a quarter is no whole number: every head is made smaller instead

Layout = Callable[[int], torch.Tensor]  # length of a dimension → the channel at each of its positions


@dataclass(frozen=True, slots=True)
class _Attention:
    """A module with heads.

    Attributes:
        path: of the module.
        module: the module.
        heads: heads that queries have.
        shared: heads that keys and values have; fewer where several query heads share one.
        makers: the projections into the heads: query, key and value, fused or not.
        reader: the projection out of the heads.
        others: further projections in the module.
    """

    path: str
    module: nn.Module
    heads: int
    shared: int
    makers: tuple[Projection, ...]
    reader: Projection
    others: tuple[Projection, ...]

    @property
    def head_dim(self) -> int:
        return self.reader.into // self.heads


def head_groups(net: nn.Module) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Groups of heads to try, and why other modules with heads are kept whole.

    Args:
        net: the network.

    Returns:
        The groups. Those of one module have one name, the preferred first: whole heads where there are at least four,
        otherwise the dimensions of every head. And name → reason of each module for which there is none.

    Example:
        >>> from timm.layers import Attention
        >>> groups, _ = head_groups(nn.Sequential(Attention(32, num_heads=4)))
        >>> groups[0].name, groups[0].size, groups[-1].size
        ('0', 4, 8)
    """
    modules = dict(net.named_modules())
    paths = [path for path, module in modules.items() if _knows_heads(module)]
    groups: list[ChannelGroup] = []
    skipped: dict[str, str] = {}
    for path in paths:
        if any(inside(other, path) for other in paths):
            continue  # an outer module that only hands the number on
        if isinstance(modules[path], nn.MultiheadAttention):
            skipped[path] = "torch.nn.MultiheadAttention runs at one width only"
            continue
        attention = _attention(path, modules)
        proposed = [] if attention is None else list(_proposals(attention))
        groups += proposed
        if not proposed:
            skipped[path] = "no projections into and out of its heads were found"
    return groups, skipped


def _number(module: nn.Module, names: tuple[str, ...]) -> int:
    """The first of these attributes that is a positive number; 0 if none is."""
    values = (vars(module).get(name) for name in names)
    return next((value for value in values if type(value) is int and value > 0), 0)


def _knows_heads(module: nn.Module) -> bool:
    return _number(module, (*_HEADS, *_HEAD_DIMS)) > 0 and any(True for _ in module.children())


def _attention(path: str, modules: Mapping[str, nn.Module]) -> _Attention | None:
    """The makers and the reader of the heads: the last projection inside, or the first one behind the module."""
    module = modules[path]
    found = projections(modules, path)
    heads = _number(module, _HEADS)
    children = [projection.path[len(path) :].split(".")[bool(path)] for projection in found]  # a small network has two
    main = [
        projection
        for projection, child in zip(found, children, strict=True)
        if projection.out != heads and children.count(child) == 1
    ]
    alone = len(main) in (1, 3) and len({(projection.out, projection.into) for projection in main}) == 1
    makers, readers = (main, _behind(path, modules)) if alone else (main[:-1], main[-1:])
    if not makers or not readers:
        return None
    reader = readers[0]
    heads = heads or reader.into // _number(module, _HEAD_DIMS)
    if heads == 0 or reader.into % heads:
        return None
    head_dim = reader.into // heads
    narrowest = min(maker.out for maker in makers) // head_dim
    shared = narrowest if len(makers) > 2 and narrowest and heads % narrowest == 0 else heads
    others = tuple(projection for projection in found if projection not in (*makers, reader))
    return _Attention(path, module, heads, shared, tuple(makers), reader, others)


def _behind(path: str, modules: Mapping[str, nn.Module]) -> list[Projection]:
    """The projections of the module's parent that are defined after the module."""
    outer, order = path.rpartition(".")[0], list(modules)
    return [
        projection
        for projection in (projections(modules, outer) if path else [])
        if order.index(projection.path) > order.index(path) and not inside(projection.path, path)
    ]


def _proposals(attention: _Attention) -> Iterator[ChannelGroup]:
    """The possible groups of one module, the likely ones first."""
    by_head = list(_by_head(attention))
    by_dim = list(_by_dim(attention))
    for group in (*by_head, *by_dim) if attention.shared >= _FEW else (*by_dim, *by_head):
        if group.size > 1:
            yield group


def _by_head(attention: _Attention) -> Iterator[ChannelGroup]:
    """Whole heads: fused projections hold either one run of heads after another, or all of one head together."""
    size, width = attention.shared, attention.reader.into
    if any(maker.out % size for maker in attention.makers):
        return

    def runs(length: int) -> torch.Tensor:
        run = width if length % width == 0 else length
        return torch.arange(length) % run // (run // size)

    def together(length: int) -> torch.Tensor:
        return torch.arange(length) // (length // size)

    fused = any(maker.out > width for maker in attention.makers)
    for layout, widths in product((runs, together) if fused else (runs,), (True, False)):
        heads = [Counter(attention.path, name, attention.heads // size) for name in _held(attention, _HEADS)]
        keys = [Counter(attention.path, name) for name in _held(attention, _HEADS_OF_KEYS)]
        yield _group(attention, size, layout, attention.heads, (*heads, *keys, *_widths(attention, size, widths)))


def _by_dim(attention: _Attention) -> Iterator[ChannelGroup]:
    """The same dimensions of every head; the scale of the scores stays that of the full head."""
    size = attention.head_dim
    if any(maker.out % size for maker in attention.makers):
        return
    names = [name for name in _held(attention, _HEAD_DIMS) if vars(attention.module)[name] == size]
    dims = [Counter(attention.path, name) for name in names]
    for widths in (True, False):
        counters = (*dims, *_widths(attention, size, widths))
        yield _group(attention, size, lambda length: torch.arange(length) % size, size, counters)


def _held(attention: _Attention, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if _number(attention.module, (name,))]


def _widths(attention: _Attention, size: int, wanted: bool) -> list[Counter]:
    """The attributes that hold the width of all heads: nearly all say it, but one may be of the module's input."""
    widths = {attention.reader.into, *(maker.out for maker in attention.makers)}
    names = [name for name, value in vars(attention.module).items() if type(value) is int and value in widths]
    taken = (*_HEADS, *_HEADS_OF_KEYS, *_HEAD_DIMS)
    each = {name: vars(attention.module)[name] // size for name in names if name not in taken}
    return [Counter(attention.path, name, count) for name, count in each.items()] if wanted else []


def _group(attention: _Attention, size: int, layout: Layout, table: int, counters: tuple[Counter, ...]) -> ChannelGroup:
    """The group with these channels in the projections, and one after another in tables of length ``table``."""
    reader = attention.reader
    members = [Member.along(f"{reader.path}.weight", 1 - reader.out_dim, layout(reader.into))]
    counted = [*counters, Counter(reader.path, reader.counters[1], reader.into // size)]
    for maker in attention.makers:
        members.append(Member.along(f"{maker.path}.weight", maker.out_dim, layout(maker.out)))
        counted.append(Counter(maker.path, maker.counters[0], maker.out // size))
    for other in attention.others:
        counted += [Counter(other.path, other.counters[0], table // size)] if other.out == table else []
        counted += [Counter(other.path, other.counters[1], table // size)] if other.into == table else []
    members += _tables(attention, size, layout, table)
    settings = [Setting(attention.path, "fused_attn", False)] if size != attention.shared else []  # PyTorch scales anew
    fused = [setting for setting in settings if vars(attention.module).get("fused_attn")]
    return ChannelGroup(attention.path, size, tuple(members), tuple(counted), tuple(fused))


def _tables(attention: _Attention, size: int, layout: Layout, table: int) -> Iterator[Member]:
    """Whatever else holds something of each channel: biases, batch-norms, tables of positions, temperatures."""
    makers = {maker.path: maker.out for maker in attention.makers}
    talking = {other.path for other in attention.others if other.out == other.into == table}
    each = torch.arange(table) // (table // size)
    state = {**dict(attention.module.named_parameters()), **dict(attention.module.named_buffers())}
    for name, tensor in state.items():
        full = ".".join(part for part in (attention.path, name) if part)
        owner, _, kind = full.rpartition(".")
        if owner == attention.reader.path or (owner in makers and kind == "weight") or not tensor.is_floating_point():
            continue
        beside = [out for path, out in makers.items() if owner == path or _siblings(owner, path, attention.path)]
        if tensor.dim() == 1 and owner == attention.path:
            beside += [length for length in tensor.shape if length % attention.reader.into == 0]
        if tensor.dim() == 1 and len(tensor) in beside:
            yield Member.along(full, 0, layout(len(tensor)))
        else:
            dims = [dim for dim, length in enumerate(tensor.shape) if length == table]
            for dim in dims if owner in talking else dims[-1:]:
                yield Member.along(full, dim, each)


def _siblings(path: str, maker: str, attention: str) -> bool:
    """Whether a module lies beside a maker in a wrapper of their own, as a batch-norm after its convolution."""
    return path.rpartition(".")[0] == maker.rpartition(".")[0] != attention
