"""The policies of the demo: what a user could pick instead, and the scheduler with and without each technique.

May import: ``operating_point``, ``scheduling``, ``simulation``, ``matrix``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adaedge.matrix.techniques import TECHNIQUES as FINER
from adaedge.matrix.techniques import offered
from adaedge.operating_point import OUTPUT, Level, OperatingPoint, Profile
from adaedge.scheduling import Fixed, LeastEnergy, Policy
from adaedge.simulation import Scenario, static_runs

LOCAL, JPEG, H264, STATIC, ADAPTIVE = "local int8", "JPEG always", "H.264 always", "best static", "adaptive"
ALWAYS = (LOCAL, JPEG, H264)


def _is_level(point: OperatingPoint) -> bool:
    return point.level != Level()


TECHNIQUES: dict[str, Callable[[OperatingPoint], bool]] = {
    **{name: FINER[name] for name in ("kept answers", "delta", "bottleneck", "video codecs")},
    "levels": _is_level,
}
"""Technique → whether an operating point uses it."""


def always(profile: Profile, floor: float) -> dict[str, OperatingPoint]:
    """The points that a user could pick without a scheduler, each the cheapest that keeps the floor on first halves.

    Where none keeps it: the best there is, whose energy then does not count.
    """
    int8 = OperatingPoint(OUTPUT, precision="int8")
    local = int8 if int8 in profile and profile[int8].meets(floor) else OperatingPoint(OUTPUT)
    return {LOCAL: local, JPEG: _cheapest(profile, "jpeg@", floor), H264: _cheapest(profile, "h264@", floor)}


def _cheapest(profile: Profile, codec: str, floor: float) -> OperatingPoint:
    points = sorted((point for point in profile if point.codec.startswith(codec)), key=lambda one: _bytes(profile, one))
    return next((point for point in points if profile[point].meets(floor)), points[-1])


def _bytes(profile: Profile, point: OperatingPoint) -> float:
    """Of a payload that builds upon the one before, at the least change that was measured; else of any."""
    following = profile.next_costs.get(point)
    return (following[0] if following else profile[point]).payload_bytes


def best_static(scenario: Scenario, profile: Profile) -> OperatingPoint:
    """The one point of least energy in hindsight, of those that keep the floor on the first halves."""
    return next(iter(static_runs(replace(scenario, costs=without(profile, "kept answers")))))


def adaptive(profile: Profile) -> dict[str, tuple[Profile, Policy]]:
    """The scheduler with everything, and without each technique that the profile holds; with everything comes last."""
    less = {f"{ADAPTIVE} without {name}": without(profile, name) for name in TECHNIQUES}
    kept = {name: part for name, part in less.items() if len(part) < len(profile)}
    return {name: (part, LeastEnergy()) for name, part in (kept | {ADAPTIVE: profile}).items()}


def fixed(profile: Profile, point: OperatingPoint) -> tuple[Profile, Policy]:
    """A point that is used for every frame."""
    return profile, Fixed(point)


def without(profile: Profile, technique: str) -> Profile:
    """The profile of the points that do not use a technique."""
    used = TECHNIQUES[technique]
    return offered(profile, (point for point in profile if not used(point)))
