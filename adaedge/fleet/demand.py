"""Demand: what one of many terminals asks of a cell and an edge server, way by way.

May import: ``errors``, ``operating_point``, ``energy``, ``scheduling``. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adaedge.energy import EnergyModel, Infrastructure
from adaedge.errors import ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile, not_faster
from adaedge.scheduling import Limits, offload_timeout_s

ROUND_TRIP_S = 0.02
"""Seconds that an empty message takes there and back, unless told."""
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer a frame, and how its joules follow from what the terminal is given of cell and edge server.

    The upload takes ``upload_s`` with the whole band and ``upload_s / share`` with a share of it; likewise computing.
    A frame's joules are ``energy_j + upload_w · upload + wait_w · computing``.

    Attributes:
        point: the operating point.
        energy_j: joules of the terminal that no share changes.
        upload_s: seconds of the upload with the whole band; 0 where nothing is sent.
        edge_s: seconds of the edge server's computing on one of its slots.
        left_s: seconds that upload and computing may take together.
        upload_w: joules that each second of the upload adds.
        wait_w: joules that each second of the edge server's computing adds.
        fixed_s: seconds from the frame to its answer that no share changes.
        beyond_j: joules of a frame at base station and edge server.

    Raises:
        ScheduleError: if a figure is negative, infinite or no number.
    """

    point: OperatingPoint
    energy_j: float
    upload_s: float = 0.0
    edge_s: float = 0.0
    left_s: float = 0.0
    upload_w: float = 0.0
    wait_w: float = 0.0
    fixed_s: float = 0.0
    beyond_j: float = 0.0

    def __post_init__(self) -> None:
        # An intercept may lie below 0: a radio that sends for longer rests for less.
        figures = (self.upload_s, self.edge_s, self.upload_w, self.wait_w, self.fixed_s, self.beyond_j)
        if not (all(map(math.isfinite, (*figures, self.energy_j, self.left_s))) and min(figures) >= 0):
            raise ScheduleError(f"a way's figures are finite and its times and watts at least 0; got {self}")

    @property
    def sends(self) -> bool:
        """Whether it takes anything of the cell or the edge server."""
        return self.upload_s > 0

    def spent_j(self, upload_s: float, edge_s: float) -> float:
        """Joules of the terminal for a frame whose upload and computing took so long."""
        return self.energy_j + self.upload_w * upload_s + self.wait_w * edge_s

    def beats(self, other: Way) -> bool:
        """Whether it is as good in everything, so that the other is never needed."""
        less = ("energy_j", "upload_s", "edge_s", "upload_w", "wait_w", "beyond_j")
        as_good = all(getattr(self, name) <= getattr(other, name) + _ROUNDING for name in less)
        return self.sends and other.sends and as_good and self.left_s >= other.left_s


