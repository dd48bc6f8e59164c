"""The radio link's formulas by hand, and the statistics of what is drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from adaedge.channel import MovingTerminal, UrbanMicrocell, synthesize
from adaedge.channel.propagation import fading_gain, noise_dbm, shadowing, shannon_bps, umi_los_db, umi_nlos_db
from adaedge.errors import TraceError


def test_path_loss_by_hand():
    # 10 GHz, 100 m: 32.4 + 21 * 2 + 20 * 1; the breakpoint is 600 m away.
    assert umi_los_db(100.0, 10e9) == pytest.approx(94.4)
    # 22.4 + 35.3 * 2 + 21.3 * 1 - 0.3 * (2.5 - 1.5)
    assert umi_nlos_db(100.0, 10e9, terminal_m=2.5) == pytest.approx(114.0)
    # Beyond the breakpoint, 4 * 9 * 0.5 * 1e9 / c = 60.04 m: 32.4 + 40 * 3 - 9.5 * log10(60.04**2 + 8.5**2)
    assert umi_los_db(1000.0, 1e9) == pytest.approx(152.4 - 9.5 * 3.565538, abs=1e-3)


def test_path_loss_is_continuous_at_the_breakpoint():
    breakpoint_m = 4 * 9 * 0.5 * 3.5e9 / 299_792_458
    apart_m = np.hypot(breakpoint_m, 8.5)
    before, after = umi_los_db(np.array([apart_m * (1 - 1e-9), apart_m * (1 + 1e-9)]), 3.5e9)
    assert before == pytest.approx(after, abs=1e-6)


def test_losing_sight_never_helps():
    distances = np.geomspace(10, 5000, 200)
    assert (umi_nlos_db(distances, 3.5e9) >= umi_los_db(distances, 3.5e9)).all()
    assert (np.diff(umi_nlos_db(distances, 3.5e9)) > 0).all()
    assert (np.diff(umi_los_db(distances, 3.5e9)) > 0).all()


def test_noise_and_capacity_by_hand():
    assert noise_dbm(10e6, 5.0) == pytest.approx(-99.0)
    # SNR 15 (11.76 dB) carries 4 bit/s/Hz
    assert shannon_bps(10 * np.log10(15), 10e6) == pytest.approx(40e6)
    assert shannon_bps(100.0, 10e6, 7.5) == 75e6
    assert shannon_bps(-np.inf, 10e6) == 0


def test_shadowing_fades_with_distance_as_gudmundson_says():
    rng = np.random.default_rng(0)
    values = shadowing(np.arange(200_000) * 1.0, 10.0, rng)
    assert values.mean() == pytest.approx(0, abs=0.05)
    assert values.std() == pytest.approx(1, abs=0.02)
    for lag in (1, 5, 10, 20):
        assert np.mean(values[:-lag] * values[lag:]) == pytest.approx(np.exp(-lag / 10), abs=0.04)


def test_standing_still_keeps_the_shadow():
    values = shadowing(np.zeros(50), 10.0, np.random.default_rng(1))
    assert np.ptp(values) < 1e-12


def bessel_j0(x):
    angles = (np.arange(2000) + 0.5) * np.pi / 2000
    return np.cos(np.multiply.outer(x, np.sin(angles))).mean(axis=-1)


def test_rayleigh_fading_has_clarkes_statistics():
    carrier_hz, wavelength_m = 3e9, 299_792_458 / 3e9
    lags = np.array([0.1, 0.25, 0.5, 1.0])
    travelled = np.concatenate([[0.0], lags * wavelength_m])
    gains = np.array([fading_gain(travelled, carrier_hz, 0.0, np.random.default_rng(seed)) for seed in range(8000)])
    assert gains.mean() == pytest.approx(1, abs=0.03)
    # The power of a Rayleigh channel is exponential: P(gain < 0.1) = 1 - exp(-0.1).
    assert (gains < 0.1).mean() == pytest.approx(1 - np.exp(-0.1), abs=0.01)
    # Its power correlates as the square of J0.
    covariance = ((gains[:, 1:] - 1) * (gains[:, :1] - 1)).mean(axis=0)
    np.testing.assert_allclose(covariance, bessel_j0(2 * np.pi * lags) ** 2, atol=0.08)


def test_a_direct_path_calms_fading():
    k = 10**0.9
    gains = np.array([fading_gain(np.zeros(1), 3e9, k, np.random.default_rng(seed))[0] for seed in range(8000)])
    assert gains.mean() == pytest.approx(1, abs=0.03)
    assert gains.var() == pytest.approx((2 * k + 1) / (k + 1) ** 2, abs=0.02)  # of a Rician channel's power


def test_a_walk_goes_to_and_fro():
    walk = MovingTerminal(((0.0, 30.0), (40.0, 30.0), (40.0, 60.0)), speed_mps=2.0, blocked_s=((1.0, 2.0), (5.0, 6.0)))
    times = np.array([0.0, 20.0, 35.0, 50.0, 70.0, 90.0])
    np.testing.assert_allclose(walk.distance_m(times), [30, 50, np.hypot(40, 60), 50, 30, 50])
    assert walk.travelled_m(times).tolist() == [0, 40, 70, 100, 140, 180]
    assert walk.in_sight(np.array([0.9, 1.0, 1.9, 2.0, 5.5])).tolist() == [True, False, False, True, False]


def test_one_corner_stands_still():
    still = MovingTerminal(((30.0, 40.0),))
    assert still.distance_m(np.array([0.0, 100.0])).tolist() == [50, 50]


def test_signal_to_noise_by_hand():
    # 3.5 GHz, 100.36 m: loss 32.4 + 21 * 2.001564 + 20 * 0.544068 = 85.314; 23 - 85.314 + 99
    there = (np.array([100.0]), np.array([True]))
    assert UrbanMicrocell().mean_snr_db(*there)[0] == pytest.approx(36.686, abs=1e-3)
    assert UrbanMicrocell(loss_db=10.0).mean_snr_db(*there)[0] == pytest.approx(26.686, abs=1e-3)
    hidden = UrbanMicrocell().mean_snr_db(np.array([100.0]), np.array([False]))[0]
    # 22.4 + 35.3 * 2.001564 + 21.3 * 0.544068 = 104.644
    assert hidden == pytest.approx(17.356, abs=1e-3)


def test_a_seed_repeats_a_trace_and_another_does_not():
    walk = MovingTerminal(speed_mps=10.0, blocked_s=((10.0, 15.0),))
    first, again, other = (synthesize(walk, 20.0, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.rates_bps == again.rates_bps).all()
    assert (first.rates_bps != other.rates_bps).any()
    assert (first.duration_s, len(first.rates_bps)) == (20.0, 200)


def test_a_trace_fades_where_something_is_in_the_way():
    walk = MovingTerminal(((20.0, 200.0), (20.0, 300.0)), speed_mps=5.0, blocked_s=((20.0, 40.0),))
    trace = synthesize(walk, 60.0, rng=np.random.default_rng(3))
    inside = (trace.times_s >= 20) & (trace.times_s < 40)
    assert np.median(trace.rates_bps[inside]) < 0.5 * np.median(trace.rates_bps[~inside])
    assert trace.rates_bps.max() <= 10e6 * 7.4063
    assert trace.rates_bps.min() >= 0


def test_the_direct_path_is_there_only_in_sight():
    travelled, radio = np.linspace(0, 1, 400), UrbanMicrocell(bandwidth_hz=1.0, most_bps_per_hz=np.inf)
    spread_db = {}
    for sight in (True, False):
        rates = [
            radio(np.full(400, 50.0), travelled, np.full(400, sight), np.random.default_rng(seed)) for seed in range(40)
        ]
        spread_db[sight] = np.mean([np.std(10 * np.log10(2**rate - 1)) for rate in rates])
    # Over a metre the shadow hardly changes. A Rician channel of 9 dB varies by about 2 dB, a Rayleigh channel by 5.6.
    assert spread_db[True] < 3.2
    assert 4.5 < spread_db[False] < 7


def test_a_sample_is_the_mean_of_what_is_inside_it():
    walk = MovingTerminal(((0.0, 0.0), (100.0, 0.0)), speed_mps=1.0)
    trace = synthesize(walk, 2.0, rng=np.random.default_rng(0), radio=lambda distance_m, *_: distance_m, step_s=1.0)
    np.testing.assert_allclose(trace.rates_bps, [0.5, 1.5])


def test_a_radio_model_of_ones_own():
    def halving(distance_m, travelled_m, in_sight, rng):
        return np.where(in_sight, 10e6, 1e6) * 2.0 ** (-distance_m / 100)

    walk = MovingTerminal(((0.0, 100.0),), blocked_s=((1.0, 2.0),))
    trace = synthesize(walk, 3.0, rng=np.random.default_rng(0), radio=halving, step_s=0.5)
    np.testing.assert_allclose(trace.rates_bps, [5e6, 5e6, 5e5, 5e5, 5e6, 5e6])
    with pytest.raises(TraceError, match="one rate for each place; got shape"):
        synthesize(walk, 3.0, rng=np.random.default_rng(0), radio=lambda *_: np.ones(3))
    with pytest.raises(TraceError, match="negative rate"):
        synthesize(walk, 3.0, rng=np.random.default_rng(0), radio=lambda distance_m, *_: -distance_m)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"waypoints_m": ()}, "a path has at least one corner"),
        ({"waypoints_m": ((0.0, float("nan")),)}, "a path has at least one corner"),
        ({"speed_mps": -1.0}, "speed_mps is at least 0; got -1.0"),
        ({"blocked_s": ((2.0, 1.0),)}, "an interval in blocked_s ends after it begins"),
    ],
)
def test_impossible_walks_are_refused(changes, text):
    with pytest.raises(TraceError, match=text):
        MovingTerminal(**changes)


@pytest.mark.parametrize(("duration_s", "step_s"), [(0.05, 0.1), (np.inf, 0.1), (1.0, 0.0), (np.nan, 0.1)])
def test_a_trace_has_room_for_a_sample(duration_s, step_s):
    with pytest.raises(TraceError, match="no room for a sample"):
        synthesize(MovingTerminal(), duration_s, rng=np.random.default_rng(0), step_s=step_s)
