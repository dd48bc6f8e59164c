"""A camera's frames as a video through a real terminal, gRPC and an edge server."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge.bundle import Preprocessing
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.operating_point import Cost, Decision, OperatingPoint, Profile
from adaedge.runtime import Credentials, EdgeServer, EdgeSession, GrpcLink, ReplayLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from adaedge.stream import Stream

CODECS = ("h264@24", "h264-444@24", "hevc@24", "av1@30")
LOCAL = OperatingPoint("output")


def clip(count):
    """Noise that a small square moves over."""
    background = np.random.default_rng(0).integers(90, 120, (64, 64, 3), dtype=np.uint8)
    frames = [background.copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[20:30, 2 * index : 2 * index + 10] = 220
    return frames


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 5)).eval()
    preprocessing = Preprocessing(size=(64, 64), crop=1.0)
    space = adaedge.Space(splits=["1"], codecs=["raw", *CODECS])
    image = torch.rand(1, 3, 64, 64)
    return adaedge.build(net, (image,), space, calibrate=[clip(8)], preprocessing=preprocessing)


def test_a_video_codec_is_built_at_the_input_and_nowhere_else(bundle):
    points = {point for point in bundle.points if "@" in point.codec}
    assert points == {OperatingPoint("input", codec=codec) for codec in CODECS}
    for entry in bundle.manifest.points:
        assert entry.accuracy.value > 0.5
        if entry.point in points:
            assert 100 < entry.payload_bytes < 64 * 64 * 3  # each by itself: a refresh


@pytest.mark.parametrize("codec", CODECS)
def test_frames_cross_as_a_video(bundle, codec):
    point = OperatingPoint("input", codec=codec)
    costs = {point: Cost(head_s=0.001, payload_bytes=900, answer_bytes=150, finish_s=0.001), LOCAL: Cost(head_s=0.05)}
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    scheduler = Scheduler(Profile(costs, bundle.digest, "test", "test"), energy, deadline_s=2.0, policy=Fixed(point))
    credentials = Credentials.create()
    session = EdgeSession(bundle)
    with EdgeServer(bundle, credentials=credentials, session=session) as server:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        with Terminal(bundle, scheduler, link, preload=False) as terminal:
            sizes, here = [], bundle.codec(point)
            sent = held = None
            for frame in clip(6):
                result = terminal.infer(frame)
                assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
                (headers, segments), sent = here.encode([bundle.preprocess(frame)], [None], sent)
                pixels, held = here.decode(headers, segments, 2**20, held)
                assert np.allclose(result.output[0], bundle.run(LOCAL, pixels)[0], rtol=1e-4, atol=1e-5)
                assert np.abs(pixels[0][0].astype(int) - frame).mean() < 12
                sizes.append(result.measurement.payload_bytes - result.measurement.probe_bytes)
            assert max(sizes[1:]) < 0.6 * sizes[0]
            assert session.held_bytes > 0


def test_the_scheduler_sees_how_much_of_a_frame_changed(bundle):
    """On a built bundle and a measured profile: what is predicted is what a stream sends, a refresh first."""
    profile = adaedge.profile(bundle, repetitions=3, frames=clip(8))
    point = OperatingPoint("input", codec="h264@24")
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    scheduler = Scheduler(profile, energy, deadline_s=5.0, policy=Fixed(point))
    link = ReplayLink(Trace([0.0], [50e6]), EdgeSession(bundle).answer)
    with Terminal(bundle, scheduler, link, preload=False) as terminal:
        results = [terminal.infer(frame) for frame in clip(8)]
        other = terminal.infer(clip(1)[0], terminal.stream())
    changes = [result.decision.change for result in results]
    assert changes[0] == other.decision.change == 1.0
    assert all(0 < change < 0.5 for change in changes[1:])
    for result in results[1:]:
        predicted, sent = result.decision.payload_bytes, result.measurement.payload_bytes
        assert predicted < profile[point].payload_bytes
        assert sent / 2 < predicted < 2 * sent


def test_what_was_sent_corrects_what_is_predicted(bundle):
    point = OperatingPoint("input", codec="h264@24")
    stream = Stream(bundle)
    guess = Decision(point, 0.1, 0.1, payload_bytes=100.0, change=0.1)
    for _ in range(60):
        used = stream.sent_ratio.get(point, 1.0)
        stream.sent(replace(guess, payload_bytes=100.0 * used), 300)
    assert stream.sent_ratio[point] == pytest.approx(3.0, rel=0.01)
    before = dict(stream.sent_ratio)
    stream.sent(replace(guess, change=1.0), 9000)  # a refresh says nothing of what follows it
    assert stream.sent_ratio == before
    stream.sent(guess, 10**9)
    assert stream.sent_ratio[point] < 8.0


def test_after_a_lost_payload_the_next_is_predicted_as_a_refresh(bundle):
    point = OperatingPoint("input", codec="h264@24")
    stream = Stream(bundle)
    frames = clip(3)
    assert stream.changes(frames[0]) == {}
    position, _ = stream.next(point, bundle.codec(point), 1.0)
    _, kept = bundle.encode_next(point, (bundle.preprocess(frames[0]),), position)
    stream.keep(position, point, kept)
    assert list(stream.changes(frames[1])) == [point]
    assert stream.changes(np.zeros((10, 10, 3), np.uint8)) == {point: 1.0}
    assert stream.changes((np.zeros((1, 64, 64, 3), np.uint8),)) == {point: 1.0}
    stream.next(point, bundle.codec(point), 1.0)  # taken, and never answered
    assert stream.changes(frames[2]) == {}
