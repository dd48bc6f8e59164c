"""Clips as inputs: models that take a window of a stream, of which only new frames cross."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.video import r3d_18

import adaedge
from adaedge.bundle import Preprocessing
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeSession, ReplayLink, Terminal
from adaedge.scheduling import Fixed, Scheduler

LOCAL = OperatingPoint("output")
VIDEO = OperatingPoint("input", codec="h264@24")
FRAMES, SIDE = 4, 32


def shown(count, size=(40, 48)):
    """A square that moves over a textured ground."""
    ground = np.random.default_rng(0).integers(90, 110, (*size, 3), dtype=np.uint8)
    frames = [ground.copy() for _ in range(count)]
    for at, frame in enumerate(frames):
        frame[10:22, 2 * at % 30 : 2 * at % 30 + 10] = 220
    return frames


def tiny_r3d():
    torch.manual_seed(0)
    return r3d_18(weights=None, num_classes=5).eval()


def terminal(bundle, point, answer=None):
    costs = {point: Cost(head_s=0.001, payload_bytes=900, answer_bytes=150, finish_s=0.001), LOCAL: Cost(head_s=0.05)}
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    scheduler = Scheduler(Profile(costs, bundle.digest, "test", "test"), energy, deadline_s=5.0, policy=Fixed(point))
    link = ReplayLink(Trace([0.0], [50e6]), answer or EdgeSession(bundle).answer)
    return Terminal(bundle, scheduler, link, preload=False)


@pytest.fixture(scope="module")
def r3d():
    net = tiny_r3d()
    preprocessing = Preprocessing(size=(SIDE, SIDE), crop=1.0, frames=FRAMES)
    space = adaedge.Space(splits=["layer2"], codecs=["raw", "h264@24", "jpeg@90"])
    example = torch.rand(1, 3, FRAMES, SIDE, SIDE)
    return net, adaedge.build(net, (example,), space, calibrate=[shown(12)], preprocessing=preprocessing)


def test_what_crosses_is_a_window_and_only_its_new_frames(r3d):
    _, bundle = r3d
    with terminal(bundle, VIDEO) as running:
        sizes, sent, held = [], None, None
        codec, window = bundle.codec(VIDEO), []
        for frame in shown(8):
            result = running.infer(frame)
            assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
            window = [*(window or [bundle.preprocess(frame)] * FRAMES)[1:], bundle.preprocess(frame)]
            (headers, segments), sent = codec.encode([np.stack(window, axis=1)], [None], sent)
            pixels, held = codec.decode(headers, segments, 2**20, held)
            assert np.allclose(result.output[0], bundle.run(LOCAL, pixels)[0], rtol=1e-4, atol=1e-5)
            sizes.append(result.measurement.payload_bytes)
    assert max(sizes[1:]) < 0.6 * sizes[0]
