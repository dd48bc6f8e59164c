"""CachedHeads: what points whose head is incremental cost in the long run, where one frame is computed whole first.

May import: ``operating_point``; of this part ``knots``, ``prediction``, ``table``.

The first frame of an incremental head is a refresh, and takes a little longer than the same frame computed dense. By
itself it would never be chosen. What it costs beyond the frames after it is a change of state, like waking a radio: it
is spread over the frames of the horizon. Those after it cost what a frame does that changes as much as this one did
against the one before. So a stream whose frames change little begins to hold what it computes, and one whose frames
change much does not. When an answer is there follows from what this frame takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from adaedge.operating_point import REFRESH, OperatingPoint
from adaedge.scheduling.knots import Knots, Named
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class CachedHeads:
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
    def of(cls, table: Table) -> CachedHeads | None:
        """The incremental heads of a table; ``None`` where there are none."""
        if table.knots is None:
            return None
        points = tuple(point for point in table.knots.rows if point.incremental)
        return cls(points, table.knots, table.knots.named(dict.fromkeys(points, REFRESH))) if points else None

    def spread(self, now: Predictions, table: Table, step: float, later: Callable[[Table], Predictions]) -> Predictions:
        """Predictions with refreshes spread over the horizon.

        Args:
            now: what this frame would take.
            table: at this frame's changes.
            step: how much the frame changed against the one before.
            later: what frames of another table would take.
        """
        rows, columns = self.named.rows, table.columns.copy()
        for column, costs in enumerate(self.named.at(dict.fromkeys(self.points, step), {})):
            columns[column][rows] = np.minimum(columns[column][rows], costs)
        after = later(table.with_(columns=columns))
        energy_j, steady_j = now.energy_j.copy(), now.steady_j.copy()
        frames = table.limits.horizon_frames
        energy_j[rows] = after.energy_j[rows] + (now.energy_j[rows] - after.energy_j[rows]) / frames
        steady_j[rows] = after.steady_j[rows]
        return replace(now, energy_j=energy_j, steady_j=steady_j)

    @staticmethod
    def reason(point: OperatingPoint, changes: Mapping[OperatingPoint, float], step: float | None) -> str:
        """What is computed of the frame at an incremental point, for people."""
        if point in changes:
            return f"incremental: {100 * changes[point]:.1f} % counts as changed since what is held"
        so_much = "little" if step is None else f"{100 * step:.1f} %"
        return f"incremental: a refresh, to hold what frames that change by {so_much} leave as it is"
