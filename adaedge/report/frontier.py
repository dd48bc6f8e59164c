"""Frontier: which operating points are worth choosing for their energy and accuracy, at one link rate and at many.

May import: ``operating_point``, ``energy``, ``channel``, ``scheduling``, ``runtime.record``. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.channel import RateEstimate
from adaedge.energy import EnergyModel
from adaedge.operating_point import OperatingPoint, Profile
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Limits, Predictions, Table, predict

Mask = npt.NDArray[np.bool_]

ANY_RATE_BPS: tuple[float | None, ...] = (None, *np.geomspace(5e4, 1e9, 87).tolist())
"""What stands for any link: none at all, and 50 kbit/s to 1 Gbit/s, each rate 12 % above the one before."""
MOST_RATES = 200
_FOR_EVER_S = 1e9


@dataclass(frozen=True, slots=True)
class Place:
    """An operating point at one link rate.

    Attributes:
        point: the point.
        energy_j: modelled joules of the terminal per frame, if every frame is answered there.
        accuracy: measured accuracy of the point; ``None`` where it was not measured.
        on_time: whether it meets the deadline at this rate.
        on_front: whether no other point on time is as cheap and as accurate, and better in one of them.
    """

    point: OperatingPoint
    energy_j: float
    accuracy: float | None
    on_time: bool
    on_front: bool


@dataclass(frozen=True, slots=True)
class DominatedPoints:
    """The points on no Pareto front of energy and accuracy: whatever the accuracy floor, another point was better.

    Attributes:
        evaluated: what was looked at, in words.
        networks: networks of which no point was on a front.
        widths: widths of which no point was on a front.
        precisions: precisions of which no point was on a front.
        points: points that were on no front.
    """

    evaluated: str
    networks: tuple[str, ...]
    widths: tuple[float, ...]
    precisions: tuple[str, ...]
    points: tuple[OperatingPoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """What a JSON document holds of it."""
        return asdict(self) | {"points": [str(point) for point in self.points]}


@dataclass(frozen=True, slots=True)
class Frontier:
    """The points that a run could choose from, by energy and accuracy.

    The accuracy floor is not applied: the cheapest point at or above any floor is on the front. Points labelled
    ``smaller, not faster`` are left out, as the scheduler leaves them out.

    Attributes:
        profile: what every point costs.
        energy: the terminal's energy model.
        limits: deadline, period and horizon of the run.
        round_trip_s: seconds that an empty message takes there and back.

    Example:
        >>> from adaedge.energy import WIFI_2012, ComputePower
        >>> from adaedge.operating_point import Cost
        >>> full, half = OperatingPoint("output"), OperatingPoint("output", width=0.5)
        >>> costs = {full: Cost(head_s=0.1, accuracy=1.0), half: Cost(head_s=0.05, accuracy=0.9)}
        >>> energy = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)
        >>> frontier = Frontier(Profile(costs, "00" * 32, "a board", "a server"), energy, Limits.of(0.2))
        >>> [(str(place.point), round(place.energy_j, 3), place.on_front) for place in frontier.at(None)]
        [('output/w0.5/fp32/raw', 0.2, True), ('output/w1/fp32/raw', 0.4, True)]
    """

    profile: Profile
    energy: EnergyModel
    limits: Limits
    round_trip_s: float = 0.02

    def at(self, rate_bps: float | None) -> list[Place]:
        """Every point at one link rate (``None``: no link), the least energy first.

        Each is taken to answer every frame while the link stays as it is: no change of the radio's state counts.
        """
        table = self._table(_FOR_EVER_S)
        predictions = self._predict(table, rate_bps, self.limits.period_s)
        front = on_front(predictions.energy_j, table.accuracy, predictions.on_time)
        accuracy = [value if known else None for value, known in zip(table.accuracy, table.measured, strict=True)]
        energy_j, on_time = predictions.energy_j.tolist(), predictions.on_time.tolist()
        rows = zip(table.points, energy_j, accuracy, on_time, front.tolist(), strict=True)
        return sorted((Place(*row) for row in rows), key=lambda place: (place.energy_j, -(place.accuracy or 0.0)))

    def never_worth(self, rates_bps: Sequence[float | None], where: str) -> DominatedPoints:
        """What is on no front at any of the rates, with a radio that sleeps and with one that is awake.

        Both states count, for waking the radio is charged to an offload and its falling asleep to a local run.

        Args:
            rates_bps: link rates; ``None`` for no link.
            where: what these rates are, in words.
        """
        table = self._table(self.limits.horizon_s)
        worth = np.zeros(len(table.points), dtype=bool)
        for rate_bps in rates_bps:
            for idle_s in (math.inf, 0.0):
                found = self._predict(table, rate_bps, idle_s)
                worth |= on_front(found.energy_j, table.accuracy, found.on_time)
        held = [point for point, kept in zip(table.points, worth, strict=True) if kept]
        names = ("network", "width", "precision")
        networks, widths, precisions = ({getattr(point, name) for point in held} for name in names)
        left = [point for point in self.profile if point not in set(held)]
        return DominatedPoints(
            f"{where}, each with the radio asleep and awake, for answers within {self.limits.deadline_s:g} s,"
            " whatever the accuracy floor",
            tuple(sorted({point.network for point in left} - networks)),
            tuple(sorted({point.width for point in left} - widths, reverse=True)),
            tuple(sorted({point.precision for point in left} - precisions)),
            tuple(left),
        )

    def in_run(self, records: Sequence[FrameRecord]) -> DominatedPoints:
        """What was on no front at the link rates that a run's decisions assumed."""
        rates = rates_of(records)
        known = [rate for rate in rates if rate is not None]
        counted = f"{len(known)} link rates that the decisions of the run assumed"
        span = f" ({min(known) / 1e6:.3g} to {max(known) / 1e6:.3g} Mbit/s)" if known else ""
        none = " and without a link" if len(known) < len(rates) else ""
        return self.never_worth(rates, f"at {counted}{span}{none}")

    def at_any_rate(self) -> DominatedPoints:
        """What is on no front at any link rate from 50 kbit/s to 1 Gbit/s, nor without a link."""
        count = len(ANY_RATE_BPS) - 1
        return self.never_worth(ANY_RATE_BPS, f"at {count} link rates (0.05 to 1000 Mbit/s) and without a link")

    def as_dict(self, records: Sequence[FrameRecord]) -> dict[str, Any]:
        """What a JSON document holds: the front at the run's median rate, and what is never worth choosing."""
        rate_bps = median_rate_bps(records)
        return {
            "rate_bps": rate_bps,
            "points": [asdict(place) | {"point": str(place.point)} for place in self.at(rate_bps)],
            "labels": {str(point): label for point, label in self.profile.labels.items()},
            "never_worth_choosing": {
                "in_run": self.in_run(records).as_dict(),
                "at_any_rate": self.at_any_rate().as_dict(),
            },
        }

    def _table(self, horizon_s: float) -> Table:
        return Table.build(self.profile, replace(self.limits, accuracy_floor=0.0, horizon_s=horizon_s))

    def _predict(self, table: Table, rate_bps: float | None, idle_s: float) -> Predictions:
        estimate = None if rate_bps is None else RateEstimate(rate_bps, rate_bps, self.round_trip_s)
        return predict(table, self.energy, estimate, idle_s=idle_s)


