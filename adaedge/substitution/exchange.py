"""Exchange: what a bit is worth in multiply-accumulates, what it costs, and what a link that varies makes of it.

May import: ``errors``, ``operating_point``, ``energy``; of this part ``hull``. Pure.

A frame at a point takes ``price of a bit · bits + price of a MAC · macs`` joules, and what no choice changes. The radio
is awake: waking and falling asleep, which belong to a stream and not to a frame, are the scheduler's affair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.energy import EnergyModel
from adaedge.errors import ScheduleError
from adaedge.operating_point import KEPT, Cost, OperatingPoint, Profile, not_faster
from adaedge.substitution.hull import Vertex, isoquant

Floats = npt.NDArray[np.float64]
STEP_ACCURACY, STEP = 0.01, 0.1
"""By how much a floor, and by what fraction a deadline or a rate, is moved to see what that saves."""
_LATE = 0.01  # of the time; more than that, and a fixed point does not meet its deadline


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the link's rates.

    Attributes:
        low: the 5 % quantile.
        median: the middle.
        high: the 95 % quantile.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, figures: Floats) -> Spread:
        """The spread of some figures."""
        return cls(*map(float, np.quantile(figures, (0.05, 0.5, 0.95))))


@dataclass(frozen=True, slots=True)
class Relief:
    """The fraction of the joules that is saved by asking for a little less.

    Attributes:
        accuracy: by a floor that is a hundredth lower.
        delay: by a deadline that is a tenth longer.
        bits: by a link that is a tenth faster, so that a tenth more bits take no longer.
    """

    accuracy: float
    delay: float
    bits: float

    @property
    def cheapest(self) -> str:
        """Which of the three saves most; empty where none saves anything."""
        best = max(("accuracy", "delay", "bits"), key=lambda name: float(getattr(self, name)))
        return best if getattr(self, best) > 1e-9 else ""


@dataclass(frozen=True, slots=True)
class Substitution:
    """Bits for multiply-accumulates, on one link.

    Attributes:
        isoquant: the points that are in time at the median rate, from the fewest bits to the fewest MACs.
        price: MACs that cost as many joules as a bit, over the link's rates.
        best: the point of least joules at the median rate.
        chance: fraction of the time that a point takes the least joules of all that are in time.
        late: fraction of the time that no point is in time.
        adapting_j: mean joules of a frame where the best point is taken at each rate.
        fixed_j: mean joules of the best single point that is almost always in time; infinite where there is none.
        fixed: that point; ``None`` likewise.
        relief: what asking for less would save.
    """

    isoquant: tuple[Vertex, ...]
    price: Spread
    best: OperatingPoint
    chance: Mapping[OperatingPoint, float]
    late: float
    adapting_j: float
    fixed_j: float
    fixed: OperatingPoint | None
    relief: Relief

    @property
    def gain(self) -> float:
        """Fraction of the joules that adapting saves beside the best single point; 1 where no single one is in time."""
        return 1 - self.adapting_j / self.fixed_j if self.fixed_j else 0.0

    def as_dict(self) -> dict[str, Any]:
        """What a JSON document holds."""
        return {
            "isoquant": [
                {
                    "point": str(vertex.point),
                    "bits": vertex.bits,
                    "macs": vertex.macs,
                    "macs_per_bit": vertex.rate if math.isfinite(vertex.rate) else None,
                }
                for vertex in self.isoquant
            ],
            "price_macs_per_bit": {"p5": self.price.low, "p50": self.price.median, "p95": self.price.high},
            "best": str(self.best),
            "chance": {str(point): part for point, part in self.chance.items()},
            "late": self.late,
            "adapting_j": self.adapting_j,
            "fixed_j": self.fixed_j if math.isfinite(self.fixed_j) else None,
            "fixed": None if self.fixed is None else str(self.fixed),
            "gain": self.gain,
            "relief": {
                "accuracy": self.relief.accuracy,
                "delay": self.relief.delay,
                "bits": self.relief.bits,
                "cheapest": self.relief.cheapest,
            },
        }


def substitute(
    profile: Profile,
    energy: EnergyModel,
    rates_bps: Iterable[float],
    *,
    deadline_s: float,
    accuracy_floor: float = 0.0,
    round_trip_s: float = 0.02,
) -> Substitution:
    """How bits and multiply-accumulates are exchanged between the points of a profile, on a link.

    Args:
        profile: costs of the points, joined with the edge server's.
        energy: processor, which has to say its ``macs_per_s``, and radio.
        rates_bps: the link's uplink, one rate for each equal part of the time; outages count as one bit per second.
        deadline_s: seconds from a frame to its answer.
        accuracy_floor: least accuracy of a point.
        round_trip_s: seconds of an empty message there and back.

    Raises:
        EnergyError: if the processor's throughput is not known.
        ScheduleError: if there are no rates, one is negative or no number, the deadline is none, or no point has the
            accuracy.

    Example:
        >>> from adaedge.energy import RADIOS, ComputePower
        >>> costs = {OperatingPoint("output"): Cost(0.1), OperatingPoint("input"): Cost(0.0, 0.0, 50_000, tail_s=0.01)}
        >>> model = EnergyModel(ComputePower(4.0, macs_per_s=4e9), RADIOS["nr-awake"])
        >>> found = substitute(Profile(costs, "", "", ""), model, [2e6, 20e6, 40e6, 80e6], deadline_s=0.2)
        >>> [(vertex.point.split, vertex.rate) for vertex in found.isoquant], found.chance[OperatingPoint("output")]
        ([('output', inf), ('input', 1000.0)], 0.25)
    """
    rates = np.maximum(np.array([*rates_bps], np.float64), 1.0)
    if not (len(rates) and np.isfinite(rates).all() and 0 < deadline_s < math.inf):
        raise ScheduleError(f"a link has rates, and an answer a deadline in s; got {len(rates)} and {deadline_s}")
    asked = _Asked(profile, energy, round_trip_s)
    found = asked.at(rates, deadline_s, accuracy_floor)
    macs_per_s = 1 / energy.compute.seconds(1.0)
    median_bps = float(np.median(rates))
    now = asked.at(np.array([median_bps]), deadline_s, accuracy_floor)
    vertices = [
        Vertex(point, 8 * cost.payload_bytes, macs_per_s * cost.terminal_s)
        for (point, cost), in_time in zip(found.points.items(), now.in_time[:, 0], strict=True)
        if in_time or point.is_local
    ]
    bit_j = np.array([energy.prices(float(rate)).uplink_j_per_byte / 8 for rate in rates])
    spent = found.least_j.mean()
    fixed_j = np.where((~found.in_time).mean(1) <= _LATE, found.spent_j.mean(1), np.inf)
    row, points = int(fixed_j.argmin()), [*found.points]
    saved = [
        1 - float(other.least_j.mean() / spent) if spent else 0.0
        for other in (
            asked.at(rates, deadline_s, max(0.0, accuracy_floor - STEP_ACCURACY)),
            asked.at(rates, (1 + STEP) * deadline_s, accuracy_floor),
            asked.at((1 + STEP) * rates, deadline_s, accuracy_floor),
        )
    ]
    picked, counts = np.unique(found.rows, return_counts=True)
    return Substitution(
        isoquant(vertices),
        Spread.of(bit_j / energy.compute.j_per_mac),
        points[int(now.rows[0])],
        {points[at]: float(count / len(rates)) for at, count in zip(picked, counts, strict=True)},
        float((~found.in_time).all(0).mean()),
        float(spent),
        float(fixed_j[row]),
        points[row] if math.isfinite(fixed_j[row]) else None,
        Relief(*saved),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Every point at every rate, (points, rates), and the best one at each."""

    points: Mapping[OperatingPoint, Cost]
    spent_j: Floats
    in_time: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.intp]

    @property
    def least_j(self) -> Floats:
        """Joules of the best point at each rate."""
        least: Floats = self.spent_j[self.rows, np.arange(len(self.rows))]
        return least


