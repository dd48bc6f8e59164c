"""A question now and then: waking a radio with a tail for it costs several times a local run."""

import pytest

from benchmarks.one_query import cases, measure

LITE0, VIDEO_MAE = cases()


def test_under_a_tail_it_stays_local_and_says_why():
    row = measure(LITE0, "nr-low-band", "20mbps", 20)
    assert row["times_less_than_offloading"] >= 5.0
    assert row["adaptive_j"] == pytest.approx(row["local_j"])
    assert row["right"] == 1.0
    assert row["why"], "reasons are given"
    assert row["misses"] == 0.0


def test_where_the_radio_is_released_at_once_it_offloads():
    row = measure(LITE0, "nr-drx-fast-release", "20mbps", 20)
    assert row["best_static"].startswith("input/")
    assert row["right"] == 1.0
    assert row["adaptive_j"] < 0.4 * row["local_j"]


def test_with_c_drx_a_heavy_network_is_offloaded():
    row = measure(VIDEO_MAE, "nr-drx", "20mbps", 20)
    assert row["right"] == 1.0
    assert row["adaptive_j"] <= 1.02 * row["best_static_j"]
