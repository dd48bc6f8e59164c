"""A student beside the full network: one bundle, one scheduler, one edge server."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge.bundle import Preprocessing
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import BundleError, PayloadError, StaleReferenceError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload import Message, Request, StreamPosition, wire
from adaedge.runtime import Credentials, EdgeServer, EdgeSession, GrpcLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from adaedge.stream import Stream

sys.path.insert(0, str(Path(__file__).parent))
from deltas import Deltas, decoded

FULL, STUDENT = OperatingPoint("output"), OperatingPoint("output", network="student")
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)


class OwnDeltas(Deltas):
    name = "deltas"
    is_stateful = True

    def fits(self, tensors):
        return all(dtype == "float32" and len(shape) == 4 for dtype, shape in tensors)


def frames(count):
    values = np.random.default_rng(0)
    colours = values.integers(40, 215, (count, 1, 1, 3))
    return list((colours + values.integers(-40, 40, (count, 32, 32, 3))).astype(np.uint8))


def pixels(bundle, frame):
    """What the networks themselves take of a frame."""
    values = bundle.manifest.preprocessing
    scaled = (bundle.preprocess(frame) / 255 - np.array(values.mean)) / np.array(values.std)
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).astype(np.float32))


@pytest.fixture(scope="module")
def nets():
    """Both have a split point `1`, at which a tensor of one shape crosses; the student learns from few frames."""
    torch.manual_seed(0)
    full = [nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten()]
    full = nn.Sequential(*full, nn.Linear(512, 5)).eval()
    student = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(8, 5)).eval()
    images = torch.from_numpy(np.stack(frames(60)).transpose(0, 3, 1, 2) / 255.0).float()
    images = (images - 0.45) / 0.225
    with torch.no_grad():
        full[-1].bias -= full(images).mean(0)
        seen, taught = student[:-1](images[:10]), full(images[:10])
        solved = torch.linalg.lstsq(torch.cat([seen, torch.ones(10, 1)], 1), taught).solution
        student[-1].weight.copy_(solved[:-1].T)
        student[-1].bias.copy_(solved[-1])
    return full, student


@pytest.fixture(scope="module")
def bundle(nets, tmp_path_factory):
    full, student = nets
    space = adaedge.Space(splits=["1"], codecs=["raw", OwnDeltas()], networks={"student": student})
    preprocessing = Preprocessing(size=(32, 32), crop=1.0, mean=(0.45,) * 3, std=(0.225,) * 3)
    image = torch.rand(1, 3, 32, 32)
    built = adaedge.build(full, (image,), space, calibrate=[*frames(60)], preprocessing=preprocessing)
    path = tmp_path_factory.mktemp("networks") / "student.bundle"
    built.save(path)
    return adaedge.Bundle.load(path, codecs=[OwnDeltas()])


@pytest.fixture
def terminal(bundle):
    credentials = Credentials.create()
    with EdgeServer(bundle, credentials=credentials) as server:
        yield lambda **limits: terminal_of(bundle, server, credentials, **limits)


def terminal_of(bundle, server, credentials, **limits):
    """Seconds as on a slow terminal, most of them before the split point; accuracy as it was measured."""
    head_s = {"full": 0.2, "student": 0.05}
    costs = {
        entry.point: Cost(head_s[entry.point.network], accuracy=entry.accuracy.value)
        if entry.point.is_local
        else Cost(
            head_s[entry.point.network], 0.01, entry.payload_bytes, answer_bytes=100, accuracy=entry.accuracy.value
        )
        for entry in bundle.manifest.points
    }
    profile = Profile.from_json(Profile(costs, bundle.digest, "test", "test").to_json())
    link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
    return Terminal(bundle, Scheduler(profile, ENERGY, deadline_s=5.0, **limits), link, preload=False)


def test_a_profile_times_each_network(bundle):
    profile = adaedge.profile(bundle, repetitions=2)
    assert [*profile] == [*bundle.points]
    assert all(profile[OperatingPoint("1", network=name)].head_s > 0 for name in ("full", "student"))
    assert profile[STUDENT].accuracy <= 1.0 == profile[FULL].accuracy


def test_the_student_answers_where_the_floor_allows_it(bundle, terminal, nets):
    accuracy = {entry.point: entry.accuracy.value for entry in bundle.manifest.points}
    assert 0.3 < accuracy[STUDENT] < accuracy[FULL] == 1.0
    between = (1.0 + accuracy[STUDENT]) / 2
    for floor, chosen, net in ((accuracy[STUDENT], STUDENT, nets[1]), (between, FULL, nets[0])):
        with terminal(accuracy_floor=floor) as entered:
            result = entered.infer(frames(1)[0])
        assert result.decision.point == chosen
        with torch.no_grad():
            np.testing.assert_allclose(result.output[0], net(pixels(bundle, frames(1)[0])), rtol=1e-5, atol=1e-5)


def test_the_edge_server_finishes_what_the_student_began(bundle, terminal, nets):
    for name, net in zip(("full", "student"), nets, strict=True):
        point = OperatingPoint("1", network=name)
        with terminal(policy=Fixed(point)) as entered:
            for frame in frames(3):
                result = entered.infer(frame)
                assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
                assert result.decision.point == point
                with torch.no_grad():
                    np.testing.assert_allclose(result.output[0], net(pixels(bundle, frame)), rtol=1e-5, atol=1e-5)


def test_no_reference_passes_from_one_network_to_another(bundle):
    stream, session = Stream(bundle), EdgeSession(bundle)
    began = []
    for name, frame in zip(("full", "full", "student", "student", "full"), frames(5), strict=True):
        point = OperatingPoint("1", codec="deltas", network=name)
        features = bundle.head("1", point.level).run((bundle.preprocess(frame),))
        position, reference = stream.next(point, bundle.codec(point), 1.0)
        data, kept = bundle.encode_next(point, features, position, reference)
        request = Request(bundle.digest, stream.name, position.sequence, point)
        header, answer = bundle.decode_answer(session.answer(data), request)
        assert header.reference_held
        stream.keep(position, point, kept)
        expected = bundle.tail("1", point.level).run((decoded(features[0]),))
        np.testing.assert_array_equal(answer[0], expected[0])
        began.append(position.base == 0)
        assert {other.network for other in stream.changes(frame)} == {name}
    assert began == [True, False, True, False, True]


def test_a_payload_that_builds_upon_another_network_s_is_stale(bundle):
    session = EdgeSession(bundle)
    full, student = (OperatingPoint("1", codec="deltas", network=name) for name in ("full", "student"))
    features = bundle.head("1").run((bundle.preprocess(frames(1)[0]),))
    data, kept = bundle.encode_next(full, features, StreamPosition(7, 1, 0, 1.0))
    session.answer(data)
    with pytest.raises(StaleReferenceError, match="builds upon frame 1, which is not held here"):
        session.answer(bundle.encode_next(student, features, StreamPosition(7, 2, 1, 1.0), kept)[0])


def test_a_network_that_is_not_here_is_refused(bundle):
    other = replace(STUDENT, network="other")
    with pytest.raises(
        BundleError, match=r"no network 'other'; it has: full, student\. Build it with `--network other="
    ):
        bundle.run(other, (bundle.preprocess(frames(1)[0]),))
    message = Message(bundle.digest, 1, replace(other, split="1"), (), ())
    with pytest.raises(PayloadError, match="not here: this bundle has no network 'other'"):
        EdgeSession(bundle).answer(wire.encode(message))
    with pytest.raises(BundleError, match=r"no split point 'input' at student, width 1 in fp32"):
        bundle.run(replace(STUDENT, split="input"), (bundle.preprocess(frames(1)[0]),))
