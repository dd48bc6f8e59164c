"""Estimators: hand-worked means, what failures teach, and what small uploads must not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.channel import HarmonicMean, LastUpload, RateEstimate, Upload
from adaedge.errors import ScheduleError


def upload(time_s, payload_bytes, rate_bps, *, round_trip_s=0.0, completed=True):
    return Upload(time_s, payload_bytes, 8 * payload_bytes / rate_bps + round_trip_s, completed)


def after(estimator, *uploads):
    for one in uploads:
        estimator.observe(one)
    return estimator.estimate(now_s=100.0)


@pytest.mark.parametrize("estimator", [HarmonicMean(), LastUpload()])
def test_nothing_is_known_before_the_first_upload(estimator):
    assert estimator.estimate(now_s=0.0) is None
    estimator.observe(Upload(1.0, 0, 0.02))  # an empty message tells nothing of the rate
    assert estimator.estimate(now_s=1.0) is None


@pytest.mark.parametrize("duration_s", [math.inf, math.nan])
@pytest.mark.parametrize("completed", [True, False])
@pytest.mark.parametrize("kind", [HarmonicMean, LastUpload])
def test_an_upload_without_end_tells_nothing(kind, completed, duration_s):
    estimator = kind()
    for time_s in (1.0, 1.1):
        estimator.observe(Upload(time_s, 10_000, duration_s, completed))
    assert estimator.estimate(now_s=2.0) is None
    known = after(estimator, upload(2.0, 10_000, 1e6))
    assert after(estimator, Upload(3.0, 10_000, duration_s, completed)) == known


def test_the_harmonic_mean_by_hand():
    # 1 Mbit at 10 and at 2.5 Mbit/s: 2 Mbit in 0.1 + 0.4 s. The second was predicted as 10: an error of 0.75.
    estimate = after(HarmonicMean(), upload(1.0, 125_000, 10e6), upload(2.0, 125_000, 2.5e6))
    assert estimate.rate_bps == pytest.approx(4e6)
    assert estimate.low_bps == pytest.approx(4e6 / (1 + 0.75))
    assert estimate.time_s == 2.0


def test_low_is_the_rate_after_one_upload():
    estimate = after(HarmonicMean(), upload(1.0, 125_000, 10e6))
    assert estimate == RateEstimate(10e6, 10e6, 0.0, 1.0)


def test_only_the_last_uploads_count():
    many = [upload(0.1 * index, 10_000, 1e6) for index in range(10)]
    fast = [upload(1 + 0.1 * index, 10_000, 8e6) for index in range(5)]
    estimator = HarmonicMean()
    assert after(estimator, *many).low_bps == pytest.approx(1e6)
    assert after(estimator, *fast).rate_bps == pytest.approx(8e6)
    assert after(HarmonicMean(window=6), *many, *fast).rate_bps < 8e6


def test_what_is_long_ago_does_not_count():
    estimate = after(HarmonicMean(window_s=10.0), upload(0.0, 10_000, 1e6), upload(10.5, 10_000, 8e6))
    assert estimate.rate_bps == pytest.approx(8e6)
    assert estimate.low_bps == pytest.approx(8e6 / 1.875)
    estimate = after(HarmonicMean(window_s=10.0), upload(0.0, 10_000, 1e6), upload(9.5, 10_000, 8e6))
    assert estimate.rate_bps == pytest.approx(2 / (1 / 1e6 + 1 / 8e6))


def test_errors_age_with_uploads_so_that_a_dip_does_not_keep_low_down():
    dip = [upload(0.0, 10_000, 8e6), upload(0.1, 10_000, 1e6)]
    estimator = HarmonicMean(window_s=2.0)
    assert after(estimator, *dip).low_bps == pytest.approx(16e6 / 9 / 1.875)
    assert after(estimator, upload(3.0, 8192, 8e6)).low_bps == pytest.approx(8e6 / (1 + 7 / 9))  # of 16/9 predicted
    assert after(estimator, upload(6.0, 8192, 8e6)).low_bps == pytest.approx(8e6)


def test_a_small_upload_hardly_moves_the_mean():
    large = [upload(0.1 * index, 50_000, 10e6) for index in range(4)]
    small = upload(1.0, 200, 1e5)
    assert after(HarmonicMean(), *large, small).rate_bps == pytest.approx(10e6, rel=0.1)


def test_the_round_trip_is_not_transfer():
    round_trip_s = 0.03
    uploads = [upload(0.1 * n, size, 20e6, round_trip_s=round_trip_s) for n, size in enumerate((300, 75_000, 5_000))]
    estimate = after(HarmonicMean(round_trip_s=round_trip_s), *uploads)
    assert estimate.rate_bps == pytest.approx(20e6, rel=0.01)
    assert estimate.round_trip_s == round_trip_s
    assert after(LastUpload(round_trip_s=round_trip_s), *uploads).rate_bps == pytest.approx(20e6, rel=0.01)
    # Where a tenth of the duration or less is transfer, it counts only if nothing else is known.
    assert after(HarmonicMean(round_trip_s=0.03), uploads[1], Upload(1.0, 300, 0.0305)).time_s == 0.1
    # A duration below the round trip is mostly round trip: a tenth of it is taken, never nothing.
    assert after(HarmonicMean(round_trip_s=1.0), Upload(0.0, 1000, 0.1)).rate_bps == pytest.approx(800_000)


@pytest.mark.parametrize("estimator", [HarmonicMean(), LastUpload()])
def test_a_duration_of_nothing_is_survived(estimator):
    assert after(estimator, Upload(0.0, 1000, 0.0)).rate_bps == pytest.approx(8e9)


def test_an_upload_that_was_given_up_is_a_bound():
    good = [upload(0.1 * index, 20_000, 20e6) for index in range(5)]
    given_up = Upload(1.0, 20_000, 0.08, completed=False)  # at most 2 Mbit/s
    estimator = HarmonicMean()
    estimate = after(estimator, *good, given_up)
    assert estimate.rate_bps == pytest.approx(2e6)
    assert estimate.low_bps == pytest.approx(2e6 / (1 + 0.9))  # predicted 20, at most 2
    assert estimate.time_s == 1.0
    # Again, and smaller: the bound falls.
    assert after(estimator, Upload(1.2, 5_000, 0.08, completed=False)).rate_bps == pytest.approx(5e5)
    # It is back: one upload that completes replaces the bound, and low stays careful for a while.
    back = after(estimator, upload(2.0, 8_192, 15e6))
    assert back.rate_bps == pytest.approx(15e6)
    assert back.low_bps < 8e6
    calm = after(estimator, *[upload(2.1 + 0.1 * index, 20_000, 15e6) for index in range(5)])
    assert calm.low_bps == pytest.approx(15e6)


def test_a_bound_above_the_estimate_teaches_nothing():
    good = [upload(0.1 * index, 20_000, 2e6) for index in range(5)]
    estimate = after(HarmonicMean(), *good, Upload(1.0, 20_000, 0.01, completed=False))
    assert estimate.rate_bps == pytest.approx(2e6)
    assert estimate.low_bps == pytest.approx(2e6)


def test_a_first_upload_that_is_given_up_is_all_that_is_known():
    estimate = after(HarmonicMean(), Upload(1.0, 10_000, 0.1, completed=False))
    assert estimate.rate_bps == pytest.approx(8e5)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.floats(0, 2.0), st.booleans(), st.floats(0.01, 5.0)),
        min_size=1,
        max_size=30,
    )
)
def test_estimates_stay_within_what_was_seen(steps):
    estimator, now_s, rates = HarmonicMean(), 0.0, []
    for payload_bytes, duration_s, completed, pause_s in steps:
        now_s += pause_s
        estimator.observe(Upload(now_s, payload_bytes, duration_s, completed))
        if payload_bytes:
            rates.append(8 * payload_bytes / max(duration_s, 1e-6))
        estimate = estimator.estimate(now_s)
        if not rates:
            assert estimate is None
            continue
        assert min(rates) * 0.999 <= estimate.rate_bps <= max(rates) * 1.001
        assert 0 < estimate.low_bps <= estimate.rate_bps
        if payload_bytes and not completed:
            assert estimate.rate_bps <= rates[-1] * 1.001


def test_the_last_upload_by_hand():
    estimator = LastUpload(margin=0.5)
    assert after(estimator, upload(1.0, 125_000, 10e6)) == RateEstimate(10e6, 5e6, 0.0, 1.0)
    assert after(estimator, upload(2.0, 125_000, 4e6)).rate_bps == pytest.approx(4e6)
    assert after(estimator, Upload(3.0, 125_000, 0.1, completed=False)).rate_bps == pytest.approx(4e6)
    assert after(estimator, Upload(4.0, 125_000, 1.0, completed=False)).rate_bps == pytest.approx(1e6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("field", ["rate_bps", "low_bps", "round_trip_s"])
def test_an_estimate_that_is_no_number_is_refused(field, value):
    with pytest.raises(ScheduleError, match="a rate estimate is of finite numbers, at least 0; got RateEstimate"):
        RateEstimate(**{"rate_bps": 1e6, "low_bps": 1e6, field: value})
    with pytest.raises(ScheduleError, match="Where nothing is known, give None"):
        RateEstimate(1e6, 1e6, time_s=math.nan)
