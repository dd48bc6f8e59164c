"""Keeping the last answer is chosen where what changed allows it, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.channel import RateEstimate
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.errors import LevelError, ProfileError
from adaedge.operating_point import KEPT, Cost, KeptCurve, KeptKnot, LastAnswer, OperatingPoint, Profile
from adaedge.scheduling import Choice, LeastLatency, Scheduler
from adaedge.scheduling.table import Limits, Table

LOCAL = OperatingPoint("output")
PICTURE = OperatingPoint("input", codec="jpeg@90")
VIDEO = OperatingPoint("input", codec="h264@28")
ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)
LINK = RateEstimate(rate_bps=20e6, low_bps=10e6)
CURVE = KeptCurve(
    "moved-blocks",
    "of blocks moved",
    "iou",
    (KeptKnot(0.01, 0.99, 0.98, 90), KeptKnot(0.05, 0.97, 0.95, 200), KeptKnot(0.2, 0.9, 0.85, 150)),
    clips=(0, 2),
)


def profile(curve=CURVE, **more):
    costs = {
        LOCAL: Cost(0.05),
        PICTURE: Cost(0.001, 0.002, 9e3, 0.002, 0.01, 100.0, finish_s=0.05, accuracy=0.97),
        KEPT: Cost(0.0004, accuracy=None),
    }
    return Profile(costs | more, "00", "robot", "server", kept=curve)


def scheduler(floor=0.9, **options):
    return Scheduler(options.pop("table", profile()), ENERGY, deadline_s=0.2, accuracy_floor=floor, **options)


def last(point=LOCAL, correction=0.0):
    return LastAnswer(312, point, correction)


@given(st.floats(0, 1), st.floats(0.01, 1), st.sampled_from([LOCAL, PICTURE]), st.floats(0, 0.3))
def test_it_is_never_chosen_below_the_floor_that_its_curve_promises(change, floor, point, correction):
    chooser = scheduler(floor)
    decision = chooser.choose(LINK, 0.0, {KEPT: change}, last=last(point, correction))
    promised = CURVE.low(change + correction) - (0 if point == LOCAL else 0.03)
    assert (decision.point == KEPT) == (promised >= floor and change < 1)
    if decision.point == KEPT:
        assert decision.accuracy == pytest.approx(promised)
        assert decision.accuracy >= floor
        assert decision.change == change
        assert decision.payload_bytes == 0
    else:
        assert decision.accuracy >= floor


def test_never_without_a_floor_nor_without_an_answer_nor_where_all_changed():
    assert scheduler(0.0).choose(LINK, 0.0, {KEPT: 0.0}, last=last()).point != KEPT
    assert scheduler().choose(LINK, 0.0).point != KEPT
    assert scheduler().choose(LINK, 0.0, {}).point != KEPT
    sure = replace(CURVE, knots=(KeptKnot(1.0, 1.0, 1.0, 9),))
    assert scheduler(table=profile(sure)).choose(LINK, 0.0, {KEPT: 1.0}, last=last()).point != KEPT
    assert scheduler(table=profile(sure)).choose(LINK, 0.0, {KEPT: 0.99}, last=last()).point == KEPT
    assert scheduler(table=profile(None)).choose(LINK, 0.0, {KEPT: 0.0}, last=last()).point != KEPT
    unknown = LastAnswer(3, OperatingPoint("elsewhere", codec="u8"))
    assert scheduler().choose(LINK, 0.0, {KEPT: 0.0}, last=unknown).point != KEPT


def test_a_link_that_is_down_does_not_matter():
    assert scheduler().choose(None, 0.0, {KEPT: 0.0}, last=last()).point == KEPT


def test_no_point_on_time_is_no_reason_to_keep():
    """The fastest of all is a fallback; what is below the floor is not among them."""
    slow = Scheduler(profile(), ENERGY, deadline_s=0.001, accuracy_floor=0.9)
    assert slow.choose(LINK, 0.0, {KEPT: 0.5}, last=last()).point != KEPT
    fastest = scheduler(policy=LeastLatency())
    assert fastest.choose(LINK, 0.0, {KEPT: 0.5}, last=last()).point != KEPT
    assert fastest.choose(LINK, 0.0, {KEPT: 0.0}, last=last()).point == KEPT


def test_the_reasons_say_what_changed_since_when():
    chooser = scheduler()
    kept = chooser.choose(LINK, 0.0, {KEPT: 0.021}, last=last())
    assert "2.1 % of blocks moved since frame 312" in kept.reasons
    moved = chooser.choose(LINK, 0.1, {KEPT: 0.3}, last=last())
    assert "30.0 % of blocks moved since frame 312: too much to keep its answer" in moved.reasons
    audited = chooser.choose(LINK, 0.2, {KEPT: 0.01}, last=last(correction=0.02))
    assert "1.0 % of blocks moved since frame 312, counted as 3.0 % since an audit" in audited.reasons


def test_the_table_that_is_computed_from_holds_it_not_and_is_not_written_into():
    chooser = scheduler()
    assert KEPT not in chooser.table.points
    assert Table.build(profile(), Limits.of(0.2, 0.9)).points == (LOCAL, PICTURE)
    seen = []

    def watch(table, predictions, previous):
        seen.append((table.points, previous, float(table.accuracy[-1])))
        return Choice(len(table.points) - 1, "last")

    watching = scheduler(policy=watch)
    for change in (0.0, 0.05, 0.5, 0.0):
        watching.choose(LINK, None, {KEPT: change}, last=last())
    offered, without = (LOCAL, PICTURE, KEPT), (LOCAL, PICTURE)
    assert [points for points, _, _ in seen] == [offered, offered, without, offered]
    assert [accuracy for _, _, accuracy in seen] == [0.98, 0.95, 0.97, 0.98]
    assert [previous for _, previous, _ in seen] == [None, None, None, 1], (
        "the last that was computed, not the kept one"
    )


def test_what_was_kept_leaves_the_radio_as_it_was():
    chooser = scheduler()
    first = chooser.choose(LINK, 0.0)
    before = chooser.state
    chooser.choose(LINK, 0.1, {KEPT: 0.0}, last=last(first.point))
    assert chooser.state == replace(before, now_s=0.1, active_s=chooser.state.active_s)
    assert chooser.state.point == first.point


def test_codecs_with_a_state_stand_beside_it():
    refresh = Cost(0.001, 0.004, 4e5, 0.003, 0.01, 100.0, finish_s=0.05)
    costs = {**profile(), VIDEO: refresh}
    both = Profile(costs, "", "", "", (0.0, 1.0), {VIDEO: (replace(refresh, payload_bytes=500.0),)}, CURVE)
    chooser = Scheduler(both, ENERGY, deadline_s=0.2, accuracy_floor=0.9)
    assert chooser.choose(LINK, 0.0, {VIDEO: 0.0, KEPT: 0.0}, last=last()).point == KEPT
    decision = chooser.choose(LINK, 0.1, {VIDEO: 0.0, KEPT: 0.9}, last=last())
    assert (decision.point, decision.payload_bytes, decision.change) == (VIDEO, 500.0, 0.0)


def test_a_curve_travels_with_the_profile():
    read = Profile.from_json(profile().to_json())
    assert read == profile()
    assert read.slowed(2.0).kept == CURVE
    assert read.slowed(2.0)[KEPT].head_s == 0.0008
    assert Profile.join(read, read).kept == CURVE


@pytest.mark.parametrize(
    "knots",
    [
        (),
        (KeptKnot(0.1, 0.9, 0.8, 3), KeptKnot(0.1, 0.8, 0.7, 3)),
        (KeptKnot(0.1, 0.9, 0.8, 3), KeptKnot(0.2, 0.95, 0.7, 3)),
        (KeptKnot(0.1, 0.9, 0.8, 3), KeptKnot(0.2, 0.9, 0.85, 3)),
    ],
)
def test_a_curve_that_rises_is_none(knots):
    with pytest.raises(ProfileError, match="knots that ascend in change"):
        KeptCurve("blocks", "", "iou", knots)


@pytest.mark.parametrize("figures", [(-0.1, 0.9, 0.8), (0.1, 1.1, 0.8), (0.1, 0.9, float("nan"))])
def test_a_knot_holds_fractions(figures):
    with pytest.raises(ProfileError, match="fractions in"):
        KeptKnot(*figures, 3)


def test_it_has_no_level_and_no_codec():
    assert OperatingPoint.parse("kept/w1/fp32/raw") == KEPT
    assert KEPT.is_local
    with pytest.raises(LevelError, match="'kept' keeps the last answer as it is"):
        OperatingPoint("kept", codec="u8")


def test_a_curve_is_a_staircase_that_ends():
    assert [CURVE.low(change) for change in (0.0, 0.01, 0.0101, 0.2, 0.21)] == [0.98, 0.98, 0.95, 0.85, 0.0]
    assert [CURVE.expected(change) for change in (0.0, 0.2, 0.21)] == [0.99, 0.9, 0.0]
    assert [CURVE.largest_change(floor) for floor in (0.5, 0.95, 0.99)] == [0.2, 0.05, None]
    assert np.isfinite(CURVE.low(1.0))
