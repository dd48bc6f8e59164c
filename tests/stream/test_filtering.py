"""Frames whose latent hardly moved are not sent; the answer to an earlier one stands."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from adaedge import Bottleneck, Space, build
from adaedge.bundle import Bundle, Preprocessing
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import CodecError, LinkDownError, ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload.latent import moved
from adaedge.runtime import (
    EdgeSession,
    FrameRecord,
    ManualClock,
    ReplayLink,
    Terminal,
    session,
)
from adaedge.scheduling import Scheduler
from adaedge.stream import calibrate_tolerance, filtering, largest_tolerance, replay
from adaedge.stream.filtering import latent_of

POINT = OperatingPoint("1", codec="bottleneck@9")
LOCAL = OperatingPoint("output")
TOLERANCE = 0.2


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 144, 5)).eval()
    net[3].weight.data *= 20
    images = [nn.functional.interpolate(torch.randn(1, 3, 6, 6), (24, 24)) for _ in range(16)]
    own = Bottleneck.fit(net, (images[0],), split="1", images=images)
    preprocessing = Preprocessing((24, 24), mean=(0.5,) * 3, std=(0.25,) * 3)
    return build(net, (images[0],), Space(["1"], codecs=[own]), preprocessing=preprocessing)


def clip(count, seed=0, noise=2):
    """A still scene with the camera's noise; another scene from the middle on."""
    rng = np.random.default_rng(seed)
    scenes = rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    return [
        np.clip(scenes[2 * index // count] + rng.integers(-noise, noise + 1, (48, 48, 3)), 0, 255).astype(np.uint8)
        for index in range(count)
    ]


def terminal_of(bundle, *, tolerance, served=None, points=(POINT, LOCAL), paced=False):
    clock = ManualClock()
    costs = {POINT: Cost(0.001, 0.001, 400, 0.001, 0.001, 150, 0.001), LOCAL: Cost(0.05)}
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    profile = Profile({point: costs[point] for point in points}, bundle.digest, "test", "test")
    scheduler = Scheduler(profile, energy, deadline_s=0.1, period_s=0.1)
    link = ReplayLink(Trace((0.0, 1e6), (1e7, 1e7)), served or EdgeSession(bundle).answer, clock)
    return Terminal(bundle, scheduler, link, clock=clock, tolerance=tolerance, paced=paced)


def records(bundle, frames, **options):
    with terminal_of(bundle, **options) as terminal:
        return list(session.run(terminal, frames))


def test_a_still_scene_is_sent_once_and_a_new_one_at_once(bundle):
    frames = clip(12)
    plain, filtered = (records(bundle, frames, tolerance=tolerance) for tolerance in (0.0, TOLERANCE))
    assert [record.measurement.answered_by for record in plain] == ["edge"] * 12
    assert [record.measurement.answered_by for record in filtered] == (["edge"] + ["earlier"] * 5) * 2
    assert [record.answer for record in filtered] == [record.answer for record in plain]
    for record in filtered:
        done = record.measurement
        sent = done.payload_bytes - done.probe_bytes
        assert (sent > 0) == (done.answered_by == "edge")
        assert done.failure == ""
        if not sent:
            assert (done.upload_s, done.wait_s, done.answer_bytes) == (0.0, 0.0, 0)
            assert FrameRecord.from_json(record.to_json()) == record
    spent = [sum(record.measurement.energy.transmit_j for record in one) for one in (plain, filtered)]
    assert spent[1] < 0.5 * spent[0]


def test_head_and_encoder_are_charged_and_the_radio_is_not(bundle):
    with terminal_of(bundle, tolerance=TOLERANCE, paced=True) as terminal:  # computes as long as the profile says
        first, second = clip(2)[0], clip(2)[0]
        terminal.infer(first)
        done = terminal.infer(second).measurement
    assert done.answered_by == "earlier"
    assert done.compute_s == pytest.approx(0.002)  # head and encoder
    assert done.energy.compute_j == pytest.approx(3.7 * 0.002)
    assert done.energy.transmit_j == done.energy.receive_j == 0


def test_the_time_that_the_comparison_takes_is_computing(bundle, monkeypatch):
    with terminal_of(bundle, tolerance=TOLERANCE) as terminal:
        looked = terminal._stream.keeper.latent

        def slowly(point, features):
            terminal.clock.sleep_until(terminal.clock.now_s() + 0.004)
            return looked(point, features)

        monkeypatch.setattr(type(terminal._stream.keeper), "latent", lambda self, *args: slowly(*args))
        assert [terminal.infer(clip(2)[0]).measurement.compute_s for _ in range(2)] == pytest.approx([0.004] * 2)


def test_slow_drift_adds_up_until_it_is_sent(bundle):
    """What counts is how far a frame is from the one that was sent, not from the one before."""
    a, b = (scene.astype(float) for scene in clip(2, noise=0))
    frames = [np.rint(a + (b - a) * share).astype(np.uint8) for share in np.linspace(0, 1, 60)]
    latents = [latent_of(bundle, POINT, bundle.head("1").run((bundle.preprocess(frame),))) for frame in frames]
    steps = [moved(before, now) for before, now in pairwise(latents)]
    assert max(steps) < TOLERANCE < moved(latents[0], latents[-1])
    by = [record.measurement.answered_by for record in records(bundle, frames, tolerance=TOLERANCE)]
    assert by[0] == "edge"
    assert 2 <= by.count("edge") < 60


def test_a_writer_into_an_answer_does_not_change_the_next(bundle):
    frame = clip(2)[0]
    with terminal_of(bundle, tolerance=TOLERANCE) as terminal:
        first = terminal.infer(frame).output[0]
        wanted = first.copy()
        first[:] = 7
        second = terminal.infer(frame).output[0]
        assert np.array_equal(second, wanted)
        second[:] = 8
        assert np.array_equal(terminal.infer(frame).output[0], wanted)


def test_what_the_terminal_finished_itself_stands_as_well(bundle):
    def down(payload):
        raise LinkDownError("gone")

    frame = clip(2)[0]
    with terminal_of(bundle, tolerance=TOLERANCE, served=down) as terminal:
        done = terminal.infer(frame).measurement
        assert (done.answered_by, done.failure) == ("terminal", "down")
        features = bundle.head("1").run((bundle.preprocess(frame),))
        standing = terminal._stream.keeper.standing(POINT, latent_of(bundle, POINT, features))
    assert np.array_equal(standing[0], bundle.tail("1").run(features)[0])


def test_an_answer_at_a_lower_rate_does_not_stand(bundle):
    frame = clip(2)[0]
    with terminal_of(
        bundle, tolerance=TOLERANCE, served=lambda payload: EdgeSession(bundle).answer(payload[:-1])
    ) as terminal:
        by = [terminal.infer(frame).measurement for _ in range(3)]
    assert [done.answered_by for done in by] == ["edge"] * 3
    assert all(done.lost_segments for done in by)


def test_local_frames_are_answered_anew(bundle):
    by = [record.measurement.answered_by for record in records(bundle, clip(4), tolerance=9.0, points=(LOCAL,))]
    assert by == ["terminal"] * 4


def test_another_rate_sends_again(bundle):
    with terminal_of(bundle, tolerance=TOLERANCE) as terminal:
        latent = terminal._stream.keeper.latent(POINT, bundle.head("1").run((bundle.preprocess(clip(2)[0]),)))
        terminal._stream.keeper.computed((np.zeros(3),), 0, POINT, 0, latent)
        assert terminal._stream.keeper.standing(POINT, latent) is not None
        assert terminal._stream.keeper.standing(dataclasses.replace(POINT, codec="bottleneck@3"), latent) is None


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_a_tolerance_that_cannot_be_is_refused(bundle, tolerance):
    with pytest.raises(ScheduleError, match="a tolerance is 0, which sends every frame"):
        terminal_of(bundle, tolerance=tolerance)


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=30), st.floats(0, 4))
def test_no_frame_that_stands_is_further_away_than_the_tolerance(values, tolerance):
    latents = [np.full((1, 1, 2), value) for value in values]
    found = replay(latents, range(len(values)), tolerance)
    assert replay(latents, range(len(values)), 0.0).sent == 1.0
    assert 1 / len(values) <= found.sent <= 1
    # Answers are all different here, so those that agree are those that were sent.
    assert found.agreement == found.sent
    last = 0
    for index, latent in enumerate(latents):
        last = index if index == 0 or moved(latents[last], latent) >= tolerance else last
        assert last == index or moved(latents[last], latent) < tolerance


