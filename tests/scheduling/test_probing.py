"""When an unused link is probed."""

from __future__ import annotations

import math

import pytest

from adaedge.scheduling import ProbePlan


def test_due_at_once_then_after_the_interval() -> None:
    plan = ProbePlan()
    assert plan.due(0.0)
    plan = plan.used(5.0)
    assert not plan.due(5.99)
    assert plan.due(6.0)


def test_failures_double_the_wait_up_to_the_longest() -> None:
    plan, now_s, waits = ProbePlan(), 0.0, []
    for _ in range(6):
        plan = plan.after(now_s, ok=False)
        waits.append(plan.wait_s)
        now_s += plan.wait_s
        assert plan.due(now_s)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_link_that_came_back_is_measured_soon_one_that_stays_unused_rarely() -> None:
    plan = ProbePlan()
    for time_s in (0.0, 1.0, 3.0):
        plan = plan.after(time_s, ok=False)
    assert plan.wait_s == 4.0
    waits = []
    for _ in range(9):
        plan = plan.after(plan.used_s + plan.wait_s, ok=True)
        waits.append(plan.wait_s)
    assert waits == [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert plan.used(100.0).wait_s == 1.0
    assert plan.used(100.0).after(101.0, ok=True).wait_s == 1.0


def test_never() -> None:
    plan = ProbePlan.never()
    assert not plan.due(1e12)
    assert not plan.used(5.0).due(1e12)
    assert not plan.after(5.0, ok=True).due(1e12)


def test_a_plan_is_a_value() -> None:
    plan = ProbePlan()
    plan.used(3.0)
    assert plan == ProbePlan()
    assert plan.used_s == -math.inf
    with pytest.raises(AttributeError):
        plan.wait_s = 3.0  # type: ignore[misc]


def test_a_failure_between_answers_starts_the_count_anew() -> None:
    plan = ProbePlan()
    for _ in range(5):
        plan = plan.after(0.0, ok=True)
    assert plan.after(0.0, ok=False).after(0.0, ok=True).wait_s == 1.0