@dataclass(frozen=True, slots=True)
class Demand:
    """A terminal among many: how often it has a frame, and its ways to answer one.

    Attributes:
        name: the terminal's.
        period_s: seconds from a frame to the next.
        deadline_s: seconds from a frame to its answer.
        local: the cheapest way that sends nothing.
        offloads: the ways that send something and could be in time if the terminal were alone.
        battery_j: joules in its battery, which say whose is empty first; all alike by default.

    Raises:
        ScheduleError: if a period, deadline or battery is no number above 0, or a way is on the wrong side.

    Example:
        >>> from adaedge.energy import ComputePower, RADIOS
        >>> profile = Profile(
        ...     {OperatingPoint("output"): Cost(0.1), OperatingPoint("input", codec="jpeg@90"): Cost(
        ...         0.0, 0.01, 10_000, tail_s=0.02, finish_s=0.1)}, "", "board", "server")
        >>> energy = EnergyModel(ComputePower(4.0), RADIOS["nr-awake"])
        >>> demand = Demand.of("robot", profile, energy, Limits.of(0.4), whole_bps=80e6)
        >>> demand.local.energy_j, demand.offloads[0].upload_s
        (0.4, 0.001)
    """

    name: str
    period_s: float
    deadline_s: float
    local: Way
    offloads: tuple[Way, ...] = ()
    battery_j: float = 1.0

    def __post_init__(self) -> None:
        figures = self.period_s, self.deadline_s, self.battery_j
        if not all(0 < one < math.inf for one in figures):
            raise ScheduleError(f"period, deadline and battery of {self.name} are finite and above 0; got {figures}")
        if self.local.sends or not all(way.sends for way in self.offloads):
            raise ScheduleError(f"the local way of {self.name} sends something, or one of its offloads does not")

    @classmethod
    def of(
        cls,
        name: str,
        profile: Profile,
        energy: EnergyModel,
        limits: Limits,
        whole_bps: float,
        *,
        round_trip_s: float = ROUND_TRIP_S,
        downlink_bps: float | None = None,
        infrastructure: Infrastructure | None = None,
        battery_j: float = 1.0,
    ) -> Demand:
        """A terminal's demand, from what its bundle was measured to cost; every payload is a refresh.

        Joules are those of a steady stream of frames, the radio's rest between them included. They are taken to be
        linear between the fastest and the slowest upload that is in time, and exact there.

        Args:
            name: the terminal's.
            profile: its costs, joined with the edge server's.
            energy: its processor and radio.
            limits: its deadline, accuracy floor and period.
            whole_bps: its uplink's rate if it had the whole band.
            round_trip_s: seconds of an empty message there and back.
            downlink_bps: rate of the answers; ``None``: as that of the uplink with the whole band.
            infrastructure: what base station and edge server draw; assumed figures by default.
            battery_j: joules in its battery.

        Raises:
            ScheduleError: if a rate is no number above 0, the period is infinite, or no point that sends nothing is at
                or above the floor.
        """
        down_bps = whole_bps if downlink_bps is None else downlink_bps
        if not (0 < whole_bps < math.inf and 0 < down_bps < math.inf):
            raise ScheduleError(f"the rates of {name} are in bit/s, above 0; got {whole_bps} and {down_bps}")
        slower = not_faster(profile)
        usable = {p: c for p, c in profile.items() if c.meets(limits.accuracy_floor) and p not in slower}
        local = [
            Way(p, energy.local(c.terminal_s).total_j, fixed_s=c.terminal_s) for p, c in usable.items() if p.is_local
        ]
        if not local:
            raise ScheduleError(
                f"no point of {name} that sends nothing is at or above the floor of {limits.accuracy_floor:.4g}: a"
                " terminal that is refused could not answer. Lower its floor."
            )
        asked = _Asked(energy, limits, whole_bps, down_bps, round_trip_s, infrastructure or Infrastructure())
        ways = [asked.way(point, cost) for point, cost in usable.items() if not point.is_local]
        in_time = [way for way in ways if way.upload_s + way.edge_s <= way.left_s]
        best = min(local, key=lambda way: (way.fixed_s > limits.deadline_s, way.energy_j))
        return cls(name, limits.period_s, limits.deadline_s, best, _unbeaten(in_time), battery_j)


def _unbeaten(ways: Sequence[Way]) -> tuple[Way, ...]:
    """Those that no other is as good as in everything; of equal ones the first."""
    kept: list[Way] = []
    for way in sorted(ways, key=lambda way: (way.energy_j, way.upload_s)):
        if not any(other.beats(way) for other in kept):
            kept.append(way)
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the ways of one terminal share."""

    energy: EnergyModel
    limits: Limits
    whole_bps: float
    downlink_bps: float
    round_trip_s: float
    infrastructure: Infrastructure

    def way(self, point: OperatingPoint, cost: Cost) -> Way:
        """A way that sends something."""
        limits, size = self.limits, cost.payload_bytes
        fixed_s = cost.terminal_s + self.round_trip_s + 8 * cost.answer_bytes / self.downlink_bps
        # A terminal works on one frame at a time, so its answer has to be there when the next frame is.
        limit_s = min(offload_timeout_s(cost, limits.deadline_s, limits.margin_s), limits.period_s)
        upload_s, left_s = 8 * size / self.whole_bps, limit_s - fixed_s
        slack_s = left_s - upload_s - cost.edge_s
        quick_j = self._spent_j(cost, upload_s, cost.edge_s, fixed_s)
        upload_w = wait_w = 0.0
        if slack_s > 0:
            upload_w = max(0.0, self._spent_j(cost, upload_s + slack_s, cost.edge_s, fixed_s) - quick_j) / slack_s
            wait_w = max(0.0, self._spent_j(cost, upload_s, cost.edge_s + slack_s, fixed_s) - quick_j) / slack_s
        energy_j = quick_j - upload_w * upload_s - wait_w * cost.edge_s
        beyond = self.infrastructure.of_frame(0.0, size, cost.answer_bytes, cost.edge_s)
        return Way(point, energy_j, upload_s, cost.edge_s, left_s, upload_w, wait_w, fixed_s, beyond.global_j)

    def _spent_j(self, cost: Cost, upload_s: float, edge_s: float, fixed_s: float) -> float:
        """Joules of each frame of a steady stream."""
        gap_s = max(0.0, self.limits.period_s - (upload_s + edge_s + fixed_s - cost.terminal_s))
        rate_bps = 8 * cost.payload_bytes / upload_s
        return self.energy.offload(
            cost.terminal_s,
            cost.payload_bytes,
            rate_bps,
            self.round_trip_s + edge_s,
            answer_bytes=cost.answer_bytes,
            downlink_bps=self.downlink_bps,
            gap_s=gap_s,
            idle_s=gap_s,
        ).total_j
