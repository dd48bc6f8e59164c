"""Expectation: the joules of an offload, expected over every rate that the link may have.

May import: ``energy``, ``channel``; of this part ``table``.

An offload either is answered in time, or is given up: then its radio has sent until then, and the terminal finishes the
frame itself. With rates r of chance p(r), and *need* the rate at which the answer comes just before the give-up,

    joules = computing + Σ_{r ≥ need} p(r) · (transfer(r) + waiting) + Σ_{r < need} p(r) · (sending until then + finish)

Both sums are running sums over the rates in order, so a point costs one search in them. A radio's joules are taken to
be watts times the seconds of the transfer, and something for each byte, whatever the rate: those of both models are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adaedge.channel import RateSpread
from adaedge.energy import Radio
from adaedge.scheduling.knots import Column
from adaedge.scheduling.table import ANSWER_BYTES, PAYLOAD_BYTES, Table


class Expected(NamedTuple):
    """One row per point.

    Attributes:
        risk: chance that the edge server does not answer in time.
        steady_j: expected joules, changes of the radio's state aside.
    """

    risk: Column
    steady_j: Column


class Known(NamedTuple):
    """What is known of the points at one rate; the columns may be changed.

    Attributes:
        rate_bps: of the uplink.
        downlink_bps: of the answer; that of the uplink where it is ``None``.
        need_bps: of each point, the rate at which its answer comes just before the give-up; 0 of a local one.
        steady_j: of each point, the joules at these rates, where it is answered.
        given_up_j: of each point, the joules where it is not.
    """

    rate_bps: float
    downlink_bps: float | None
    need_bps: Column
    steady_j: Column
    given_up_j: Column


def expected(table: Table, radio: Radio, spread: RateSpread, known: Known) -> Expected:
    """Chances and joules over a spread of rates.

    Args:
        table: the points.
        radio: the terminal's.
        spread: of the rates.
        known: of the points at one rate.
    """
    columns, rate_bps = table.columns, known.rate_bps
    place = spread.rates_bps.searchsorted(known.need_bps)
    risk = spread.below[place]
    # A local point needs no rate, so it is never given up, and its row stays as it is.
    found_j = known.given_up_j
    found_j -= known.steady_j
    found_j *= risk
    found_j += known.steady_j
    # What a bit takes at the rates that are fast enough, in place of what it takes at the rate of the prediction.
    seconds = spread.seconds_below[-1] - 1.0 / rate_bps - spread.seconds_below[place]
    seconds += risk / rate_bps
    bits_w = (8.0 * float(radio.sending_j(0.0, 1.0))) * columns[PAYLOAD_BYTES]
    if known.downlink_bps is None:
        # A byte received, but for what no rate changes.
        slow_j, fast_j = radio.downlink_j(1.0, rate_bps * np.array([1.0, 2.0]))
        bits_w += 2 * rate_bps * float(slow_j - fast_j) * columns[ANSWER_BYTES]
    bits_w *= seconds
    found_j += bits_w
    return Expected(risk, found_j)
