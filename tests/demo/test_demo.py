"""The demo's own decisions; the whole of it is `make demo`."""

from __future__ import annotations

import json

import pytest

from adaedge.demo import material, policies, run
from adaedge.operating_point import Cost, OperatingPoint, Profile

LEVELS = ("output/w1/fp32/raw", "output/w1/int8/raw", "output/w0.5/fp32/raw", "blocks.1/w1/fp32/u4")


def profile(**accuracy):
    costs = {OperatingPoint("output"): Cost(head_s=0.1)}
    for codec, value in accuracy.items():
        costs[OperatingPoint("input", codec=codec.replace("_", "@"))] = Cost(0.0, payload_bytes=1e4, accuracy=value)
    return Profile(costs, "00" * 32, "here", "here")


def test_full_offload_takes_the_lowest_quality_that_meets_the_floor():
    found = policies.offload_point(profile(jpeg_95=0.99, jpeg_75=0.90, jpeg_90=0.96))
    assert found.codec == "jpeg@90"


def test_full_offload_takes_the_highest_quality_where_none_meets_the_floor():
    assert policies.offload_point(profile(jpeg_75=0.6, jpeg_100=0.9, jpeg_95=0.8)).codec == "jpeg@100"


def test_without_levels_is_the_full_width_in_fp32():
    costs = {point: Cost(0.1) for point in map(OperatingPoint.parse, LEVELS)}
    plain = policies.without_levels(Profile(costs, "00" * 32, "here", "here"))
    assert [str(point) for point in plain] == ["output/w1/fp32/raw", "blocks.1/w1/fp32/u4"]
    assert plain.bundle == "00" * 32


def test_without_bottleneck_is_every_other_codec():
    costs = {point: Cost(0.1) for point in map(OperatingPoint.parse, (*LEVELS, "blocks.1/w1/fp32/bottleneck@3"))}
    plain = policies.without_bottleneck(Profile(costs, "00" * 32, "here", "here"))
    assert [str(point) for point in plain] == list(LEVELS)


def test_the_link_fades_and_comes_back_and_a_seed_repeats_it():
    trace = material.fading_link(50.0, seed=0)
    before, fade, after = (trace.bytes_within(start_s, 8.0) for start_s in (8.0, 23.0, 38.0))
    assert fade < 0.2 * min(before, after)
    assert list(trace.rates_bps) == list(material.fading_link(50.0, seed=0).rates_bps)
    assert list(trace.rates_bps) != list(material.fading_link(50.0, seed=1).rates_bps)


def test_the_bundle_is_never_scored_on_the_clip_that_is_shown():
    assert material.CLIP not in material.OTHER_CLIPS
    assert len(material.clip()) == 250
    assert material.clip()[0].shape != material.calibration()[0].shape


@pytest.mark.slow
def test_the_demo_leaves_its_figures_and_its_report(tmp_path):
    run(tmp_path, frames=12, seed=0, progress=lambda *_: None)
    summary = json.loads((tmp_path / "summary.json").read_text())
    plain = ["adaptive without bottleneck", "adaptive without levels"]
    assert list(summary["policies"]) == ["local", "offload", "static", *plain, "adaptive"]
    used = summary["policies"]["adaptive without bottleneck"]["points_used"]
    assert not any("bottleneck" in one["point"] for one in used)
    assert "/bottleneck@" in " ".join(point["point"] for point in summary["frontier"]["points"])
    plain = summary["policies"]["adaptive without levels"]["points_used"]
    assert all("/w1/fp32/" in used["point"] for used in plain)
    assert "/int8/" in " ".join(point["point"] for point in summary["frontier"]["points"])
    assert (tmp_path / "adaptive-without-levels.jsonl").exists()
    for policy in summary["policies"].values():
        assert set(policy) >= {
            *("energy_j_per_frame", "latency_p50_s", "latency_p95_s", "deadline_miss_fraction"),
            *("bytes_per_frame", "agreement", "points_used", "switches"),
        }
    assert summary["policies"]["local"]["agreement"] == 1.0
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
