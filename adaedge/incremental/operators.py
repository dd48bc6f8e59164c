"""What each operator of a captured graph depends on, along the axes of height and width (or time).

May import: ``stream``. An operator that is not known here runs as a whole, which is always right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
from torch import fx

from adaedge.incremental.nodes import Axes, Local, name_of, shape_of
from adaedge.incremental.nodes import dim as dimension
from adaedge.incremental.windows import convolution, pad, pool
from adaedge.stream.incremental.reach import Reach

UNARY = frozenset({
    "relu", "relu6", "hardtanh", "silu", "gelu", "mish", "elu", "leaky_relu", "hardswish", "hardsigmoid", "sigmoid",
    "tanh", "clamp", "clamp_min", "clamp_max", "exp", "neg", "abs", "sqrt", "rsqrt", "square", "pow", "log", "softplus",
    "dropout", "feature_dropout", "clone", "contiguous", "detach", "detach_", "alias", "to", "_to_copy", "type_as",
    "float", "erf", "reciprocal", "log_sigmoid", "celu", "selu", "hardshrink", "native_dropout", "alpha_dropout",
    "lift_fresh_copy", "rsub", "_assert_tensor_metadata", "threshold", "sin", "cos",
})  # fmt: skip
BINARY = frozenset({"add", "sub", "mul", "div", "minimum", "maximum", "prelu", "where", "eq", "gt", "lt", "addcmul"})
_VIEWS = ("view", "reshape", "_unsafe_view", "unflatten", "flatten")
_RESIZING = ("upsample_", "_upsample_", "interpolate")


def local(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """The neighbourhood that a node depends on; ``None`` if it runs as a whole.

    Args:
        node: of a captured graph.
        axes: node → the dimensions along which it can be taken in part, for all earlier nodes that can. A map that
            comes from an operator that runs as a whole is entered where it meets one that can.
    """
    sources = [source for source in node.all_input_nodes if source in axes]
    if not sources:
        return None
    rule = _RULES.get(name_of(node))
    return None if rule is None else rule(node, axes)


def is_resize(node: fx.Node, axes: Mapping[fx.Node, Axes]) -> bool:
    """Whether a node changes the sizes of a map, and nothing else."""
    sources = node.all_input_nodes
    if not sources or not name_of(node).startswith(_RESIZING):
        return False
    first = sources[0]
    return (
        first in axes
        and len(shape_of(node)) == len(shape_of(first))
        and axes[first] == tuple(range(2, len(shape_of(node))))
    )


def _pointwise(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Elementwise, with broadcasting. Operands of size 1 along all axes are taken as a whole."""
    rank = len(shape_of(node))
    found: Axes | None = None
    for source in node.all_input_nodes:
        if source in axes:
            own = tuple(axis + rank - len(shape_of(source)) for axis in axes[source])
            if found not in (None, own) or len(shape_of(source)) > rank:
                return None
            found = own
    if found is None:
        return None
    lengths = [shape_of(node)[axis] for axis in found]
    for source in node.all_input_nodes:
        shape = shape_of(source)
        own = tuple(axis - rank + len(shape) for axis in found)
        aligned = [shape[axis] if axis >= 0 else 1 for axis in own]
        if aligned != lengths and (source in axes or any(size != 1 for size in aligned)):
            return None
        if aligned == lengths and max(lengths) > 1 and source not in axes:
            axes[source] = own  # a map from elsewhere, or a constant one: it is taken in part as well
    same = (Reach(),) * len(found)
    return Local(found, {source: same for source in node.all_input_nodes if source in axes})


