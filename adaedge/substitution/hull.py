"""Hull: the points between which bits are exchanged for multiply-accumulates, and at which rate.

May import: ``operating_point``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adaedge.operating_point import OperatingPoint


@dataclass(frozen=True, slots=True)
class Vertex:
    """An operating point by what it takes of both.

    Attributes:
        point: the operating point.
        bits: on the uplink, a frame.
        macs: of the terminal, a frame; encoding counts as the multiply-accumulates that could be done meanwhile.
        rate: multiply-accumulates that each further bit saves on the way from the vertex before; infinite at the first.
    """

    point: OperatingPoint
    bits: float
    macs: float
    rate: float = float("inf")


def isoquant(vertices: Iterable[Vertex]) -> tuple[Vertex, ...]:
    """The lower convex hull, from the fewest bits to the fewest multiply-accumulates.

    At prices of a bit and of a multiply-accumulate that are above 0, the cheapest of all points is one of these: the
    one before which a bit saves more than it costs, and after which it does not. So rates fall along it.

    Example:
        >>> names = ("output", "late", "middle", "input")
        >>> taken = zip(names, (0, 10, 20, 40), (100, 90, 20, 0))
        >>> found = isoquant(Vertex(OperatingPoint(name), bits, macs) for name, bits, macs in taken)
        >>> [(vertex.point.split, vertex.rate) for vertex in found]
        [('output', inf), ('middle', 4.0), ('input', 1.0)]
    """
    hull: list[Vertex] = []
    for vertex in sorted(vertices, key=lambda one: (one.bits, one.macs)):
        if hull and vertex.macs >= hull[-1].macs:
            continue
        while len(hull) > 1 and _rate(hull[-1], vertex) >= hull[-1].rate:
            hull.pop()
        rate = _rate(hull[-1], vertex) if hull else float("inf")
        hull.append(Vertex(vertex.point, vertex.bits, vertex.macs, rate))
    return tuple(hull)


def _rate(first: Vertex, second: Vertex) -> float:
    return (first.macs - second.macs) / (second.bits - first.bits) if second.bits > first.bits else float("inf")
