"""EnergyModel: each term pinned by hand; arrays give what numbers give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.energy import LTE_2021, RADIOS, RASPBERRY_PI_4, EnergyModel, EnergySplit
from adaedge.errors import EnergyError


def test_every_term_by_hand(model):
    split = model.offload(
        compute_s=0.02,
        payload_bytes=125_000,
        rate_bps=4e6,
        wait_s=0.05,
        answer_bytes=1_000,
        downlink_bps=8e6,
        gap_s=2.0,
        idle_s=math.inf,
    )
    assert split.compute_j == pytest.approx(0.08)  # 4 W * 20 ms
    assert split.promote_j == pytest.approx(0.3)  # 1.5 W * 0.2 s
    assert split.transmit_j == pytest.approx(0.45)  # 1.8 W * 0.25 s
    assert split.receive_j == pytest.approx(0.0013)  # 1.3 W * 1 ms
    assert split.wait_j == pytest.approx(0.02)  # 0.4 W * 50 ms
    assert split.tail_j == pytest.approx(0.6)  # 0.3 W * 2 s
    assert split.total_j == pytest.approx(1.4513)


def test_defaults_are_a_whole_tail_an_awake_radio_and_the_uplinks_rate(model):
    split = model.offload(0.02, 125_000, 4e6, answer_bytes=500)
    assert split.tail_j == pytest.approx(3.0)
    assert split.promote_j == 0
    assert split.receive_j == pytest.approx(0.0009)  # 0.9 W * 1 ms
    assert model.offload(0.02, 125_000, 4e6, gap_s=11.0).tail_j == pytest.approx(3.0)


def test_local_is_compute_alone(model):
    assert model.local(0.05) == EnergySplit(compute_j=0.2)
    assert model.offload(0.05, 0, 4e6, idle_s=11.0) == model.local(0.05)


@given(st.floats(1e3, 1e9), st.integers(1, 10**7), st.floats(0, 20), st.sampled_from([0.0, 11.0]))
def test_arrays_give_what_numbers_give(model, rate_bps, payload_bytes, gap_s, idle_s):
    options = {"answer_bytes": 300.0, "idle_s": idle_s}
    compute_s, wait_s = np.array([0.01, 0.02]), np.array([0.0, 0.03])
    sizes, gaps = np.array([payload_bytes, 0]), np.array([gap_s, gap_s])
    table = model.offload(compute_s, sizes, rate_bps, wait_s, gap_s=gaps, **options)
    for row in range(2):
        alone = model.offload(
            float(compute_s[row]), int(sizes[row]), rate_bps, float(wait_s[row]), gap_s=gap_s, **options
        )
        assert table.total_j[row] == pytest.approx(alone.total_j)
        assert isinstance(alone.total_j, float)


@pytest.mark.parametrize("rate", [0, -1.0, np.nan, np.array([1e6, 0.0])])
def test_a_link_without_rate_is_refused(rate, model):
    with pytest.raises(EnergyError, match="a link's rate is above 0 bit/s"):
        model.offload(0.01, 1000, rate, downlink_bps=1e6)
    with pytest.raises(EnergyError, match="a link's rate is above 0 bit/s"):
        model.offload(0.01, 1000, 1e6, downlink_bps=rate)


def test_a_caption_says_how_figures_are_known(model):
    assert model.provenance == "compute assumed; radio assumed"
    caption = EnergyModel(RASPBERRY_PI_4, LTE_2021).provenance
    assert caption == "compute preset; radio uplink, downlink preset, others assumed"


@pytest.mark.parametrize("radio", RADIOS.values(), ids=RADIOS)
def test_arrays_and_numbers_are_the_same_joules(radio):
    """Of a radio a caller may ask either; the last bit of a byte received must not depend on which."""
    rates_bps, times_s = np.geomspace(1e3, 1e9, 50), np.geomspace(1e-3, 1e3, 50)
    assert radio.downlink_j(1.0, rates_bps).tolist() == [radio.downlink_j(1.0, rate) for rate in rates_bps.tolist()]
    for begin_s in (0.0, 5.0):
        found = radio.idle_j(begin_s, times_s)
        assert found.tolist() == radio.idle_j(np.full(50, begin_s), times_s).tolist()
        assert found.tolist() == pytest.approx([radio.idle_j(begin_s, time) for time in times_s.tolist()])
