"""What changed of a camera's latents, through a real terminal, gRPC and an edge server, and over a link with faults."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge.bundle import Preprocessing
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import StaleReferenceError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload.latent import delta
from adaedge.runtime import Credentials, EdgeServer, EdgeSession, GrpcLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from adaedge.stream import Stream

LOCAL = OperatingPoint("output")
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)


def clip(count, seed=0):
    """A square that moves over a textured ground, under a little noise."""
    generator = np.random.default_rng(seed)
    ground = generator.integers(60, 120, (48, 48, 3), dtype=np.uint8)
    shown = []
    for at in range(count):
        frame = ground.copy()
        frame[10:22, at % 36 : at % 36 + 12] = 230
        shown.append(np.clip(frame + generator.normal(0, 1, frame.shape), 0, 255).astype(np.uint8))
    return shown


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 144, 5)).eval()
    net[3].weight.data *= 5
    preprocessing = Preprocessing(size=(48, 48), crop=1.0)
    space = adaedge.Space(splits=["1"], codecs=["bottleneck", "delta"])
    return adaedge.build(net, (torch.zeros(1, 3, 48, 48),), space, calibrate=[clip(20)], preprocessing=preprocessing)


@pytest.fixture(scope="module")
def points(bundle):
    return [point for point in bundle.points if point.codec.startswith("delta@")]


def features_of(bundle, frame):
    return bundle.head("1").run((bundle.preprocess(frame),))


def scheduler_of(bundle, points, chosen):
    cost = Cost(head_s=0.001, payload_bytes=300, tail_s=0.001, answer_bytes=150, finish_s=0.001)
    profile = Profile(dict.fromkeys(points, cost) | {LOCAL: Cost(head_s=0.05)}, bundle.digest, "test", "test")
    return Scheduler(profile, ENERGY, deadline_s=2.0, policy=Fixed(chosen))


def test_frames_cross_as_what_changed(bundle, points):
    point = points[-1]
    credentials, session = Credentials.create(), EdgeSession(bundle)
    with EdgeServer(bundle, credentials=credentials, session=session) as server:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        with Terminal(bundle, scheduler_of(bundle, points, point), link, preload=False) as terminal:
            sizes, here, sent, held = [], bundle.codec(point), None, None
            for frame in clip(6, seed=1):
                result = terminal.infer(frame)
                assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
                (headers, segments), sent = here.encode(features_of(bundle, frame), [None], sent)
                carried, held = here.decode(headers, segments, 2**20, held)
                assert np.array_equal(sent.held, held.held)
                assert np.allclose(result.output[0], bundle.tail("1").run(carried)[0], rtol=1e-4, atol=1e-5)
                sizes.append(result.measurement.payload_bytes - result.measurement.probe_bytes)
            assert np.mean(sizes[1:]) < sizes[0]
            assert session.held_bytes == held.nbytes


class Checked:
    """An edge session; what its codec makes of each payload is held against what the encoder left."""

    def __init__(self, bundle, patch):
        self.bundle, self.session, self.stale, self.decoded = bundle, EdgeSession(bundle), 0, 0
        self.believed = {}
        after = delta.DeltaCodec.decode

        def decode(codec, headers, segments, max_bytes, reference=None):
            tensors, kept = after(codec, headers, segments, max_bytes, reference)
            self.decoded += 1
            assert self.believed[bytes(segments[0])] == checksum(kept)
            return tensors, kept

        patch.setattr(delta.DeltaCodec, "decode", decode)

    def answer(self, data):
        try:
            return self.session.answer(data)
        except StaleReferenceError:
            self.stale += 1
            return None


def checksum(reference):
    parts = reference.held.tobytes(), reference.activity.tobytes(), repr((reference.rate, reference.paces)).encode()
    return zlib.crc32(b"".join(parts))


FAULTS = ["none"] * 4 + ["lost", "answer lost", "twice", "earlier again", "restart", "other split"]


@pytest.mark.parametrize("seed", range(6))
def test_no_fault_makes_a_wrong_reconstruction(bundle, points, seed, monkeypatch):
    """Law 5a: over losses, repeats, restarts and changes of rate the edge decodes what the encoder believes it does."""
    generator, edge = np.random.default_rng(seed), Checked(bundle, monkeypatch)
    stream, sent, point = Stream(bundle), [], points[0]
    raw = OperatingPoint("1", codec="bottleneck@2")
    for frame in clip(40, seed):
        fault = generator.choice(FAULTS)
        point = points[generator.integers(len(points))] if generator.random() < 0.3 else point
        chosen = raw if fault == "other split" else point
        if fault == "restart":
            edge.session = EdgeSession(bundle)
        for _ in range(2):
            position, reference = stream.next(chosen, bundle.codec(chosen), 1.0)
            data, kept = bundle.encode_next(chosen, features_of(bundle, frame), position, reference)
            sent.append(data)
            if kept is not None:
                (segment,) = bundle.read(data).segments
                edge.believed[bytes(segment)] = checksum(kept)
            if fault == "lost":
                break
            answer = edge.answer(data)
            if answer is not None:
                header, _ = bundle.route(chosen).decode_answer(answer, position)
                if fault != "answer lost":
                    stream.keep(position, chosen, kept if header.reference_held else None)
                break
            assert position.base
        if fault == "twice":
            edge.answer(sent[-1])
        if fault == "earlier again":
            edge.answer(sent[generator.integers(len(sent))])
    assert edge.decoded > 15
