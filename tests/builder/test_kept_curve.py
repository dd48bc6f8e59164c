"""The curve of kept answers: fitted on clips, validated on others, or refused for a reason that is told."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adaedge import Bundle, OperatingPoint, Space, build
from adaedge.builder import kept_curve
from adaedge.builder.kept_curve import AnsweredClip, _falling, fit_kept
from adaedge.bundle import Preprocessing
from adaedge.errors import BundleVersionError, MetricError
from adaedge.metrics import Cosine, Divergence, LabelIoU
from adaedge.operating_point import KEPT

FPS = 10.0


class Numbers:
    """Frames are numbers; so much changed as they differ."""

    name, unit = "numbers", "of the way"

    def look(self, frame):
        return frame

    def change(self, before, after):
        return min(1.0, abs(before - after))


class Nearness:
    """Answers are numbers; they score 1 less what they differ, on average."""

    name = "nearness"

    def score(self, expected, given):
        value = float(
            np.mean([max(0.0, 1 - abs(one[0] - other[0])) for one, other in zip(expected, given, strict=True)])
        )
        return dataclasses.make_dataclass("Score", ["value"])(value)


def clip_of(shown, answers=None, index=0, **more):
    answers = shown if answers is None else answers
    return AnsweredClip(list(shown), [(np.float64(answer),) for answer in answers], FPS, index, **more)


def drifting(seed, frames=900, step=0.01, noise=0.0):
    """A walk in [0, 1] with rests; answers follow it, and flicker by some noise."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, step, frames) * np.repeat(rng.integers(0, 2, frames // 30 + 1), 30)[:frames]
    shown = 0.5 + 0.4 * np.sin(np.cumsum(moves))
    return clip_of(shown, shown + rng.normal(0, noise, frames), seed)


def run(clip, most):
    """What keeping up to a change comes to: its stretches' scores, and those of the answers that were kept."""
    given = kept_curve._replayed(clip, Numbers(), most)
    return kept_curve._stretch_scores([clip], [given], Nearness())


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_stretches_of_a_clip_that_was_not_seen_keep_what_the_curve_promises(noise):
    curve = fit_kept([drifting(seed, noise=noise) for seed in range(3)], Numbers(), Nearness())
    held, of = 0, 0
    for seed in range(10, 20):
        for knot in curve.knots:
            scores = run(drifting(seed, noise=noise), knot.change)
            held, of = held + int((scores >= knot.low).sum()), of + len(scores)
    assert held >= 0.95 * of
    assert any(knot.low > 0.9 for knot in curve.knots), "a bound of nothing holds as well"


def test_it_says_what_it_was_made_from():
    curve = fit_kept([drifting(4), drifting(7)], Numbers(), Nearness())
    assert (curve.detector, curve.unit, curve.metric, curve.clips) == ("numbers", "of the way", "nearness", (4, 7))
    assert all(type(value) in (int, float) for knot in curve.knots for value in dataclasses.astuple(knot))
    assert sum(knot.pairs for knot in curve.knots) > 500


def test_no_more_is_promised_where_answers_flicker():
    calm, flickering = (fit_kept([drifting(3, noise=noise)], Numbers(), Nearness()) for noise in (0.0, 0.05))
    assert flickering.low(0.005) < calm.low(0.005)
    assert flickering.largest_change(0.97) is None


def test_dependent_frames_do_not_fake_confidence():
    """The same frames ten times as often are no more than they were: a stretch counts once."""
    once = drifting(5, frames=900)
    dense = AnsweredClip(
        [look for look in once.looks for _ in range(10)],
        [answer for answer in once.answers for _ in range(10)],
        10 * FPS,
    )
    one, other = (fit_kept([clip], Numbers(), Nearness()) for clip in (once, dense))
    for change in (0.02, 0.05, 0.1):
        assert other.low(change) == pytest.approx(one.low(change), abs=0.03)


def test_what_was_found_wrong_on_the_other_half_lowers_it():
    calm = np.linspace(0.2, 0.4, 600)
    shown = np.concatenate((calm, calm))
    same, worse = (
        fit_kept([clip_of(shown, np.concatenate((calm, calm * factor)))], Numbers(), Nearness()) for factor in (1, 6)
    )
    assert all(a.low > b.low for a, b in zip(same.knots[1:], worse.knots[1:], strict=False))


