"""Member: one of thousands of terminals in a simulation; what it knows beforehand is worked out once for its kind.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``, ``scheduling``.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np

from adaedge.channel import RateEstimate
from adaedge.channel.trace import Trace
from adaedge.energy import EnergyModel
from adaedge.errors import ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import Limits, Table, offload_timeout_s, predict

STEPS = 12
"""Rates for each factor of ten that choices are worked out at."""


class Offload(NamedTuple):
    """The cost of a frame that is sent, as the events of a crowd need it: times, and whole bytes."""

    terminal_s: float
    timeout_s: float
    payload_bytes: int
    edge_s: float
    answer_bytes: int
    finish_s: float

    @classmethod
    def of(cls, cost: Cost, limits: Limits) -> Offload:
        """The offload of a point's cost."""
        timeout_s = offload_timeout_s(cost, limits.deadline_s, limits.margin_s)
        sizes = math.ceil(cost.payload_bytes), math.ceil(cost.answer_bytes)
        return cls(cost.terminal_s, timeout_s, sizes[0], cost.edge_s, sizes[1], cost.finish_s)


@dataclass(frozen=True)
class Kind:
    """The properties that terminals of one kind share.

    Attributes:
        profile: costs, joined with the edge server's.
        energy: processor and radio.
        limits: deadline, floor and period.
        point: always this one; ``None``: what takes the least joules at the rate as it is known.
        round_trip_s: seconds of an empty message there and back.
    """

    profile: Profile
    energy: EnergyModel
    limits: Limits
    point: OperatingPoint | None = None
    round_trip_s: float = 0.02

    @cached_property
    def home(self) -> Cost:
        """What a terminal that is refused, or has no link, does: the cheapest point that sends nothing.

        Raises:
            ScheduleError: if there is none at or above the floor.
        """
        costs = [c for p, c in self.profile.items() if p.is_local and c.meets(self.limits.accuracy_floor)]
        if not costs:
            raise ScheduleError("no point that sends nothing is at or above the floor: refused frames had no answer")
        return min(costs, key=lambda cost: cost.head_s)

    @cached_property
    def choices(self) -> tuple[Offload | None, ...]:
        """The cost of the best point at each rate of `STEPS` a decade from 1 kbit/s on; ``None`` where it is local."""
        table = Table.build(self.profile, self.limits)
        found = []
        for step in range(7 * STEPS):
            rate_bps = 1e3 * 10 ** ((step + 0.5) / STEPS)
            estimate = RateEstimate(rate_bps, 0.7 * rate_bps, self.round_trip_s)
            seen = predict(table, self.energy, estimate, idle_s=self.limits.period_s)
            row = int(np.where(seen.on_time, seen.energy_j, np.inf).argmin())
            point = table.points[row]
            sends = not point.is_local and seen.on_time[row]
            found.append(Offload.of(self.profile[point], self.limits) if sends else None)
        return tuple(found)

    @cached_property
    def _always(self) -> Offload | None:
        point = self.point
        return None if point is None or point.is_local else Offload.of(self.profile[point], self.limits)

    def choice(self, rate_bps: float) -> Offload | None:
        """What to send at a rate; ``None``: stay local."""
        if self.point is not None:
            return self._always
        step = int(STEPS * (math.log10(rate_bps) - 3)) if rate_bps > 1e3 else 0
        return self.choices[min(step, len(self.choices) - 1)]


@dataclass(frozen=True, slots=True)
class Member:
    """One of many terminals.

    Attributes:
        kind: what it has in common with others.
        trace: the rate of its uplink.
        start_s: when its first frame comes.
    """

    kind: Kind
    trace: Trace
    start_s: float = 0.0


@final
class FastTrace:
    """A trace's transfers in plain Python: a tenth of what an array's machinery costs for one number."""

    def __init__(self, trace: Trace) -> None:
        edges = np.append(trace.times_s, trace.duration_s)
        bits = np.concatenate([[0.0], np.cumsum(trace.rates_bps * np.diff(edges))])
        self._edges_s: list[float] = edges.tolist()
        self._bits: list[float] = bits.tolist()
        self._rates_bps: list[float] = trace.rates_bps.tolist()
        self._lasts_s, self._all = float(edges[-1]), float(bits[-1])

    def transfer_s(self, payload_bytes: float, start_s: float) -> float:
        """Seconds of a transfer, as `Trace.transfer_s` has them."""
        phase_s = start_s % self._lasts_s
        target = self._until(phase_s) + 8 * payload_bytes
        rounds = max(0, math.ceil(target / self._all) - 1)
        rest = min(target - rounds * self._all, self._all)
        at = max(0, bisect_left(self._bits, rest) - 1)
        rate_bps = self._rates_bps[at]
        inside_s = (rest - self._bits[at]) / rate_bps if rate_bps else 0.0
        return max(0.0, rounds * self._lasts_s + self._edges_s[at] + inside_s - phase_s)

    def bytes_within(self, start_s: float, duration_s: float) -> float:
        """Bytes that cross, as `Trace.bytes_within` has them."""
        phase_s = start_s % self._lasts_s
        rounds, end_s = divmod(phase_s + duration_s, self._lasts_s)
        return (rounds * self._all + self._until(end_s) - self._until(phase_s)) / 8

    def _until(self, phase_s: float) -> float:
        """Bits since the trace began."""
        at = min(bisect_right(self._edges_s, phase_s) - 1, len(self._rates_bps) - 1)
        return self._bits[at] + self._rates_bps[at] * (phase_s - self._edges_s[at])
