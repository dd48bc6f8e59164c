"""What the closed forecast says of a cell: joules of every point on a link whose rates are known as a distribution.

May import: ``energy``, ``channel``, ``operating_point``, ``scheduling``, ``forecast``.

The forecast itself takes one rate. A link has many: it is asked at so many quantiles of the trace's rates, and at each
an offload that is late there costs its head, the rest of the network, and a payload that was sent without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from adaedge.channel import Trace
from adaedge.energy import EnergyModel
from adaedge.forecast import Offer
from adaedge.forecast.window import radio_cost
from adaedge.matrix.techniques import JPEG, LOCAL, PARTIAL, VIDEO, in_mode
from adaedge.operating_point import KEPT, Cost, OperatingPoint, Profile
from adaedge.scheduling import Limits, offload_timeout_s

QUANTILES = 12
_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Joules of a frame, as forecast.

    Attributes:
        points: of each point that keeps the floor.
        modes: of each mode, the least of its points; without a mode that has none.
    """

    points: Mapping[OperatingPoint, float]
    modes: Mapping[str, float]

    @property
    def best(self) -> str:
        """``local``, ``full`` or ``partial``."""
        return word_of(min(self.modes, key=lambda mode: self.modes[mode]))


@dataclass(frozen=True, slots=True)
class Workloads:
    """The costs of every point for a frame that changed by the mean change.

    Attributes:
        steady: of each point, its cost at the mean change.
        floor: least accuracy.
    """

    steady: Mapping[OperatingPoint, Cost]
    floor: float

    @classmethod
    def of(cls, profile: Profile, change: float, floor: float) -> Workloads:
        """At a change from frame to frame."""
        return cls({point: profile.at(point, change) for point in profile if point != KEPT}, floor)

    def foreseen(self, energy: EnergyModel, trace: Trace, limits: Limits, round_trip_s: float) -> Foreseen:
        """Joules of every point on a link."""
        rates = rates_of(trace)
        usable = {point: cost for point, cost in self.steady.items() if cost.meets(self.floor)}
        points = {
            point: self._point_j(cost, point.is_local, energy, rates, limits, round_trip_s)
            for point, cost in usable.items()
        }
        modes = {}
        for mode in (LOCAL, JPEG, VIDEO, PARTIAL):
            if held := [points[point] for point in in_mode(points, mode)]:
                modes[mode] = min(held)
        return Foreseen(points, modes)

    def _point_j(
        self, cost: Cost, local: bool, energy: EnergyModel, rates: list[float], limits: Limits, round_trip_s: float
    ) -> float:
        own_j = float(energy.local(cost.terminal_s).total_j)
        if local:
            return own_j
        room_s = offload_timeout_s(cost, limits.deadline_s, limits.margin_s) - cost.terminal_s
        finish_j = float(energy.local(cost.finish_s).total_j)
        whole = Offer("", max(cost.payload_bytes, 1.0), 0.0, cost.answer_bytes, cost.edge_s)
        found = []
        for rate in rates:
            radio_j, took_s = radio_cost(whole, energy, rate, limits.period_s, round_trip_s)
            # The forecast takes a radio to be ready; one that was released has to be waked for every frame.
            if took_s + float(energy.radio.ready_s(max(0.0, limits.period_s - took_s))) > room_s:
                fits = min(whole.payload_bytes, max(1.0, rate * room_s / 8))
                part = replace(whole, payload_bytes=fits, answer_bytes=0.0)
                radio_j = radio_cost(part, energy, rate, limits.period_s, 0.0)[0] + finish_j
            found.append(own_j + radio_j)
        return float(np.mean(found))


def rates_of(trace: Trace) -> list[float]:
    """Rates of a link at even quantiles, each a mean over a tenth of a second or more; none is 0."""
    times = np.arange(0.0, min(trace.duration_s, 600.0), max(_STEP_S, trace.duration_s / 2000))
    seen = [8 * trace.bytes_within(float(at), _STEP_S) / _STEP_S for at in times]
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return [max(1e3, float(rate)) for rate in np.quantile(seen, shares)]


def word_of(mode: str) -> str:
    """``full`` for both ways to send a whole frame."""
    return "full" if mode in (JPEG, VIDEO) else mode
