"""Operators that look through a window: convolutions, pools and padding.

May import: ``stream``.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from torch import fx

from adaedge.incremental.nodes import Axes, Local, argument, name_of, several, shape_of
from adaedge.stream.incremental.reach import Reach


def convolution(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Convolutions of any number of axes, of plain and of "same" padding."""
    rank = len(shape_of(node))
    source: Any = node.args[0]
    count = rank - 2
    if source not in axes or axes[source] != tuple(range(2, rank)):
        return None
    if any(other in axes for other in node.all_input_nodes if other is not source):
        return None
    kernel = shape_of(node.args[1])[2:]  # type: ignore[arg-type]
    stride = several(argument(node, 3, 1), count)
    padding, dilation = argument(node, 4, 0), several(argument(node, 5, 1), count)
    spans = [step * (size - 1) for size, step in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str):
        before = tuple(span // 2 if padding == "same" else 0 for span in spans)
    else:
        before = several(padding, count)
    return Local(
        axes[source],
        {source: tuple(Reach(s, b, span - b) for s, b, span in zip(stride, before, spans, strict=True))},
    )


def pool(*, dilates: bool) -> Callable[[fx.Node, MutableMapping[fx.Node, Axes]], Local | None]:
    """The rule of maximum pools, which dilate, or of average pools."""

    def rule(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
        rank = len(shape_of(node))
        source: Any = node.args[0]
        if source not in axes or axes[source] != tuple(range(2, rank)):
            return None
        count = rank - 2
        kernel = several(node.args[1], count)
        stride = several(argument(node, 2, None) or kernel, count)
        padding = several(argument(node, 3, 0), count)
        dilation = several(argument(node, 4, 1), count) if dilates else (1,) * count
        reaches = tuple(
            Reach(s, p, d * (k - 1) - p) for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True)
        )
        return Local(axes[source], {source: reaches})

    return rule


def pad(node: fx.Node, axes: MutableMapping[fx.Node, Axes]) -> Local | None:
    """Padding with a constant."""
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
