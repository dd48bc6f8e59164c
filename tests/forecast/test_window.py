"""The window: each formula by hand, the best mode of any cell against the joules themselves, and what cannot be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.energy import COMPUTE, NR_DRX, RADIOS, ComputePower, EnergyModel, RadioPower
from adaedge.errors import EnergyError, ScheduleError
from adaedge.forecast import Forecast, Offer, Workload, of_profile
from adaedge.forecast.picture import draw_window
from adaedge.operating_point import KEPT, Cost, OperatingPoint

# 1 J a megabit, nothing else.
BITS = RadioPower("bits", uplink_w_per_bps=1e-6)
JPEG, CUT = Offer("jpeg", 125_000), Offer("cut", 12_500, head_share=0.2)


def forecast(local_j: float, radio=BITS, **more) -> Forecast:
    workload = Workload(0.1, (JPEG,), (CUT,), macs=1e9)
    return Forecast.of(workload, EnergyModel(ComputePower(local_j / 0.1), radio), 10e6, **more)


def test_the_window_by_hand():
    # b = 0.1 Mbit, B = 1 Mbit: 0.1 / 0.8 = 0.125 J, and (1 − 0.1) / 0.2 = 4.5 J.
    window = forecast(1.0).window
    assert (window.above_j, window.below_j, window.local_j) == pytest.approx((0.125, 4.5, 1.0))
    assert window.as_dict()["above_j_per_mac"] == pytest.approx(0.125e-9)
    assert window.open
    for local_j, best in ((0.12, "local"), (0.13, "partial"), (4.4, "partial"), (4.6, "full")):
        assert forecast(local_j).best == best


def test_joules_by_hand_and_what_to_do():
    found = forecast(1.0)
    assert (found.local_j, found.full_j, found.partial_j) == pytest.approx((1.0, 1.0, 0.3))
    assert found.advice == "Cut it (cut): partial offload takes 70 % less than local."
    assert forecast(0.05).advice == "Stay local: it takes 55 % less than partial."
    assert forecast(10.0).advice == "Send the whole frame (jpeg): it takes 52 % less than partial."


def test_a_head_that_is_all_of_it_opens_no_window():
    workload = Workload(0.1, (JPEG,), (Offer("late", 10.0, head_share=1.0),))
    window = Forecast.of(workload, EnergyModel(ComputePower(4.0), BITS), 10e6).window
    assert not window.open
    assert window.as_dict()["above_j_per_mac"] is None
    never = Forecast.of(Workload(0.1, (JPEG,), ()), EnergyModel(ComputePower(4.0), BITS), 10e6)
    assert (never.window, never.partial_j, never.as_dict()["best"]) == (None, None, "local")


def test_a_late_offload_does_not_count():
    assert forecast(10.0, deadline_s=0.1).best == "partial"
    late = forecast(10.0, deadline_s=0.01)
    assert (late.full_j, late.partial_j, late.best) == (None, None, "local")
    assert late.advice == "Stay local: no offload is in time at this rate."


@given(
    st.floats(1e-3, 10.0),
    st.floats(0.0, 1.0),
    st.floats(100, 1e5),
    st.floats(100, 1e5),
    st.floats(1e5, 1e8),
    st.sampled_from(list(RADIOS.values())),
    st.floats(0.05, 20.0),
)
def test_the_window_predicts_the_best_mode(local_j, share, full_bytes, partial_bytes, rate_bps, radio, period_s):
    workload = Workload(0.1, (Offer("full", full_bytes),), (Offer("cut", partial_bytes, share),))
    energy = EnergyModel(ComputePower(local_j / 0.1), radio)
    found = Forecast.of(workload, energy, rate_bps, period_s=period_s)
    edges = (found.window.above_j, found.window.below_j)
    if all(abs(local_j / edge - 1) > 1e-6 for edge in edges if edge):
        assert (edges[0] < local_j < edges[1]) == (found.best == "partial")


def test_a_profile_is_read_by_its_times():
    points = {
        OperatingPoint("output"): Cost(0.2),
        OperatingPoint("output", precision="int8"): Cost(0.1, accuracy=0.9),
        OperatingPoint("input", codec="jpeg@90"): Cost(0.0, 0.01, 17e3, 0.002, 0.008, 4e3, 0.2),
        OperatingPoint("blocks.3", codec="u4"): Cost(0.04, 0.01, 5e3, finish_s=0.1, accuracy=0.8),
        KEPT: Cost(0.0, accuracy=None),
    }
    workload = of_profile(points)
    assert (workload.local_s, workload.macs) == (0.1, None)
    assert workload.full[0].head_share == pytest.approx(0.1)
    assert workload.full[0].edge_s == pytest.approx(0.01)
    assert workload.partial[0].head_share == pytest.approx(0.5)
    assert of_profile(points, 0.95).local_s == 0.2
    assert of_profile(points, 0.95).partial == ()
    with pytest.raises(ScheduleError, match=r"no local point has an accuracy of 1\.5"):
        of_profile({}, 1.5)


@pytest.mark.parametrize(
    "figures", [{"payload_bytes": 0.0}, {"payload_bytes": math.nan}, {"payload_bytes": 1.0, "head_share": -0.1}]
)
def test_an_offer_that_cannot_be_is_refused(figures):
    with pytest.raises(ScheduleError, match="an offer sends something"):
        Offer("odd", **figures)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ScheduleError, match="are numbers above 0"):
        Forecast.of(Workload(0.1, (JPEG,), ()), EnergyModel(ComputePower(4.0), BITS), 0.0)


def test_presets_know_their_joules_per_mac():
    per_mac = {name: one.j_per_mac for name, one in COMPUTE.items()}
    assert per_mac["raspberry-pi-4"] == pytest.approx(370e-12)
    assert per_mac["raspberry-pi-5"] == pytest.approx(125e-12)
    assert per_mac["jetson-orin"] == pytest.approx(6.1e-12)
    assert per_mac["phone-npu"] == pytest.approx(0.29e-12)
    with pytest.raises(EnergyError, match="macs_per_s is not known"):
        ComputePower(1.0).seconds(1e9)
    with pytest.raises(EnergyError, match="macs_per_s is a finite number above 0"):
        ComputePower(1.0, macs_per_s=0.0)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_is_drawn(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path, workload = tmp_path / f"window.{suffix}", Workload(0.1, (JPEG,), (CUT,), macs=1e9)
    others = {name: one.j_per_mac for name, one in COMPUTE.items()}
    draw_window(path, workload, EnergyModel(COMPUTE["raspberry-pi-4"], NR_DRX), 1e7, period_s=0.2, others=others)
    assert path.stat().st_size > 5_000
    if suffix == "svg":
        assert "raspberry-pi-4" in path.read_text()
