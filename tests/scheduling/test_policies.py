"""The policies: each by a case that only it decides so, with memory passed in and out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adaedge.channel import RateEstimate, RateSpread, Trace
from adaedge.cli.policy_names import NAMED, policy_of
from adaedge.energy import NR_MMWAVE, ComputePower, EnergyModel, RadioPower
from adaedge.errors import ScheduleError
from adaedge.operating_point import Cost, OperatingPoint
from adaedge.scheduling import (
    AlwaysLocal,
    AlwaysPicture,
    AlwaysVideo,
    BestOf,
    Choice,
    ExpectedEnergy,
    LeastEnergy,
    LeastLatency,
    Limits,
    LinearBandit,
    Neurosurgeon,
    Past,
    RobustMPC,
    Scheduler,
    Table,
    VirtualQueues,
    predict,
)
from adaedge.simulation import Outcome, Scenario, simulate

LOCAL, SMALL = OperatingPoint("output"), OperatingPoint("output", width=0.5)
FULL, MID = OperatingPoint("input", codec="jpeg@90"), OperatingPoint("b.3", codec="u4")
COSTS = {
    LOCAL: Cost(0.15),
    FULL: Cost(0.0, 0.005, 17e3, 0.002, 0.008, 4e3, finish_s=0.15),
    MID: Cost(0.05, 0.002, 6e3, 0.0, 0.005, 4e3, finish_s=0.1, accuracy=0.96),
    SMALL: Cost(0.06, accuracy=0.9),
}
ENERGY = EnergyModel(ComputePower(4.0, wait_w=1.0), RadioPower("hand", uplink_w=2.0, downlink_w=1.0))
LIMITS = Limits.of(0.3, 0.95, 0.2)
GOOD = RateEstimate(10e6, 9e6, 0.01)


def asked(policy: Any, link: RateEstimate | None = GOOD, *, limits: Limits = LIMITS, **past: Any) -> tuple[Any, Choice]:
    table = Table.build(COSTS, limits)
    predictions = predict(table, ENERGY, link, idle_s=1.0, past=Past(**past))
    choice = policy(table, predictions, None)
    return table.points[choice.row], choice


@pytest.mark.parametrize("named", NAMED)
def test_each_is_found_by_its_name_and_needs_no_argument(named: Any) -> None:
    name = named.__name__
    hyphens = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
    assert policy_of(name, LOCAL) == policy_of(hyphens, LOCAL) == named()


def test_a_name_that_is_none_is_told_all_there_are() -> None:
    with pytest.raises(ScheduleError, match=r"no policy 'best'; .*RobustMPC.* such as output"):
        policy_of("best", LOCAL)
    assert policy_of("adaptive", LOCAL) is None


@pytest.mark.parametrize("policy", [named() for named in NAMED if named is not AlwaysVideo])
def test_each_runs_and_keeps_the_deadline_where_a_local_run_does(policy: Any) -> None:
    trace = Trace([0.0, 4.0, 6.0, 9.0], [20e6, 0.0, 8e6, 0.5e6], 12.0)
    records = Scenario(COSTS, ENERGY, trace, LIMITS, 80).run(policy)
    assert Outcome.of(records).miss_fraction == 0
    again = Scenario(COSTS, ENERGY, trace, LIMITS, 80).run(policy)
    assert [one.decision.point for one in again] == [one.decision.point for one in records], "it holds no state itself"


def test_baselines_do_what_they_are_called() -> None:
    assert asked(AlwaysLocal())[0] == LOCAL
    assert asked(AlwaysPicture(), None)[0] == FULL
    with pytest.raises(ScheduleError, match=r"no point that sends video at or above the accuracy floor of 0\.95"):
        asked(AlwaysVideo())
    assert asked(Neurosurgeon())[0] == FULL
    assert asked(Neurosurgeon(), None)[0] == LOCAL
    plan = Scheduler(COSTS, ENERGY, deadline_s=0.3, policy=AlwaysLocal()).probe_plan()
    assert not plan.due(1e9), "a terminal that never sends does not probe"


def test_the_robust_plan_is_for_the_rate_that_is_probably_exceeded() -> None:
    unsure = RateEstimate(10e6, 0.4e6, 0.01)
    assert asked(LeastEnergy(), unsure)[0] == FULL
    assert asked(RobustMPC(), unsure)[0] != FULL
    assert asked(RobustMPC())[0] == FULL
    assert asked(RobustMPC(), None)[0] == LOCAL


def test_the_robust_plan_counts_the_radios_states_over_its_own_frames() -> None:
    energy = EnergyModel(ComputePower(4.0), RadioPower("tail", uplink_w=2.0, tail_s=10.0, tail_w=0.3))
    table = Table.build(COSTS, LIMITS)
    predictions = predict(table, energy, GOOD)  # fast asleep
    assert table.points[RobustMPC(frames=100)(table, predictions, None).row] == FULL
    assert table.points[RobustMPC(frames=1)(table, predictions, None).row] == LOCAL


def test_an_accuracy_holds_on_average_where_no_answer_has_to_keep_it() -> None:
    accuracy = {LOCAL: 1.0, SMALL: 0.9}
    costs = {point: replace(COSTS[point], accuracy=accuracy[point]) for point in (LOCAL, SMALL)}
    scenario = Scenario(costs, ENERGY, Trace([0.0], [1e6]), Limits.of(0.3, 0.0, 0.2), 600)
    records = scenario.run(VirtualQueues(accuracy=0.97))
    mean = float(np.mean([accuracy[record.decision.point] for record in records]))
    assert mean == pytest.approx(0.97, abs=0.001), "no less than was asked for, and no more"
    best_j = 600 * 4.0 * (0.7 * 0.15 + 0.3 * 0.06)
    assert sum(record.measurement.energy.total_j for record in records) == pytest.approx(best_j, rel=0.01)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.85])
def test_a_battery_lasts_until_its_hour_and_is_used(share: float) -> None:
    accuracy = {LOCAL: 1.0, SMALL: 0.9}
    costs = {point: replace(COSTS[point], accuracy=accuracy[point]) for point in (LOCAL, SMALL)}
    low_j, high_j = 4.0 * 0.06, 4.0 * 0.15
    battery_j = 600 * (low_j + share * (high_j - low_j))
    policy = VirtualQueues(battery_j=battery_j, until_s=120.0)
    records = Scenario(costs, ENERGY, Trace([0.0], [1e6]), Limits.of(0.3, 0.0, 0.2), 600).run(policy)
    spent_j = sum(record.measurement.energy.total_j for record in records)
    assert spent_j == pytest.approx(battery_j, rel=0.01)
    best = 0.9 + 0.1 * share  # so many frames at the full width, and no better is possible
    assert np.mean([accuracy[record.decision.point] for record in records]) == pytest.approx(best, abs=0.002)


def test_a_battery_is_not_emptied_by_probes_of_a_link_that_cannot_pay() -> None:
    accuracy = {LOCAL: 1.0, SMALL: 0.9}
    costs = {point: replace(COSTS[point], accuracy=accuracy.get(point, 0.95)) for point in COSTS}
    dear = EnergyModel(ENERGY.compute, NR_MMWAVE)  # a radio whose every use costs several local frames
    battery_j = 600 * 4.0 * (0.06 + 0.5 * 0.09)
    policy = VirtualQueues(battery_j=battery_j, until_s=120.0)
    records = Scenario(costs, dear, Trace([0.0], [3e5]), Limits.of(0.3, 0.0, 0.2), 600).run(policy)
    spent_j = sum(record.measurement.energy.total_j for record in records)
    assert spent_j == pytest.approx(battery_j, rel=0.01)


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"accuracy": 1.2}, "an average accuracy is a fraction"),
        ({"until_s": 3.0}, "give battery_j and until_s, both; got None, 3.0"),
        ({"battery_j": -1.0, "until_s": 3.0}, "battery_j is finite and above 0; got -1.0"),
        ({"weight": float("inf")}, "weight is finite and above 0"),
    ],
)
def test_queues_that_cannot_be_are_refused(told: dict[str, float], text: str) -> None:
    with pytest.raises(ScheduleError, match=text):
        VirtualQueues(**told)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: RobustMPC(frames=0), "a plan is of at least one frame; got 0"),
        (lambda: RobustMPC(hysteresis=1.0), "hysteresis is a fraction"),
        (lambda: ExpectedEnergy(miss=1.5), "miss is the chance of a missed deadline"),
        (lambda: ExpectedEnergy(hysteresis=-0.1), "hysteresis is a fraction"),
        (lambda: LinearBandit(bonus=-1.0), "bonus and forced are at least 0"),
        (lambda: BestOf(policies=()), "there is a policy to follow"),
    ],
)
def test_policies_that_cannot_be_are_refused(wrong: Any, text: str) -> None:
    with pytest.raises(ScheduleError, match=text):
        wrong()


def off(factor_local: float, factor_sent: float) -> dict[OperatingPoint, Cost]:
    """What a profile says that is off by a factor."""
    return {
        point: replace(cost, head_s=cost.head_s * factor_local, payload_bytes=cost.payload_bytes * factor_sent)
        for point, cost in COSTS.items()
    }


def test_the_bandit_learns_what_the_profile_has_wrong() -> None:
    # The profile believes that computing takes half; at this rate it would never send.
    believed, trace = off(0.5, 1.0), Trace([0.0], [2.2e6])
    spent_j = {}
    for policy in (ExpectedEnergy(), LinearBandit()):
        scheduler = Scheduler(believed, ENERGY, deadline_s=0.3, accuracy_floor=0.95, period_s=0.2, policy=policy)
        records = simulate(COSTS, ENERGY, trace, scheduler, frames=400, period_s=0.2)
        spent_j[type(policy)] = sum(record.measurement.energy.total_j for record in records[200:])
    right = Scenario(COSTS, ENERGY, trace, LIMITS, 400).run()[200:]
    right_j = sum(record.measurement.energy.total_j for record in right)
    assert spent_j[ExpectedEnergy] > 1.1 * right_j
    assert spent_j[LinearBandit] < 1.02 * right_j


def test_the_bandit_does_not_learn_from_an_accident_nor_without_a_local_point() -> None:
    _, first = asked(LinearBandit())
    _, second = asked(LinearBandit(), memory=first.memory, spent_j=100.0)
    assert not second.memory.gram.any()  # type: ignore[attr-defined]
    _, third = asked(LinearBandit(), memory=first.memory, spent_j=0.1)
    assert third.memory.gram.any()  # type: ignore[attr-defined]


def test_the_best_of_two_is_followed_once_it_leads() -> None:
    policy = BestOf((AlwaysLocal(), ExpectedEnergy()), lead=2.0)
    records = Scenario(COSTS, ENERGY, Trace([0.0], [20e6]), LIMITS, 60).run(policy)
    points = [record.decision.point for record in records]
    assert points[0] == LOCAL
    assert set(points[20:]) == {FULL}
    switched = points.index(FULL)
    assert 2 <= switched <= 10
    assert records[switched].decision.reasons[0].startswith("ExpectedEnergy: ")


def test_a_member_learns_only_from_what_was_run_as_it_proposed() -> None:
    told = []

    def spy(table: Table, predictions: Any, previous: int | None) -> Choice:
        told.append(predictions.past.spent_j)
        return LeastLatency()(table, predictions, previous)

    policy = BestOf((AlwaysLocal(), spy))
    table = Table.build(COSTS, LIMITS)
    first = policy(table, predict(table, ENERGY, GOOD, idle_s=1.0), None)
    policy(table, predict(table, ENERGY, GOOD, idle_s=1.0, past=Past(first.memory, 0.6)), first.row)
    assert told == [0.0, 0.0]


def test_a_policy_of_ones_own_sees_the_spread_and_one_at_the_estimate_does_not() -> None:
    spread = RateSpread(np.array([0.1e6, 10e6]), np.array([0.4, 0.6]))
    link = RateEstimate(10e6, 9e6, 0.01, 0.0, spread)
    seen = []

    def mine(table: Table, predictions: Any, previous: int | None) -> Choice:
        seen.append(predictions.spread)
        return LeastLatency()(table, predictions, previous)

    Scheduler(COSTS, ENERGY, deadline_s=0.3, policy=mine).choose(link, 0.0)
    assert seen == [spread]
    estimated = Scheduler(COSTS, ENERGY, deadline_s=0.3, policy=LeastEnergy()).choose(link, 0.0)
    plain = Scheduler(COSTS, ENERGY, deadline_s=0.3, policy=LeastEnergy()).choose(replace(link, spread=None), 0.0)
    assert estimated == plain
