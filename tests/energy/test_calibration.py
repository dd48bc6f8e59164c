"""calibrate: idle power goes, lines fit, impossible readings are refused. Presets say where they come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.energy import (
    JETSON_AGX_ORIN_J_PER_MAC,
    JETSON_NANO,
    LTE_2012,
    LTE_2021,
    NR_LOW_BAND,
    NR_MMWAVE,
    RASPBERRY_PI_4,
    WIFI_2012,
    EnergyModel,
    Provenance,
    calibrate,
)
from adaedge.errors import EnergyError

BASE = EnergyModel(RASPBERRY_PI_4, LTE_2021)


def test_a_line_through_two_readings_by_hand():
    # 3 W at 1 Mbit/s and 5 W at 5 Mbit/s, idle 2 W: 0.5 W per Mbit/s and 0.5 W
    model = calibrate(BASE, idle_w=2.0, uplink=[(1e6, 3.0), (5e6, 5.0)])
    assert model.radio.uplink_w_per_bps == pytest.approx(5e-7)
    assert model.radio.uplink_w == pytest.approx(0.5)
    assert model.radio.downlink_w == LTE_2021.downlink_w
    assert model.compute == RASPBERRY_PI_4


def test_everything_read_is_calibrated_and_the_rest_keeps_its_origin():
    model = calibrate(
        BASE,
        idle_w=2.0,
        busy_w=3.5,
        wait_w=2.25,
        downlink=[(1e6, 2.5), (9e6, 2.7)],
        promotion=(0.1, 3.0),
        tail=(1.5, 2.4),
    )
    assert (model.compute.busy_w, model.compute.wait_w, model.compute.provenance) == (1.5, 0.25, Provenance.CALIBRATED)
    radio = model.radio
    assert (radio.promotion_s, radio.promotion_w, radio.tail_s) == (0.1, 1.0, 1.5)
    assert radio.tail_w == pytest.approx(0.4)
    assert radio.uplink_w == LTE_2021.uplink_w
    assert radio.provenance["tail_w"] is Provenance.CALIBRATED
    assert radio.provenance["uplink_w"] is Provenance.PRESET
    assert model.provenance == "compute calibrated; radio downlink, promotion, tail calibrated, others preset"
    assert "calibrated: downlink_w_per_bps" in radio.source


def test_nothing_read_changes_nothing():
    assert calibrate(BASE, idle_w=2.0) == BASE


@given(st.floats(1e-9, 1e-6), st.floats(0, 5), st.floats(0, 5), st.integers(2, 8))
def test_a_line_is_found_again(slope, constant, idle_w, count):
    rates = np.linspace(1e6, 5e7, count)
    readings = [(float(rate), idle_w + constant + slope * float(rate)) for rate in rates]
    radio = calibrate(BASE, idle_w=idle_w, uplink=readings).radio
    assert radio.uplink_w_per_bps == pytest.approx(slope, rel=1e-6, abs=1e-13)
    assert radio.uplink_w == pytest.approx(constant, abs=1e-6)


def test_least_squares_against_numpy():
    readings = [(1e6, 2.9), (3e6, 3.3), (8e6, 3.4), (2e7, 4.4)]
    radio = calibrate(BASE, idle_w=2.0, downlink=readings).radio
    slope, constant = np.polyfit([rate / 1e6 for rate, _ in readings], [watts - 2.0 for _, watts in readings], 1)
    assert radio.downlink_w_per_bps == pytest.approx(slope / 1e6)
    assert radio.downlink_w == pytest.approx(constant)


@pytest.mark.parametrize(
    ("readings", "text"),
    [
        ({"busy_w": 1.9}, "busy_w was read as 1.9 W, idle_w as 2.0 W; a reading is not below idle"),
        ({"busy_w": float("nan")}, "busy_w was read as nan W"),
        ({"busy_w": 3.0, "wait_w": 1.0}, "wait_w was read as 1.0 W"),
        ({"wait_w": 2.5}, "wait_w was read, busy_w was not"),
        ({"idle_w": -1.0, "busy_w": 3.0}, "idle not below 0"),
        ({"tail": (1.0, 1.0)}, "tail's power was read as 1.0 W"),
        ({"tail": (-1.0, 3.0)}, "tail_s is a finite number"),
        ({"promotion": (0.1, 1.0)}, "promotion's power was read as 1.0 W"),
        ({"uplink": [(1e6, 3.0)]}, "uplink needs readings at two different rates"),
        ({"uplink": [(1e6, 3.0), (1e6, 3.1)]}, "uplink needs readings at two different rates"),
        ({"uplink": [(0.0, 3.0), (1e6, 3.1)]}, "uplink needs readings at two different rates"),
        ({"uplink": [(1e6, 1.0), (2e6, 3.1)]}, "power of the uplink was read as 1.0 W"),
        ({"downlink": [(1e6, 4.0), (2e6, 3.0)]}, "downlink readings fit -1 W per Mbit/s and 3 W, neither of which"),
        ({"downlink": [(1e6, 2.0), (2e6, 4.0)]}, "downlink readings fit 2 W per Mbit/s and -2 W"),
    ],
)
def test_impossible_readings_are_refused(readings, text):
    with pytest.raises(EnergyError, match=text):
        calibrate(BASE, **({"idle_w": 2.0} | readings))


def test_presets_are_above_idle_and_say_where_from():
    assert RASPBERRY_PI_4.busy_w == pytest.approx(3.7)
    assert RASPBERRY_PI_4.provenance is Provenance.PRESET
    assert "2.7 W" in RASPBERRY_PI_4.source
    # Fitted on the whole phone: 2.893 W of constant, 2.3 W of it idle.
    assert LTE_2021.uplink_w == pytest.approx(0.593)
    assert NR_LOW_BAND.uplink_w == pytest.approx(0.897)
    assert NR_MMWAVE.uplink_w == pytest.approx(3.337)
    for radio in (LTE_2021, NR_LOW_BAND, NR_MMWAVE):
        assert "2.3 W of idle power is subtracted" in radio.source
        assert radio.provenance["uplink_w"] is Provenance.PRESET
        assert radio.provenance["tail_w"] is Provenance.ASSUMED
    # 22 Mbit/s on LTE: 79.5 mW per Mbit/s, 1.749 W, and 0.593 W
    assert LTE_2021.uplink_j(2_750_000, 22e6) == pytest.approx(2.342)


@pytest.mark.parametrize("radio", [LTE_2012, WIFI_2012])
def test_unverified_figures_are_assumed(radio):
    assert set(radio.provenance.values()) == {Provenance.ASSUMED}
    assert "nothing of it is verified" in radio.source


def test_jetson():
    assert JETSON_NANO.provenance is Provenance.ASSUMED
    assert "upper bound" in JETSON_NANO.source
    # 4.1 GMAC of ResNet-50 in 22 to 28 mJ
    assert 22e-3 < JETSON_AGX_ORIN_J_PER_MAC * 4.1e9 < 28e-3
