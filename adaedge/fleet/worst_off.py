"""Worst-off: the division in which the terminal that draws most of its battery draws as little as can be.

May import: of this part ``prices``, ``settlement``. Pure NumPy.

Below a limit θ of joules a second, a way has to keep ``energy + w·t + v·u ≤ θ`` beside its deadline. What it then asks
for at a price ratio ρ of band and slots, ``ρ·upload/t + edge/u``, is least where only the deadline binds
(t : u = √(ρ·upload) : √edge), where only the joules do, or where both do. If the sum of the least is above
``ρ + slots`` for one ρ, no division keeps θ; if for one ρ the ways ask for no more than there is, this one does.
Between the two θ is bisected.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from adaedge.fleet.prices import Floats, Market, Rows, Times, Ways, used
from adaedge.fleet.settlement import Settled, settle

_RATIOS = np.exp(np.linspace(-6.0, 6.0, 25))
_HALVINGS = 14


class _Kept(NamedTuple):
    """A limit that is kept."""

    rows: Rows
    times: Times


def settle_worst(market: Market, batteries_j: Floats) -> tuple[Settled, float]:
    """Each terminal's way and times, and what the worst-off draws at least, in batteries a second.

    What those who need it leave is divided among the others for the least sum.

    Args:
        market: all ways.
        batteries_j: of each terminal.
    """
    local = market.ways.spent[market.locals] / batteries_j
    alone = np.minimum.reduceat(
        market.ways.spent + _least_w(market.ways), market.locals
    ) / batteries_j  # fmt: skip
    low, high = float(alone.max()), float(local.max())
    kept = _keep(market, low * batteries_j * (1 + 1e-9))[0]
    if kept is not None:
        return _with_rest(market, kept), low
    kept = _keep(market, high * batteries_j * (1 + 1e-9))[0]
    assert kept is not None  # everybody local
    bound = low
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high) if low > 0 else 0.5 * high
        tried, impossible = _keep(market, middle * batteries_j)
        bound = middle if impossible else bound
        low, high = (middle, high) if tried is None else (low, middle)
        kept = kept if tried is None else tried
    return _with_rest(market, kept), bound


def _least_w(ways: Ways) -> Floats:
    return ways.upload_w * ways.upload_s + ways.wait_w * ways.edge_s


def _keep(market: Market, limits: Floats) -> tuple[_Kept | None, bool]:
    """Ways and times that keep the terminals' limits, if any are found, and whether there can be none."""
    ways, slots = market.ways, market.slots
    room = limits[market.owner] - ways.spent
    possible = (room >= _least_w(ways)) & (ways.left_s >= ways.upload_s + ways.edge_s)
    times = _least_asked(ways, np.where(possible, room, 2 * _least_w(ways)), _RATIOS[:, None])
    # A way that sends nothing asks for nothing, and is in the first place.
    asked = _RATIOS[:, None] * ways.upload_s / times.upload_s + ways.edge_s / times.edge_s
    asked[:, ~possible] = np.inf
    asked[:, market.locals[possible[market.locals]]] = 0.0
    least = np.minimum.reduceat(asked, market.locals, axis=1)
    if not np.isfinite(least).all() or (least.sum(1) > _RATIOS + slots).any():
        return None, True
    rows = np.array([_cheapest_rows(asked[at], least[at], market) for at in range(len(_RATIOS))])
    places = np.arange(len(_RATIOS))[:, None]
    picked = Times(times.upload_s[places, rows], times.edge_s[places, rows])
    band_used, slots_used = used(ways.at(rows), picked)
    over = np.maximum(band_used, slots_used / slots)
    at = int(over.argmin())
    return (_Kept(rows[at], Times(*(part[at] for part in picked))) if over[at] <= 1 else None), False


def _cheapest_rows(asked: Floats, least: Floats, market: Market) -> Rows:
    rows = np.flatnonzero(asked == least[market.owner])
    first = np.ones(len(rows), np.bool_)
    first[1:] = market.owner[rows[1:]] != market.owner[rows[:-1]]
    return rows[first]


def _least_asked(ways: Ways, room: Floats, ratio: Floats) -> Times:
    """The times within deadline and joules that ask for the least, (ratios, ways)."""
    root_p, root_q = np.sqrt(ratio * ways.upload_s), np.sqrt(ways.edge_s)
    root_w, root_v = np.sqrt(ways.upload_w), np.sqrt(ways.wait_w)
    by_deadline = ways.left_s * root_p / (root_p + root_q)
    by_joules = room * root_p / root_w / (root_p * root_w + root_q * root_v)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_both = (room - ways.wait_w * ways.left_s) / (ways.upload_w - ways.wait_w)
    keeps_joules = ways.upload_w * by_deadline + ways.wait_w * (ways.left_s - by_deadline) <= room
    keeps_deadline = by_joules + (room - ways.upload_w * by_joules) / ways.wait_w <= ways.left_s
    upload_s = np.where(keeps_joules, by_deadline, np.where(keeps_deadline, by_joules, np.nan_to_num(by_both)))
    most_s = np.minimum(ways.left_s - ways.edge_s, (room - ways.wait_w * ways.edge_s) / ways.upload_w)
    upload_s = np.minimum(np.maximum(upload_s, ways.upload_s), most_s)
    edge_s = np.minimum(ways.left_s - upload_s, (room - ways.upload_w * upload_s) / ways.wait_w)
    return Times(upload_s, np.maximum(edge_s, ways.edge_s))


def _with_rest(market: Market, kept: _Kept) -> Settled:
    """What is left divided among those that send nothing."""
    rows, times = kept
    ways = market.ways.at(rows)
    sends = rows != market.locals
    band_used, slots_used = used(ways.at(sends), Times(*(part[sends] for part in times)))
    band, slots = 1 - float(band_used), market.slots - float(slots_used)
    others = np.flatnonzero(~sends)
    if len(others) and band > 1e-6 and slots > 1e-6:
        left = np.flatnonzero(~sends[market.owner])
        rest = market.ways.at(left)
        # A share of what is left of the band is so much smaller than one of the whole.
        rest = Ways(rest.spent, np.where(rest.upload_s > 1e-8, rest.upload_s / band, rest.upload_s), *rest.columns[2:])
        fits = rest.upload_s + rest.edge_s <= rest.left_s
        left, rest = left[fits], rest.at(fits)
        inner = Market(rest, np.searchsorted(others, market.owner[left]), slots)
        found, _ = settle(inner)
        rows = rows.copy()
        rows[others] = left[inner.kept[found.rows]]
        for whole, part in zip(times, found.times, strict=True):
            whole[others] = part
    return Settled(rows, times, float("nan"))
