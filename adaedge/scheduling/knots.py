"""Knots: what points with a stateful codec cost at measured amounts of change, and between them.

May import: ``operating_point``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt

from adaedge.operating_point import REFRESH, Cost, OperatingPoint, Profile
from adaedge.operating_point.profile import between

Column = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """The costs at measured amounts of change of those points that a frame's changes name.

    Attributes:
        points: all that they name, in their order.
        known: of these, whether each has such costs.
        places: of each that has (there are m), its place among them.
        rows: (m,): their rows in the table.
        changes: the K amounts, ascending to 1; two or more.
        costs: (K, 3, m): seconds of the terminal, seconds of the edge server, bytes on the uplink.
    """

    points: tuple[OperatingPoint, ...]
    known: tuple[bool, ...]
    places: Mapping[OperatingPoint, int]
    rows: Rows
    changes: tuple[float, ...]
    costs: Column

    def at(self, changes: Mapping[OperatingPoint, float], sent_ratio: Mapping[OperatingPoint, float]) -> Column:
        """What the points cost that changed so much, (3, m): interpolated, the bytes as the stream has really sent."""
        amounts = [*compress(changes.values(), self.known)]
        costs = self._interpolated(amounts)
        sent_bytes = costs[-1]
        for point, ratio in sent_ratio.items():
            place = self.places.get(point)
            if place is not None:
                # What is learned of small changes says nothing of a refresh.
                sent_bytes[place] *= 1 + (ratio - 1) * (1 - min(REFRESH, amounts[place]))
        return costs

    def _interpolated(self, amounts: list[float]) -> Column:
        if amounts.count(amounts[0]) == len(amounts):  # but where points build upon different frames
            return self._between(amounts[0])
        costs, values = np.empty(self.costs.shape[1:]), np.array(amounts)
        for amount in {*amounts}:
            same = values == amount
            costs[:, same] = self._between(amount)[:, same]
        return costs

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
        """The knots of a profile's points; ``None`` where there are none."""
        rows = {point: row for row, point in enumerate(points) if profile.next_costs.get(point)}
        costs = {point: np.array([*map(_varying, (*profile.next_costs[point], profile[point]))]) for point in rows}
        return cls(profile.changes, rows, costs) if rows else None

    def named(self, changes: Mapping[OperatingPoint, float], before: Named | None = None) -> Named:
        """The costs of those points that a frame's changes name; of such as are not here nothing is known.

        Args:
            changes: of which only the points count.
            before: what was found for the frame before. A stream names the same points frame after frame, and comparing
                them is faster than looking each of them up.
        """
        points = tuple(changes)
        if before is not None and points == before.points:
            return before
        known = tuple(point in self.rows for point in points)
        own = [*compress(points, known)]
        places = {point: place for place, point in enumerate(own)}
        rows = np.array([self.rows[point] for point in own], np.intp)
        costs = np.stack([self.costs[point] for point in own], axis=-1) if own else np.empty(0)
        return Named(points, known, places, rows, self.changes, costs)


def _varying(cost: Cost) -> tuple[float, float, float]:
    return cost.terminal_s, cost.edge_s, cost.payload_bytes
