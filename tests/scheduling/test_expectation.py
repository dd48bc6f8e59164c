"""Joules expected over a spread of rates: by hand, and against drawing each rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adaedge.channel import RateEstimate, RateSpread
from adaedge.energy import NR_DRX, NR_LOW_BAND, WIFI_2012, ComputePower, EnergyModel, Radio, RadioPower
from adaedge.operating_point import Cost, OperatingPoint
from adaedge.scheduling import ExpectedEnergy, LeastEnergy, Limits, Scheduler, Table, predict

LOCAL, FULL, MID = OperatingPoint("output"), OperatingPoint("input", codec="jpeg@90"), OperatingPoint("b.3", codec="u4")
COSTS = {
    LOCAL: Cost(0.15),
    FULL: Cost(0.0, 0.005, 17e3, 0.002, 0.008, 4e3, finish_s=0.15),
    MID: Cost(0.05, 0.002, 6e3, 0.0, 0.005, 4e3, finish_s=0.1),
}
RADIO = RadioPower("hand", uplink_w=2.0, downlink_w=1.0, tail_s=10.0, tail_w=0.5)
ENERGY = EnergyModel(ComputePower(4.0, wait_w=1.0), RADIO)


def estimate(rates_bps: list[float], shares: list[float]) -> RateEstimate:
    spread = RateSpread(np.array(rates_bps), np.array(shares))
    return RateEstimate(spread.quantile(0.5), spread.quantile(0.1), 0.01, 0.0, spread)


def test_an_offload_by_hand() -> None:
    table = Table.build(COSTS, Limits.of(0.3, period_s=0.2))
    found = predict(table, ENERGY, estimate([0.1e6, 8e6], [0.25, 0.75]), idle_s=1.0)
    # 17 ms payload at 2 W, 4 ms answer at 1 W, 20 ms of waiting at 1.5 W
    answered_j = 2 * 0.017 + 1 * 0.004 + 1.5 * 0.02
    # sending from 5 ms until the give-up at 140 ms, and 150 ms of computing at 4 W
    failed_j = 2 * 0.135 + 4 * 0.15
    idle_j = 0.5 * (0.2 - 0.046 + 0.005)
    assert found.steady_j[1] == pytest.approx(4 * 0.005 + 0.75 * answered_j + 0.25 * failed_j + idle_j)
    assert found.risk.tolist() == pytest.approx([0.0, 0.25, 0.25])
    assert found.steady_j[0] == pytest.approx(0.6), "a local run needs no link"


@pytest.mark.parametrize("radio", [WIFI_2012, NR_LOW_BAND, NR_DRX], ids=lambda radio: radio.name)
@pytest.mark.parametrize("downlink_bps", [None, 5e6])
def test_the_sums_are_those_over_each_rate(radio: Radio, downlink_bps: float | None) -> None:
    energy = EnergyModel(ComputePower(4.0, wait_w=0.5), radio)
    table, rng = Table.build(COSTS, Limits.of(0.3, period_s=0.2)), np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(9))
    known = estimate(sorted(np.exp(rng.uniform(math.log(2e5), math.log(3e7), 9))), list(shares))
    assert known.spread is not None
    found = predict(table, energy, known, idle_s=0.5, downlink_bps=downlink_bps)
    wake_s = float(radio.ready_s(0.5))
    for row, cost in enumerate(COSTS.values()):
        if not row:
            continue
        timeout_s, wait_s = 0.3 - cost.finish_s - 0.01, 0.01 + cost.edge_s
        hold_s = float(radio.hold_s(wait_s))
        total_j = risk = 0.0
        for rate_bps, share in zip(known.spread.rates_bps, shares, strict=True):
            down_bps = downlink_bps or rate_bps
            took_s = 8 * cost.payload_bytes / rate_bps + 8 * cost.answer_bytes / down_bps
            if cost.terminal_s + wake_s + took_s + wait_s + hold_s <= timeout_s:
                args = (cost.terminal_s, cost.payload_bytes, rate_bps, wait_s + hold_s)
                spent = energy.offload(*args, answer_bytes=cost.answer_bytes, downlink_bps=downlink_bps, gap_s=0.0)
                total_j += share * spent.total_j
            else:
                sending_s = timeout_s - cost.terminal_s - wake_s
                total_j += share * (4.0 * cost.terminal_s + 4.0 * cost.finish_s + radio.sending_j(0, 1.0) * sending_s)
                risk += share
        gap_s = max(0.0, 0.2 + wake_s + cost.terminal_s - found.latency_s[row])
        total_j += radio.idle_j(0.0, gap_s) + radio.ready_j(gap_s)
        assert found.risk[row] == pytest.approx(risk)
        assert found.steady_j[row] == pytest.approx(total_j, rel=1e-6)


def test_a_certain_rate_costs_what_it_costs_without_a_spread() -> None:
    table = Table.build(COSTS, Limits.of(0.3, period_s=0.2))
    sure = predict(table, ENERGY, estimate([8e6], [1.0]), idle_s=1.0)
    plain = predict(table, ENERGY, RateEstimate(8e6, 8e6, 0.01), idle_s=1.0)
    assert sure.steady_j == pytest.approx(plain.steady_j, rel=1e-3), "but for the chance of a time-out"
    assert sure.risk.max() == 0.0
    assert sure.on_time.all()
    assert sure.at_the_estimate.steady_j == pytest.approx(plain.steady_j)
    assert plain.at_the_estimate is plain


def test_no_rate_in_time_is_not_on_time() -> None:
    table = Table.build(COSTS, Limits.of(0.3, period_s=0.2))
    found = predict(table, ENERGY, estimate([0.1e6, 0.2e6], [0.5, 0.5]), idle_s=1.0)
    assert found.on_time.tolist() == [True, False, False]


def test_expected_and_estimated_energy_choose_differently() -> None:
    # At the median all is well; but one upload in three takes ten times as long, so the smaller payload is the better.
    link = estimate([1.0e6, 9e6, 11e6], [0.45, 0.2, 0.35])
    told = {"deadline_s": 0.3, "period_s": 0.2}
    expected = Scheduler(COSTS, ENERGY, policy=ExpectedEnergy(), **told).choose(link, 0.0)
    estimated = Scheduler(COSTS, ENERGY, policy=LeastEnergy(), **told).choose(link, 0.0)
    assert estimated.point == FULL
    assert expected.point == MID


def test_where_nothing_catches_a_slow_upload_the_chance_of_a_miss_is_bounded() -> None:
    costs = {FULL: Cost(0.0, 0.005, 17e3, 0.002, 0.008, 4e3, finish_s=0.5), MID: Cost(0.06, 0.0, 6e3, finish_s=0.5)}
    link = estimate([1e6, 9e6, 10e6, 11e6], [0.05, 0.45, 0.25, 0.25])
    scheduler = Scheduler(costs | {LOCAL: Cost(0.5)}, ENERGY, deadline_s=0.15, period_s=0.2)
    assert scheduler.choose(link, 0.0).point == MID
    brave = Scheduler(
        costs | {LOCAL: Cost(0.5)}, ENERGY, deadline_s=0.15, period_s=0.2, policy=ExpectedEnergy(miss=0.5)
    )
    assert brave.choose(link, 0.0).point == FULL
