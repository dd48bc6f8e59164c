"""Knots: what points with a stateful codec cost at measured amounts of change, and between them.

May import: ``operating_point``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.operating_point.profile import between

Column = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """The costs at measured amounts of change of those points that a frame's changes name.

    Attributes:
        points: all that they name, in their order.
        which: (m,): of these, which have such costs.
        rows: (m,): the rows of those in the table.
        changes: the K amounts, ascending to 1; two or more.
        costs: (K, 3, m): seconds of the terminal, seconds of the edge server, bytes on the uplink.
    """

    points: tuple[OperatingPoint, ...]
    which: Rows
    rows: Rows
    changes: tuple[float, ...]
    costs: Column

    def at(self, changes: Mapping[OperatingPoint, float]) -> list[tuple[Rows, Column]]:
        """Rows of points that changed by the same amount, and their costs, (3, so many), interpolated.

        It is one amount, unless points build upon different frames.
        """
        amounts = {*changes.values()}
        if len(amounts) == 1:
            (amount,) = amounts
            return [(self.rows, self._between(amount))]
        values = np.fromiter(changes.values(), np.float64)[self.which]
        same = [(amount, values == amount) for amount in amounts]
        return [(self.rows[own], self._between(amount)[:, own]) for amount, own in same]

    def _between(self, change: float) -> Column:
        after, share = between(self.changes, change)
        return np.asarray((1 - share) * self.costs[after - 1] + share * self.costs[after])


@dataclass(frozen=True, slots=True, eq=False)
class Knots:
    """Costs at measured amounts of change, of the points whose codec has a state.

    Attributes:
        changes: the K amounts, ascending to 1; two or more.
        rows: of each point, its row of the table.
        costs: of each point, (K, 3): seconds of the terminal, seconds of the edge server, bytes on the uplink.
    """

    changes: tuple[float, ...]
    rows: Mapping[OperatingPoint, int]
    costs: Mapping[OperatingPoint, Column]

    @classmethod
    def of(cls, profile: Profile, points: Sequence[OperatingPoint]) -> Knots | None:
        """Those of a profile's points; ``None`` where there are none."""
        rows = {point: row for row, point in enumerate(points) if profile.next_costs.get(point)}
        costs = {point: np.array([*map(_varying, (*profile.next_costs[point], profile[point]))]) for point in rows}
        return cls(profile.changes, rows, costs) if rows else None

    def named(self, changes: Mapping[OperatingPoint, float], before: Named | None = None) -> Named:
        """The costs of those points that a frame's changes name; of such as are not here nothing is known.

        Args:
            changes: of which only the points count.
            before: what was found for the frame before. A stream names the same points frame after frame, and comparing
                them is quicker than looking each of them up.
        """
        points = tuple(changes)
        if before is not None and points == before.points:
            return before
        which = [index for index, point in enumerate(points) if point in self.rows]
        rows = np.array([self.rows[points[index]] for index in which], np.intp)
        costs = np.empty((len(self.changes), 3, len(which)))
        for place, index in enumerate(which):
            costs[..., place] = self.costs[points[index]]
        return Named(points, np.array(which, np.intp), rows, self.changes, costs)


def _varying(cost: Cost) -> tuple[float, float, float]:
    return cost.terminal_s, cost.edge_s, cost.payload_bytes
