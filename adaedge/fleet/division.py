"""Division: a cell's band and an edge server's computing among many terminals.

May import: ``errors``, ``operating_point``; of this part ``demand``, ``prices``, ``settlement``, ``worst_off``. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adaedge.errors import ScheduleError
from adaedge.fleet.demand import Demand, Way
from adaedge.fleet.prices import Market, Rows, Ways
from adaedge.fleet.settlement import Settled, settle
from adaedge.fleet.worst_off import settle_worst

Objective = Literal["terminals", "everywhere", "worst"]
OBJECTIVES: tuple[Objective, ...] = ("terminals", "everywhere", "worst")
"""Whose joules shall be least: all terminals' together; theirs with base station's and edge server's; or those of the
terminal whose battery is empty first."""
_LATE = 1e3  # times what all take locally: no joules are worth an answer that is late


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one terminal, and its latency and joules with it.

    Attributes:
        name: the terminal's.
        way: how it shall answer its frames.
        band: its share of the band, in [0, 1].
        slots: its share of the edge server, in slots: at most 1.
        latency_s: seconds from a frame to its answer.
        energy_j: joules of the terminal for a frame.
        local_j: the same if it sent nothing.
        refused: whether it shall stay local because there is no room: alone it would send.
        late: whether its answers are late. Only a terminal that cannot be in time by itself can be late.
    """

    name: str
    way: Way
    band: float
    slots: float
    latency_s: float
    energy_j: float
    local_j: float
    refused: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class Division:
    """Who gets what.

    Attributes:
        shares: one a terminal, in the order of the demands.
        power_w: joules that all terminals draw a second.
        beyond_w: likewise base station and edge server, for the frames that are sent.
        objective: what was made least.
        found: the objective: watts, or for ``worst`` the largest part of its battery that a terminal draws a second.
        bound: no division whatever has a smaller objective, where late answers are as bad as they can be.
    """

    shares: tuple[Share, ...]
    power_w: float
    beyond_w: float
    objective: Objective
    found: float
    bound: float

    @property
    def gap(self) -> float:
        """The largest fraction by which the objective may lie above the optimum."""
        return max(0.0, self.found / self.bound - 1) if self.bound > 0 else math.inf

    @property
    def refused(self) -> tuple[str, ...]:
        """The terminals that shall stay local because there is no room, before they send anything."""
        return tuple(share.name for share in self.shares if share.refused)


def divide(demands: Sequence[Demand], *, slots: float = 1.0, objective: Objective = "terminals") -> Division:
    """Divide one band and an edge server's slots among terminals, and say how each shall answer its frames.

    The prices of band and computing for the best lower bound choose each terminal's way; then shares are made exact for
    these ways, and ways are changed while that helps.

    Args:
        demands: the terminals.
        slots: payloads that the edge server computes at the same time.
        objective: one of `OBJECTIVES`.

    Raises:
        ScheduleError: if there are no terminals, two of one name, no slots, or no such objective.

    Example:
        >>> from adaedge.operating_point import OperatingPoint
        >>> local = Way(OperatingPoint("output"), 0.4, fixed_s=0.1)
        >>> send = Way(OperatingPoint("input"), 0.1, upload_s=0.1, edge_s=0.01, left_s=0.15, upload_w=1.0)
        >>> found = divide([Demand(name, 0.2, 0.2, local, (send,)) for name in ("left", "right")])
        >>> [(share.name, share.way.point.split, share.refused) for share in found.shares]
        [('left', 'input', False), ('right', 'output', True)]
    """
    _check(demands, slots, objective)
    late = np.array([demand.local.fixed_s > demand.deadline_s for demand in demands])
    local_w = np.array([demand.local.energy_j / demand.period_s for demand in demands])
    priced_w = local_w + late * _LATE * max(1.0, float(local_w.sum()))
    ways = Ways.of(demands, priced_w, everywhere=objective == "everywhere")
    owner = np.repeat(np.arange(len(demands)), [1 + len(demand.offloads) for demand in demands])
    market = Market(ways, owner, slots)
    if objective == "worst":
        found, bound = settle_worst(market, np.array([demand.battery_j for demand in demands]))
    else:
        found, bound = settle(market)
    return _division(demands, market.kept[found.rows], found, bound, objective)


def _check(demands: Sequence[Demand], slots: float, objective: str) -> None:
    if not demands:
        raise ScheduleError("a band is divided among at least one terminal; got none")
    names = [demand.name for demand in demands]
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ScheduleError(f"terminals are told apart by their names; {twice!r} is there twice")
    if not 0 < slots < math.inf:
        raise ScheduleError(f"an edge server has a number of slots above 0; got {slots}")
    if objective not in OBJECTIVES:
        raise ScheduleError(f"no objective {objective!r}; there are: {', '.join(OBJECTIVES)}")


def _division(demands: Sequence[Demand], rows: Rows, settled: Settled, bound: float, objective: Objective) -> Division:
    ways = [way for demand in demands for way in (demand.local, *demand.offloads)]
    shares = tuple(
        _share(demand, ways[row], float(upload_s), float(edge_s))
        for demand, row, upload_s, edge_s in zip(demands, rows, *settled.times, strict=True)
    )
    each = [*zip(demands, shares, strict=True)]
    power_w = sum(share.energy_j / demand.period_s for demand, share in each)
    beyond_w = sum(share.way.beyond_j / demand.period_s for demand, share in each)
    if objective == "worst":
        found = max(share.energy_j / demand.period_s / demand.battery_j for demand, share in each)
    else:
        found = power_w + beyond_w * (objective == "everywhere")
    return Division(shares, power_w, beyond_w, objective, found, bound)


def _share(demand: Demand, way: Way, upload_s: float, edge_s: float) -> Share:
    local_j = demand.local.energy_j
    if not way.sends:
        late = demand.local.fixed_s > demand.deadline_s
        alone = [one.spent_j(one.upload_s, one.edge_s) for one in demand.offloads]
        refused = bool(alone) and (late or min(alone) < local_j)
        return Share(demand.name, way, 0.0, 0.0, way.fixed_s, local_j, local_j, refused, late)
    share = way.upload_s / upload_s, way.edge_s / edge_s
    return Share(demand.name, way, *share, way.fixed_s + upload_s + edge_s, way.spent_j(upload_s, edge_s), local_j)
