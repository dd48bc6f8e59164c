"""The grid that all tensors of a segment are multiples of.

May import: ``stream``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from torch import fx

from adaedge.stream.incremental.plan import Units
from adaedge.stream.incremental.reach import Reaches


def units_of(
    inputs: Sequence[fx.Node], outputs: Sequence[fx.Node], ways: dict[fx.Node, dict[fx.Node, Reaches]], count: int
) -> dict[fx.Node, Units] | None:
    """Tensor → how many of its elements one of the segment's grid is, along each axis; ``None`` where none fits."""
    sizes: dict[fx.Node, tuple[Fraction, ...]] = {outputs[0]: (Fraction(1),) * count}
    waiting = [(source, output) for source in inputs for output in ways.get(source, {})]
    for _ in range(len(waiting) + 1):
        for source, output in waiting:
            strides = [reach.stride for reach in ways[source][output]]
            if output in sizes and source not in sizes:
                sizes[source] = tuple(size * stride for size, stride in zip(sizes[output], strides, strict=True))
            elif source in sizes and output not in sizes:
                sizes[output] = tuple(size / stride for size, stride in zip(sizes[source], strides, strict=True))
    if any(output not in sizes for output in outputs):
        return None
    for source, output in waiting:
        strides = [reach.stride for reach in ways[source][output]]
        if tuple(size * stride for size, stride in zip(sizes[output], strides, strict=True)) != sizes[source]:
            return None
    least = [min(size[axis] for size in sizes.values()) for axis in range(count)]
    found = {node: tuple(size / low for size, low in zip(own, least, strict=True)) for node, own in sizes.items()}
    if any(size.denominator != 1 for own in found.values() for size in own):
        return None
    return {node: tuple(int(size) for size in own) for node, own in found.items()}
