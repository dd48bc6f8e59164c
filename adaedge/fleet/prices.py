"""Prices: what a share of the band and of the computing is worth, and what each terminal then takes of them.

May import: of this part ``demand``. Pure NumPy; everything is arrays over the ways of all terminals.

A way takes ``upload_s / t`` of the band if its upload may last t, and ``edge_s / u`` of the edge server's slots if its
computing may last u; t + u is at most what its deadline leaves. With a price λ of the whole band and μ of a slot it
costs

    energy + w·t + λ·upload/t + v·u + μ·edge/u,

which is convex, and least at t = √(λ·upload/(w + ν)), u = √(μ·edge/(v + ν)), with ν = 0 where the deadline leaves so
much, else the one ν for which t + u is what it leaves. Each terminal takes its cheapest way. What all pay less the
prices of what there is, is a lower bound for every division there can be (Lagrange), whatever the prices; the best of
these bounds is searched for. With many terminals and two things to divide it lies close to the optimum: at most two
terminals would have to mix two ways to reach it (Shapley–Folkman; Bertsekas, *Nonlinear Programming*, section 5.1.6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from adaedge.fleet.demand import Demand

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
NEAR = 0.002
"""Within this fraction of a bound, nothing better is looked for."""
_NONE = 1e-9  # seconds or watts that stand for none; no number here is divided by 0
_ROOT_STEPS, _PRICE_STEPS = 1, 15
_EXACT_STEPS = 8  # so that a bound is one


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """Ways as columns, of any shape. One that sends nothing is one whose upload and computing take no time.

    Attributes:
        spent: joules that no share changes, weighed by how many frames come in a second.
        upload_s: seconds of the upload with the whole band.
        edge_s: seconds of computing on a slot.
        left_s: seconds for both.
        upload_w: what a second more of the upload adds, weighed likewise.
        wait_w: what a second more of computing adds.
    """

    spent: Floats
    upload_s: Floats
    edge_s: Floats
    left_s: Floats
    upload_w: Floats
    wait_w: Floats

    @classmethod
    def of(cls, demands: Sequence[Demand], locals_w: Floats, *, everywhere: bool) -> Ways:
        """The ways of all terminals: of each the one that sends nothing, then its offloads.

        Args:
            demands: the terminals.
            locals_w: what each comes to that sends nothing.
            everywhere: whether joules at base station and edge server count too.
        """
        rows = []
        for demand, local_w in zip(demands, locals_w, strict=True):
            rows.append((float(local_w), 0.0, 0.0, 1.0, 0.0, 0.0))
            frames = 1 / demand.period_s
            rows += [
                (
                    frames * (way.energy_j + everywhere * way.beyond_j),
                    way.upload_s,
                    way.edge_s,
                    way.left_s,
                    frames * way.upload_w,
                    frames * way.wait_w,
                )
                for way in demand.offloads
            ]
        columns = np.array(rows, np.float64).T.copy()
        columns[[1, 2, 4, 5]] = np.maximum(columns[[1, 2, 4, 5]], _NONE)
        return cls(*columns)

    @property
    def columns(self) -> tuple[Floats, ...]:
        """The columns, in order."""
        return self.spent, self.upload_s, self.edge_s, self.left_s, self.upload_w, self.wait_w

    def at(self, rows: Any) -> Ways:
        """Some of them, in any shape."""
        return Ways(*(column[rows] for column in self.columns))


class Times(NamedTuple):
    """How long uploads and computing may take."""

    upload_s: Floats
    edge_s: Floats


def times_at(ways: Ways, band: float, slot: float, steps: int = _ROOT_STEPS) -> Times:
    """The cheapest times at prices of the band and of a slot, which may be 0; the closer, the more steps."""
    p, q = band * ways.upload_s + _NONE**3, slot * ways.edge_s + _NONE**3
    upload_w, wait_w = ways.upload_w, ways.wait_w
    upload_s = np.maximum(np.sqrt(p / upload_w), ways.upload_s)
    edge_s = np.maximum(np.sqrt(q / wait_w), ways.edge_s)
    tight = upload_s + edge_s > ways.left_s
    if not tight.any():
        return Times(upload_s, edge_s)
    root_p, root_q = np.sqrt(p), np.sqrt(q)
    both = root_p + root_q
    # With w = v the inverse square of t + u is linear in ν, so Newton's steps are taken on it.
    per_left = 1 / (ways.left_s * ways.left_s)
    more_w = np.maximum(both * both * per_left - (root_p * upload_w + root_q * wait_w) / both, 0.0)
    for _ in range(steps):
        by_upload, by_wait = upload_w + more_w, wait_w + more_w
        t, u = root_p / np.sqrt(by_upload), root_q / np.sqrt(by_wait)
        total = t + u
        more_w = np.maximum(more_w + total * (total * total * per_left - 1) / (t / by_upload + u / by_wait), 0.0)
    t, u = root_p / np.sqrt(upload_w + more_w), root_q / np.sqrt(wait_w + more_w)
    t = np.minimum(np.maximum(ways.left_s * (t / (t + u)), ways.upload_s), ways.left_s - ways.edge_s)
    return Times(np.where(tight, t, upload_s), np.where(tight, ways.left_s - t, edge_s))


def used(ways: Ways, times: Times) -> tuple[Any, Any]:
    """The band, in wholes, and the slots that ways take in so long; of the last axis."""
    return (ways.upload_s / times.upload_s).sum(-1), (ways.edge_s / times.edge_s).sum(-1)


def spent(ways: Ways, times: Times) -> Floats:
    """The watts of each way at these times."""
    return ways.spent + ways.upload_w * times.upload_s + ways.wait_w * times.edge_s


class Offer(NamedTuple):
    """The outcome at a pair of prices.

    Attributes:
        band: price of the whole band.
        slot: price of a slot.
        bound: no division takes less.
        rows: each terminal's cheapest way.
        costs: of every way, its prices paid.
        over: how many times what there is is asked for, of the scarcer thing; at most 1 where the ways fit.
    """

    band: float
    slot: float
    bound: float
    rows: Rows
    costs: Floats
    over: tuple[float, float]


@final
class Market:
    """The ways of all terminals; says what each takes at given prices.

    Args:
        ways: of all terminals, each one's together.
        owner: whose each is.
        slots: of the edge server.

    Attributes:
        kept: the ways that are cheaper than the terminal's first, which sends nothing, while band and slots cost
            nothing, and those first ones: the others are never taken, and left out of ``ways``.
        ways: the ways that are left.
        owner: whose each of these is.
        slots: as above.
    """

    def __init__(self, ways: Ways, owner: Rows, slots: float) -> None:
        least = spent(ways, Times(ways.upload_s, ways.edge_s))
        keep = _begins(owner)
        keep |= least < least[keep][owner]
        self.kept = np.flatnonzero(keep)
        self.ways, self.owner, self.slots = ways.at(self.kept), owner[self.kept], slots
        self._starts = np.flatnonzero(_begins(self.owner))

    @property
    def locals(self) -> Rows:
        """The row of each terminal's way that sends nothing."""
        return self._starts

    def at(self, band: float, slot: float, steps: int = _ROOT_STEPS) -> Offer:
        """What each takes at these prices; with few steps the bound is only nearly one."""
        ways = self.ways
        times = times_at(ways, band, slot, steps)
        shares, slots = ways.upload_s / times.upload_s, ways.edge_s / times.edge_s
        costs = spent(ways, times) + band * shares + slot * slots
        best = np.minimum.reduceat(costs, self._starts)
        rows = np.flatnonzero(costs == best[self.owner])
        if len(rows) > len(best):  # of ways that are as cheap the first
            rows = rows[_begins(self.owner[rows])]
        bound = float(best.sum()) - band - slot * self.slots
        return Offer(band, slot, bound, rows, costs, (float(shares[rows].sum()), float(slots[rows].sum()) / self.slots))

    def search(self) -> tuple[Offer, list[Offer]]:
        """The offer of the best bound, and all that were looked at on the way.

        Each price is moved up where more is asked for than there is, else down, by a step that grows while its
        direction stays and halves when it turns (Riedmiller and Braun, ICNN 1993): demand jumps wherever a terminal
        changes its way, so nothing smoother would do.
        """
        found = self.at(0.0, 0.0)
        offers = [found]
        if max(found.over) <= 1:
            return found, offers
        gain = float(self.ways.spent[self._starts].sum()) - found.bound
        prices, steps, turned = [0.3 * gain, 0.3 * gain / self.slots], [1.1, 1.1], [0.0, 0.0]
        for _ in range(_PRICE_STEPS):
            found = self.at(prices[0], prices[1])
            offers.append(found)
            for at, over in enumerate(found.over):
                way = math.copysign(1.0, over - 1)
                steps[at] *= 0.5 if way * turned[at] < 0 else 1.3 if turned[at] else 1.0
                turned[at] = way
                # Where no way changes, demand falls with the root of the price at the most: to go on would be too far.
                prices[at] *= math.exp(way * min(steps[at], 2 * abs(math.log(max(over, 1e-9)))))
        best = max(offers, key=lambda offer: offer.bound)
        return self.at(best.band, best.slot, _EXACT_STEPS), offers


def _begins(owner: Rows) -> npt.NDArray[np.bool_]:
    """Where the rows of the next terminal begin."""
    found = np.ones(len(owner), np.bool_)
    np.not_equal(owner[1:], owner[:-1], out=found[1:])
    return found
