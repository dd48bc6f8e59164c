"""Replays whose frames change by different amounts: what a payload costs then, and what hindsight may not lose to."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.bundle import Preprocessing
from adaedge.channel import Trace
from adaedge.clip import Clip
from adaedge.energy import NR_DRX, NR_DRX_FAST_RELEASE, RASPBERRY_PI_4, ComputePower, EnergyModel, RadioPower
from adaedge.errors import SourceError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import Choice, Fixed, Limits
from adaedge.simulation import ClipChanges, Scenario, StepChanges, best_static, clairvoyant, static_runs
from adaedge.simulation.optimal_plan import OLDEST_REFERENCE
from adaedge.simulation.references import HeldFrames
from adaedge.simulation.replay import Replay
from adaedge.stream import BlockChange

LOCAL = OperatingPoint("output")
VIDEO = OperatingPoint("input", codec="h264@28")
FINE = OperatingPoint("input", codec="h264@20")
MID = OperatingPoint("blocks.3", codec="u4")
DELTA, DELTA_FINE = (OperatingPoint("blocks.3", codec=f"delta@{rate}") for rate in (0, 1))
COSTS = {
    LOCAL: Cost(0.1),
    VIDEO: Cost(0.0, 0.004, 3_000, 0.002, 0.01, 50, 0.1),
    FINE: Cost(0.0, 0.005, 8_000, 0.002, 0.01, 50, 0.1),
    MID: Cost(0.05, 0.0, 2_500, 0.0, 0.01, 50, 0.05),
}
NEXT = {
    VIDEO: (Cost(0.0, 0.002, 60, 0.001, 0.01, 50, 0.1), Cost(0.0, 0.003, 900, 0.0015, 0.01, 50, 0.1)),
    FINE: (Cost(0.0, 0.002, 90, 0.001, 0.01, 50, 0.1), Cost(0.0, 0.003, 2_000, 0.0015, 0.01, 50, 0.1)),
}
PROFILE = Profile(COSTS, "00" * 32, "hand", "hand", (0.0, 0.2, 1.0), NEXT)
RADIO = RadioPower("hand", uplink_w=2.0, downlink_w=1.0, promotion_s=0.05, promotion_w=1.0, tail_s=1.0, tail_w=0.5)
ENERGY = EnergyModel(ComputePower(busy_w=4.0, wait_w=1.0), RADIO)
PLAIN = EnergyModel(ComputePower(busy_w=4.0, wait_w=1.0), RadioPower("no memory", uplink_w=2.0, downlink_w=1.0))
STEADY = Trace([0.0], [3e6])
LIMITS = Limits.of(0.2, 0.9)


def scenario(changes=None, trace=STEADY, energy=ENERGY, costs=PROFILE, frames=12) -> Scenario:
    return Scenario(costs, energy, trace, LIMITS, frames, changes=changes)


def sent(records) -> list[int]:
    return [record.measurement.payload_bytes for record in records]


def joules(records) -> float:
    return sum(record.measurement.energy.total_j for record in records)


def test_without_changes_every_number_is_what_it_was() -> None:
    """Written down before a replay knew of changes; the adaptive one again since it expects over a distribution."""
    asked = scenario(trace=Trace([0.0, 4.0, 7.0, 9.0], [1.5e6, 1e4, 3e6, 2e5], 12.0), frames=120)
    runs = {"adaptive": asked.run(), "video": asked.run(Fixed(VIDEO)), "clairvoyant": clairvoyant(asked)}
    runs["static"] = best_static(asked)[1]
    found = {
        name: (joules(run), sum(sent(run)), sum(bool(r.measurement.failure) for r in run)) for name, run in runs.items()
    }
    assert found == {
        "adaptive": (pytest.approx(49.532944314854824, rel=1e-12), 195_268, 6),
        "video": (pytest.approx(49.36904799999988, rel=1e-12), 247_710, 60),
        "clairvoyant": (pytest.approx(36.637599999999935, rel=1e-12), 180_600, 4),
        "static": (pytest.approx(47.99999999999989, rel=1e-12), 0, 0),
    }
    assert Counter(record.decision.point for record in runs["clairvoyant"]) == {LOCAL: 57, VIDEO: 59, MID: 4}
    assert all(record.change is None and record.decision.change == 1.0 for run in runs.values() for record in run)


def test_a_static_clip_costs_what_its_next_frames_cost() -> None:
    records = scenario(StepChanges([1.0] + [0.0] * 11)).run(Fixed(VIDEO))
    assert sent(records) == [3_000] + [60] * 11
    assert [record.decision.payload_bytes for record in records] == sent(records)
    assert [record.decision.change for record in records] == [record.change for record in records] == [1.0] + [0.0] * 11
    last = records[-2].measurement
    # 2 ms encode, 60 bytes, 20 ms round trip, 11 ms edge, 50 bytes back.
    assert last.compute_s == pytest.approx(0.002)
    assert last.latency_s == pytest.approx(0.002 + 8 * 60 / 3e6 + 0.02 + 0.011 + 8 * 50 / 3e6)


def test_a_cut_costs_a_refresh_and_what_lies_between_two_amounts_so_much() -> None:
    records = scenario([1.0, 0.0, 0.1, 1.0, 0.2, 0.0], frames=6).run(Fixed(VIDEO))
    assert sent(records) == [3_000, 60, 480, 3_000, 900, 60]


def test_after_a_lost_payload_the_next_one_is_a_refresh() -> None:
    outage = Trace([0.0, 0.55, 0.75], [3e6, 1.0, 3e6], 100.0)
    records = scenario([0.0] * 8, outage, frames=8).run(Fixed(VIDEO))
    failed = [record.index for record in records if record.measurement.failure]
    assert failed == [3]
    assert sent(records)[4:] == [3_000, 60, 60, 60]
    assert [record.decision.change for record in records][3:6] == [0.0, 1.0, 0.0], "the decision knew it"


class Turns:
    """A policy that takes points in turn."""

    def __init__(self, *points: OperatingPoint) -> None:
        self.points = itertools.cycle(points)

    def __call__(self, table, predictions, previous) -> Choice:
        return Choice(table.row(next(self.points)), "its turn")


def test_frames_that_send_nothing_leave_the_reference_and_it_grows_old() -> None:
    frames = [np.full((36, 64, 3), level, np.uint8) for level in (100, 106, 112, 106)]
    records = scenario(ClipChanges.of_clip(frames), frames=4).run(Turns(VIDEO, LOCAL, LOCAL, VIDEO))
    assert records[-1].decision.change == pytest.approx(6 / 64), "against the frame that was sent, three frames ago"
    assert records[-1].decision.change == pytest.approx(records[-1].change)
    assert [record.measurement.payload_bytes for record in records if not record.decision.point.is_local][1] == 454


def test_another_codec_or_place_between_two_payloads_makes_the_second_a_refresh() -> None:
    for other in (MID, FINE):
        records = scenario([0.0] * 4, frames=4).run(Turns(VIDEO, other))
        assert sent(records)[2] == 3_000
    one, two = DELTA, DELTA_FINE
    costs = COSTS | {one: COSTS[VIDEO], two: COSTS[FINE]}
    deltas = replace(PROFILE, costs=costs, next_costs=NEXT | {one: NEXT[VIDEO], two: NEXT[FINE]})
    assert sent(scenario([0.0] * 4, costs=deltas, frames=4).run(Turns(one, two))) == [3_000, 90, 60, 90]


def test_what_a_stream_really_sent_corrects_what_is_predicted() -> None:
    from adaedge.scheduling import Scheduler
    from adaedge.simulation import simulate

    more = {
        point: tuple(replace(cost, payload_bytes=2 * cost.payload_bytes) for cost in costs)
        for point, costs in NEXT.items()
    }
    scheduler = Scheduler(PROFILE, ENERGY, deadline_s=0.2, policy=Fixed(VIDEO))
    truth = replace(PROFILE, next_costs=more)
    records = simulate(truth, ENERGY, STEADY, scheduler, frames=60, period_s=0.2, changes=[0.0] * 60)
    assert records[1].decision.payload_bytes == 60
    assert records[-1].decision.payload_bytes == pytest.approx(120, rel=0.01)


def test_a_clip_is_looked_at_as_a_terminal_looks_at_it_and_at_the_times_of_the_frames() -> None:
    draw = np.random.default_rng(0)
    frames = list(draw.integers(100, 130, (12, 36, 64, 3), dtype=np.uint8))
    detector, clip = BlockChange(), Clip(frames, fps=10.0)
    looks = [detector.look(frame) for frame in frames]
    every = ClipChanges.of_clip(clip)
    assert every.of(7, 2) == detector.change(looks[2], looks[7])
    assert every.of(13, 11) == detector.change(looks[11], looks[1]), "it begins anew"
    slow = ClipChanges.of_clip(clip, period_s=0.3)
    assert len(slow) == 4
    assert slow.of(3, 1) == detector.change(looks[3], looks[9])
    fast = ClipChanges.of_clip(clip, period_s=0.05)
    assert (len(fast), fast.of(1, 0)) == (24, 0.0)
    assert len(ClipChanges.of_clip(clip, frames=3)) == 3


def test_of_a_window_so_much_changed_as_its_frames_are_new() -> None:
    still = [np.zeros((36, 64, 3), np.uint8)] * 20
    changes = ClipChanges.of_clip(still, preprocessing=Preprocessing((32, 32), frames=8, stride=2))
    assert [changes.of(10, 10 - came) for came in (1, 2, 4, 9)] == [0.0, 0.0, 0.25, 0.625]


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=40))
def test_composed_steps_lie_between_their_largest_and_their_sum(steps) -> None:
    changes, last = StepChanges(steps), len(steps) - 1
    composed = changes.of(last, 0)
    assert max(steps[1:]) - 1e-12 <= composed <= min(1.0, sum(steps[1:])) + 1e-12
    assert changes.of(last, last - 1) == steps[-1]
    assert changes.of(last, 0) >= changes.of(last, last // 2) - 1e-12, "an older frame is not nearer"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([0.1, 1.5, 0.2], r"a change is a number in \[0, 1\]; that of frame 1 is 1\.5"),
        ([0.1, float("nan"), 0.2], r"that of frame 1 is nan"),
        ([0.1, 0.2], r"a replay of 3 frames takes as many changes; got 2"),
        ([], r"one number a frame, of a frame or more; got shape \(0,\)"),
    ],
)
def test_what_is_no_change_is_refused(changes, words) -> None:
    for run in (Scenario.run, clairvoyant, static_runs):
        with pytest.raises(SourceError, match=words):
            run(scenario(changes, frames=3))


def test_a_clip_without_frames_or_a_period_that_is_none_is_refused() -> None:
    with pytest.raises(SourceError, match="at least one frame; got none"):
        ClipChanges([])
    with pytest.raises(SourceError, match=r"a number of seconds above 0; got 0"):
        ClipChanges.of_clip([np.zeros((36, 64, 3), np.uint8)], period_s=0.0)


CHANGE = st.sampled_from([0.0, 0.02, 0.2, 0.6, 1.0]) | st.floats(0.0, 1.0)
STATEFUL = [VIDEO, FINE, DELTA, DELTA_FINE]
BYTES = st.integers(50, 20_000)
SECONDS = st.floats(0.0, 0.03)


@st.composite
def profiles(draw) -> Profile:
    """A local point, one without a state, and some with one; costs need not grow with the change."""
    drawn = {
        point: [Cost(draw(SECONDS), draw(SECONDS), draw(BYTES), 0.001, 0.01, 50, 0.05) for _ in range(3)]
        for point in draw(st.lists(st.sampled_from(STATEFUL), unique=True, max_size=3))
    }
    drawn = {point: [replace(cost, head_s=costs[0].head_s) for cost in costs] for point, costs in drawn.items()}
    costs = {LOCAL: Cost(draw(st.floats(0.01, 0.1))), MID: Cost(0.02, 0.0, draw(BYTES), 0.0, 0.01, 50, 0.05)}
    costs |= {point: found[-1] for point, found in drawn.items()}
    return Profile(
        costs, "", "drawn", "drawn", (0.0, 0.3, 1.0), {point: tuple(found[:-1]) for point, found in drawn.items()}
    )


def replayed(asked: Scenario, points) -> list:
    """Points in order, without a scheduler: what a policy that knows everything could have done."""
    from adaedge.operating_point import Decision
    from adaedge.simulation.changes import as_changes

    held = HeldFrames(asked.costs, as_changes(asked.changes, asked.frames))
    replay = Replay(asked.costs, asked.energy, asked.trace, asked.limits, asked.round_trip_s, None, held)
    return replay.run(
        lambda index, _: Decision(points[index], 0.0, 0.0), range(asked.frames), asked.limits.period_s, 0.0
    )


@settings(max_examples=25, deadline=None)
@given(profiles(), st.lists(CHANGE, min_size=4, max_size=4), st.lists(st.floats(1e4, 5e6), min_size=4, max_size=4))
def test_the_clairvoyant_is_the_best_of_all_plans(costs, changes, rates) -> None:
    """Of a radio that remembers nothing, so that counting a tail in whole frames costs nothing."""
    asked = scenario(changes, Trace(0.2 * np.arange(4), rates), PLAIN, costs, frames=4)
    best_j = min(joules(replayed(asked, points)) for points in itertools.product(costs, repeat=4))
    ideal = clairvoyant(asked)
    assert joules(ideal) == pytest.approx(best_j, rel=1e-9)
    for record in ideal:
        assert record.decision.energy_j == pytest.approx(record.measurement.energy.total_j, rel=1e-9)
        assert record.decision.latency_s == pytest.approx(record.measurement.latency_s, rel=1e-9)


def test_who_has_nothing_but_a_codec_with_a_state_sends_in_vain_and_then_a_refresh() -> None:
    only = Profile({VIDEO: COSTS[VIDEO]}, "", "hand", "hand", (0.0, 0.2, 1.0), {VIDEO: NEXT[VIDEO]})
    outage = Trace([0.0, 0.55, 0.75], [3e6, 1.0, 3e6], 100.0)
    ideal = clairvoyant(scenario([0.0] * 8, outage, PLAIN, only, frames=8))
    assert [record.decision.change for record in ideal] == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert [record.index for record in ideal if record.measurement.failure] == [3]


class Whim:
    """A policy that takes any point."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)

    def __call__(self, table, predictions, previous) -> Choice:
        return Choice(int(self.draw.integers(len(table.points))), "a whim")


