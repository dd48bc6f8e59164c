"""The split points that are worth building when the user names none.

May import: nothing of adaedge but this part.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaedge.graph.split_points import SplitPoint


def efficient(points: Sequence[SplitPoint], most: int = 4) -> tuple[str, ...]:
    """Names of module boundaries where fewer bytes cross than at any place before, spread over the model's MACs.

    Every other point costs the terminal more computing without sparing the link anything.

    Args:
        points: all split points of a model, in execution order.
        most: names to return at most.

    Example:
        >>> def at(name, payload_bytes, head_macs):
        ...     return SplitPoint(name, payload_bytes, head_macs, 100 - head_macs, ())
        >>> efficient([at("input", 60, 0), at("a", 90, 20), at("b", 40, 50), at("c", 40, 60), at("output", 4, 100)])
        ('b',)
    """
    front: list[SplitPoint] = []
    least_bytes = points[0].payload_bytes
    for point in points[1:-1]:
        if ":" not in point.name and 0 < point.payload_bytes < least_bytes:
            least_bytes = point.payload_bytes
            front.append(point)
    total = points[-1].head_macs
    kept: dict[str, None] = {}
    for share in range(1, most + 1):
        goal = total * share / (most + 1)
        if front:
            kept[min(front, key=lambda point: abs(point.head_macs - goal)).name] = None
    return tuple(kept)
