"""Rows whose head is incremental: a refresh is spread over the horizon, by hand-worked joules."""

import pytest

from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.operating_point import Cost, OperatingPoint, Profile, not_faster
from adaedge.scheduling import Scheduler

LOCAL, POINT = OperatingPoint("output"), OperatingPoint("output", incremental=True)
ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)


def scheduler_of(refresh_s=0.12, **more):
    costs = {LOCAL: Cost(head_s=0.1), POINT: Cost(head_s=refresh_s)}
    profile = Profile(costs, "", "test", "test", (0.02, 0.3, 1.0), {POINT: (Cost(head_s=0.03), Cost(head_s=0.11))})
    return Scheduler(profile, ENERGY, deadline_s=0.5, period_s=0.1, **more)


def test_a_refresh_costs_what_frames_after_it_do_and_its_share_of_the_rest():
    """The horizon of 20 s holds 200 frames: 4 W · (0.03 s + 0.09 s / 200)."""
    decision = scheduler_of().choose(None, 0.0, {}, step=0.02)
    assert decision.point == POINT
    assert decision.energy_j == pytest.approx(0.1218)
    assert decision.latency_s == pytest.approx(0.12)  # of this frame
    assert decision.change == 1.0
    assert decision.reasons[-1].startswith("incremental: a refresh, to hold what frames that change by 2.0 %")


def test_what_is_held_costs_what_changed():
    decision = scheduler_of().choose(None, 0.0, {POINT: 0.02}, step=0.02)
    assert (decision.point, decision.change) == (POINT, 0.02)
    assert decision.energy_j == pytest.approx(0.12)
    assert decision.latency_s == pytest.approx(0.03)


def test_a_cut_in_a_still_scene_is_spread_and_a_moving_camera_is_not():
    scheduler = scheduler_of()
    cut = scheduler.choose(None, 0.0, {POINT: 0.3}, step=0.02)
    assert (cut.point, cut.latency_s) == (POINT, pytest.approx(0.11))
    assert cut.energy_j == pytest.approx(4 * (0.03 + 0.08 / 200))
    assert scheduler.choose(None, 0.1, {POINT: 0.3}, step=0.3).point == LOCAL


def test_without_steps_nothing_is_spread():
    assert scheduler_of().choose(None, 0.0, {}).point == LOCAL


def test_a_refresh_that_would_be_late_is_none():
    assert scheduler_of(refresh_s=0.6).choose(None, 0.0, {}, step=0.02).point == LOCAL


def test_precisions_are_compared_with_their_like():
    """An int8 run that is slower than fp32 is no faster for a refresh that takes longer still."""
    slow = OperatingPoint("output", precision="int8")
    costs = {LOCAL: Cost(head_s=0.1), POINT: Cost(head_s=0.12), slow: Cost(head_s=0.11)}
    assert not_faster(costs) == {slow}
