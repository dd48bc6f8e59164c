"""One product weighs all points: it must say what the formulas say, written again point by point."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adaedge.channel import RateEstimate
from adaedge.energy import NR_DRX, NR_DRX_FAST_RELEASE, NR_LOW_BAND, WIFI_2012, ComputePower, EnergyModel
from adaedge.errors import EnergyError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import Fixed, Limits, Scheduler, Table, predict
from adaedge.scheduling.prediction import next_regret_j

CHANGES = (0.02, 0.3, 1.0)


def profile(seed: int, points: int = 12) -> Profile:
    """Two local points, and offloads of which every other has a codec with a state."""
    rng = np.random.default_rng(seed)

    def cost(payload_bytes: float) -> Cost:
        head_s, encode_s, decode_s, tail_s, finish_s = 0.1 * rng.random(5)
        return Cost(head_s, encode_s, payload_bytes, decode_s, tail_s, 4e3 * rng.random(), finish_s)

    costs = {OperatingPoint("output"): Cost(0.15), OperatingPoint("output", width=0.5): Cost(0.09, accuracy=0.9)}
    costs |= {OperatingPoint(f"blocks.{i}", codec="u4"): cost(4e4 * rng.random()) for i in range(points)}
    after = {point: tuple(cost(100.0 * (1 + k)) for k in range(2)) for point in list(costs)[2::2]}
    return Profile(costs, "", "", "", CHANGES, after)


def worked(point, cost, limits, has_local_fallback, energy, link, idle_s, regret_j, downlink_bps):
    """Latency, late latency, risk, joules, steady joules, whether on time: in the words of ``prediction``."""
    radio, left_j = energy.radio, energy.radio.idle_j(idle_s, math.inf)
    sleep_j = max(0.0, left_j - max(0.0, regret_j)) / limits.horizon_frames
    if point.is_local:
        steady_j = energy.local(cost.terminal_s).total_j
        return cost.head_s, cost.head_s, 0.0, steady_j + sleep_j, steady_j, cost.head_s <= limits.deadline_s
    low_bps, down_bps = min(link.low_bps, link.rate_bps), downlink_bps or link.rate_bps
    wake_s, wait_s = radio.ready_s(idle_s), link.round_trip_s + cost.edge_s
    hold_s = radio.hold_s(wait_s)
    fixed_s = cost.terminal_s + wake_s + wait_s + hold_s
    latency_s = fixed_s + 8 * cost.payload_bytes / link.rate_bps + 8 * cost.answer_bytes / down_bps
    pessimistic_latency_s = (
        fixed_s + 8 * cost.payload_bytes / low_bps + 8 * cost.answer_bytes / (downlink_bps or low_bps)
    )
    finishes = cost.terminal_s + cost.finish_s + limits.margin_s <= limits.deadline_s
    timeout_s = limits.deadline_s - cost.finish_s - limits.margin_s if finishes else limits.deadline_s
    window_s = max(1e-9, timeout_s - fixed_s)
    if downlink_bps:
        needed_bps = 8 * cost.payload_bytes / max(1e-9, window_s - 8 * cost.answer_bytes / downlink_bps)
    else:
        needed_bps = 8 * (cost.payload_bytes + cost.answer_bytes) / window_s
    odds = min(needed_bps / link.rate_bps, 1e3) ** (1.702 / max(0.1, math.log(link.rate_bps / low_bps)))
    risk = odds / (1 + odds)
    gap_s = max(0.0, limits.period_s + wake_s + cost.terminal_s - latency_s)
    spent = energy.offload(
        cost.terminal_s,
        cost.payload_bytes,
        link.rate_bps,
        wait_s + hold_s,
        answer_bytes=cost.answer_bytes,
        downlink_bps=downlink_bps,
        gap_s=gap_s,
    )
    sending_s = max(0.0, timeout_s - (fixed_s - hold_s) - 8 * cost.payload_bytes / link.rate_bps)
    steady_j = spent.total_j + risk * (energy.compute.busy_w * cost.finish_s + radio.sending_j(0, 1.0) * sending_s)
    steady_j += radio.ready_j(gap_s)  # the radio is woken for every frame
    leftover_j = radio.idle_j(gap_s, math.inf) if left_j <= 0 else 0.0
    wake_j = radio.ready_j(idle_s) - radio.ready_j(gap_s) + leftover_j + min(0.0, regret_j)
    energy_j = steady_j + max(0.0, wake_j) / limits.horizon_frames
    may = finishes or not has_local_fallback
    return (
        latency_s,
        pessimistic_latency_s,
        risk,
        energy_j,
        steady_j,
        may and (latency_s if has_local_fallback else pessimistic_latency_s) <= timeout_s,
    )


@pytest.mark.parametrize("radio", [WIFI_2012, NR_LOW_BAND, NR_DRX, NR_DRX_FAST_RELEASE], ids=lambda radio: radio.name)
@pytest.mark.parametrize("period_s", [0.2, 15.0, math.inf])
@pytest.mark.parametrize("deadline_s", [0.05, 0.25])
def test_each_row_is_what_the_formulas_say(radio, period_s, deadline_s):
    energy, limits = EnergyModel(ComputePower(4.0, wait_w=0.5), radio), Limits.of(deadline_s, period_s=period_s)
    for seed in range(8):
        costs = profile(seed)
        table, rng = Table.build(costs, limits), np.random.default_rng(seed)
        rate_bps = 10 ** rng.uniform(5, 8)
        link = RateEstimate(rate_bps, rate_bps * rng.random(), 0.02 * rng.random())
        for idle_s, regret_j, downlink_bps in (
            (math.inf, 0.0, None),
            (math.inf, -0.4, 3e7),
            (0.1, 0.2, None),
            (0.1, -1, 1e6),
        ):
            found = predict(table, energy, link, idle_s=idle_s, regret_j=regret_j, downlink_bps=downlink_bps)
            rows = zip(
                found.latency_s,
                found.pessimistic_latency_s,
                found.risk,
                found.energy_j,
                found.steady_j,
                found.on_time,
                strict=True,
            )
            for point, row in zip(table.points, rows, strict=True):
                wanted = worked(
                    point, costs[point], limits, table.has_local_fallback, energy, link, idle_s, regret_j, downlink_bps
                )
                assert row == pytest.approx(wanted, rel=1e-9, abs=1e-12), point


def test_each_row_is_what_the_profile_says_of_its_change_and_its_stream():
    for seed in range(8):
        costs, rng = profile(seed), np.random.default_rng(seed)
        table = Table.build(costs, Limits.of(0.25))
        changes = {point: float(rng.choice([0.0, 0.1, 0.5, 1.0])) for point in costs if rng.random() < 0.7}
        ratios = {point: float(2 * rng.random()) for point in costs if rng.random() < 0.5}
        found = table.at(changes, ratios)
        for row, point in enumerate(table.points):
            change = changes.get(point, 1.0)
            wanted = costs.at(point, change)
            stateful = point in costs.next_costs and point in changes
            sent = 1 + (ratios.get(point, 1.0) - 1) * (1 - change) if stateful else 1.0
            columns = found.terminal_s[row], found.edge_s[row], found.payload_bytes[row]
            assert columns == pytest.approx((wanted.terminal_s, wanted.edge_s, wanted.payload_bytes * sent), rel=1e-12)
            kept = found.answer_bytes[row], found.timeout_s[row]
            assert kept == (table.answer_bytes[row], table.timeout_s[row])


def test_a_scheduler_decides_for_each_stream_as_if_there_were_no_other():
    """It remembers which points the frame before named, in what order; that must change nothing."""
    costs, rng = profile(3), np.random.default_rng(3)
    energy, link, points = (
        EnergyModel(ComputePower(4.0), WIFI_2012),
        RateEstimate(4e6, 2e6),
        list(profile(3).next_costs),
    )
    one = Scheduler(costs, energy, deadline_s=0.25, policy=Fixed(points[0]))
    seen = set()
    for frame in range(60):
        named = [points[index] for index in rng.permutation(len(points))[:3]]
        changes = {point: float(rng.choice([0.05, 0.6])) for point in named}
        ratios = {point: float(1 + rng.random()) for point in named[: frame % 3]}
        other = Scheduler(costs, energy, deadline_s=0.25, policy=Fixed(points[0]))
        other.state = one.state
        found = one.choose(link, 0.25 * frame, changes, ratios)
        assert found == other.choose(link, 0.25 * frame, changes, ratios)
        seen.add(found.payload_bytes)
    assert len(seen) > 10


def test_regret_is_of_the_best_points_on_time():
    energy, limits = EnergyModel(ComputePower(4.0), NR_LOW_BAND), Limits.of(0.25)
    tail_j = NR_LOW_BAND.tail_w * NR_LOW_BAND.tail_s
    wake_j = NR_LOW_BAND.promotion_w * NR_LOW_BAND.promotion_s + tail_j
    for seed in range(8):
        table = Table.build(profile(seed), limits)
        found = predict(table, energy, RateEstimate(2e7, 1e7), idle_s=1.6)
        best_j = [
            min(found.steady_j[row] for row, p in enumerate(table.points) if found.on_time[row] and p.is_local is local)
            for local in (True, False)
        ]
        for start_j in (0.3, 0.0, -0.3):
            wanted_j = min(tail_j, max(-wake_j, start_j + best_j[1] - best_j[0]))
            assert next_regret_j(found, table, NR_LOW_BAND, start_j) == pytest.approx(wanted_j, rel=1e-9)


def test_a_downlink_without_a_rate_is_refused():
    table = Table.build(profile(0), Limits.of(0.25))
    energy = EnergyModel(ComputePower(4.0), WIFI_2012)
    with pytest.raises(EnergyError, match=r"a link's rate is above 0 bit/s; got 1000000.0 up, -1.0 down"):
        predict(table, energy, RateEstimate(1e6, 1e6), downlink_bps=-1.0)
