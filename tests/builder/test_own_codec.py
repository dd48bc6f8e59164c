"""A codec from outside the package is an operating point like all others."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bundle, OperatingPoint, Scheduler, Space, Terminal, build, profile
from adaedge.bundle import Preprocessing
from adaedge.channel import Trace
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.errors import CodecError
from adaedge.operating_point import Cost
from adaedge.payload import TensorHeader
from adaedge.runtime import EdgeServer, EdgeSession, GrpcLink, ReplayLink
from adaedge.scheduling import Fixed

IMAGE = (torch.zeros(1, 3, 16, 16),)
PREPROCESSING = Preprocessing(size=(16, 16))


@dataclass(frozen=True)
class Held:
    frame: np.ndarray

    @property
    def nbytes(self):
        return self.frame.nbytes


@dataclass(frozen=True)
class Rows:
    """Sends those rows of a frame that changed; what it makes of a frame is exact."""

    name: str = "rows@1"
    is_stateful: bool = True

    def fits(self, tensors):
        return [dtype for dtype, _ in tensors] == ["uint8"]

    def encode(self, tensors, axes, reference=None):
        (frame,) = tensors
        rows = np.arange(frame.shape[1], dtype=np.uint8)
        if reference is not None:
            rows = rows[(frame != reference.frame).any(axis=(0, 2, 3))]
        segment = bytes([len(rows)]) + rows.tobytes() + frame[:, rows].tobytes()
        return ((TensorHeader("uint8", frame.shape),), (segment,)), Held(frame.copy())

    def decode(self, headers, segments, max_bytes, reference=None):
        (header,), (segment,) = headers, segments
        count = segment[0]
        rows = np.frombuffer(segment, np.uint8, count, 1)
        frame = np.zeros(header.shape, np.uint8) if reference is None else reference.frame.copy()
        frame[:, rows] = np.frombuffer(segment, np.uint8, offset=1 + count).reshape(1, count, *header.shape[2:])
        return (frame,), Held(frame)

    def accepts(self, reference):
        return isinstance(reference, Held)


def clip(count=6):
    ground = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    frames = [ground.copy() for _ in range(count)]
    for at, frame in enumerate(frames):
        frame[at % 16] = 255
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 5)).eval()
    space = Space(splits=["1"], codecs=["raw", Rows()])
    bundle = build(net, IMAGE, space, calibrate=[clip()], preprocessing=PREPROCESSING)
    path = tmp_path_factory.mktemp("own") / "rows.bundle"
    bundle.save(path)
    return path


def test_it_is_built_where_it_fits_and_measured_in_order(folder):
    bundle = Bundle.load(folder, codecs=[Rows()])
    (entry,) = (entry for entry in bundle.manifest.points if entry.point.codec == "rows@1")
    assert entry.point.split == "input"
    assert entry.accuracy.value == 1.0
    assert entry.next_bytes[0] < entry.payload_bytes / 2


def test_it_runs_on_a_stream_and_its_cost_follows_the_change(folder):
    bundle = Bundle.load(folder, codecs=[Rows()])
    point = OperatingPoint("input", codec="rows@1")
    costs = profile(bundle, repetitions=2, frames=clip())
    scheduler = Scheduler(costs, EnergyModel(ComputePower(3.7), WIFI_2012), deadline_s=5.0, policy=Fixed(point))
    link = ReplayLink(Trace([0.0], [50e6]), EdgeSession(bundle).answer)
    with Terminal(bundle, scheduler, link) as terminal:
        results = [terminal.infer(frame) for frame in clip()]
    for frame, result in zip(clip(), results, strict=True):
        assert result.measurement.answered_by == "edge"
        local = bundle.run(OperatingPoint("output"), (bundle.preprocess(frame),))
        assert np.array_equal(result.output[0], local[0])
    sizes = [result.measurement.payload_bytes for result in results]
    assert max(sizes[1:]) < sizes[0] / 2
    assert [result.decision.change < 1 for result in results] == [False] + [True] * 5


def test_a_bundle_without_it_says_how_it_is_given(folder):
    bundle = Bundle.load(folder)
    with pytest.raises(CodecError, match=r"no codec 'rows@1'; .*One of your own is given to `Bundle.load\(…, codecs="):
        bundle.codec(OperatingPoint("input", codec="rows@1"))


@pytest.mark.parametrize(
    "name", ["raw", "u4", "jpeg@90", "jpeg@0", "h264@99", "av1-444", "bottleneck", "kept", "delta@3"]
)
def test_a_name_of_ours_is_refused(folder, name):
    with pytest.raises(CodecError, match=r"a codec of your own has a name|is that of a codec of adaedge's own"):
        Bundle.load(folder, codecs=[Rows(name)])
    with pytest.raises(CodecError, match=r"a codec of your own has a name|is that of a codec of adaedge's own"):
        Space(codecs=[Rows(name)])


@pytest.mark.parametrize("name", ["", "Rows", "a/b", "a b", "ü"])
def test_a_name_that_cannot_be_written_is_refused(name):
    with pytest.raises(CodecError, match="lower-case letters, digits and '-', perhaps '@' and a number; got"):
        Space(codecs=[Rows(name)])


@pytest.mark.filterwarnings("ignore:.*not encrypted")
@pytest.mark.parametrize("real", [False, True])
def test_what_it_raises_costs_a_payload_and_never_an_answer(folder, real):
    class Broken(Rows):
        def encode(self, tensors, axes, reference=None):
            if reference is not None and not sick["decode"]:
                raise KeyError("a mistake")
            return super().encode(tensors, axes, reference)

        def decode(self, headers, segments, max_bytes, reference=None):
            if sick["decode"]:
                raise ZeroDivisionError("another")
            return super().decode(headers, segments, max_bytes, reference)

    sick = {"decode": False}
    bundle = Bundle.load(folder, codecs=[Broken()])
    point = OperatingPoint("input", codec="rows@1")
    costs = {point: Cost(0.001, payload_bytes=900, finish_s=0.001), OperatingPoint("output"): Cost(0.05)}
    scheduler = Scheduler(costs, EnergyModel(ComputePower(3.7), WIFI_2012), deadline_s=5.0, policy=Fixed(point))
    with contextlib.ExitStack() as stack:
        link = ReplayLink(Trace([0.0], [50e6]), EdgeSession(bundle).answer)
        if real:
            server = stack.enter_context(EdgeServer(bundle, insecure=True))
            link = GrpcLink(server.address, insecure=True)
        terminal = stack.enter_context(Terminal(bundle, scheduler, link))
        results = [terminal.infer(frame).measurement for frame in clip(3)]
        sick["decode"] = True
        results.append(terminal.infer(clip(1)[0]).measurement)
    assert [result.answered_by for result in results] == ["edge", "terminal", "edge", "terminal"]
    assert results[1].failure == "unsent"
    assert results[3].failure in ("corrupted", "refused")


def test_two_of_one_name_are_refused(folder):
    with pytest.raises(CodecError, match="two codecs of one name were given: rows@1, rows@1"):
        Bundle.load(folder, codecs=[Rows(), Rows()])
