"""A camera's frames as a video through a real terminal, gRPC and an edge server."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge.bundle import Preprocessing
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials, EdgeServer, EdgeSession, GrpcLink, Terminal
from adaedge.scheduling import Fixed, Scheduler

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
    return adaedge.build(net, (image,), space, calibrate=clip(8), preprocessing=preprocessing)


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
