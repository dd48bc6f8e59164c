"""The demo's own decisions; the whole of it is `make demo`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from adaedge.demo import film, material, policies, run, tables
from adaedge.demo.policy_run import ACCURACY_FLOOR, Run
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import LeastEnergy

INT8 = OperatingPoint("output", precision="int8")


def profile(next_bytes=(), local=1.0, **accuracy):
    """A profile of local points and of codecs at the input, in the order of their bytes."""
    costs = {OperatingPoint("output"): Cost(head_s=0.1, accuracy=1.0), INT8: Cost(head_s=0.05, accuracy=local)}
    for size, (codec, value) in enumerate(accuracy.items(), 1):
        point = OperatingPoint("input", codec=codec.replace("_", "@"))
        costs[point] = Cost(0.0, payload_bytes=1e3 * size, accuracy=value)
    following = {
        OperatingPoint("input", codec=codec.replace("_", "@")): (Cost(0.0, payload_bytes=size, accuracy=0.9),)
        for codec, size in next_bytes
    }
    return Profile(costs, "00" * 32, "here", "here", (0.1, 1.0) if following else (1.0,), following)


def test_always_is_the_cheapest_setting_that_keeps_the_floor():
    found = policies.always(profile(jpeg_75=0.85, jpeg_85=0.96, jpeg_95=0.99, h264_28=0.95, h264_20=0.99), 0.9)
    assert {name: point.codec for name, point in found.items()} == {
        "local int8": "raw",
        "JPEG always": "jpeg@85",
        "H.264 always": "h264@28",
    }
    assert found["local int8"] == INT8


def test_always_is_the_best_there_is_where_nothing_keeps_the_floor():
    found = policies.always(profile(local=0.5, jpeg_75=0.6, jpeg_95=0.8, h264_28=0.7), 0.9)
    assert (found["JPEG always"].codec, found["local int8"]) == ("jpeg@95", OperatingPoint("output"))


def test_a_video_codec_is_as_cheap_as_its_following_frames():
    costs = profile((("h264_20", 90.0), ("h264_28", 200.0)), jpeg_90=0.95, h264_28=0.95, h264_20=0.99)
    assert policies.always(costs, 0.9)["H.264 always"].codec == "h264@20"


def test_each_technique_that_the_profile_holds_is_left_out_once_and_all_come_last():
    codecs = ("h264@20", "bottleneck@3", "jpeg@75")
    costs = profile((("h264_20", 90.0),), **{codec.replace("@", "_"): 0.95 for codec in codecs})
    found = policies.adaptive(costs)
    assert list(found) == [
        "adaptive without bottleneck",
        "adaptive without video codecs",
        "adaptive without levels",
        "adaptive",
    ]
    part, policy = found["adaptive without video codecs"]
    assert isinstance(policy, LeastEnergy)
    assert not part.next_costs
    assert set(costs) - set(part) == {OperatingPoint("input", codec="h264@20")}
    assert set(costs) - set(found["adaptive without levels"][0]) == {INT8}
    assert found["adaptive"][0] == costs


def test_the_link_fades_and_comes_back_and_a_seed_repeats_it():
    trace = material.fading_link(50.0, seed=0)
    before, fade, after = (trace.bytes_within(start_s, 8.0) for start_s in (8.0, 23.0, 38.0))
    assert fade < 0.2 * min(before, after)
    assert list(trace.rates_bps) == list(material.fading_link(50.0, seed=0).rates_bps)
    assert list(trace.rates_bps) != list(material.fading_link(50.0, seed=1).rates_bps)


def test_the_halves_of_a_clip_share_no_frame():
    first, second = film.scenes(400, half=0), film.scenes(400, half=1)
    assert [scene.name for scene in first] == ["riding", "talking", "running", "standing still"]
    assert [len(scene.frames) for scene in second] == [125, 60, 66, 400]
    for before, after in zip(first[:-1], second[:-1], strict=True):
        seen = {frame.tobytes() for frame in before.frames}
        assert not any(frame.tobytes() in seen for frame in after.frames)


def test_where_the_camera_stands_still_only_noise_and_what_passes_change():
    still = np.full((60, 120, 3), 100, np.uint8)
    still[:20, :20] = 200
    made = film.still_scene(still, 30, seed=0)
    apart = [float(np.abs(frame.astype(int) - still).max()) for frame in made]
    assert max(apart[:10] + apart[20:]) < 8 * film.NOISE_LEVELS
    assert min(apart[10:20]) > 80, "something passes in the middle third"
    assert 0 < np.std(made[0].astype(int) - still) < 2 * film.NOISE_LEVELS


def test_standing_still_is_held_against_the_best_that_keeps_the_floor():
    def of(joules, score):
        return Run([], score, {film.STANDING: (joules, score)})

    good, bad = ACCURACY_FLOOR, ACCURACY_FLOOR - 0.01
    runs = {"local int8": of(0.2, good), "JPEG always": of(0.1, bad), "H.264 always": of(0.16, good)}
    (line,) = tables.standing_still({"wifi": {**runs, "adaptive": of(0.08, good)}})
    assert line == "wifi: 0.0800 J a frame, 50 % below H.264 always."
    (line,) = tables.standing_still({"wifi": {**runs, "adaptive": of(0.08, bad)}})
    assert "is below the floor" in line
    (line,) = tables.standing_still({"wifi": {name: of(0.1, bad) for name in [*runs, "adaptive"]}})
    assert "none of local int8, JPEG always, H.264 always keeps the floor" in line


@pytest.mark.slow
def test_the_demo_leaves_its_figures_and_its_reports(tmp_path):
    shown = run(tmp_path, frames=4, seed=0, progress=lambda *_: None, radios=["nr-drx", "wifi-2012"])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary["radios"]) == ["nr-drx", "wifi-2012"]
    for radio in summary["radios"].values():
        names = list(radio["policies"])
        assert names[:4] == ["local int8", "JPEG always", "H.264 always", "best static"]
        assert names[-1] == "adaptive"
        assert {"adaptive without video codecs", "adaptive without bottleneck"} <= set(names)
        for policy in radio["policies"].values():
            assert set(policy) >= {"energy_j_per_frame", "deadline_miss_fraction", "score", "metric", "points_used"}
            assert list(policy["scenes"]) == [*film.MOVING, film.STANDING]
        without = radio["policies"]["adaptive without video codecs"]["points_used"]
        assert not any("h264" in used["point"] for used in without)
    assert len(shown.headlines) == 4
    for radio in summary["radios"]:
        page = (tmp_path / f"report-{radio}.html").read_text()
        assert "<svg" in page
        assert "What was chosen, and why" in page
        assert "http://" not in page.replace("http://www.w3.org", "")
