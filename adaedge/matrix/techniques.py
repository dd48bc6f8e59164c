"""Techniques and modes: which operating points of a profile each may use.

May import: ``errors``, ``operating_point``. The demo and the benchmarks select points by these words too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from adaedge.operating_point import FP32, FULL, INPUT, OUTPUT, Level, OperatingPoint, Profile

KEPT = "kept"
LOCAL, JPEG, VIDEO, PARTIAL = "local", "full, JPEG", "full, H.264", "partial"
MODES = (LOCAL, JPEG, VIDEO, PARTIAL)
"""What a user could pick without a scheduler: one point for every frame, and a local answer where it fails."""
ALL, NONE = "all together", "no technique"

Uses = Callable[[OperatingPoint], bool]


def is_partial(point: OperatingPoint) -> bool:
    """Whether the network is cut between its ends."""
    return point.split not in (INPUT, OUTPUT, KEPT)


def _codec(*names: str) -> Uses:
    return lambda point: point.codec.startswith(tuple(f"{name}@" for name in names))


def _is_plain_cut(point: OperatingPoint) -> bool:
    return is_partial(point) and "@" not in point.codec and point.level == Level()


TECHNIQUES: dict[str, Uses] = {
    "kept answers": lambda point: point.split == KEPT,
    "delta": _codec("delta"),
    "bottleneck": _codec("bottleneck"),
    "video codecs": _codec("h264", "h264-444", "hevc", "hevc-444", "av1"),
    "dynamic partition": _is_plain_cut,
    "width": lambda point: point.width != 1.0,
    "precision": lambda point: point.precision != FP32,
    "students": lambda point: point.network != FULL,
    "incremental": lambda point: point.incremental,
}
"""Technique → whether an operating point uses it."""


def is_base(point: OperatingPoint) -> bool:
    """Whether a point is there without any technique: fp32 on the terminal, or a whole frame, raw or as JPEG."""
    ends = point.split == OUTPUT or (point.split == INPUT and (point.codec == "raw" or _codec("jpeg")(point)))
    return ends and point.level == Level() and not point.incremental


def alone(points: Iterable[OperatingPoint], technique: str) -> list[OperatingPoint]:
    """The points that use this technique and no other, beside those that use none; nothing where there are none."""
    own, others = TECHNIQUES[technique], [uses for name, uses in TECHNIQUES.items() if name != technique]
    held = [*points]
    found = [one for one in held if own(one) and not any(uses(one) for uses in others)]
    return [*filter(is_base, held), *found] if found else []


def offered(profile: Profile, points: Iterable[OperatingPoint]) -> Profile:
    """The part of a profile that holds these points only."""
    held = set(points)
    return replace(
        profile,
        costs={point: cost for point, cost in profile.items() if point in held},
        next_costs={point: costs for point, costs in profile.next_costs.items() if point in held},
        kept=profile.kept if any(point.split == KEPT for point in held) else None,
    )


def without(profile: Profile, technique: str) -> Profile:
    """The profile of the points that do not use a technique."""
    uses = TECHNIQUES[technique]
    return offered(profile, (point for point in profile if not uses(point)))


def in_mode(points: Iterable[OperatingPoint], mode: str) -> list[OperatingPoint]:
    """The points that a mode may pick its one point from.

    Example:
        >>> points = [OperatingPoint("output"), OperatingPoint("input", codec="jpeg@90"), OperatingPoint("kept")]
        >>> [str(point) for point in in_mode(points, LOCAL)]
        ['output/w1/fp32/raw']
    """
    allowed: dict[str, Uses] = {
        LOCAL: lambda point: point.split == OUTPUT,
        JPEG: lambda point: point.split == INPUT and _codec("jpeg", "jpeg444")(point),
        VIDEO: lambda point: point.split == INPUT and _codec("h264", "h264-444")(point),
        PARTIAL: is_partial,
    }
    return [point for point in points if allowed[mode](point)]
