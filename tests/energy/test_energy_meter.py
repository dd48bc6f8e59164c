"""EnergyMeter: the sum over a run is the integral of the power along time, however frames interleave."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adaedge.energy import EnergyMeter, EnergySplit
from adaedge.errors import EnergyError


@pytest.fixture(scope="module")
def radio(radio):
    """A short tail, so that it ends within a test."""
    return replace(radio, tail_s=2.0)


def test_two_offloads_and_a_local_frame_by_hand(model):
    meter = EnergyMeter(model)
    # Sent from 0.1 to 0.35 s at 4 Mbit/s, 0.05 s of waiting, 1,000 bytes received in 2 ms: connected until 0.402 s.
    first = meter.frame(0.0, 0.02, [(0.1, 0.35, 125_000)], 0.05, 1_000, end_s=0.402)
    assert first.compute_j == pytest.approx(0.08)
    assert first.promote_j == pytest.approx(0.3)
    assert first.transmit_j == pytest.approx(0.45)
    assert first.wait_j == pytest.approx(0.02)
    assert first.receive_j == pytest.approx(0.9 * 0.002)
    assert first.tail_j == pytest.approx(0)
    # Local, until 1.402 s: one second of tail since the answer.
    assert meter.frame(1.2, 0.1, end_s=1.402).tail_j == pytest.approx(0.3)
    # Sent again at 2.302 s: 0.9 s of tail, no promotion.
    third = meter.frame(2.2, 0.02, [(2.302, 2.552, 125_000)], end_s=2.552)
    assert third.tail_j == pytest.approx(0.27)
    assert third.promote_j == 0
    assert third.receive_j == 0
    # Nothing for 7 s: the tail ends by itself after 2 s, so the next upload wakes the radio.
    fourth = meter.frame(9.5, 0.02, [(9.552, 9.802, 125_000)], end_s=9.802)
    assert fourth.tail_j == pytest.approx(0.6)
    assert fourth.promote_j == pytest.approx(0.3)
    assert meter.close() == EnergySplit(tail_j=pytest.approx(0.6))
    assert meter.close() == EnergySplit()


def test_closing_early_charges_what_was(model):
    meter = EnergyMeter(model)
    meter.frame(0.0, 0.0, [(0.0, 1.0, 1000)], end_s=1.0)
    assert meter.close(1.5).tail_j == pytest.approx(0.15)
    assert meter.close().tail_j == 0


def test_several_uploads_in_a_frame(model):
    meter = EnergyMeter(model)
    split = meter.frame(0.0, 0.0, [(0.0, 0.5, 125_000), (1.0, 1.5, 125_000), (4.0, 4.5, 125_000)], end_s=4.5)
    assert split.transmit_j == pytest.approx(3 * 0.5 * (0.4 + 1.0))
    assert split.tail_j == pytest.approx(0.3 * (0.5 + 2.0))
    assert split.promote_j == pytest.approx(2 * 0.3)


def test_a_failed_upload_of_no_length(model):
    meter = EnergyMeter(model)
    split = meter.frame(0.0, 0.1, [(0.05, 0.05, 0)], wait_s=0.1, end_s=0.3)
    assert split.promote_j == pytest.approx(0.3)
    assert split.transmit_j == 0
    assert split.wait_j == pytest.approx(0.04)
    assert split.tail_j == pytest.approx(0.3 * 0.15)


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_s": 1.0, "compute_s": 0.1, "end_s": 0.9},
        {"start_s": 0.0, "compute_s": 0.1, "uploads": [(0.5, 0.4, 10)], "end_s": 1.0},
        {"start_s": 0.0, "compute_s": -0.1, "end_s": 1.0},
        {"start_s": 0.0, "compute_s": 0.1, "wait_s": -0.1, "end_s": 1.0},
    ],
)
def test_time_does_not_run_backwards(arguments, model):
    with pytest.raises(EnergyError, match="a frame and its uploads end after they begin"):
        EnergyMeter(model).frame(**arguments)


@dataclass
class Activity:
    """What the radio did in an interval, and what it drew; the reference keeps nothing else."""

    begin_s: float
    end_s: float
    power_w: float


lengths = st.floats(0.01, 3.0)
frames = st.lists(
    st.fixed_dictionaries(
        {
            "pause_s": lengths,
            "compute_s": st.floats(0.0, 0.1),
            "uploads": st.lists(st.tuples(lengths, lengths, st.integers(1, 10**6)), max_size=2),
            "wait_s": st.sampled_from([0.0, 0.05, 2.5]),
            "answer_bytes": st.sampled_from([0, 4000]),
            "after_s": st.floats(0.0, 0.2),
        }
    ),
    min_size=1,
    max_size=6,
)


def integral_j(activities, end_s, radio):
    """Reference: cut time at every event and look at the power in the middle of each piece."""
    marks = {time for a in activities for time in (a.begin_s, a.end_s, a.end_s + radio.tail_s) if time < end_s} | {
        end_s
    }
    total, ordered = 0.0, sorted(marks)
    for begin_s, after_s in pairwise(ordered):
        middle_s = (begin_s + after_s) / 2
        power_w = sum(a.power_w for a in activities if a.begin_s < middle_s < a.end_s)
        in_tail = any(a.end_s < middle_s < a.end_s + radio.tail_s for a in activities)
        total += (after_s - begin_s) * (power_w or (radio.tail_w if in_tail else 0.0))
    return total


@settings(deadline=None)
@given(frames, st.sampled_from([0.0, 0.5, 5.0]))
def test_the_sum_is_the_integral_of_the_power(radio, model, run, rest_s):
    meter, now_s, activities = EnergyMeter(model), 0.0, []
    metered, other_j = EnergySplit(), 0.0
    for frame in run:
        start_s = now_s = now_s + frame["pause_s"]
        uploads = []
        for gap_s, length_s, payload_bytes in frame["uploads"]:
            begin_s, now_s = now_s + gap_s, now_s + gap_s + length_s
            rate_bps = 8 * payload_bytes / length_s
            since_s = begin_s - activities[-1].end_s if activities else math.inf
            assume(abs(since_s - radio.tail_s) > 1e-9)  # there rounding says whether the radio still is awake
            asleep = since_s > radio.tail_s
            other_j += radio.promotion_w * radio.promotion_s if asleep else 0.0
            activities.append(Activity(begin_s, now_s, radio.uplink_w_per_bps * rate_bps + radio.uplink_w))
            uploads.append((begin_s, now_s, payload_bytes))
        wait_s, answer_bytes = (frame["wait_s"], frame["answer_bytes"]) if uploads else (0.0, 0)
        if uploads:
            received_s = 8 * answer_bytes / rate_bps
            activities.append(Activity(now_s, now_s + wait_s, radio.tail_w + model.compute.wait_w))
            power_w = radio.downlink_w_per_bps * rate_bps + radio.downlink_w
            activities.append(Activity(now_s + wait_s, now_s + wait_s + received_s, power_w))
            now_s += wait_s + received_s
        now_s += frame["after_s"]
        other_j += model.compute.busy_w * frame["compute_s"]
        metered += meter.frame(start_s, frame["compute_s"], uploads, wait_s, answer_bytes, end_s=now_s)
    metered += meter.close(now_s + rest_s)
    assert metered.total_j == pytest.approx(other_j + integral_j(activities, now_s + rest_s, radio), rel=1e-9, abs=1e-9)
    assert all(getattr(metered, field.name) >= 0 for field in fields(metered))


@settings(deadline=None)
@given(st.floats(0.5, 5.0), st.integers(1_000, 50_000), st.floats(1e6, 1e8), st.sampled_from([0, 4000]))
def test_a_steady_stream_costs_what_the_model_says(radio, model, period_s, payload_bytes, rate_bps, answer_bytes):
    sent_s, wait_s, compute_s = 8 * payload_bytes / rate_bps, 0.02, 0.01
    gap_s = period_s - sent_s - wait_s - 8 * answer_bytes / rate_bps
    meter, splits = EnergyMeter(model), []
    for index in range(4):
        start_s = index * period_s
        begin_s = start_s + compute_s
        uploads = [(begin_s, begin_s + sent_s, payload_bytes)]
        end_s = start_s + period_s - gap_s + compute_s
        splits.append(meter.frame(start_s, compute_s, uploads, wait_s, answer_bytes, end_s=end_s))
    alone = model.offload(
        compute_s,
        payload_bytes,
        rate_bps,
        wait_s,
        answer_bytes=answer_bytes,
        gap_s=gap_s,
        idle_s=gap_s,
    )
    for field in fields(alone):
        assert getattr(splits[-1], field.name) == pytest.approx(getattr(alone, field.name), rel=1e-6, abs=1e-9), (
            field.name
        )
