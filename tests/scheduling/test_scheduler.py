"""Law 6: the deadline is met whenever some point can, nothing chosen is dominated; hand-worked numbers pin formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.channel import RateEstimate
from adaedge.energy import ComputePower, EnergyModel, Provenance, RadioPower
from adaedge.errors import ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import (
    Choice,
    Fixed,
    LeastEnergy,
    LeastLatency,
    Limits,
    ProbePlan,
    Scheduler,
    State,
    Table,
    offload_timeout_s,
    predict,
)
from adaedge.scheduling.prediction import next_regret_j

LOCAL = OperatingPoint("output")
SMALL = OperatingPoint("output", width=0.5)
FULL = OperatingPoint("input", codec="jpeg@90")
MID = OperatingPoint("blocks.3", codec="u4")

ROUND = RadioPower(
    "round figures",
    uplink_w_per_bps=1e-7,
    uplink_w=2.0,
    downlink_w_per_bps=1e-8,
    downlink_w=1.0,
    promotion_s=0.05,
    promotion_w=1.0,
    tail_s=10.0,
    tail_w=0.5,
    provenance=dict.fromkeys(
        (
            "uplink_w_per_bps",
            "uplink_w",
            "downlink_w_per_bps",
            "downlink_w",
            "promotion_s",
            "promotion_w",
            "tail_s",
            "tail_w",
        ),
        Provenance.ASSUMED,
    ),
    source="chosen to be worked by hand",
)
TAILLESS = replace(ROUND, promotion_s=0.0, tail_s=0.0)
COMPUTE = ComputePower(busy_w=4.0, wait_w=1.0)
ENERGY = EnergyModel(COMPUTE, ROUND)
CHEAP = EnergyModel(COMPUTE, TAILLESS)


def costs() -> dict[OperatingPoint, Cost]:
    return {
        LOCAL: Cost(head_s=0.15),
        FULL: Cost(0.0, 0.005, payload_bytes=17e3, decode_s=0.002, tail_s=0.008, answer_bytes=4e3, finish_s=0.15),
        MID: Cost(0.05, 0.002, payload_bytes=6e3, tail_s=0.005, answer_bytes=4e3, finish_s=0.1, accuracy=0.96),
        SMALL: Cost(head_s=0.06, accuracy=0.9),
    }


def profile(table: dict[OperatingPoint, Cost] | None = None) -> Profile:
    return Profile(costs() if table is None else table, bundle="00" * 32, terminal="hand", edge="hand")


def link(mbps: float, low: float | None = None, round_trip_s: float = 0.01, time_s: float = 0.0) -> RateEstimate:
    return RateEstimate(mbps * 1e6, (mbps if low is None else low) * 1e6, round_trip_s, time_s)


# One hand-worked number pins each formula.


def test_latency_by_hand() -> None:
    table = Table.build(profile(), Limits(0.2, period_s=0.2))
    awake = predict(table, ENERGY, link(8, low=4), idle_s=5.0)
    # 5 ms encode + 17 ms payload at 8 Mbit/s + 10 ms round trip + 10 ms edge + 4 ms answer
    assert awake.latency_s[1] == pytest.approx(0.046)
    # at 4 Mbit/s payload and answer take twice as long
    assert awake.pessimistic_latency_s[1] == pytest.approx(0.067)
    asleep = predict(table, ENERGY, link(8, low=4), idle_s=math.inf)
    assert asleep.latency_s[1] == pytest.approx(0.096), "waking the radio takes 50 ms"
    assert asleep.latency_s[0] == awake.latency_s[0] == 0.15, "no radio in a local run"
    down = predict(table, ENERGY, link(8), idle_s=5.0, downlink_bps=32e6)
    assert down.latency_s[1] == pytest.approx(0.043)


def test_energy_of_an_offload_by_hand() -> None:
    table = Table.build(profile(), Limits(0.5, period_s=0.2, horizon_s=20.0))
    # compute 4 W · 5 ms; transmit (1e-7·8e6 + 2) W · 17 ms; receive (1e-8·8e6 + 1) W · 4 ms; wait (0.5 + 1) W · 20 ms
    transfer_j = 0.02 + 2.8 * 0.017 + 1.08 * 0.004 + 1.5 * 0.02
    gap_s = 0.2 - 0.046 + 0.005
    steady_j = transfer_j + 0.5 * gap_s
    # what the tail still costs after the last of 100 frames, and one promotion of 1 W · 50 ms
    leftover_j = 0.5 * (10 - gap_s) / 100
    assert predict(table, ENERGY, link(8), idle_s=1.0).energy_j[1] == pytest.approx(steady_j)
    assert predict(table, ENERGY, link(8), idle_s=math.inf).energy_j[1] == pytest.approx(steady_j + leftover_j + 0.0005)


def test_energy_of_a_local_run_by_hand() -> None:
    table = Table.build(profile(), Limits(0.2, period_s=0.2, horizon_s=20.0))
    assert predict(table, ENERGY, link(8), idle_s=math.inf).energy_j[0] == pytest.approx(0.6)
    # the radio stays awake for 9 s more, spread over 100 frames
    assert predict(table, ENERGY, link(8), idle_s=1.0).energy_j[0] == pytest.approx(0.6 + 0.5 * 9 / 100)


def test_frames_rarer_than_the_tail_pay_a_promotion_and_a_tail_each() -> None:
    table = Table.build(profile(), Limits(0.5, period_s=60.0))
    transfer_j = 0.02 + 2.8 * 0.017 + 1.08 * 0.004 + 1.5 * 0.02
    assert predict(table, ENERGY, link(8)).energy_j[1] == pytest.approx(transfer_j + 0.5 * 10 + 0.05)


def test_risk_by_hand() -> None:
    table = Table.build(profile(), Limits(0.2, period_s=0.2))
    # FULL gives up at 40 ms; 5 ms encode, 10 ms edge, 10 ms round trip leave 15 ms for 21 kB: 11.2 Mbit/s are needed.
    assert predict(table, CHEAP, link(11.2)).risk[1] == pytest.approx(0.5)
    # low = rate / 2: needed / rate = 2 to the power of 1.702 / ln 2
    odds = 2 ** (1.702 / math.log(2))
    predictions = predict(table, CHEAP, link(5.6, low=2.8))
    assert predictions.risk[1] == pytest.approx(odds / (1 + odds))
    assert predictions.risk[0] == 0.0
    # With an answer at 16 Mbit/s (2 ms), 17 kB have 13 ms: 10.46 Mbit/s.
    answered = predict(table, CHEAP, link(8 * 17 / 13), downlink_bps=16e6)
    assert answered.risk[1] == pytest.approx(0.5)


def test_a_failure_costs_the_local_finish_and_a_radio_that_sends_for_nothing() -> None:
    table = Table.build(profile(), Limits(0.2, period_s=0.2))
    # all well: compute 0.02 J, transmit (1e-7·11.2e6 + 2) W · 12.14 ms, receive 1.112 W · 2.857 ms, wait 1.5 W · 20 ms
    well_j = 0.02 + 3.12 * 8 * 17e3 / 11.2e6 + 1.112 * 8 * 4e3 / 11.2e6 + 1.5 * 0.02
    # in vain, in one case of two: 4 W · 150 ms, and 2 W while the window of 15 ms is longer than the upload
    wasted_j = 0.6 + 2.0 * (0.015 - 8 * 17e3 / 11.2e6)
    assert predict(table, CHEAP, link(11.2)).energy_j[1] == pytest.approx(well_j + 0.5 * wasted_j)


def test_offload_timeout_by_hand() -> None:
    assert offload_timeout_s(costs()[MID], 0.2, 0.01) == pytest.approx(0.09)
    assert offload_timeout_s(costs()[FULL], 0.2, 0.05) == 0.2, (
        "no local finish can be in time: wait for the edge server"
    )
    scheduler = Scheduler(profile(), ENERGY, deadline_s=0.2)
    assert scheduler.timeout_s(MID) == pytest.approx(0.09)


# The decision.


def test_takes_the_least_energy_and_says_why() -> None:
    scheduler = Scheduler(profile(), CHEAP, deadline_s=0.2, accuracy_floor=0.95)
    decision = scheduler.choose(link(40), now_s=0.0)
    assert decision.point == FULL
    assert decision.reasons == (
        "least energy of 3 points that meet 0.200 s and 0.95",
        "1 point is below the accuracy floor",
    )
    assert decision.rate_bps == 40e6
    assert decision.accuracy == 1.0


def test_of_points_that_cost_the_same_the_most_accurate_is_taken() -> None:
    same = {SMALL: Cost(head_s=0.06, accuracy=0.9), LOCAL: Cost(head_s=0.06)}
    assert Scheduler(profile(same), CHEAP, deadline_s=0.2).choose(None, now_s=0.0).point == LOCAL


def test_where_a_local_finish_is_in_time_the_expected_rate_decides_and_the_risk_is_told() -> None:
    scheduler = Scheduler(profile(), CHEAP, deadline_s=0.2, accuracy_floor=0.97)
    decision = scheduler.choose(link(12, low=10), now_s=0.0)
    assert decision.point == FULL
    assert decision.reasons == (
        "least energy of 2 points that meet 0.200 s and 0.97",
        "the edge server answers in time with a chance of 66 %",
        "2 points are below the accuracy floor",
    )
    decision = scheduler.choose(link(1.2), now_s=0.2)
    assert decision.point == LOCAL
    assert decision.reasons == (
        "least energy of 1 point that meets 0.200 s and 0.97",
        "1 point misses the deadline at 1.2 Mbit/s",
        "2 points are below the accuracy floor",
    )


def test_a_doubtful_link_is_left_alone() -> None:
    near = {LOCAL: Cost(head_s=0.05), FULL: Cost(0.0, 0.015, payload_bytes=17e3, finish_s=0.05)}
    scheduler = Scheduler(profile(near), CHEAP, deadline_s=0.12, policy=LeastEnergy(hysteresis=0.0))
    assert scheduler.choose(link(5), now_s=0.0).point == FULL
    assert scheduler.choose(link(5, low=0.05), now_s=0.1).point == LOCAL


def test_where_no_local_run_fits_the_low_rate_decides() -> None:
    scheduler = Scheduler(profile(), CHEAP, deadline_s=0.1, accuracy_floor=0.97)
    assert (
        scheduler.choose(link(8, low=4), now_s=0.0).reasons[0] == "least energy of 1 point that meets 0.100 s and 0.97"
    )
    decision = scheduler.choose(link(8, low=1.2), now_s=0.1)
    assert decision.reasons[:2] == (
        "no point meets 0.100 s and 0.97: smallest latency, 0.150 s",
        "2 points miss the deadline at 1.2 Mbit/s",
    )


@pytest.mark.parametrize("estimate", [None, RateEstimate(0.0, 0.0), RateEstimate(0.9, 0.0)])
def test_without_a_link_only_local_points_count(estimate: RateEstimate | None) -> None:
    decision = Scheduler(profile(), ENERGY, deadline_s=0.2).choose(estimate, now_s=0.0)
    assert decision.point == SMALL
    assert decision.reasons[1] == "the link is unknown or down: only local points count"
    assert decision.rate_bps is None


def test_without_a_link_and_without_a_local_point_numbers_stay_finite() -> None:
    table = {point: cost for point, cost in costs().items() if not point.is_local}
    decision = Scheduler(profile(table), ENERGY, deadline_s=0.2).choose(None, now_s=0.0)
    assert decision.reasons[0] == "no point meets 0.200 s, at any accuracy: smallest latency, 0.190 s"
    assert math.isfinite(decision.latency_s)
    assert math.isfinite(decision.energy_j)


def test_an_estimate_whose_low_rate_is_zero_leaves_local() -> None:
    slow = {point: cost for point, cost in costs().items() if point != LOCAL}
    decision = Scheduler(profile(slow), CHEAP, deadline_s=0.04).choose(link(12, low=0.0), now_s=0.0)
    assert decision.reasons[0].startswith("no point meets 0.040 s")
    assert decision.point == SMALL


def test_nothing_in_time_takes_the_smallest_latency_above_the_floor() -> None:
    scheduler = Scheduler(profile(), CHEAP, deadline_s=0.02, accuracy_floor=0.95)
    decision = scheduler.choose(link(8), now_s=0.0)
    assert decision.point == FULL
    assert decision.reasons[0] == "no point meets 0.020 s and 0.95: smallest latency, 0.046 s"
    assert decision.reasons[1] == "3 points miss the deadline at 8 Mbit/s"


def test_an_offload_in_vain_must_leave_time_for_a_local_finish() -> None:
    # FULL answers in 46 ms, yet after giving up at 40 ms only could the terminal finish by 200 ms.
    scheduler = Scheduler(profile(), CHEAP, deadline_s=0.2, margin_s=0.01, accuracy_floor=0.97)
    assert scheduler.choose(link(8), now_s=0.0).point == LOCAL
    assert scheduler.choose(link(12), now_s=0.2).point == FULL
    # With more in reserve no finish fits, a local run does: never offload.
    scheduler = Scheduler(profile(), CHEAP, deadline_s=0.2, margin_s=0.05, accuracy_floor=0.97)
    assert scheduler.choose(link(1000), now_s=0.0).point == LOCAL
    # Where not even a local run fits, an offload counts on its latency alone.
    scheduler = Scheduler(profile(), CHEAP, deadline_s=0.1, accuracy_floor=0.97)
    assert scheduler.choose(link(8), now_s=0.0).point == FULL


def test_hysteresis_keeps_a_point_that_is_nearly_as_good() -> None:
    near = {LOCAL: Cost(head_s=0.100), SMALL: Cost(head_s=0.099)}
    scheduler = Scheduler(profile(near), CHEAP, deadline_s=0.2)
    scheduler.state = State(point=LOCAL)
    decision = scheduler.choose(None, now_s=0.0)
    assert decision.point == LOCAL
    assert decision.reasons[0] == "kept: output/w0.5/fp32/raw would save only 1.0 %"
    scheduler = Scheduler(profile(near), CHEAP, deadline_s=0.2, policy=LeastEnergy(hysteresis=0.01))
    scheduler.state = State(point=LOCAL)
    assert scheduler.choose(None, now_s=0.0).point == SMALL


def test_hysteresis_does_not_hold_a_point_that_became_too_slow() -> None:
    near = {LOCAL: Cost(head_s=0.02), FULL: Cost(0.0, 0.005, payload_bytes=17e3, finish_s=0.02)}
    scheduler = Scheduler(profile(near), CHEAP, deadline_s=0.2, policy=LeastEnergy(hysteresis=0.99))
    scheduler.state = State(point=FULL)
    assert scheduler.choose(link(2), now_s=0.0).point == FULL
    assert scheduler.choose(link(0.5), now_s=0.2).point == LOCAL


# A precision that is smaller, not faster.

INT8 = OperatingPoint("output", precision="int8")
MID8 = OperatingPoint("blocks.3", precision="int8", codec="u4")


def test_a_precision_that_is_not_faster_is_left_out_even_where_noise_makes_it_the_most_accurate() -> None:
    # 2 % more agreement than fp32, on a sample; it would be the only point at the floor.
    noisy = {LOCAL: Cost(head_s=0.10, accuracy=0.94), INT8: Cost(head_s=0.11, accuracy=0.96), SMALL: Cost(0.06)}
    decision = Scheduler(profile(noisy), CHEAP, deadline_s=0.2, accuracy_floor=0.95).choose(None, now_s=0.0)
    assert decision.point == SMALL
    assert decision.reasons[-2:] == (
        "1 point is below the accuracy floor",
        "1 point is left out: smaller, not faster than fp32",
    )
    with pytest.raises(ScheduleError, match=r"accuracy of 0.95; the best is output/w1/fp32/raw with 0.94"):
        Scheduler({LOCAL: noisy[LOCAL], INT8: noisy[INT8]}, CHEAP, deadline_s=0.2, accuracy_floor=0.95)


def test_a_precision_that_is_faster_is_chosen() -> None:
    quick = {LOCAL: Cost(head_s=0.10), INT8: Cost(head_s=0.05, accuracy=0.96)}
    decision = Scheduler(profile(quick), CHEAP, deadline_s=0.2, accuracy_floor=0.95).choose(None, now_s=0.0)
    assert decision.point == INT8
    assert decision.reasons[0] == "least energy of 2 points that meet 0.200 s and 0.95"


def test_a_label_is_of_a_head_so_it_holds_for_every_codec_and_no_other_split() -> None:
    slow = costs() | {
        MID8: replace(costs()[MID], head_s=0.051, encode_s=0.0),
        replace(MID8, codec="u8"): Cost(0.051, 0.0, 2e4),
        INT8: Cost(head_s=0.07),
    }
    table = Table.build(profile(slow), Limits(0.2))
    assert table.not_faster == {MID8, replace(MID8, codec="u8")}
    assert INT8 in table.points
    scheduler = Scheduler(profile(slow), CHEAP, deadline_s=0.2, policy=Fixed(MID8))
    with pytest.raises(ScheduleError, match=r"blocks.3/w1/int8/u4 is smaller, not faster: fp32 at its split point"):
        scheduler.choose(None)


# The radio remembers.


def test_what_the_radio_cost_so_far_counts_towards_a_change_of_its_state() -> None:
    table = Table.build({LOCAL: costs()[LOCAL], FULL: costs()[FULL]}, Limits(0.2, period_s=0.2, horizon_s=20.0))
    plain = predict(table, ENERGY, link(8), idle_s=1.0)
    assert plain.energy_j[0] - plain.steady_j[0] == pytest.approx(0.5 * 9 / 100)
    for regret_j, left_j in ((1.5, 3.0), (4.5, 0.0), (5.0, 0.0), (-3.0, 4.5)):
        leaving = predict(table, ENERGY, link(8), idle_s=1.0, regret_j=regret_j)
        assert leaving.energy_j[0] - leaving.steady_j[0] == pytest.approx(left_j / 100)
    asleep = predict(table, ENERGY, link(8))
    whole_j = 100 * (asleep.energy_j[1] - asleep.steady_j[1])
    assert whole_j > 4.0
    for regret_j, left_j in ((-3.0, whole_j - 3.0), (-6.0, 0.0), (3.0, whole_j)):
        waking = predict(table, ENERGY, link(8), regret_j=regret_j)
        assert waking.energy_j[1] - waking.steady_j[1] == pytest.approx(left_j / 100)


def test_regret_adds_up_what_the_other_state_would_have_saved() -> None:
    table = Table.build({LOCAL: costs()[LOCAL], FULL: costs()[FULL]}, Limits(0.2, period_s=0.2))
    seen = predict(table, ENERGY, link(100), idle_s=1.0)
    more_j = float(seen.steady_j[1] - seen.steady_j[0])
    assert next_regret_j(seen, table, ROUND, 1.0) == pytest.approx(1.0 + more_j)
    assert next_regret_j(seen, table, ROUND, 9.0) == pytest.approx(5.0), "a tail is the most that leaving costs"
    assert next_regret_j(seen, table, ROUND, -9.0) == pytest.approx(-5.05), "promotion and tail: the most of waking"
    unknown = predict(table, ENERGY, None, idle_s=1.0)
    assert next_regret_j(unknown, table, ROUND, 1.0) == 1.0


def test_an_awake_radio_is_left_once_it_has_cost_what_is_left_of_its_tail() -> None:
    """Per frame the radio costs less than its tail over the horizon, so a look ahead alone would never leave it."""
    near = {LOCAL: Cost(head_s=0.03), FULL: Cost(0.0, 0.005, payload_bytes=17e3, finish_s=0.03)}
    scheduler = Scheduler(profile(near), ENERGY, deadline_s=0.2)
    chosen = [scheduler.choose(link(40, time_s=0.2 * turn), now_s=0.2 * turn).point for turn in range(300)]
    left = chosen.index(LOCAL)
    assert 5 < left < 150
    assert set(chosen[:left]) == {FULL}
    assert set(chosen[left:]) == {LOCAL}


@pytest.mark.parametrize(("local_s", "probes"), [(0.03, False), (0.15, True)])
def test_no_probe_is_sent_where_the_best_link_would_not_pay_for_it(local_s: float, probes: bool) -> None:
    offers = {LOCAL: Cost(head_s=local_s), FULL: Cost(0.0, 0.005, payload_bytes=17e3, finish_s=local_s)}
    plan = Scheduler(profile(offers), ENERGY, deadline_s=0.2).probe_plan()
    assert (plan != ProbePlan.never()) is probes


def test_from_sleep_an_offload_must_earn_a_whole_tail_within_the_horizon() -> None:
    gain = {LOCAL: Cost(head_s=0.15), FULL: Cost(0.0, 0.005, payload_bytes=17e3, finish_s=0.05)}
    for horizon_s, expected in ((1.0, LOCAL), (30.0, FULL)):
        scheduler = Scheduler(profile(gain), ENERGY, deadline_s=0.2, horizon_s=horizon_s)
        assert scheduler.choose(link(20), now_s=100.0).point == expected
    awake = Scheduler(profile(gain), ENERGY, deadline_s=0.2, horizon_s=1.0)
    assert awake.choose(link(20, time_s=100.0), now_s=100.0).point == FULL, "the tail is paid already"


def test_a_gain_below_the_power_of_the_tail_is_left_alone() -> None:
    small = {LOCAL: Cost(head_s=0.02), FULL: Cost(0.0, 0.005, payload_bytes=1e3, finish_s=0.02)}
    awake = Scheduler(profile(small), ENERGY, deadline_s=0.2)
    assert awake.choose(link(20, time_s=100.0), now_s=100.0).point == LOCAL
    assert Scheduler(profile(small), CHEAP, deadline_s=0.2).choose(link(20), now_s=100.0).point == FULL


def test_state_is_explicit_and_sees_probes_through_the_estimate() -> None:
    scheduler = Scheduler(profile(), ENERGY, deadline_s=0.2, policy=Fixed(FULL))
    assert scheduler.state == State()
    decision = scheduler.choose(link(8), now_s=100.0)
    assert scheduler.state == State(FULL, 100.0, 100.0 + decision.latency_s, scheduler.state.regret_j)
    scheduler.policy = Fixed(LOCAL)
    scheduler.choose(link(8, time_s=103.0), now_s=103.5)
    assert scheduler.state == State(LOCAL, 103.5, 103.0, scheduler.state.regret_j)


def test_without_times_frames_come_every_period() -> None:
    scheduler = Scheduler(profile(), ENERGY, deadline_s=0.2, period_s=0.5)
    times = []
    for _ in range(3):
        scheduler.choose(None)
        times.append(scheduler.state.now_s)
    assert times == [0.0, 0.5, 1.0]


# Clear errors.


def test_a_floor_needs_measured_accuracies():
    profile = {OperatingPoint("output"): Cost(head_s=0.01, accuracy=None)}
    with pytest.raises(ScheduleError, match=r"floor of 0\.8 needs measured accuracies, and no point .* `calibrate`"):
        Scheduler(profile, ENERGY, deadline_s=0.1, accuracy_floor=0.8)


def test_impossible_limits_are_refused() -> None:
    worst = {LOCAL: Cost(head_s=0.1, accuracy=0.7), SMALL: Cost(head_s=0.1, accuracy=0.6)}
    with pytest.raises(
        ScheduleError, match=r"no point has an accuracy of 0.8; the best is output/w1/fp32/raw with 0.7"
    ):
        Scheduler(profile(worst), ENERGY, deadline_s=0.2, accuracy_floor=0.8)
    with pytest.raises(ScheduleError, match="holds no operating point"):
        Scheduler(profile({}), ENERGY, deadline_s=0.2)
    with pytest.raises(ScheduleError, match="deadline_s is a number of seconds above 0; got -1"):
        Scheduler(profile(), ENERGY, deadline_s=-1, margin_s=0.0)
    with pytest.raises(ScheduleError, match="accuracy_floor is a fraction"):
        Scheduler(profile(), ENERGY, deadline_s=1, accuracy_floor=95)
    with pytest.raises(ScheduleError, match="margin_s is at least 0 and below deadline_s"):
        Scheduler(profile(), ENERGY, deadline_s=1, margin_s=2)
    with pytest.raises(ScheduleError, match="hysteresis is a fraction"):
        LeastEnergy(hysteresis=5)


def test_a_fixed_point_that_is_not_there_is_refused() -> None:
    scheduler = Scheduler(profile(), ENERGY, deadline_s=0.2, policy=Fixed(OperatingPoint("nowhere")))
    with pytest.raises(ScheduleError, match="no point nowhere/w1/fp32/raw"):
        scheduler.choose(None)


def test_a_policy_of_ones_own() -> None:
    def most_accurate(table, predictions, previous):
        row = int(np.where(predictions.on_time, table.accuracy, -1).argmax())
        return Choice(row, "most accurate")

    decision = Scheduler(profile(), CHEAP, deadline_s=0.2, policy=most_accurate).choose(link(1.0), now_s=0.0)
    assert decision.point == LOCAL
    assert decision.reasons[0] == "most accurate"


def test_least_latency() -> None:
    decision = Scheduler(profile(), CHEAP, deadline_s=0.2, policy=LeastLatency()).choose(link(100), now_s=0.0)
    assert decision.point == FULL
    assert decision.reasons[0] == "smallest latency of 4 points: 0.027 s"


# The laws, over random profiles, links and histories.

seconds = st.floats(0, 0.3)
cost_values = st.builds(
    Cost,
    head_s=seconds,
    encode_s=st.floats(0, 0.02),
    payload_bytes=st.floats(1, 1e6),
    decode_s=st.floats(0, 0.02),
    tail_s=st.floats(0, 0.05),
    answer_bytes=st.floats(0, 1e5),
    finish_s=seconds,
    accuracy=st.sampled_from([0.5, 0.9, 0.95, 1.0]),
)
local_costs = st.builds(Cost, head_s=seconds, accuracy=st.sampled_from([0.5, 0.9, 1.0]))


@st.composite
def profiles(draw) -> Profile:
    offloads = draw(st.lists(cost_values, min_size=1, max_size=12))
    locals_ = draw(st.lists(local_costs, max_size=3))
    table = {OperatingPoint(f"blocks.{i}"): cost for i, cost in enumerate(offloads)}
    table |= {OperatingPoint("output", width=1 / (i + 1)): cost for i, cost in enumerate(locals_)}
    quantised = draw(st.lists(local_costs, max_size=3))
    table |= {OperatingPoint("output", 1 / (i + 1), "int8"): cost for i, cost in enumerate(quantised)}
    return profile(table)


estimates = st.none() | st.builds(
    RateEstimate, st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 0.1), st.floats(0, 100)
)


@settings(max_examples=300, deadline=None)
@given(profiles(), st.lists(estimates, min_size=1, max_size=5), st.floats(0.02, 0.5), st.sampled_from([0.0, 0.9]))
def test_laws(table: Profile, links: list[RateEstimate | None], deadline_s: float, floor: float) -> None:
    # Written again from the words of the label.
    slow = {
        point
        for point, cost in table.items()
        if point.precision == "int8"
        and (wide := table.get(replace(point, precision="fp32"))) is not None
        and cost.head_s >= wide.head_s
    }
    eligible = {point: cost for point, cost in table.items() if cost.accuracy >= floor and point not in slow}
    if not eligible:
        with pytest.raises(ScheduleError, match=r"no point has an accuracy|needs measured accuracies"):
            Scheduler(table, ENERGY, deadline_s=deadline_s, accuracy_floor=floor)
        return
    scheduler = Scheduler(table, ENERGY, deadline_s=deadline_s, accuracy_floor=floor)
    margin_s = scheduler.limits.margin_s
    local_fits = any(point.is_local and cost.head_s <= deadline_s for point, cost in eligible.items())
    for frame, estimate in enumerate(links):
        before, now_s = scheduler.state, 1.0 * frame
        decision = scheduler.choose(estimate, now_s)
        seen_s = -math.inf if estimate is None else estimate.time_s
        idle_s = max(0.0, now_s - max(before.active_s, seen_s))

        def judged_s(point: OperatingPoint, estimate=estimate, idle_s=idle_s) -> float:
            # Written again from the words of the law, point by point, without the table.
            cost = table[point]
            if point.is_local:
                return cost.head_s
            if estimate is None or estimate.rate_bps < 1:
                return math.inf
            rate = estimate.rate_bps if local_fits else min(max(estimate.low_bps, 1.0), estimate.rate_bps)
            wake_s = ROUND.promotion_s if idle_s > ROUND.tail_s else 0.0
            return (
                cost.terminal_s + wake_s + estimate.round_trip_s + cost.edge_s
                + 8 * (cost.payload_bytes + cost.answer_bytes) / rate
            )  # fmt: skip

        def on_time(point: OperatingPoint, slack_s: float, judged_s=judged_s) -> bool:
            cost = table[point]
            finish_fits = cost.terminal_s + cost.finish_s + margin_s <= deadline_s
            if point.is_local:
                return cost.head_s <= deadline_s
            if not finish_fits:
                return not local_fits and judged_s(point) <= deadline_s + slack_s
            return judged_s(point) <= deadline_s - cost.finish_s - margin_s + slack_s

        assert decision.accuracy >= floor
        assert decision.point not in slow
        assert math.isfinite(decision.latency_s)
        surely = [point for point in eligible if on_time(point, -1e-9)]
        if surely:
            assert on_time(decision.point, 1e-9), "some point meets the deadline, so the chosen one does"
            predictions = predict(scheduler.table, ENERGY, estimate, idle_s=idle_s)
            rows = scheduler.table.rows
            least_j = min(predictions.energy_j[rows[point]] for point in surely)
            bound = 1 - (LeastEnergy().hysteresis if decision.point == before.point else 0.0)
            assert decision.energy_j * bound <= least_j * (1 + 1e-9), "nothing on time is cheaper"
        else:
            assert decision.reasons[0].startswith(("no point meets", "least energy"))


def test_a_link_that_never_changes_is_no_horizon():
    with pytest.raises(ScheduleError, match=r"horizon_s is finite"):
        Limits(0.1, horizon_s=math.inf)