def on_front(energy_j: npt.NDArray[np.float64], accuracy: npt.NDArray[np.float64], allowed: Mask) -> Mask:
    """Which of the allowed rows no other allowed row dominates.

    Example:
        >>> on_front(np.array([1.0, 2.0, 3.0]), np.array([0.9, 0.8, 1.0]), np.array([True, True, True])).tolist()
        [True, False, True]
    """
    no_worse = (energy_j[:, None] <= energy_j) & (accuracy[:, None] >= accuracy)
    better = (energy_j[:, None] < energy_j) | (accuracy[:, None] > accuracy)
    dominated = (no_worse & better & allowed[:, None]).any(axis=0)
    return np.asarray(allowed & ~dominated)


def rates_of(records: Sequence[FrameRecord]) -> list[float | None]:
    """The different link rates that decisions assumed (``None``: no link); of many, 200 evenly chosen."""
    rates = [record.decision.rate_bps for record in records]
    known = np.array(sorted({rate for rate in rates if rate is not None}))
    if len(known) > MOST_RATES:
        known = known[np.linspace(0, len(known) - 1, MOST_RATES).round().astype(int)]
    return [*known.tolist(), *([None] if None in rates else [])]


def median_rate_bps(records: Sequence[FrameRecord]) -> float | None:
    """The median of the link rates that decisions assumed; ``None`` where none assumed any."""
    known = [record.decision.rate_bps for record in records if record.decision.rate_bps is not None]
    return float(np.median(known)) if known else None