def _normalising(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Batch-norm in evaluation: elementwise, with parameters along the channels."""
    return _of_first(node, axes, axes[node.args[0]]) if _first_in(node, axes) and not _trains(node) else None  # type: ignore[index]


def _trains(node: fx.Node) -> bool:
    return len(node.args) > 5 and bool(node.args[5])


def _layer_norm(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    last = len(shape_of(source)) - len(node.args[1])  # type: ignore[arg-type]
    return _of_first(node, axes, axes[source]) if all(axis < last for axis in axes[source]) else None


def _linear(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    return _of_first(node, axes, axes[source]) if len(shape_of(source)) - 1 not in axes[source] else None


def _along(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Softmax and the like, along one dimension that is no axis."""
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    dim = dimension(node, 1, len(shape_of(source)))
    return _of_first(node, axes, axes[source]) if dim not in axes[source] else None


def _reducing(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Mean, sum, amax over dimensions that are no axes."""
    if not _first_in(node, axes) or len(node.args) < 2 or node.args[1] is None:
        return None
    source: Any = node.args[0]
    rank, given = len(shape_of(source)), node.args[1]
    dims = [int(dim) % rank for dim in (given if isinstance(given, list | tuple) else [given])]  # type: ignore[arg-type]
    if any(dim in axes[source] for dim in dims) or not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    gone = [] if len(shape_of(node)) == rank else dims
    return _of_first(node, axes, tuple(axis - sum(dim < axis for dim in gone) for axis in axes[source]))


def _cat(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    parts: Any = node.args[0]
    found = {axes[part] for part in parts if part in axes}
    dim = dimension(node, 1, len(shape_of(node)), 0)
    if len(found) != 1 or dim in (own := next(iter(found))):
        return None
    for part in parts:
        if any(shape_of(part)[axis] != shape_of(node)[axis] for axis in own):
            return None
        axes.setdefault(part, own)  # a map from elsewhere is taken in part as well
    return Local(own, {part: (Reach(),) * len(own) for part in parts})


def _taking(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Chunk, split, slice: parts along a dimension that is no axis."""
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    place = 1 if name_of(node) in ("slice", "narrow") else 2
    dim = dimension(node, place, len(shape_of(source)), 0)
    return _of_first(node, axes, axes[source]) if dim not in axes[source] else None


def _selecting(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Select, unbind: a dimension that is no axis disappears."""
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    dim = dimension(node, 1, len(shape_of(source)), 0)
    if dim in axes[source]:
        return None
    return _of_first(node, axes, tuple(axis - (dim < axis) for axis in axes[source]))


def _unsqueeze(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    dim = dimension(node, 1, len(shape_of(node)))
    return _of_first(node, axes, tuple(axis + (dim <= axis) for axis in axes[source]))


def _permute(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    source: Any = node.args[0]
    rank = len(shape_of(source))
    order = list(range(rank))
    if name_of(node) == "permute":
        order = [int(dim) % rank for dim in node.args[1]]  # type: ignore[union-attr, arg-type]
    else:
        one, other = (int(dim) % rank for dim in node.args[1:3])  # type: ignore[arg-type]
        order[one], order[other] = other, one
    return _of_first(node, axes, tuple(order.index(axis) for axis in axes[source]))


def _reshaped(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Views that leave the axes as dimensions of their own; `sized_by_inputs` makes them right for parts."""
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    found = [_same_dimension(shape_of(source), shape_of(node), axis) for axis in axes[source]]
    if None in found:
        return None
    return _of_first(node, axes, tuple(axis for axis in found if axis is not None))


def _same_dimension(before: tuple[int, ...], after: tuple[int, ...], axis: int) -> int | None:
    """The dimension of ``after`` that ``axis`` is; ``None`` where it was merged or divided, or could be another."""
    for place, size in enumerate(after):
        if size == before[axis] > 1 and math.prod(after[:place]) == math.prod(before[:axis]):
            return place
    return None


def sized_by_inputs(graph: fx.Graph, axes: Mapping[str, Axes]) -> None:
    """Let the views of a segment's graph take the lengths along their axes from what they are given.

    Args:
        graph: changed in place.
        axes: name of a node → its axes.
    """
    for node in list(graph.nodes):
        if node.op != "call_function" or name_of(node) not in _VIEWS or node.name not in axes:
            continue
        source: Any = node.args[0]
        sizes: list[Any] = list(shape_of(node))
        with graph.inserting_before(node):
            for own, theirs in zip(axes[node.name], axes[source.name], strict=True):
                sizes[own] = graph.call_function(torch.ops.aten.sym_size.int, (source, theirs))
        node.target, node.args, node.kwargs = torch.ops.aten.reshape.default, (source, sizes), {}
    graph.lint()


def _embedding(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Rows of a table: the axes are those of the indices."""
    indices: Any = node.args[1]
    if indices not in axes or node.args[0] in axes:
        return None
    return Local(axes[indices], {indices: (Reach(),) * len(axes[indices])})


def _item(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    source: Any = node.args[0]
    return _of_first(node, axes, axes[source])


def _of_first(node: fx.Node, axes: Mapping[fx.Node, Axes], own: Axes) -> Local | None:
    source: Any = node.args[0]
    if any(other in axes for other in node.all_input_nodes if other is not source):
        return None
    return Local(own, {source: (Reach(),) * len(axes[source])})


def _first_in(node: fx.Node, axes: Mapping[fx.Node, Axes]) -> bool:
    return bool(node.args) and node.args[0] in axes


_RULES: dict[str, Callable[[fx.Node, MutableMapping[fx.Node, Axes]], Local | None]] = {
    **dict.fromkeys(UNARY | BINARY, _pointwise),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), pool(dilates=True)),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), pool(dilates=False)),
    **dict.fromkeys(("pad", "constant_pad_nd"), pad),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "linalg_vector_norm"), _reducing),
    **dict.fromkeys(("softmax", "log_softmax", "glu"), _along),
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "slice"), _taking),
    **dict.fromkeys(("select", "unbind"), _selecting),
    **dict.fromkeys(("permute", "transpose", "swapaxes"), _permute),
    "batch_norm": _normalising,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "cat": _cat,
    "concat": _cat,
    "unsqueeze": _unsqueeze,
    "getitem": _item,
    "embedding": _embedding,
    **dict.fromkeys(_VIEWS, _reshaped),
}
