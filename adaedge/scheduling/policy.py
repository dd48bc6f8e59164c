"""Policies: pure functions from predictions to a choice.

May import: ``errors``, ``operating_point``. A policy of your own is any callable of this form:

    >>> def most_accurate(table, predictions, previous):
    ...     rows = np.flatnonzero(predictions.on_time)
    ...     if not len(rows):
    ...         return LeastLatency()(table, predictions, previous)
    ...     row = int(rows[np.argmax(table.accuracy[rows])])
    ...     return Choice(row, f"most accurate of {len(rows)} points on time")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, final

import numpy as np

from adaedge.errors import ScheduleError
from adaedge.operating_point import OperatingPoint
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table


class Choice(NamedTuple):
    """A row of the table, and why, in a short sentence."""

    row: int
    reason: str


class Policy(Protocol):
    """Chooses a row of the table. It keeps no state: what it chose for the frame before is handed to it."""

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row to run, and why. ``previous`` is the row of the frame before, ``None`` at the first."""
        ...


@final
@dataclass(frozen=True, slots=True)
class LeastLatency:
    """The smallest predicted latency at the low rate."""

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:  # noqa: ARG002
        """The fastest row."""
        row = int(predictions.late_s.argmin())
        return Choice(row, f"smallest latency of {len(table.points)} points: {predictions.late_s[row]:.3f} s")


@final
@dataclass(frozen=True, slots=True)
class LeastEnergy:
    """The least predicted energy among the points on time, then the most accurate; the fastest where none is on time.

    Attributes:
        hysteresis: the point of the frame before is kept while it is on time and the best would save less than this
            fraction: a new point means other sessions and cold caches, which the predictions do not hold.
    """

    hysteresis: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.hysteresis < 1:
            raise ScheduleError(f"hysteresis is a fraction of the energy, in [0, 1); got {self.hysteresis}")

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row of least energy among those on time."""
        energy_j, on_time = predictions.energy_j, predictions.on_time
        allowed_j = np.where(on_time, energy_j, np.inf)
        best = int(allowed_j.argmin())
        # Of points that cost the same, the most accurate: what is chosen is never dominated.
        (same,) = (allowed_j == allowed_j[best]).nonzero()
        if len(same) > 1:
            best = int(same[table.accuracy[same].argmax()])
        if not on_time[best]:
            fastest = LeastLatency()(table, predictions, previous).row
            return Choice(
                fastest, f"no point meets {table.limits.text}: smallest latency, {predictions.late_s[fastest]:.3f} s"
            )
        if previous is not None and previous != best and on_time[previous]:
            kept_j, best_j = energy_j.item(previous), energy_j.item(best)
            if kept_j - best_j < self.hysteresis * kept_j or kept_j == best_j:
                saving = 1 - best_j / kept_j if kept_j else 0.0
                return Choice(previous, f"kept: {table.names[best]} would save only {100 * saving:.1f} %")
        count = int(np.count_nonzero(on_time))
        points = "1 point that meets" if count == 1 else f"{count} points that meet"
        return Choice(best, f"least energy of {points} {table.limits.text}")


@final
@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same point: a baseline."""

    point: OperatingPoint

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:  # noqa: ARG002
        """The row of the point.

        Raises:
            ScheduleError: if the table does not hold it.
        """
        return Choice(table.row(self.point), "fixed")
