"""The row of a kept answer: whether the last answer may be kept for a frame, and the table with that row.

May import: ``operating_point``; of this part ``table``.

A kept answer is at least as good as its curve says for what changed since, less the loss of the point that computed it.
The two losses add up at most (for the classes of agreement, for sets by intersection over union, and nearly so for the
rest).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adaedge.operating_point import KEPT, REFRESH, Cost, KeptCurve, LastAnswer, OperatingPoint, Profile
from adaedge.scheduling.table import TERMINAL_S, TIMEOUT_S, Table

_COMPUTED_BY_ALL = LastAnswer(
    0, OperatingPoint("output")
)  # where a caller gives a change, but says nothing of the answer


@dataclass(frozen=True, slots=True, eq=False)
class KeptRow:
    """A table's row for the last answer, offered frame by frame.

    Attributes:
        curve: how good a kept answer is, by what changed since.
        floor: least accuracy, above 0.
        short: by how much the points that may be computed fall short of the full network.
        table: the table with that row as its last.
    """

    curve: KeptCurve
    floor: float
    short: Mapping[OperatingPoint, float]
    table: Table

    @classmethod
    def of(cls, profile: Profile | Mapping[OperatingPoint, Cost], table: Table) -> KeptRow | None:
        """The row of a profile; ``None`` without a curve, without a floor, or where the curve is nowhere above it."""
        curve = profile.kept if isinstance(profile, Profile) else None
        floor = table.limits.accuracy_floor
        if curve is None or KEPT not in profile or floor <= 0 or curve.largest_change(floor) is None:
            return None
        short = {point: 1 - cost.accuracy for point, cost in profile.items() if cost.accuracy is not None}
        return cls(curve, floor, short, _with_row(table, profile[KEPT]))

    def accuracy(self, changes: Mapping[OperatingPoint, float], last: LastAnswer | None) -> float | None:
        """At least how good the last answer is for this frame; ``None`` where it may not be kept."""
        change = changes.get(KEPT, REFRESH)
        last = last or _COMPUTED_BY_ALL
        if change >= REFRESH or last.point not in self.short:
            return None
        found = self.curve.low(change + last.correction) - self.short[last.point]
        return found if found >= self.floor else None

    def offered(self, accuracy: float) -> Table:
        """The table with the row, so accurate."""
        column = self.table.accuracy.copy()
        column[-1] = accuracy
        return self.table.with_(accuracy=column)

    def reason(self, change: float, last: LastAnswer, *, kept: bool) -> str:
        """What changed since the frame of the last answer, for people."""
        audited = f", counted as {100 * (change + last.correction):.1f} % since an audit" if last.correction else ""
        refused = "" if kept else ": too much to keep its answer"
        return f"{100 * change:.1f} % {self.curve.unit} since frame {last.frame}{audited}{refused}"


def _with_row(table: Table, cost: Cost) -> Table:
    """The table with a last row for keeping, which is on time and sends nothing."""
    deadline_s = table.limits.deadline_s
    weighed = {TERMINAL_S: cost.terminal_s, TIMEOUT_S: deadline_s}
    column = [weighed.get(place, 0.0) for place in range(len(table.columns))]
    return table.with_row(KEPT, column, local=True, limit_s=deadline_s, accuracy=0.0)
