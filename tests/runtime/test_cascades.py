"""A terminal runs a cascade: the sure answers stand, the others go on, and the record says so."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adaedge import Cascade
from adaedge.channel import RateEstimate
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from adaedge.scheduling.cascade_rows import pauses

sys.path.insert(0, str(Path(__file__).parents[1]))
import noisy_student
from noisy_student import frames

FIRST, FULL = OperatingPoint("output", network="student"), OperatingPoint("output")
EDGE = OperatingPoint("1", codec="raw")
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
FAST = RateEstimate(50e6, 45e6, 0.004)


@pytest.fixture(scope="module")
def bundle():
    return noisy_student.built("raw")


@pytest.fixture(scope="module")
def cascades(bundle):
    return {then: Cascade.fit(bundle, frames(400, 0), first=FIRST, then=then, floor=0.97) for then in (FULL, EDGE)}


def profile(bundle, *, first_s=0.001, full_s=0.05):
    costs = {
        FIRST: Cost(first_s, accuracy=0.8),
        FULL: Cost(full_s),
        EDGE: Cost(0.01, 0.001, payload_bytes=4000, decode_s=0.001, tail_s=0.002, answer_bytes=90, finish_s=0.04),
    }
    return Profile(costs, bundle.digest, "test", "test")


def scheduler_of(bundle, *cascades, **limits):
    limits = {"deadline_s": 0.2, "accuracy_floor": 0.95} | limits
    return Scheduler(profile(bundle), ENERGY, cascades=cascades, **limits)


@pytest.fixture(scope="module")
def server(bundle):
    credentials = Credentials.create()
    with EdgeServer(bundle, credentials=credentials) as running:
        yield running, credentials


def link_to(server):
    running, credentials = server
    return GrpcLink(running.address, certificate=credentials.certificate, token=credentials.token)


def test_a_terminal_answers_the_sure_frames_at_home_and_keeps_the_floor(bundle, cascades, server):
    cascade = cascades[FULL]
    scheduler = scheduler_of(bundle, cascade, policy=Fixed(cascade.point))
    right, stood = [], []
    with Terminal(bundle, scheduler, link_to(server)) as terminal:
        for inputs in frames(500, 1):  # none of those that it was calibrated on
            result = terminal.infer(inputs)
            expected = cascade.run(bundle, inputs)
            assert np.array_equal(result.answer[0], expected.answer[0])
            assert result.decision.point == cascade.point
            assert str(result.decision.point) == "output/w1/fp32/raw/student?full"
            word = "its answer stands" if expected.stands else f"the frame went on to {FULL}"
            assert result.decision.reasons[-1].endswith(word)
            assert (
                f"student was sure by {expected.sureness:.3f} of {cascade.threshold:.3f}" in result.decision.reasons[-1]
            )
            assert result.measurement.answered_by == "terminal"
            right.append(result.answer[0].argmax() == bundle.run(FULL, inputs)[0].argmax())
            stood.append(expected.stands)
    assert np.mean(right) >= 0.96
    assert np.mean(stood) == pytest.approx(cascade.share, abs=0.1)
    assert 0.2 < np.mean(stood) < 1.0


def test_frames_that_are_not_sure_go_to_the_edge_server(bundle, cascades, server):
    cascade = cascades[EDGE]
    scheduler = scheduler_of(bundle, cascade, policy=Fixed(cascade.point))
    seen = set()
    with Terminal(bundle, scheduler, link_to(server)) as terminal:
        for inputs in frames(60, 2):
            measured = terminal.infer(inputs).measurement
            stands = cascade.first_answer(bundle, inputs).stands
            seen.add(stands)
            assert measured.answered_by == ("terminal" if stands else "edge")
            assert (measured.payload_bytes - measured.probe_bytes > 0) == (not stands)
    assert seen == {True, False}


def test_without_an_edge_server_such_a_frame_is_finished_at_home(bundle, cascades):
    cascade = cascades[EDGE]
    scheduler = scheduler_of(bundle, cascade, cascades[FULL])
    assert scheduler.choose(None).point == cascades[FULL].point  # no link: only what is local counts
    never = replace(cascade, threshold=math.inf)
    fixed = scheduler_of(bundle, never, policy=Fixed(never.point))
    with pytest.warns(UserWarning, match="not encrypted"):
        link = GrpcLink("127.0.0.1:9", insecure=True)
    with pytest.warns(UserWarning, match="until the edge server is reached"), Terminal(bundle, fixed, link) as terminal:
        result = terminal.infer(frames(1, 3)[0])
    assert result.measurement.answered_by == "terminal"
    assert np.allclose(result.answer[0], bundle.run(FULL, frames(1, 3)[0])[0], atol=1e-6)


def test_a_row_is_the_mean_of_a_frame_in_joules_and_bytes(bundle, cascades):
    for then in (FULL, EDGE):
        cascade = replace(cascades[then], share=0.75)
        always, alone = (
            scheduler_of(bundle, cascade, policy=Fixed(cascade.point)),
            scheduler_of(bundle, policy=Fixed(then)),
        )
        mixed, one = always.choose(FAST), alone.choose(FAST)
        assert mixed.payload_bytes == 0.25 * one.payload_bytes
        assert mixed.accuracy == pytest.approx(0.97)
        assert mixed.latency_s == pytest.approx(0.001 + 0.25 * one.latency_s, rel=1e-6)
        if then == FULL:
            computed_j = [float(ENERGY.local(seconds).total_j) for seconds in (0.001 + 0.25 * 0.05, 0.05)]
            rest_j = one.energy_j - computed_j[1]  # what the radio draws if it is left alone
            assert mixed.energy_j == pytest.approx(computed_j[0] + rest_j, rel=1e-9)


def test_a_radio_that_few_frames_use_falls_asleep_in_between(bundle, cascades):
    """Of a tail that outlasts the period, a quarter of the frames pay more than a quarter, and never more than all."""
    energy = EnergyModel(ComputePower(0.1), presets.LTE_2021)
    cascade = replace(cascades[EDGE], share=0.75)

    def joules(point, *given):
        scheduler = Scheduler(
            profile(bundle), energy, deadline_s=0.2, period_s=0.2, policy=Fixed(point), cascades=given
        )
        return scheduler.choose(FAST, 0.0).energy_j

    every, some = joules(EDGE), joules(cascade.point, cascade)
    assert 0.25 * every < some <= 1.05 * every


def test_it_is_chosen_where_it_saves_and_only_above_the_floor(bundle, cascades):
    cascade = cascades[FULL]
    assert scheduler_of(bundle, cascade).choose(None).point == cascade.point
    assert scheduler_of(bundle, cascade, accuracy_floor=0.98).choose(None).point == FULL
    below = scheduler_of(bundle, cascade, accuracy_floor=0.98).choose(None).reasons
    assert any("2 points are below the accuracy floor" in reason for reason in below)


@pytest.mark.parametrize(("deadline_s", "on_time"), [(0.0512, True), (0.0508, False)])
def test_a_frame_that_goes_on_is_in_time_whatever_the_mean_is(bundle, cascades, deadline_s, on_time):
    """0.001 s and then 0.05 s: the mean would fit, the frame that goes on does not."""
    cascade = replace(cascades[FULL], share=0.9)
    scheduler = scheduler_of(bundle, cascade, deadline_s=deadline_s, margin_s=0.0)
    assert (scheduler.choose(None).point == cascade.point) == on_time


def test_an_offload_after_a_first_answer_leaves_time_to_finish_at_home(bundle, cascades):
    cascade = replace(cascades[EDGE], share=0.9)
    for deadline_s, on_time in ((0.063, True), (0.0608, False)):  # 1 + 11 + 40 ms, and a margin of a tenth of ~ 60
        scheduler = scheduler_of(bundle, cascade, deadline_s=deadline_s, margin_s=0.01)
        row = scheduler.table.row(cascade.point)
        assert math.isfinite(scheduler.table.limit_s[row]) == on_time


def test_a_link_too_slow_for_the_frames_that_go_on_is_not_used(bundle, cascades):
    """At 0.8 Mbit/s a payload takes 40 ms and would come after the give-up, 50 ms; the mean of a tenth would fit."""
    scheduler = scheduler_of(bundle, replace(cascades[EDGE], share=0.9), deadline_s=0.1)
    point = cascades[EDGE].point
    assert scheduler.choose(FAST).point == point
    assert scheduler.choose(RateEstimate(0.8e6, 0.75e6, 0.004)).point != point


def test_that_a_frame_may_go_on_does_not_say_that_the_radio_is_awake(bundle, cascades):
    for point, given, active in ((cascades[EDGE].point, [cascades[EDGE]], False), (EDGE, [], True)):
        scheduler = scheduler_of(bundle, *given, policy=Fixed(point))
        scheduler.choose(FAST, 5.0)
        assert (scheduler.state.active_s > 5.0) == active


def test_pauses_between_the_frames_that_go_on_are_longer():
    gaps_s = pauses(np.array([0.09, 0.018, 0.0]), np.array([1.0, 0.2, 0.0]), period_s=0.1)
    assert gaps_s == pytest.approx([0.09, 0.49, 0.0])


def test_what_cannot_be_is_refused(bundle, cascades):
    cascade = cascades[FULL]
    with pytest.raises(ScheduleError, match=r"two points are called output/w1/fp32/raw/student\?full"):
        scheduler_of(bundle, cascade, replace(cascade, threshold=0.5))
    strange = replace(cascade, first=OperatingPoint("output", network="other"))
    with pytest.raises(ScheduleError, match=r"which the profile does not hold\. Profile the bundle"):
        scheduler_of(bundle, strange)
