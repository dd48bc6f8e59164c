"""What each operator of a captured graph depends on, along the axes of height and width (or time).

May import: ``stream``. An operator that is not known here runs as a whole, which is always right.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from adaedge.stream.incremental.reach import Reach, Reaches

Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """An operator whose output depends on a neighbourhood of its inputs.

    Attributes:
        axes: of the output, which of its dimensions those are that the inputs' axes became.
        reaches: input → along each axis. An input that is not here is taken as a whole.
    """

    axes: Axes
    reaches: Mapping[fx.Node, Reaches]


UNARY = frozenset({
    "relu", "relu6", "hardtanh", "silu", "gelu", "mish", "elu", "leaky_relu", "hardswish", "hardsigmoid", "sigmoid",
    "tanh", "clamp", "clamp_min", "clamp_max", "exp", "neg", "abs", "sqrt", "rsqrt", "square", "pow", "log", "softplus",
    "dropout", "feature_dropout", "clone", "contiguous", "detach", "detach_", "alias", "to", "_to_copy", "type_as",
    "float", "erf", "reciprocal", "log_sigmoid", "celu", "selu", "hardshrink", "native_dropout", "alpha_dropout",
    "lift_fresh_copy", "rsub", "_assert_tensor_metadata", "threshold", "sin", "cos",
})  # fmt: skip
BINARY = frozenset({"add", "sub", "mul", "div", "minimum", "maximum", "prelu", "where", "eq", "gt", "lt", "addcmul"})
_RESIZING = ("upsample_", "_upsample_", "interpolate")


def name_of(node: fx.Node) -> str:
    """The operator's name without its overload."""
    if node.target is operator.getitem:
        return "getitem"
    return str(getattr(node.target, "_opname", None) or getattr(node.target, "__name__", node.target))


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Of a node's tensor; of the first of several."""
    value = node.meta.get("val")
    if isinstance(value, tuple | list):
        value = value[0]
    return tuple(int(size) for size in value.shape) if isinstance(value, torch.Tensor) else ()


def local(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """What a node depends on, if that is a neighbourhood; ``None`` if it runs as a whole.

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
    first = sources[0] if sources else None
    return (
        name_of(node).startswith(_RESIZING)
        and first in axes
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
    dim = _dim(node, 1, len(shape_of(source)))
    return _of_first(node, axes, axes[source]) if dim not in axes[source] else None


def _reducing(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Mean, sum, amax over dimensions that are no axes."""
    if not _first_in(node, axes) or len(node.args) < 2 or node.args[1] is None:
        return None
    source: Any = node.args[0]
    rank, given = len(shape_of(source)), node.args[1]
    dims = [dim % rank for dim in (given if isinstance(given, list | tuple) else [given])]  # type: ignore[operator]
    if any(dim in axes[source] for dim in dims) or not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    gone = [] if len(shape_of(node)) == rank else dims
    return _of_first(node, axes, tuple(axis - sum(dim < axis for dim in gone) for axis in axes[source]))


def _convolution(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    rank = len(shape_of(node))
    source: Any = node.args[0]
    count = rank - 2
    if source not in axes or axes[source] != tuple(range(2, rank)):
        return None
    if any(other in axes for other in node.all_input_nodes if other is not source):
        return None
    kernel = shape_of(node.args[1])[2:]  # type: ignore[arg-type]
    stride = _several(_argument(node, 3, 1), count)
    padding, dilation = _argument(node, 4, 0), _several(_argument(node, 5, 1), count)
    spans = [step * (size - 1) for size, step in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str):
        before = [span // 2 if padding == "same" else 0 for span in spans]
    else:
        before = _several(padding, count)
    return Local(
        axes[source],
        {source: tuple(Reach(s, b, span - b) for s, b, span in zip(stride, before, spans, strict=True))},
    )


def _pool(dilates: bool) -> Callable[[fx.Node, MutableMapping[fx.Node, Axes]], Local | None]:
    def rule(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
        rank = len(shape_of(node))
        source: Any = node.args[0]
        if source not in axes or axes[source] != tuple(range(2, rank)):
            return None
        count = rank - 2
        kernel = _several(node.args[1], count)
        stride = _several(_argument(node, 2, None) or kernel, count)
        padding = _several(_argument(node, 3, 0), count)
        dilation = _several(_argument(node, 4, 1), count) if dilates else (1,) * count
        reaches = tuple(
            Reach(s, p, d * (k - 1) - p) for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True)
        )
        return Local(axes[source], {source: reaches})

    return rule


def _pad(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    source: Any = node.args[0]
    mode = node.args[2] if name_of(node) == "pad" and len(node.args) > 2 else "constant"
    if source not in axes or mode != "constant":
        return None
    rank, widths = len(shape_of(source)), list(node.args[1])  # type: ignore[arg-type]
    reaches = []
    for axis in axes[source]:
        place = 2 * (rank - 1 - axis)
        left: Any = widths[place] if place < len(widths) else 0
        reaches.append(Reach(1, left, -left))
    return Local(axes[source], {source: tuple(reaches)})


def _cat(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    parts: Any = node.args[0]
    found = {axes[part] for part in parts if part in axes}
    dim = _dim(node, 1, len(shape_of(node)), 0)
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
    dim = _dim(node, place, len(shape_of(source)), 0)
    return _of_first(node, axes, axes[source]) if dim not in axes[source] else None


def _selecting(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Select, unbind: a dimension that is no axis disappears."""
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    dim = _dim(node, 1, len(shape_of(source)), 0)
    if dim in axes[source]:
        return None
    return _of_first(node, axes, tuple(axis - (dim < axis) for axis in axes[source]))


def _unsqueeze(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    if not _first_in(node, axes):
        return None
    source: Any = node.args[0]
    dim = _dim(node, 1, len(shape_of(node)))
    return _of_first(node, axes, tuple(axis + (dim <= axis) for axis in axes[source]))


def _permute(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    source: Any = node.args[0]
    rank = len(shape_of(source))
    order = list(range(rank))
    if name_of(node) == "permute":
        order = [dim % rank for dim in node.args[1]]  # type: ignore[union-attr, operator]
    else:
        one, other = (int(dim) % rank for dim in node.args[1:3])  # type: ignore[arg-type]
        order[one], order[other] = other, one
    return _of_first(node, axes, tuple(order.index(axis) for axis in axes[source]))


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


def _argument(node: fx.Node, place: int, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else default


def _dim(node: fx.Node, place: int, rank: int, default: int = -1) -> int:
    given: Any = _argument(node, place, node.kwargs.get("dim", default))
    return int(given) % rank


def _several(value: Any, count: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return values * count if len(values) == 1 else values


_RULES: dict[str, Callable[[fx.Node, MutableMapping[fx.Node, Axes]], Local | None]] = {
    **dict.fromkeys(UNARY | BINARY, _pointwise),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), _pool(dilates=True)),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _pool(dilates=False)),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
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
}
