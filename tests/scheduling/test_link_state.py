"""Events in, decisions out: each rule of the link's state by hand, and what holds for any sequence of events."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.channel import HarmonicMean, LastUpload
from adaedge.energy import RadioPower
from adaedge.errors import ScheduleError
from adaedge.scheduling import PROBE_BYTES, Exchange, Failure, LinkState, ProbePlan, Purpose
from adaedge.scheduling.link_state import SHORTEST_S

BYTES = 100_000
UP = LinkState(ProbePlan().used(0.0), up=True)


def frame(start_s: float, end_s: float, failure: Failure | None = None, **more) -> Exchange:
    return Exchange(start_s, end_s, BYTES, failure=failure, **more)


def probe(start_s: float, end_s: float, failure: Failure | None = None) -> Exchange:
    return Exchange(start_s, end_s, PROBE_BYTES, Purpose.PROBE, failure)


def after(state: LinkState, *exchanges: Exchange) -> LinkState:
    for exchange in exchanges:
        state = state.after(exchange).state
    return state


@pytest.mark.parametrize("failure", [Failure.DOWN, Failure.REFUSED, Failure.CORRUPTED])
def test_a_frame_that_meets_no_edge_server_takes_the_link_down_at_once(failure):
    assert not after(UP, frame(1.0, 1.1, failure)).up


def test_two_time_outs_in_a_row_take_the_link_down_an_answer_between_them_does_not():
    late = frame(1.0, 1.1, Failure.TIMEOUT)
    assert after(UP, late).up
    assert not after(UP, late, late).up
    assert after(UP, late, frame(2.0, 2.1), late).up
    assert after(UP, late, frame(2.0, 2.1, Failure.STALE), late).up


def test_two_frames_in_a_row_without_room_take_the_link_down_whatever_time_outs_were_before():
    full, late = frame(1.0, 1.1, Failure.OVERLOAD), frame(1.0, 1.1, Failure.TIMEOUT)
    step = UP.after(full)
    assert (step.state.up, step.lesson, step.record.payload_bytes) == (True, None, BYTES)
    assert not after(UP, full, full).up
    assert not after(replace(UP, patience=5), full, full).up
    assert after(UP, full, frame(2.0, 2.1), full).up
    assert after(UP, late, full, late).up, "a refusal is an answer"
    assert not after(replace(UP, up=False), full).up
    back = after(after(UP, full, full).probe_sent(), probe(3.0, 3.1))
    assert after(back, full).up


def test_a_time_out_of_a_link_that_is_down_does_not_bring_it_up():
    assert not after(replace(UP, up=False), frame(1.0, 1.1, Failure.TIMEOUT)).up


def test_a_reference_that_is_not_held_is_no_fault_of_the_links():
    step = UP.after(frame(1.0, 1.1, Failure.STALE))
    assert step.state.up
    assert step.lesson is None
    assert step.record.payload_bytes == BYTES


def test_only_a_probe_with_bytes_brings_the_link_up():
    asked = LinkState(ProbePlan()).probe_sent()
    shaken = after(asked, Exchange(0.0, 0.1, 256, Purpose.HANDSHAKE), Exchange(0.1, 0.2, 0, Purpose.PROBE))
    shaken = shaken.contacted(0.1)
    assert (shaken.up, shaken.probing, shaken.round_trip_s) == (False, True, 0.1)
    assert shaken.plan == asked.plan, "the probe is not over"
    step = shaken.after(probe(0.2, 0.5))
    assert (step.state.up, step.state.probing) == (True, False)
    assert step.lesson.duration_s == pytest.approx(0.2), "without the round trip"


@pytest.mark.parametrize("purpose", [Purpose.PROBE, Purpose.HANDSHAKE])
@pytest.mark.parametrize("size_bytes", [0, 256])
@pytest.mark.parametrize("failure", list(Failure))
def test_one_failed_probe_or_handshake_is_enough(purpose, size_bytes, failure):
    state = after(UP.probe_sent(), Exchange(1.0, 1.5, size_bytes, purpose, failure))
    assert (state.up, state.probing) == (False, False)
    assert state.next_probe_s == 1.5 + 2.0


def test_when_the_next_probe_is_due():
    state = LinkState(ProbePlan())
    assert state.next_probe_s == -math.inf
    assert state.probe_due(-1e9)
    assert state.probe_sent().next_probe_s == math.inf
    assert not state.probe_sent().probe_due(1e9)
    state = after(state.probe_sent(), probe(0.0, 0.5))
    assert [state.probe_due(now_s) for now_s in (1.49, 1.5)] == [False, True]
    assert after(state, frame(1.6, 1.7, Failure.TIMEOUT)).next_probe_s == 2.7
    assert LinkState(ProbePlan.never()).next_probe_s == math.inf


def test_there_is_no_estimate_while_the_link_is_down():
    estimator = LastUpload()
    estimator.observe(UP.after(frame(1.0, 1.1)).lesson)
    assert UP.contacted(0.03).estimate(estimator, 2.0).round_trip_s == 0.03
    assert after(UP, frame(2.0, 2.1, Failure.DOWN)).estimate(estimator, 2.2) is None
    assert UP.estimate(HarmonicMean(), 2.0) is None


def test_what_was_given_up_bounds_the_upload_by_what_edge_server_and_round_trip_leave():
    state = UP.contacted(0.05)
    lesson = state.after(frame(1.0, 1.5, Failure.TIMEOUT, edge_s=0.1)).lesson
    assert (lesson.time_s, lesson.payload_bytes, lesson.completed) == (1.5, BYTES, False)
    assert lesson.duration_s == pytest.approx(0.35)
    assert state.after(frame(1.0, 1.15, Failure.TIMEOUT, edge_s=0.1)).lesson is None, "nothing is left"
    assert state.after(frame(1.0, 1.5, Failure.DOWN)).lesson is None


@pytest.mark.parametrize("told_s", [1e-6, 0.0, None])
def test_no_upload_counts_as_shorter_than_can_be_told(told_s):
    step = UP.contacted(0.1).after(frame(1.0, 1.1, upload_s=told_s))
    assert step.lesson.duration_s == SHORTEST_S == 1e-3
    assert step.record.end_s - step.record.start_s == pytest.approx(1e-3)


def test_a_handshake_counts_as_sending_and_teaches_nothing():
    step = UP.contacted(0.1).after(Exchange(1.0, 1.4, 256, Purpose.HANDSHAKE, upload_s=0.01))
    assert (step.record.start_s, step.record.end_s, step.record.payload_bytes) == (1.0, 1.4, 256)
    assert step.lesson is None


def test_an_exchange_cannot_end_before_it_starts():
    with pytest.raises(ScheduleError, match=r"an exchange ends after it starts; got 2\.0 s to 1\.0 s"):
        frame(2.0, 1.0)


@pytest.mark.parametrize("more", [{"round_trip_s": -1.0}, {"round_trip_s": math.inf}, {"round_trip_s": math.nan}])
def test_a_state_is_of_seconds_that_can_be(more):
    with pytest.raises(ScheduleError, match="a round trip takes finite seconds, at least 0; got"):
        LinkState(ProbePlan(), **more)


EXCHANGES = st.builds(
    lambda start_s, lasted_s, **more: Exchange(start_s, start_s + lasted_s, **more),
    st.floats(0.0, 100.0),
    st.floats(0.0, 3.0),
    payload_bytes=st.sampled_from([0, 1, 256, BYTES]),
    purpose=st.sampled_from(Purpose),
    failure=st.none() | st.sampled_from(Failure),
    edge_s=st.floats(-1.0, 5.0) | st.just(math.inf),
    upload_s=st.none() | st.floats(0.0, 5.0),
    sent_bytes=st.none() | st.integers(0, BYTES),
)


@given(st.lists(EXCHANGES, max_size=12), st.floats(0.0, 0.5), st.floats(0.0, 0.5), st.floats(0.0, 5.0))
def test_any_sequence_of_exchanges_leaves_records_and_lessons_that_can_be(exchanges, round_trip_s, promotion_s, tail_s):
    state = LinkState(ProbePlan(), round_trip_s, RadioPower("any", promotion_s=promotion_s, tail_s=tail_s))
    estimator = HarmonicMean()
    for exchange in exchanges:
        step = state.after(exchange)
        assert state.after(exchange) == step, "nothing is remembered behind the caller's back"
        assert exchange.start_s <= step.record.start_s <= step.record.end_s <= exchange.end_s
        assert step.record.payload_bytes in (exchange.payload_bytes, exchange.sent_bytes, 0)
        if step.lesson is not None:
            assert step.lesson.duration_s >= (SHORTEST_S if step.lesson.completed else 0)
            assert step.lesson.completed == (exchange.failure is None)
            estimator.observe(step.lesson)
        if exchange.failure not in (None, Failure.TIMEOUT, Failure.STALE, Failure.OVERLOAD):
            assert not step.state.up
        state = step.state
        assert state.estimate(estimator, 200.0) is None or state.up
