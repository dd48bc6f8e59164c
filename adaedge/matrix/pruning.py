"""Which points are worth playing, and which are worth offering: of many rates of one codec at most two or three.

May import: ``operating_point``, ``bundle``.
"""

from __future__ import annotations

from collections.abc import Mapping

from adaedge.bundle import Bundle
from adaedge.operating_point import KEPT, OUTPUT, Cost, Level, OperatingPoint

MARGIN = 0.02
"""A point whose accuracy when the bundle was built was further below the floor than this is not played."""
RATES = 3
Family = tuple[str, Level, str]


def family_of(point: OperatingPoint) -> Family:
    """Split point, level and codec without its rate."""
    return point.split, point.level, point.codec.partition("@")[0] if "@" in point.codec else point.codec


def worth_playing(bundle: Bundle, floor: float) -> list[OperatingPoint]:
    """The rates of fewest bytes that may keep the floor, of each codec at each place; the best one where none may.

    Args:
        bundle: whose accuracies were measured when it was built; a point without one is always played.
        floor: least accuracy.
    """
    families: dict[Family, list[tuple[OperatingPoint, float, float | None]]] = {}
    for entry in bundle.manifest.points:
        known = entry.accuracy.high if entry.accuracy else None
        families.setdefault(family_of(entry.point), []).append((entry.point, entry.payload_bytes, known))
    found: list[OperatingPoint] = []
    for members in families.values():
        members.sort(key=lambda one: one[1])
        near = [point for point, _, known in members if known is None or known >= floor - MARGIN]
        best = max(members, key=lambda one: 1.0 if one[2] is None else one[2])[0]
        found += near[:RATES] or [best]
    return [entry.point for entry in bundle.manifest.points if entry.point in {*found, OperatingPoint(OUTPUT)}]


def worth_offering(
    costs: Mapping[OperatingPoint, Cost], steady: Mapping[OperatingPoint, Cost], floor: float
) -> list[OperatingPoint]:
    """The point of fewest bytes that keeps the floor, and the most accurate one, of each codec at each place.

    Under a floor all that keep it count alike, so nothing is lost but a choice among equals; the most accurate one
    stays, for a kept answer is the better the better it was computed.

    Args:
        costs: with the accuracies that decide.
        steady: the same points, with the bytes of a frame in a stream.
        floor: least accuracy.
    """
    families: dict[Family, list[OperatingPoint]] = {}
    for point in costs:
        families.setdefault(family_of(point), []).append(point)
    found = {KEPT, OperatingPoint(OUTPUT)}
    for members in families.values():
        best = max(members, key=lambda one: costs[one].accuracy or 0.0)
        kept = [one for one in members if one != KEPT and costs[one].meets(floor)]
        found |= {best, *sorted(kept, key=lambda one: steady[one].payload_bytes)[:1]}
    return [point for point in costs if point in found]
