"""Replaying traces: every second and joule of a few frames by hand, and what hindsight may not lose to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.channel import LastUpload, RateEstimate, Trace, Upload, read_trace
from adaedge.energy import LTE_2021, NR_DRX, NR_DRX_FAST_RELEASE, RASPBERRY_PI_4, ComputePower, EnergyModel, RadioPower
from adaedge.errors import ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import PROBE_BYTES, Fixed, Limits, Scheduler
from adaedge.simulation import Outcome, Scenario, best_static, clairvoyant, simulate, static_runs

LOCAL = OperatingPoint("output")
FULL = OperatingPoint("input", codec="jpeg@90")
MID = OperatingPoint("blocks.3", codec="u4")
POOR = OperatingPoint("blocks.5", codec="u1")
COSTS = {
    LOCAL: Cost(head_s=0.1),
    FULL: Cost(0.0, 0.01, payload_bytes=10_000, tail_s=0.01, answer_bytes=1_000, finish_s=0.1),
    MID: Cost(0.05, 0.0, payload_bytes=2_500, tail_s=0.01, answer_bytes=1_000, finish_s=0.05),
    POOR: Cost(0.001, 0.0, payload_bytes=100, finish_s=0.1, accuracy=0.5),
}
PROFILE = Profile(COSTS, bundle="00" * 32, terminal="hand", edge="hand")
RADIO = RadioPower("hand", uplink_w=2.0, downlink_w=1.0, promotion_s=0.05, promotion_w=1.0, tail_s=1.0, tail_w=0.5)
ENERGY = EnergyModel(ComputePower(busy_w=4.0, wait_w=1.0), RADIO)
GOOD, BAD = 8e6, 0.1e6
LIMITS = Limits.of(0.2, 0.9)


def scenario(trace: Trace, energy: EnergyModel = ENERGY, costs=PROFILE, limits: Limits = LIMITS, frames: int = 50):
    return Scenario(costs, energy, trace, limits, frames)


def fixed(point: OperatingPoint, **more) -> Scheduler:
    return Scheduler({point: COSTS[point]}, ENERGY, deadline_s=0.3, period_s=0.5, policy=Fixed(point), **more)


def adaptive(energy: EnergyModel = ENERGY) -> Scheduler:
    return Scheduler(PROFILE, energy, deadline_s=0.2, accuracy_floor=0.9, period_s=0.2)


def test_local_frames_by_hand() -> None:
    records = simulate(PROFILE, ENERGY, Trace([0.0], [GOOD]), fixed(LOCAL), frames=3, period_s=0.5)
    assert [record.time_s for record in records] == [0.0, 0.5, 1.0]
    assert [record.measurement.energy.total_j for record in records] == pytest.approx([0.4] * 3), "no probe, no radio"
    assert [record.measurement.latency_s for record in records] == pytest.approx([0.1] * 3)


def test_an_offload_by_hand() -> None:
    records = simulate(
        PROFILE, ENERGY, Trace([0.0], [GOOD]), fixed(FULL), frames=2, period_s=0.5, round_trip_s=0.02, start_s=3.0
    )
    first, second = (record.measurement for record in records)
    # Awake since the probe: 10 ms encode, 10 ms upload, 20 ms round trip, 10 ms edge, 1 ms answer.
    assert first.latency_s == second.latency_s == pytest.approx(0.051)
    assert second.answered_by == "edge"
    assert (second.payload_bytes, second.answer_bytes) == (10_000, 1_000)
    assert second.energy.compute_j == pytest.approx(0.04)
    assert second.energy.transmit_j == pytest.approx(2.0 * 0.01)
    assert second.energy.wait_j == pytest.approx(1.5 * 0.03)
    assert second.energy.receive_j == pytest.approx(0.001)
    # The tail from one answer to the next upload is the second frame's; so is the whole one after the last frame.
    assert second.energy.tail_j == pytest.approx(0.5 * (0.5 - 0.051 + 0.01) + 0.5 * 1.0)
    # The first frame holds the probe: one promotion, 8,192 bytes at 8 Mbit/s, and 10 ms of tail until the upload.
    assert first.energy.promote_j == pytest.approx(0.05)
    assert first.energy.transmit_j == pytest.approx(2.0 * (0.01 + 8 * PROBE_BYTES / GOOD))
    assert first.energy.tail_j == pytest.approx(0.5 * 0.01)


def test_an_offload_in_vain_by_hand() -> None:
    # 80 kbit need 0.8 s; the terminal gives up at 0.3 − 0.1 − 0.01 = 0.19 s, and is done at 0.29 s.
    records = simulate(PROFILE, ENERGY, Trace([0.0], [BAD]), fixed(FULL), frames=2, period_s=0.5)
    second = records[1].measurement
    assert second.failure == "timeout"
    assert second.answered_by == "terminal"
    assert second.latency_s == pytest.approx(0.29)
    assert not records[1].missed
    assert second.compute_s == pytest.approx(0.11)
    assert second.payload_bytes == int(BAD * 0.18 / 8), "what crossed before the give-up"
    assert second.energy.transmit_j == pytest.approx(2.0 * 0.18)
    assert second.energy.compute_j == pytest.approx(4.0 * 0.11)


def test_a_sleeping_radio_delays_the_upload() -> None:
    rare = Scheduler({FULL: COSTS[FULL]}, ENERGY, deadline_s=0.3, period_s=5.0, policy=Fixed(FULL))
    records = simulate(PROFILE, ENERGY, Trace([0.0], [GOOD]), rare, frames=2, period_s=5.0)
    assert records[1].measurement.latency_s == pytest.approx(0.101)
    assert records[1].measurement.energy.promote_j == pytest.approx(0.05)


class Listener:
    """An estimator that writes down what it is told."""

    def __init__(self) -> None:
        self.uploads: list[Upload] = []

    def observe(self, upload: Upload) -> None:
        self.uploads.append(upload)

    def estimate(self, now_s: float) -> RateEstimate | None:
        return None


def test_the_estimator_sees_what_happened() -> None:
    listener = Listener()
    simulate(PROFILE, ENERGY, Trace([0.0], [GOOD]), fixed(FULL), frames=1, period_s=0.5, estimator=listener)
    probe, frame = listener.uploads
    assert (probe.payload_bytes, probe.completed) == (PROBE_BYTES, True)
    assert (frame.payload_bytes, frame.completed, frame.duration_s) == (10_000, True, pytest.approx(0.01))
    listener = Listener()
    simulate(
        PROFILE, ENERGY, Trace([0.0], [BAD]), fixed(FULL), frames=1, period_s=1.0, estimator=listener, round_trip_s=0.02
    )
    frame = listener.uploads[-1]
    assert not frame.completed
    # 0.18 s on the link, of which 30 ms were needed for the answer: the rate was below what fits in the rest.
    assert frame.duration_s == pytest.approx(0.15)
    assert 8 * frame.payload_bytes / frame.duration_s > BAD


def test_after_a_fade_it_offloads_again() -> None:
    trace = Trace([0.0, 5.0, 10.0], [GOOD, 1e3, GOOD], 40.0)
    records = simulate(PROFILE, ENERGY, trace, adaptive(), frames=150, period_s=0.2)
    by_time = {round(record.time_s, 1): record for record in records}
    assert by_time[4.0].measurement.answered_by == "edge"
    assert by_time[8.0].decision.point == LOCAL
    assert any(record.measurement.answered_by == "edge" for record in records if 10.0 < record.time_s < 14.1)
    assert all(record.measurement.answered_by == "edge" for record in records if record.time_s > 20.0)
    assert not any(record.missed for record in records)
    assert sum(bool(record.measurement.failure) for record in records) <= 3, "and then it is seen that nothing follows"


def test_a_local_scheduler_sends_probes_ever_less_often_when_nobody_answers() -> None:
    records = simulate(PROFILE, ENERGY, Trace([0.0, 1e6], [1.0, GOOD]), adaptive(), frames=300, period_s=0.2)
    sent = [record.time_s for record in records if record.measurement.payload_bytes or record.measurement.upload_s]
    assert all(record.decision.point == LOCAL for record in records)
    assert all(np.isfinite(record.measurement.energy.total_j) for record in records)
    assert len(sent) < 15


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.0, 30e6), min_size=2, max_size=30),
    st.floats(0.1, 2.0),
    st.sampled_from([RADIO, LTE_2021, RadioPower("none", uplink_w=1.0), NR_DRX, NR_DRX_FAST_RELEASE]),
)
def test_deadlines_are_met_on_any_trace_and_the_clairvoyant_is_not_beaten(rates, step_s, radio) -> None:
    trace = Trace(np.arange(len(rates) + 1) * step_s, [*rates, 1e6])
    energy = EnergyModel(RASPBERRY_PI_4, radio)
    records = simulate(PROFILE, energy, trace, adaptive(energy), frames=50, period_s=0.2)
    assert not any(record.missed for record in records), "a local finish fits, so no deadline is missed"
    assert all(record.decision.accuracy >= 0.9 for record in records)
    assert scenario(trace, energy).run() == records, "the scenario's own scheduler is the same"
    _, static = best_static(scenario(trace, energy))
    ideal = clairvoyant(scenario(trace, energy))
    assert not any(record.missed for record in ideal)
    # The plan counts a tail in whole frames, and the first probe is nobody's choice.
    slack_j = radio.wake_j + radio.idle_j(0.0, np.inf) + radio.listen_w * 0.4
    for other in (records, static):
        assert _energy_j(ideal) <= _energy_j(other) + slack_j + 0.02 * _energy_j(other)


def _energy_j(records) -> float:
    return sum(record.measurement.energy.total_j for record in records)


def test_best_static_by_hand() -> None:
    good, bad = Trace([0.0], [GOOD]), Trace([0.0], [BAD])
    assert best_static(scenario(good))[0] == FULL
    assert best_static(scenario(bad))[0] == LOCAL
    assert best_static(scenario(good, limits=Limits.of(0.2)))[0] == POOR
    point, records = best_static(scenario(good))
    assert {record.decision.point for record in records} == {point}


def test_a_point_that_misses_deadlines_is_not_the_best_static_one() -> None:
    tight = Limits.of(0.06, 0.9, 0.2)
    slow_but_cheap = {
        LOCAL: Cost(head_s=0.05),
        FULL: Cost(0.0, 0.0, payload_bytes=10_000, finish_s=0.1),
    }
    half = Trace([0.0, 1.0], [GOOD, BAD])
    runs = static_runs(scenario(half, costs=slow_but_cheap, limits=tight))
    assert list(runs) == [LOCAL, FULL], "the best first"
    assert best_static(scenario(half, costs=slow_but_cheap, limits=tight)) == (LOCAL, runs[LOCAL])
    records = simulate(PROFILE, ENERGY, Trace([0.0], [GOOD]), fixed(LOCAL), frames=4, period_s=0.5)
    assert Outcome.of(records) == Outcome(pytest.approx(0.4), 0.0)


def test_the_clairvoyant_wakes_the_radio_only_for_a_window_that_pays() -> None:
    lasting = Trace([0.0, 2.0, 8.0], [1e3, GOOD, 1e3], 60.0)
    brief = Trace([0.0, 2.0, 2.2], [1e3, GOOD, 1e3], 60.0)
    used = [
        sum(not record.decision.point.is_local for record in clairvoyant(scenario(trace))) for trace in (lasting, brief)
    ]
    assert used[0] >= 28
    assert used[1] == 0


def test_the_scheduler_of_a_real_trace(data_dir: Path) -> None:
    path = data_dir / "traces" / "mahimahi-TMobile-LTE-short.up"
    if not path.exists():
        pytest.skip("the trace is absent")
    energy = EnergyModel(RASPBERRY_PI_4, LTE_2021)
    trace = read_trace(path)
    records = simulate(PROFILE, energy, trace, adaptive(energy), frames=600, period_s=0.2, estimator=LastUpload())
    long = scenario(trace, energy, frames=600)
    _, static = best_static(long)
    assert not any(record.missed for record in records)
    assert _energy_j(clairvoyant(long)) <= _energy_j(static)
    assert _energy_j(records) <= 1.1 * _energy_j(static)


class Optimist:
    """An estimator that learns nothing."""

    def observe(self, upload: Upload) -> None:
        pass

    def estimate(self, now_s: float) -> RateEstimate | None:
        return RateEstimate(GOOD, GOOD, time_s=now_s)


def test_two_time_outs_in_a_row_take_the_link_down_and_a_probe_brings_it_back() -> None:
    trace = Trace([0.0, 11.0, 16.0], [GOOD, 1.0, GOOD], 70.0)
    records = simulate(PROFILE, ENERGY, trace, adaptive(), frames=150, period_s=0.2, estimator=Optimist())
    assert [record.measurement.failure for record in records].count("timeout") == 2
    down = [record for record in records if record.decision.rate_bps is None]
    assert down[0].time_s == pytest.approx(11.4)
    assert records[-1].measurement.answered_by == "edge"


def test_the_cheapest_point_does_not_count_where_it_misses() -> None:
    # No local finish fits: three frames of four are late on the slow half of the trace.
    late = {LOCAL: Cost(head_s=0.19), FULL: Cost(0.0, 0.0, payload_bytes=10_000, finish_s=0.25)}
    half = Trace([0.0, 5.0], [GOOD, 0.3e6], 10.0)
    point, records = best_static(scenario(half, costs=late))
    assert point == LOCAL
    assert not any(record.missed for record in records)
    assert not any(record.missed for record in clairvoyant(scenario(half, costs=late)))


def test_the_clairvoyant_pays_for_being_on_time() -> None:
    late = {LOCAL: Cost(head_s=0.31), FULL: Cost(0.0, 0.25, payload_bytes=10_000, finish_s=0.5)}
    dear = EnergyModel(ComputePower(busy_w=4.0), RadioPower("dear", uplink_w=50.0))
    ideal = clairvoyant(scenario(Trace([0.0], [GOOD]), dear, late, Limits.of(0.3, 0.9, 0.5)))
    assert {record.decision.point for record in ideal} == {FULL}
    assert not any(record.missed for record in ideal)


def test_the_best_of_no_points_is_an_error_that_names_the_best_accuracy():
    profile = {OperatingPoint("output"): Cost(0.1, accuracy=0.9)}
    with pytest.raises(ScheduleError, match=r"no point has an accuracy of 0\.95; the best is output.* with 0\.9"):
        best_static(scenario(Trace((0.0,), (1e6,), 1.0), costs=profile, limits=Limits.of(1.0, 0.95)))


def test_hindsight_leaves_out_what_is_smaller_but_not_faster() -> None:
    slow = OperatingPoint("output", precision="int8")
    noisy = {LOCAL: Cost(0.1, accuracy=0.95), slow: Cost(0.1, accuracy=1.0)}
    asked = scenario(Trace([0.0], [GOOD]), costs=noisy)
    assert set(static_runs(asked)) == {LOCAL}
    assert {record.decision.point for record in clairvoyant(asked)} == {LOCAL}


@pytest.mark.parametrize(
    "changed",
    [
        {"start_s": 3.0},
        {"round_trip_s": 0.05},
        {"limits": Limits.of(0.2, 0.9, margin_s=0.05)},
        {"limits": Limits.of(0.2, 0.9, horizon_s=0.2)},
        {"limits": Limits.of(0.2, 0.9, period_s=0.3)},
        {"limits": Limits.of(0.15, 0.9, period_s=0.2)},
        {"limits": Limits.of(0.2, 0.0)},
    ],
    ids=str,
)
def test_every_part_of_a_scenario_reaches_its_runs(changed) -> None:
    plain = scenario(Trace([0.0, 4.0, 6.0], [1.5e6, 1e5, 3e6], 8.0))
    assert replace(plain, **changed).run() != plain.run()
