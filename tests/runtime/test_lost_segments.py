"""A bottleneck over a link that loses the ends of payloads: answered at a lower rate, and the record says so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bottleneck, EdgeServer, GrpcLink, Space, build, profile
from adaedge.bundle import Preprocessing
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload import wire
from adaedge.runtime import EdgeSession, FrameRecord, ManualClock, ReplayLink, Terminal, session
from adaedge.scheduling import Scheduler

POINT = OperatingPoint("1", codec="bottleneck@9")
LOCAL = OperatingPoint("output")


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 144, 5)).eval()
    net[3].weight.data *= 20
    images = [nn.functional.interpolate(torch.randn(1, 3, 6, 6), (24, 24)) for _ in range(16)]
    own = Bottleneck.fit(net, (images[0],), split="1", images=images)
    preprocessing = Preprocessing((24, 24), mean=(0.5,) * 3, std=(0.25,) * 3)
    return build(net, (images[0],), Space(["1"], codecs=[own]), preprocessing=preprocessing)


@pytest.fixture
def frame():
    small = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return small.repeat(8, axis=0).repeat(8, axis=1)


def terminal_of(bundle, link, clock):
    costs = {POINT: Cost(0.001, 0.001, 400, 0.001, 0.001, 150, 0.001), LOCAL: Cost(0.05)}
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    scheduler = Scheduler(Profile(costs, bundle.digest, "test", "test"), energy, deadline_s=0.1, period_s=0.1)
    return Terminal(bundle, scheduler, link, clock=clock)


def lossy(bundle, change):
    clock = ManualClock()
    trace = Trace((0.0, 1e6), (1e7, 1e7))
    return ReplayLink(trace, lambda payload: EdgeSession(bundle).answer(change(payload)), clock), clock


def records(bundle, change, frame, count=2):
    link, clock = lossy(bundle, change)
    with terminal_of(bundle, link, clock) as terminal:
        return list(session.run(terminal, [frame] * count))


def segments(payload):
    return len(wire.decode(payload).segments)


def test_a_whole_payload_loses_nothing(bundle, frame):
    for record in records(bundle, lambda payload: payload, frame):
        assert record.decision.point == POINT
        assert (record.measurement.answered_by, record.measurement.lost_segments) == ("edge", 0)


@pytest.mark.parametrize("lost", [1, 2])
def test_an_end_that_is_lost_costs_accuracy_never_an_error(bundle, frame, lost):
    sent = []

    def cut(payload):
        sent.append(payload)
        ends = np.cumsum([len(segment) for segment in wire.decode(payload).segments])
        return payload[: len(payload) - int(ends[-1] - ends[-1 - lost]) + 3]  # and three bytes of the next

    link, clock = lossy(bundle, cut)
    with terminal_of(bundle, link, clock) as terminal:
        result = terminal.infer(frame)
        assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
        assert result.measurement.lost_segments == lost < segments(sent[0])
        message, features = bundle.decode(cut(sent[0]))
        assert message.lost_segments == lost
        assert np.array_equal(result.output[0], bundle.tail("1").run(features)[0])
        assert result.measurement.payload_bytes >= len(sent[0]), "what was sent is charged, whatever arrived"
        assert terminal.offloads


def test_without_its_first_segment_the_frame_is_answered_locally(bundle, frame):
    def cut(payload):
        segments = wire.decode(payload).segments
        return payload[: len(payload) - sum(map(len, segments)) + 3]

    (record,) = records(bundle, cut, frame, 1)
    assert (record.measurement.answered_by, record.measurement.failure) == ("terminal", "refused")
    assert record.measurement.lost_segments == 0


def test_the_record_is_read_back_and_older_ones_lack_it(bundle, frame):
    def cut(payload):
        return payload[:-1]

    record = records(bundle, cut, frame)[0]
    assert record.measurement.lost_segments == 1
    assert FrameRecord.from_json(record.to_json()) == record
    row = json.loads(record.to_json())
    del row["measurement"]["lost_segments"]
    assert FrameRecord.from_json(json.dumps(row)).measurement.lost_segments == 0


def test_over_grpc(bundle, frame, credentials):
    with EdgeServer(bundle, credentials=credentials) as server:
        server.preload()
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        features = bundle.head("1").run((bundle.preprocess(frame),))
        payload = bundle.encode(POINT, features, sequence=4)
        request = bundle.read(payload).request
        whole = bundle.decode_answer(link.exchange(payload, 5.0).data, request)
        less = bundle.decode_answer(link.exchange(payload[:-1], 5.0).data, request)
        link.close()
    assert np.array_equal(whole[1][0], bundle.run(POINT, (bundle.preprocess(frame),))[0])
    assert (whole[0].lost_segments, less[0].lost_segments) == (0, 1)


def test_every_rate_has_a_cost(bundle):
    costs = profile(bundle, repetitions=1)
    rates = [costs[point] for point in costs if point.codec.startswith("bottleneck@")]
    assert len(rates) == 10
    assert all(cost.encode_s > 0 and cost.decode_s > 0 and cost.finish_s == cost.tail_s for cost in rates)
    sizes = [cost.payload_bytes for cost in rates]
    assert sizes == sorted(sizes)
