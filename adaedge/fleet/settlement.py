"""Settlement: exact shares for ways that are picked, and better ways while there are any.

May import: of this part ``prices``. Pure NumPy; many picks of ways are looked at in one go, a row each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from adaedge.fleet.prices import NEAR, Floats, Market, Offer, Rows, Times, Ways, spent, times_at, used

_ROUNDS, _SINGLE, _FEW, _PAIRS = 2, 16, 9, 24
_HALVINGS, _FILLINGS = 6, 3


class Settled(NamedTuple):
    """Shares of picked ways.

    Attributes:
        rows: each terminal's way.
        times: how long its upload and its computing may take.
        total: what all come to.
    """

    rows: Rows
    times: Times
    total: float


def settle(market: Market) -> tuple[Settled, float]:
    """Each terminal's way and times, and the bound."""
    best, offers = market.search()
    found = cheapest(market, _first(market, best, offers), best)
    for _ in range(_ROUNDS):
        if found.total <= best.bound * (1 + NEAR):
            break
        tried = cheapest(market, _changed(market, found.rows, best.costs), best)
        if tried.total >= found.total:
            break
        found = tried
    return found, best.bound


def _first(market: Market, best: Offer, offers: Iterable[Offer]) -> Rows:
    """Picks to begin with: those of all prices that were looked at, and what lies between the best and one that fits.

    Terminals that are alike change their way at one price, so they are taken one after another.
    """
    fitting = [offer for offer in offers if max(offer.over) <= 1]
    fits = max(fitting, key=lambda offer: offer.bound).rows if fitting else market.locals
    differ = np.flatnonzero(best.rows != fits)
    gains = best.costs[fits[differ]] - best.costs[best.rows[differ]]
    order = differ[np.argsort(-gains, kind="stable")]
    between = np.repeat(fits[None], len(order) + 1, 0)
    for count, at in enumerate(order):
        between[count + 1 :, at] = best.rows[at]
    picks = {pick.tobytes(): pick for pick in (market.locals, *between, *(offer.rows for offer in offers))}
    return np.array([*picks.values()])


def _changed(market: Market, rows: Rows, costs: Floats) -> Rows:
    """Picks in which one terminal or two have another way: those that cost the least more at the best prices."""
    more = costs - costs[rows][market.owner]
    more[rows] = np.inf
    order = np.argsort(more)[:_SINGLE]
    order = order[np.isfinite(more[order])]
    one, two = np.triu_indices(min(_FEW, len(order)), 1)
    apart = market.owner[order[one]] != market.owner[order[two]]
    one, two = order[one[apart]], order[two[apart]]
    nearest = np.argsort(more[one] + more[two])[:_PAIRS]
    picks = np.repeat(rows[None], len(order) + len(nearest), 0)
    picks[np.arange(len(order)), market.owner[order]] = order
    for ways in (one[nearest], two[nearest]):
        picks[len(order) + np.arange(len(nearest)), market.owner[ways]] = ways
    return np.concatenate([rows[None], picks])


def cheapest(market: Market, picks: Rows, prices: Offer) -> Settled:
    """The best shares for the best of several picks of ways, (picks, terminals); the last resort is all local."""
    ways, slots = market.ways.at(picks), market.slots
    tight = tightest(ways, slots)
    fits = np.flatnonzero(_over(ways, tight, slots) <= 1)
    ways, picks = ways.at(fits), picks[fits]
    times = _within(ways, times_at(ways, prices.band, prices.slot), Times(*(part[fits] for part in tight)), slots)
    upload_s = _filled(ways.upload_s, ways.upload_w, ways.left_s - times.edge_s, 1.0, times.upload_s)
    times = Times(upload_s, _filled(ways.edge_s, ways.wait_w, ways.left_s - upload_s, slots, times.edge_s))
    totals = spent(ways, times).sum(-1)
    at = int(totals.argmin())
    return Settled(picks[at], Times(*(part[at] for part in times)), float(totals[at]))


def tightest(ways: Ways, slots: float) -> Times:
    """The times that ask for as equal a part of band and slots as can be, every deadline used up.

    With t : u = ρ√upload : √edge the least is asked for at a price ratio of ρ², and both are equal where a quadratic in
    ρ is 0. Where a bound of t binds, the ratio is corrected by what is asked for.
    """
    root_p, root_q = np.sqrt(ways.upload_s), np.sqrt(ways.edge_s)
    most_s, hurry = ways.left_s - ways.edge_s, 1 / ways.left_s
    both = (root_p * root_q * hurry).sum(-1, keepdims=True)
    band = (ways.upload_s * hurry).sum(-1, keepdims=True)
    slot = (ways.edge_s * hurry).sum(-1, keepdims=True) / slots
    half = 0.5 * (slot - band) / (both / slots)
    ratio = np.sqrt(half * half + slots) - half
    for _ in range(3):
        part = ratio * root_p
        upload_s = np.minimum(np.maximum(ways.left_s * (part / (part + root_q)), ways.upload_s), most_s)
        times = Times(upload_s, ways.left_s - upload_s)
        band_used, slots_used = used(ways, times)
        ratio = ratio * np.clip(band_used / slots_used * slots, 0.25, 4.0)[..., None]
    return times


def _over(ways: Ways, times: Times, slots: float) -> Floats:
    band_used, slots_used = used(ways, times)
    over: Floats = np.maximum(band_used, slots_used / slots)
    return over


def _within(ways: Ways, wanted: Times, tight: Times, slots: float) -> Times:
    """As near to the wanted times as there is band and slots for: what they ask for is convex on the way there."""
    over = _over(ways, wanted, slots) > 1
    low, high = np.zeros(len(over)), np.where(over, 1.0, 0.0)
    for _ in range(_HALVINGS):
        part = 0.5 * (low + high)
        more = _over(ways, _mixed(wanted, tight, part), slots) > 1
        low, high = np.where(more, part, low), np.where(more, high, part)
    return _mixed(wanted, tight, high)


def _mixed(first: Times, second: Times, part: Floats) -> Times:
    share = part[:, None]
    return Times(*((1 - share) * a + share * b for a, b in zip(first, second, strict=True)))


def _filled(least_s: Floats, watts: Floats, most_s: Floats, whole: float, before: Floats) -> Floats:
    """The cheapest times for one thing alone that ask for no more of it than there is; those before where none do.

    A time t asks for ``least / t`` and costs ``watts · t``, so t = √(price · least / watts) within its bounds: the dual
    bisection of a price, in closed form once it is known which times are at a bound.
    """
    root, most_s = np.sqrt(least_s / watts), np.maximum(most_s, least_s)
    asked = np.sqrt(least_s * watts)
    free = np.ones(root.shape, np.bool_)
    at_bound = np.zeros_like(root)
    for _ in range(_FILLINGS):
        left = np.maximum(whole - at_bound.sum(-1, keepdims=True), 1e-6 * whole)
        wanted = (free * asked).sum(-1, keepdims=True) / left * root
        times = np.minimum(np.maximum(wanted, least_s), most_s)
        free = times == wanted
        at_bound = np.where(free, 0.0, least_s / times)
    over = (least_s / times).sum(-1, keepdims=True) / whole
    return np.where(over > 1 + 1e-12, before, times)
