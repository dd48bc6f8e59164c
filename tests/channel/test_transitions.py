"""Transitions: a distribution of the next upload, learned from what followed earlier ones; and its coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.channel import RateSpread, Transitions, Upload
from adaedge.channel.transitions import COVERAGE, GAIN
from adaedge.errors import ScheduleError

BYTES = 125_000


def upload(index: int, rate_bps: float, *, completed: bool = True) -> Upload:
    return Upload(float(index), BYTES, 8 * BYTES / rate_bps, completed)


def after(rates: list[float], *, given_up_below: float = 0.0) -> Transitions:
    """Uploads at these rates; one below the limit is given up, and bounds the rate by the limit."""
    estimator = Transitions()
    for index, rate_bps in enumerate(rates):
        completed = rate_bps >= given_up_below
        estimator.observe(upload(index, rate_bps if completed else given_up_below, completed=completed))
    return estimator


def spread_of(estimator: Transitions) -> RateSpread:
    estimate = estimator.estimate(1e3)
    assert estimate is not None
    assert estimate.spread is not None
    return estimate.spread


def test_a_steady_link_is_known_well_and_its_age_is_told() -> None:
    estimator = after([5e6] * 40)
    estimate = estimator.estimate(1e6)
    assert estimate is not None
    assert estimate.rate_bps == pytest.approx(5e6, rel=1e-6)
    assert estimate.low_bps > 4.5e6
    assert estimate.time_s == 39.0, "however long ago that was"


def test_what_followed_a_time_out_decides_what_is_expected_after_the_next() -> None:
    drops = after(([8e6] * 9 + [0.1e6]) * 6, given_up_below=2e6)
    gone = after([8e6] * 20 + [0.1e6] * 12, given_up_below=2e6)
    assert spread_of(drops).chance_above(4e6) > 0.75, "a second is lost now and then, and all is well"
    assert spread_of(gone).chance_above(4e6) < 0.25, "it is gone"
    once = after([8e6] * 20 + [0.1e6], given_up_below=2e6)
    assert 0.25 < spread_of(once).chance_above(4e6) < 0.75, "nothing is known yet"


def test_similar_rates_count_and_others_do_not() -> None:
    alternating = after([1e6, 9e6] * 30)
    assert spread_of(alternating).quantile(0.5) == pytest.approx(1e6, rel=0.2), "after 9 comes 1"
    assert spread_of(after([1e6, 9e6] * 30 + [1e6])).quantile(0.5) == pytest.approx(9e6, rel=0.2)


def test_what_was_long_ago_counts_less() -> None:
    changed = after([8e6, 8e6] * 32 + [8e6, 2e6] * 24 + [8e6])
    assert spread_of(changed).quantile(0.5) < 3e6


def test_the_stretch_follows_what_was_outside_the_interval() -> None:
    calm = after([5e6] * 40)
    assert calm.stretch == pytest.approx(math.exp(-39 * GAIN * (1 - COVERAGE)))
    before = calm.stretch
    calm.observe(upload(40, 50e6))
    assert calm.stretch == pytest.approx(before * math.exp(GAIN * COVERAGE))


def test_a_bound_is_inside_where_the_interval_reaches_below_it() -> None:
    estimator = after([5e6] * 10)
    before = estimator.stretch
    estimator.observe(upload(10, 1e6, completed=False))
    assert estimator.stretch > before, "the interval said more than 1 Mbit/s"
    before = estimator.stretch
    estimator.observe(upload(11, 20e6, completed=False))
    assert estimator.stretch < before, "below 20 Mbit/s it may well have been"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([0.0, 0.1]))
def test_nine_intervals_of_ten_hold_what_comes_whatever_the_link_does(seed: int, noise: float, jumps: float) -> None:
    rng = np.random.default_rng(seed)
    estimator, log_bps, inside = Transitions(), math.log(8e6), []
    for index in range(400):
        log_bps += 0.05 * (math.log(8e6) - log_bps) + noise * rng.standard_normal()
        log_bps += 3.0 * rng.standard_normal() * (rng.random() < jumps)
        taken = upload(index, math.exp(log_bps))
        if index >= 20:
            least_s, most_s = spread_of(estimator).interval_s(BYTES, 0.9)
            inside.append(least_s * (1 - 1e-9) <= taken.duration_s <= most_s * (1 + 1e-9))
        estimator.observe(taken)
    assert 0.85 <= np.mean(inside) <= 0.95


def test_what_says_nothing_teaches_nothing() -> None:
    estimator = Transitions()
    estimator.observe(Upload(1.0, 0, 0.1))
    estimator.observe(Upload(1.0, 100, math.inf))
    estimator.observe(Upload(1.0, 100, math.nan))
    assert estimator.estimate(2.0) is None
    with pytest.raises(ScheduleError, match="an upload ends at a finite time; got nan s"):
        estimator.observe(Upload(math.nan, 100, 0.1))


def test_rates_far_apart_stay_numbers() -> None:
    estimator = after([1e-3, 1e15] * 50)
    estimate = estimator.estimate(1e3)
    assert estimate is not None
    assert math.isfinite(estimate.rate_bps)
    assert estimate.low_bps > 0


@pytest.mark.parametrize(
    ("rates", "shares", "text"),
    [
        ([1.0, 2.0], [1.0], "one chance per rate"),
        ([], [], "one chance per rate"),
        ([2.0, 1.0], [0.5, 0.5], "ascend above 0 bit/s"),
        ([0.0, 1.0], [0.5, 0.5], "ascend above 0 bit/s"),
        ([1.0, math.nan], [0.5, 0.5], "ascend above 0 bit/s"),
        ([1.0, 2.0], [0.5, 0.6], "add up to 1"),
    ],
)
def test_a_spread_that_cannot_be_is_refused(rates: list[float], shares: list[float], text: str) -> None:
    with pytest.raises(ScheduleError, match=text):
        RateSpread(np.array(rates), np.array(shares))