@settings(max_examples=25, deadline=None)
@given(
    profiles(),
    st.lists(CHANGE, min_size=80, max_size=80),
    st.lists(st.floats(0.0, 5e6), min_size=2, max_size=20),
    st.sampled_from([RADIO, RadioPower("none", uplink_w=1.0), replace(RADIO, tail_s=0.3), NR_DRX, NR_DRX_FAST_RELEASE]),
    st.integers(0, 2**32 - 1),
)
def test_no_policy_takes_less_than_the_clairvoyant(costs, changes, rates, radio, seed) -> None:
    energy = EnergyModel(RASPBERRY_PI_4, radio)
    asked = scenario(changes, Trace(np.arange(len(rates) + 1), [*rates, 1e6]), energy, costs, frames=80)
    ideal_j = joules(clairvoyant(asked))
    # The plan counts a tail in whole frames, and the first probe is nobody's choice.
    slack_j = radio.wake_j + radio.idle_j(0.0, np.inf) + radio.listen_w * 0.4
    for records in (asked.run(), asked.run(Whim(seed)), *static_runs(asked).values()):
        assert not any(record.missed for record in records), "a local finish fits"
        assert ideal_j <= joules(records) + slack_j + 0.02 * joules(records)


@pytest.mark.parametrize(("dark_frames", "change"), [(OLDEST_REFERENCE - 1, 0.0), (OLDEST_REFERENCE + 10, 1.0)])
def test_the_clairvoyant_counts_on_a_reference_for_so_many_frames(dark_frames, change) -> None:
    """It builds upon what is old by then, up to a bound, and beyond it plans with a refresh."""
    back = 1 + dark_frames
    dark = Trace([0.0, 0.2, 0.2 * back], [3e6, 1e3, 3e6], 1000.0)
    costs = {LOCAL: Cost(0.05), VIDEO: COSTS[VIDEO]}
    near = Profile(costs, "", "hand", "hand", (0.0, 0.2, 1.0), {VIDEO: NEXT[VIDEO]})
    ideal = clairvoyant(scenario([0.0] * (back + 20), dark, PLAIN, near, frames=back + 20))
    assert [record.index for record in ideal if record.decision.point == VIDEO] == [0, *range(back, back + 20)]
    assert ideal[back].decision.change == change
    if change == 1.0:
        assert ideal[back].decision.energy_j > 1.1 * ideal[back].measurement.energy.total_j, "a bound, not a price"


def test_who_sees_changes_spends_less_on_a_still_clip_and_no_more_on_cuts() -> None:
    still, cuts = scenario([0.01] * 200, frames=200), scenario([1.0] * 200, frames=200)
    assert sum(sent(still.run())) < 0.1 * sum(sent(scenario(frames=200).run()))
    assert joules(still.run()) < joules(scenario(frames=200).run())
    assert joules(cuts.run()) == pytest.approx(joules(scenario(frames=200).run()))
