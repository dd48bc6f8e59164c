"""Caching: what points whose head is incremental cost in the long run, where one frame has to be computed whole first.

May import: ``energy``, ``operating_point``; of this part ``knots``, ``prediction``, ``table``.

The first frame of an incremental head is a refresh, and takes a little longer than the same frame computed as ever. By
itself it would never be chosen. What it costs beyond the frames after it is a change of state, like waking a radio: it
is spread over the frames of the horizon. Those after it cost what a frame does that changes as much as this one did
against the one before. So a stream whose frames change little begins to hold what it computes, and one whose frames
change much does not. When an answer is there follows from what this frame takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from adaedge.energy import EnergyModel
from adaedge.operating_point import REFRESH, OperatingPoint
from adaedge.scheduling.knots import Knots, Named
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import TERMINAL_S, Table


@dataclass(frozen=True, slots=True, eq=False)
class Caching:
    """The rows of a table whose heads are incremental.

    Attributes:
        points: of these rows.
        knots: what they cost at measured amounts of change.
        named: the same, looked up.
    """

    points: tuple[OperatingPoint, ...]
    knots: Knots
    named: Named

    @classmethod
    def of(cls, table: Table) -> Caching | None:
        """Those of a table; ``None`` where there are none."""
        if table.knots is None:
            return None
        points = tuple(point for point in table.knots.rows if point.incremental)
        return cls(points, table.knots, table.knots.named(dict.fromkeys(points, REFRESH))) if points else None

    def spread(self, predictions: Predictions, table: Table, step: float, energy: EnergyModel) -> Predictions:
        """Predictions with refreshes spread over the horizon.

        Args:
            predictions: what this frame would take.
            table: at this frame's changes.
            step: how much the frame changed against the one before.
            energy: the terminal's energy model.
        """
        rows = self.named.rows
        later_s = self.named.at(dict.fromkeys(self.points, step), {})[TERMINAL_S]
        more_s = (table.columns[TERMINAL_S][rows] - later_s).clip(min=0.0)
        more_j = energy.local(more_s).total_j
        energy_j, steady_j = predictions.energy_j.copy(), predictions.steady_j.copy()
        energy_j[rows] -= more_j * (1 - 1 / table.limits.horizon_frames)
        steady_j[rows] -= more_j
        return replace(predictions, energy_j=energy_j, steady_j=steady_j)

    @staticmethod
    def reason(point: OperatingPoint, changes: Mapping[OperatingPoint, float], step: float | None) -> str:
        """What is computed of the frame at an incremental point, for people."""
        if point in changes:
            return f"incremental: {100 * changes[point]:.1f} % counts as changed since what is held"
        so_much = "little" if step is None else f"{100 * step:.1f} %"
        return f"incremental: a refresh, to hold what frames that change by {so_much} leave as it is"
