"""LeastEnergy and ExpectedEnergy: the fewest joules among the points that keep the limits.

May import: ``errors``; of this part ``policy``, ``prediction``, ``table``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from adaedge.errors import ScheduleError
from adaedge.scheduling.knots import Column
from adaedge.scheduling.policy import Choice, Guarded, LeastLatency
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Mask, Table


@final
@dataclass(frozen=True, slots=True)
class LeastEnergy(Guarded):
    """The least energy at the estimate among the points on time, then the most accurate; else the fastest.

    Attributes:
        hysteresis: the point of the frame before is kept while it is on time and the best would save less than this
            fraction: a new point means other sessions and cold caches, which the predictions do not hold.

    Raises:
        ScheduleError: if ``hysteresis`` is not in [0, 1).
    """

    at_the_estimate: ClassVar[bool] = True
    hysteresis: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.hysteresis < 1:
            raise ScheduleError(f"hysteresis is a fraction of the energy, in [0, 1); got {self.hysteresis}")

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row of least energy among those on time."""
        return least(table, predictions, previous, predictions.energy_j, predictions.on_time, self.hysteresis)


@final
@dataclass(frozen=True, slots=True)
class ExpectedEnergy(Guarded):
    """The least energy expected over the spread of the rates, with a bound on the chance of a miss.

    Where a local run is in time, a failed offload is finished locally and no deadline is missed, so the bound decides
    only where none is.

    Attributes:
        miss: chance of a missed deadline that a point may have.
        hysteresis: as of `LeastEnergy`.

    Raises:
        ScheduleError: if one is not in [0, 1).
    """

    miss: float = 0.01
    hysteresis: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.miss < 1:
            raise ScheduleError(f"miss is the chance of a missed deadline, in [0, 1); got {self.miss}")
        if not 0 <= self.hysteresis < 1:
            raise ScheduleError(f"hysteresis is a fraction of the energy, in [0, 1); got {self.hysteresis}")

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row of least expected energy among those whose chance of a miss is small enough."""
        allowed = predictions.on_time
        if not table.has_local_fallback and predictions.spread is not None:
            sure = allowed & (predictions.risk <= self.miss)
            allowed = sure if sure.any() else allowed
        return least(table, predictions, previous, predictions.energy_j, allowed, self.hysteresis)


def least(
    table: Table, predictions: Predictions, previous: int | None, energy_j: Column, allowed: Mask, hysteresis: float
) -> Choice:
    """The row of the least of some joules among those allowed, and why; the fastest where none is."""
    allowed_j = np.where(allowed, energy_j, np.inf)
    best = int(allowed_j.argmin())
    # Of points that cost the same, the most accurate: what is chosen is never dominated.
    (same,) = (allowed_j == allowed_j[best]).nonzero()
    if len(same) > 1:
        best = int(same[table.accuracy[same].argmax()])
    if not allowed[best]:
        fastest = LeastLatency()(table, predictions, previous).row
        return Choice(
            fastest,
            f"no point meets {table.limits.text}: smallest latency, {predictions.pessimistic_latency_s[fastest]:.3f} s",
        )
    if previous is not None and previous != best and allowed[previous]:
        kept_j, best_j = energy_j.item(previous), energy_j.item(best)
        if kept_j - best_j < hysteresis * kept_j or kept_j == best_j:
            saving = 1 - best_j / kept_j if kept_j else 0.0
            return Choice(previous, f"kept: {table.names[best]} would save only {100 * saving:.1f} %")
    count = int(np.count_nonzero(allowed))
    points = "1 point that meets" if count == 1 else f"{count} points that meet"
    return Choice(best, f"least energy of {points} {table.limits.text}")