@dataclass(frozen=True, slots=True)
class _Asked:
    """What does not change from one question to the next."""

    profile: Profile
    energy: EnergyModel
    round_trip_s: float

    def at(self, rates: Floats, deadline_s: float, floor: float) -> _Found:
        """The outcome of all points at all rates. Where none is in time, the fastest is the best."""
        slower = not_faster(self.profile)
        points = {p: c for p, c in self.profile.items() if c.meets(floor) and p not in slower and p != KEPT}
        if not points:
            raise ScheduleError(f"no point has an accuracy of {floor:.4g}. Lower the floor; `list(profile)` has all.")
        rows = [
            (cost.terminal_s, 8 * cost.payload_bytes, 8 * cost.answer_bytes, cost.edge_s, not point.is_local)
            for point, cost in points.items()
        ]
        terminal_s, bits, answer_bits, edge_s, sends = (np.array(column)[:, None] for column in zip(*rows, strict=True))
        prices = [self.energy.prices(float(rate)) for rate in rates]
        up_j, down_j, wait_w = (
            np.array([getattr(price, name) for price in prices])
            for name in ("uplink_j_per_byte", "downlink_j_per_byte", "wait_w")
        )
        wait_s = sends * (edge_s + self.round_trip_s)
        spent_j = self.energy.compute.busy_w * terminal_s + (up_j * bits + down_j * answer_bits) / 8 + wait_w * wait_s
        latency_s = terminal_s + (bits + answer_bits) / rates + wait_s
        in_time = latency_s <= deadline_s
        best = np.where(in_time.any(0), np.where(in_time, spent_j, np.inf).argmin(0), latency_s.argmin(0))
        return _Found(points, spent_j, in_time, best)
