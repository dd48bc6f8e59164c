"""Trace: transfers integrate the piecewise constant rate exactly, round after round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adaedge.channel import Trace
from adaedge.errors import TraceError

# 8 Mbit in the first second, nothing in the next two, 4 Mbit/s in the last.
TRACE = Trace([0.0, 1.0, 3.0], [8e6, 0.0, 4e6], 4.0)


@pytest.mark.parametrize(
    ("payload_bytes", "start_s", "expected_s"),
    [
        (0, 0.5, 0.0),
        (0, 2.0, 0.0),
        (500_000, 0.0, 0.5),
        (1_000_000, 0.0, 1.0),  # ends with the rate, not after the pause
        (1_000_001, 0.0, 3.000002),
        (1_500_000, 0.0, 4.0),  # one round
        (1_500_000, 0.5, 4.0),
        (1_500_000, 2.0, 4.0 - 1.0),  # starts in the pause, ends when the first second of the next round does
        (4_500_000, 0.0, 12.0),
        (4_600_000, 0.0, 12.1),
        (250_000, 2.0, 1.5),
        (250_000, 1002.0, 1.5),
        (500_000, 3.5, 0.5 + 0.25),
        (500_000, -0.5, 0.5 + 0.25),
    ],
)
def test_transfers_by_hand(payload_bytes, start_s, expected_s):
    assert TRACE.transfer_s(payload_bytes, start_s) == pytest.approx(expected_s, abs=1e-9)


def test_a_transfer_does_not_wait_for_a_pause_at_the_end():
    trace = Trace([0.0, 1.0], [8e6, 0.0], 3.0)
    assert trace.transfer_s(1_000_000, 0.0) == pytest.approx(1.0)
    assert trace.transfer_s(2_000_000, 0.0) == pytest.approx(4.0)
    assert trace.transfer_s(1, 1.0) == pytest.approx(2.000001)


def test_rates_and_bytes_by_hand():
    assert [TRACE.rate_at(time) for time in (0.0, 0.99, 1.0, 2.9, 3.0, 3.99, 4.0, 5.0, -0.5)] == [
        8e6, 8e6, 0, 0, 4e6, 4e6, 8e6, 0, 4e6,
    ]  # fmt: skip
    np.testing.assert_array_equal(TRACE.rate_at(np.array([0.5, 1.5])), [8e6, 0])
    assert TRACE.mean_bps == 3e6
    assert TRACE.bytes_within(0.5, 1.0) == pytest.approx(500_000)
    assert TRACE.bytes_within(3.5, 1.0) == pytest.approx(750_000)
    assert TRACE.bytes_within(0.5, 8.0) == pytest.approx(3_000_000)
    assert TRACE.bytes_within(1.0, 2.0) == 0


traces = st.lists(
    st.tuples(st.floats(0.05, 5.0), st.one_of(st.just(0.0), st.floats(1e3, 1e9))), min_size=1, max_size=8
).map(lambda steps: (np.cumsum([0.0] + [length for length, _ in steps]), [rate for _, rate in steps]))


@given(traces, st.integers(1, 10**7), st.floats(0, 1000))
def test_a_transfer_takes_just_the_time_that_carries_its_bytes(samples, payload_bytes, start_s):
    edges, rates = samples
    assume(max(rates) > 0)
    trace = Trace(edges[:-1], rates, float(edges[-1]))
    lasted_s = trace.transfer_s(payload_bytes, start_s)
    slack_s = 1e-9 * (start_s + lasted_s + 1)
    slack_bytes = 1 + 1e-9 * payload_bytes + max(rates) * 2 * slack_s
    assert trace.bytes_within(start_s, lasted_s) == pytest.approx(payload_bytes, abs=slack_bytes)
    # Not later than needed: a moment before the end something was still missing, so the rate there is above zero.
    end_s = start_s + lasted_s
    assert trace.bytes_within(start_s, lasted_s - 1e-6) < payload_bytes or trace.rate_at(end_s - 1e-6) > 0


@given(traces, st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.floats(0, 50))
def test_arrays_give_what_numbers_give(samples, sizes, start_s):
    edges, rates = samples
    assume(max(rates) > 0)
    trace = Trace(edges[:-1], rates, float(edges[-1]))
    together = trace.transfer_s(np.array(sizes), start_s)
    assert together.tolist() == [trace.transfer_s(size, start_s) for size in sizes]
    starts = start_s + np.arange(3.0)
    assert trace.transfer_s(sizes[0], starts).tolist() == [trace.transfer_s(sizes[0], start) for start in starts]


@given(traces, st.integers(1, 10**6), st.floats(0, 50), st.integers(1, 1000))
def test_every_round_is_like_the_first(samples, payload_bytes, start_s, rounds):
    edges, rates = samples
    assume(max(rates) > 0)
    trace = Trace(edges[:-1], rates, float(edges[-1]))
    later = trace.transfer_s(payload_bytes, start_s + rounds * trace.duration_s)
    # A start at an edge may fall on its other side by rounding, where a pause begins; away from edges they agree.
    phase = (start_s % trace.duration_s, (start_s + rounds * trace.duration_s) % trace.duration_s)
    assume(abs(phase[0] - phase[1]) < 1e-6 and min(abs(edges - phase[0])) > 1e-5)
    end = (start_s + later) % trace.duration_s
    assume(min(abs(edges - end)) > 1e-5)
    assert later == pytest.approx(trace.transfer_s(payload_bytes, start_s), rel=1e-6, abs=1e-6)


def test_the_last_sample_lasts_as_long_as_samples_do():
    assert Trace([0, 2, 4], [1, 1, 1]).duration_s == 6
    assert Trace([0], [1]).duration_s == 1
    assert Trace([0, 1, 2, 10], [1, 1, 1, 1]).duration_s == 11
    assert Trace([7, 8, 8, 9], [1, 2, 3, 4]).duration_s == 3  # a stamp that comes twice: the later sample holds
    assert Trace([7, 8, 8, 9], [1, 2, 3, 4]).rate_at(1.5) == 3
    assert Trace([5, 6], [1, 2]).times_s.tolist() == [0, 1]


def test_a_trace_cannot_be_changed():
    times = np.array([0.0, 1.0])
    trace = Trace(times, [1.0, 2.0])
    times[1] = 99
    assert trace.times_s[1] == 1
    with pytest.raises(ValueError, match="read-only"):
        trace.rates_bps[0] = 5
    with pytest.raises(AttributeError):
        trace.duration_s = 5


@pytest.mark.parametrize(
    ("times", "rates", "text"),
    [
        ([], [], "a trace has at least one sample; got no samples"),
        ([0, 1], [1], r"one rate for each time; got shapes \(2,\) and \(1,\)"),
        ([[0]], [[1]], "one rate for each time"),
        ([0, 1, 2], [1, -3, 1], "sample 1 has a negative rate, -3.0 bit/s"),
        ([0, 2, 1], [1, 1, 1], "time goes back at sample 2: 2.0 s, then 1.0 s"),
        ([0, np.nan], [1, 1], "sample 1 is not a number"),
        ([0, 1], [np.inf, 1], "sample 0 is not a number"),
        ([0, 1], [0, 0], "rates are all zero carries nothing, ever"),
    ],
)
def test_what_is_no_trace_is_refused(times, rates, text):
    with pytest.raises(TraceError, match=text):
        Trace(times, rates)


@pytest.mark.parametrize("duration_s", [0.5, -1.0, np.nan, np.inf])
def test_a_trace_repeats_after_its_last_sample(duration_s):
    with pytest.raises(TraceError, match="begins again after its last sample"):
        Trace([0, 1], [1, 1], duration_s)