def test_the_largest_tolerance_that_keeps_the_floor():
    values = np.linspace(0, 1, 200)
    latents = [np.full((1, 1, 1), value) for value in values]
    answers = [int(value * 5) for value in values]
    found = largest_tolerance(latents, answers, 0.9)
    assert found.agreement >= 0.9 > replay(latents, answers, found.tolerance * 2**0.5).agreement
    assert 0 < found.sent < 0.5
    assert largest_tolerance(latents, list(range(200)), 1.0).sent == 1.0
    with pytest.raises(ScheduleError, match="without frames"):
        largest_tolerance([], [], 0.9)


def test_calibrated_from_a_clip_it_keeps_the_floor_on_it(bundle):
    frames = clip(16, seed=3)
    found = calibrate_tolerance(bundle, POINT, frames, floor=0.95)
    assert found.tolerance > 0
    got = records(bundle, frames, tolerance=found.tolerance)
    plain = records(bundle, frames, tolerance=0.0)
    assert np.mean([record.measurement.answered_by == "edge" for record in got]) == found.sent
    agreed = np.mean([a.answer == b.answer for a, b in zip(got, plain, strict=True)])
    assert agreed == found.agreement >= 0.95
    with pytest.raises(CodecError, match="no latent to look at"):
        calibrate_tolerance(bundle, dataclasses.replace(POINT, codec="u8"), frames[:1], floor=0.9)


def test_it_is_calibrated_on_classes_whatever_the_answer_codec(bundle, monkeypatch):
    seen = []
    monkeypatch.setattr(filtering, "largest_tolerance", lambda latents, answers, floor: seen.append(answers))
    for name in ("raw", "best@3"):
        answering = Bundle(dataclasses.replace(bundle.manifest, answer=name), bundle._files)
        calibrate_tolerance(answering, POINT, clip(6, seed=3), floor=0.95)
    assert seen[0] == seen[1]
    assert max(seen[0]) > 2, "more than places among three"