@pytest.mark.parametrize(
    ("clip", "why"),
    [
        (clip_of(np.linspace(0, 1, 20)), "20 frames of clips are too few.*give 4 stretches of 8 frames or more"),
        (clip_of(np.full(400, 0.5)), "nothing ever changes in the clips"),
        (clip_of(np.arange(400) % 2 * 2.0, np.zeros(400)), "everything changes from each frame to the next"),
        (clip_of(np.arange(400) * 2.0, np.zeros(400)), "everything changes from each frame to the next"),
        (AnsweredClip([None] * 400, [(np.float64(0),)] * 400, FPS), "everything changes"),
        (
            clip_of(0.5 + 1e-3 * np.arange(400), np.arange(400) % 2),
            "answers to frames that differ by .* score .* do not follow what changes",
        ),
    ],
)
def test_clips_that_cannot_tell_are_refused_with_a_reason(clip, why):
    with pytest.raises(MetricError, match=why):
        fit_kept([clip], Numbers(), Nearness())


def test_a_metric_that_compares_nothing_is_told():
    nothing = [(np.zeros((1, 4, 4), np.int64),)] * 400
    clip = AnsweredClip(list(np.linspace(0, 0.9, 400)), nothing, FPS)
    with pytest.raises(MetricError, match="iou@5 can compare the answers of 0 stretches only"):
        fit_kept([clip], Numbers(), LabelIoU((5,)))


def test_new_frames_of_a_window_count_as_change():
    clip = clip_of(np.full(100, 0.5), window=(8, 1))
    assert [clip.change(Numbers(), 0, after) for after in (1, 2, 8, 20)] == [0.0, 0.25, 1.0, 1.0]


@given(st.lists(st.tuples(st.one_of(st.floats(0, 1), st.just(float("nan"))), st.integers(1, 9)), min_size=1))
def test_a_falling_curve_keeps_the_mean(points):
    means, counts = ([*column] for column in zip(*points, strict=True))
    found = _falling(means, counts)
    assert len(found) == len(means)
    assert all(a >= b for a, b in pairwise(found))
    if not np.isnan(means).any():
        assert np.average(found, weights=counts) == pytest.approx(np.average(means, weights=counts))


def scenes(frames, seed=0, still=12):
    """A square on a pattern, which jumps after so many frames."""
    rng = np.random.default_rng(seed)
    pattern = rng.integers(0, 120, (12, 16, 3), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    places = 12 * np.repeat(rng.integers(0, 4, frames // still + 1), still)
    shown = []
    for x in places[:frames]:
        frame = pattern.copy()
        frame[8:24, x : x + 12] = 250
        shown.append(frame)
    return shown


def built(calibrate, space=None, **more):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 144, 5)).eval()
    preprocessing = Preprocessing((24, 24), mean=(0.5,) * 3, std=(0.25,) * 3)
    options = {"evaluate": Divergence()} | more
    return build(net, (torch.zeros(1, 3, 24, 24),), space, preprocessing=preprocessing, calibrate=calibrate, **options)


def test_a_build_on_clips_keeps_answers_and_a_bundle_carries_the_curve(tmp_path):
    bundle = built([scenes(120, 1), scenes(120, 2)], Space())
    assert bundle.points == (KEPT, OperatingPoint("input"), OperatingPoint("output"))
    curve = bundle.manifest.kept
    assert (curve.detector, curve.metric, curve.clips) == ("moved-blocks", "divergence", (0, 1))
    assert curve.largest_change(0.9) is not None
    bundle.save(tmp_path / "net.bundle")
    assert Bundle.load(tmp_path / "net.bundle").manifest.kept == curve
    text = (tmp_path / "net.bundle" / "manifest.json").read_text()
    (tmp_path / "net.bundle" / "manifest.json").write_text(text.replace('"version": 11', '"version": 7'))
    with pytest.raises(BundleVersionError, match="version 7; this adaedge reads 'adaedge-bundle' version 11"):
        Bundle.load(tmp_path / "net.bundle")


def test_a_build_says_why_nothing_is_kept_and_refuses_where_it_was_asked_to():
    bundle = built([scenes(20)], Space())
    assert bundle.manifest.kept is None
    assert KEPT not in bundle.points
    assert "20 frames of clips are too few" in bundle.manifest.not_kept
    assert built([scenes(120)], Space(kept=False)).manifest.kept is None
    with pytest.raises(MetricError, match=r"no answer can be kept: 20 frames.*Leave `kept` out"):
        built([scenes(20)], Space(kept=True))
    with pytest.raises(MetricError, match="no answer can be kept: there are no clips among the samples"):
        built(scenes(3), Space(kept=True))


def test_an_evaluation_of_ones_own_keeps_by_the_default_metric():
    curve = built([scenes(120, 1)], Space(), evaluate=lambda predict: 0.9).manifest.kept
    assert curve.metric == "agreement"
    assert built([scenes(120, 1)], Space(), evaluate=Cosine()).manifest.kept.metric == "cosine"
