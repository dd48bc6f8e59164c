"""Expectation: the joules of an offload, expected over every rate that the link may have.

May import: ``energy``, ``channel``; of this part ``table``.

An offload either is answered in time, or is given up: then its radio has sent until then, and the terminal finishes the
frame itself. With rates r of chance p(r), and *need* the rate at which the answer comes just before the give-up,

    joules = computing + Σ_{r ≥ need} p(r) · (transfer(r) + waiting) + Σ_{r < need} p(r) · (sending until then + finish)

Both sums are running sums over the rates in order, so a point costs one search in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adaedge.channel import RateSpread
from adaedge.energy import EnergyModel
from adaedge.scheduling.knots import Column
from adaedge.scheduling.table import ANSWER_BYTES, FINISH_S, PAYLOAD_BYTES, REMOTE, TERMINAL_S, TIMEOUT_S, Table


class Expected(NamedTuple):
    """One row per point.

    Attributes:
        risk: chance that the edge server does not answer in time.
        steady_j: expected joules, changes of the radio's state aside.
    """

    risk: Column
    steady_j: Column


class Rates(NamedTuple):
    """What the joules that are known were predicted with.

    Attributes:
        rate_bps: of the uplink.
        downlink_bps: of the answer; that of the uplink where it is ``None``.
        wake_s: seconds in which the radio wakes, and does not send.
    """

    rate_bps: float
    downlink_bps: float | None
    wake_s: float


def expected(
    table: Table, energy: EnergyModel, spread: RateSpread, rates: Rates, need_bps: Column, steady_j: Column
) -> Expected:
    """Chances and joules over a spread of rates.

    Args:
        table: the points.
        energy: the terminal's energy model.
        spread: of the rates.
        rates: those that ``steady_j`` is of.
        need_bps: of each point, the rate at which its answer comes just before the give-up.
        steady_j: of each point, the joules at these rates, where it is answered.
    """
    columns, radio = table.columns, energy.radio
    place = spread.rates_bps.searchsorted(need_bps)
    answered = 1.0 - spread.below[place]
    price = energy.prices(rates.rate_bps, rates.downlink_bps)
    up_j = _from(spread, radio.uplink_j(1.0, spread.rates_bps))
    up = up_j[place] - answered * price.uplink_j_per_byte
    computing_j = price.compute_w * columns[TERMINAL_S]
    found_j = answered * (steady_j - computing_j)
    found_j += up * columns[PAYLOAD_BYTES]
    if rates.downlink_bps is None:
        down_j = _from(spread, radio.downlink_j(1.0, spread.rates_bps))
        found_j += (down_j[place] - answered * price.downlink_j_per_byte) * columns[ANSWER_BYTES]
    sending_s = np.maximum(0.0, columns[TIMEOUT_S] - columns[TERMINAL_S] - rates.wake_s)
    failed_j = price.compute_w * columns[FINISH_S] + radio.sending_j(0.0, 1.0) * sending_s
    risk = columns[REMOTE] - columns[REMOTE] * answered
    # A local point needs no rate, so it is always answered, and its row stays as it is.
    return Expected(risk, computing_j + found_j + risk * failed_j)


def _from(spread: RateSpread, value: Column) -> Column:
    """(n + 1,): what a value comes to, over the rates from each on."""
    total = np.zeros(len(value) + 1)
    total[:-1] = (spread.shares * value)[::-1].cumsum()[::-1]
    return total
