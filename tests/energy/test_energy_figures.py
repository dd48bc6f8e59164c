"""Figures: compute and radio power, each formula pinned by a number worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from adaedge.energy import ComputePower, EnergySplit, Provenance, RadioPower, cmos_energy_j
from adaedge.errors import EnergyError


def test_a_split_adds_up():
    split = EnergySplit(1, 2, 4, 8, 16, 32)
    assert split.total_j == 63
    assert (split + EnergySplit(tail_j=1)).total_j == 64
    assert split + EnergySplit() == split


def test_cmos_energy_by_hand():
    # 2e9 cycles at 1 GHz: 1e-28 * 2e9 * 1e18 = 0.2 J, in 2 s, that is 0.1 W
    assert cmos_energy_j(2e9, 1e9) == pytest.approx(0.2)
    power = ComputePower.from_cmos(1e9)
    assert power.busy_w * 2 == pytest.approx(0.2)
    assert power.provenance is Provenance.ASSUMED
    assert ComputePower.from_cmos(1e9, kappa=3e-28).busy_w == pytest.approx(0.3)


def test_efficiency_by_hand():
    # 5 pJ per MAC, 20 GMAC/s: 0.1 W
    assert ComputePower.from_efficiency(5e-12, 20e9).busy_w == pytest.approx(0.1)


def test_transfer_by_hand(radio):
    # 1 Mbit at 4 Mbit/s: 0.25 s at 2e-7 * 4e6 + 1 = 1.8 W
    assert radio.uplink_j(125_000, 4e6) == pytest.approx(0.25 * 1.8)
    # 0.25 s at 1e-7 * 4e6 + 0.5 = 0.9 W
    assert radio.downlink_j(125_000, 4e6) == pytest.approx(0.25 * 0.9)


def test_physics_by_hand():
    # 0.2 W radiated at 40 % and 0.3 W of circuits: 0.8 W; 1 Mbit at 2 Mbit/s takes half a second
    radio = RadioPower.from_physics(0.2, efficiency=0.4, circuit_w=0.3, receive_w=0.25)
    assert radio.uplink_j(125_000, 2e6) == pytest.approx(0.4)
    assert radio.downlink_j(125_000, 2e6) == pytest.approx(0.125)
    assert radio.describe() == "modelled"


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_impossible_figures_are_refused(value, radio):
    with pytest.raises(EnergyError, match="busy_w is a finite number, at least 0"):
        ComputePower(value)
    with pytest.raises(EnergyError, match="wait_w is a finite number"):
        ComputePower(1.0, value)
    for name in ("uplink_w_per_bps", "uplink_w", "downlink_w_per_bps", "downlink_w", "promotion_s", "tail_s", "tail_w"):
        with pytest.raises(EnergyError, match=f"{name} is a finite number"):
            replace(radio, **{name: value})


@pytest.mark.parametrize("efficiency", [0, -0.1, 1.1, math.nan])
def test_an_amplifier_that_creates_power_is_refused(efficiency):
    with pytest.raises(EnergyError, match=r"efficiency is the amplifier's, in \(0, 1\]"):
        RadioPower.from_physics(0.2, circuit_w=0.1, efficiency=efficiency)


def test_a_figure_that_is_not_named_is_assumed():
    radio = RadioPower("r", provenance={"uplink_w": Provenance.MEASURED})
    assert radio.provenance["uplink_w"] is Provenance.MEASURED
    assert radio.provenance["tail_w"] is Provenance.ASSUMED
    with pytest.raises(EnergyError, match="a radio has no figure upload_w; it has uplink_w_per_bps"):
        RadioPower("r", provenance={"upload_w": Provenance.MEASURED})
    with pytest.raises(TypeError):
        radio.provenance["tail_w"] = Provenance.MEASURED


def test_the_worst_figure_speaks_for_its_state(radio):
    known = dict.fromkeys(("uplink_w_per_bps", "downlink_w_per_bps", "downlink_w"), Provenance.MEASURED)
    known_better = replace(radio, provenance=known | {"uplink_w": Provenance.PRESET, "tail_s": Provenance.PRESET})
    assert known_better.describe() == "downlink measured, uplink preset, others assumed"
    assert radio.describe() == "assumed"
    hash(radio)
