"""The channel dimension of every value: where its producer put it, followed through reshapes and permutations.

May import: nothing of adaedge. A convolution or batch-norm puts channels at 1; a linear layer, layer-norm, matmul,
attention or embedding puts them last.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten
_FIRST = ("conv", "batch_norm", "group_norm", "instance_norm")
_LAST = ("linear", "layer_norm", "rms_norm", "matmul", "mm", "addmm", "bmm", "baddbmm", "attention", "embedding")
_RESHAPES = (
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand_as", "pixel_shuffle",
)  # fmt: skip


def channel_axes(graph: fx.Graph, shapes: Mapping[fx.Node, Sequence[int]]) -> dict[fx.Node, int | None]:
    """Node → its channel dimension, ``None`` where nothing upstream has one."""
    axes: dict[fx.Node, int | None] = {}
    for node in graph.nodes:
        axes[node] = _axis(node, axes, shapes) if node.op == "call_function" else None
    return axes


def _axis(node: fx.Node, axes: Mapping[fx.Node, int | None], shapes: Mapping[fx.Node, Sequence[int]]) -> int | None:
    if node.target is operator.getitem:
        return axes[node.all_input_nodes[0]] if node in shapes else None
    name = str(getattr(node.target, "_opname", ""))
    rank = len(shapes.get(node, (0, 0)))
    if any(part in name for part in _FIRST):
        return 1 if rank > 1 else None
    if name.strip("_") in _LAST or any(part in name for part in ("layer_norm", "attention")):
        return rank - 1 if rank else None
    known = [source for source in node.all_input_nodes if axes[source] is not None]
    if not known:
        return None
    source = max(known, key=lambda tensor: len(shapes.get(tensor, ())))
    return _moved(name, node.args, axes[source] or 0, shapes.get(source, ()), shapes.get(node))


def _moved(name: str, args: Any, axis: int, before: Sequence[int], after: Sequence[int] | None) -> int | None:
    """Where an operator moves the channel dimension ``axis``."""
    if after is None:  # several results: each is like the input (chunk, split) or lacks a dimension (unbind)
        lost = (args[1] if len(args) > 1 else 0) % len(before) if name == "unbind" else None
        return axis if lost is None else _without(axis, [lost])
    if name == "permute":
        return [dim % len(before) for dim in args[1]].index(axis)
    if name in ("transpose", "t"):
        first, second = (dim % len(before) for dim in (args[1:3] if name == "transpose" else (0, 1)))
        return {first: second, second: first}.get(axis, axis)
    if name in _RESHAPES:
        return _reshaped(axis, before, after)
    if name == "select":
        return _without(axis, [args[1] % len(before)])
    if len(after) < len(before):
        given = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else []
        dims = [dim for dim in given if isinstance(dim, int)]  # an index holds tensors there
        return _without(axis, [dim % len(before) for dim in dims]) if len(dims) == len(before) - len(after) else None
    return axis + len(after) - len(before)


def _reshaped(axis: int, before: Sequence[int], after: Sequence[int]) -> int | None:
    """The dimension with as many values behind it as the channel dimension had; its parts' innermost if it was cut."""
    behind = math.prod(before[axis + 1 :])
    found = [at for at in range(len(after)) if math.prod(after[at + 1 :]) == behind]
    sizable = [at for at in found if after[at] > 1 or before[axis] == 1]
    return sizable[-1] if sizable else None


def _without(axis: int, lost: Sequence[int]) -> int | None:
    return None if axis in lost else axis - sum(dim < axis for dim in lost)
