"""Incremental tails on an edge server: equal to dense on any sequence, bounded, dropped where nothing is built upon."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge import Bundle, EdgeServer, GrpcLink, Terminal
from adaedge.bundle import Preprocessing
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.errors import BundleError, PayloadError, StaleReferenceError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload import StreamPosition
from adaedge.runtime import EdgeSession
from adaedge.scheduling import Fixed, Scheduler
from adaedge.stream import CachedTail, Playback, Runners
from adaedge.stream.incremental import Costs

sys.path.insert(0, str(Path(__file__).parent))
from deltas import Deltas, decoded
from moving_square import SIZE, clip

ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)


class Eighths(Deltas):
    """A codec with a state whose changes stay where they are: of a user's own."""

    name, is_stateful = "eighths", True

    def fits(self, tensors):
        return all(dtype == "float32" for dtype, _ in tensors)


OWN = OperatingPoint("1", codec="eighths", incremental=True)


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 12, 3, 1, 1), nn.ReLU6(), nn.Conv2d(12, 4, 3, 1, 1)
    )
    space = adaedge.Space(
        splits=["1"],
        codecs=["raw", "delta", Eighths()],
        precisions=["fp32", "int8"],
        incremental=(False, True),
        kept=False,
    )
    geometry = Preprocessing(size=SIZE, crop=1.0)
    return adaedge.build(net.eval(), (torch.zeros(1, 3, *SIZE),), space, calibrate=[[*clip()]], preprocessing=geometry)


@pytest.fixture(scope="module")
def delta(bundle):
    """The best rate."""
    found = [point for point in bundle.points if point.codec.startswith("delta@") and point.incremental]
    return [point for point in found if point.precision == "fp32"][-1]


def cheap(runners, bundle, point=OWN):
    """Calls that cost next to nothing: so parts are worth it even of so small a network."""
    runner = runners.tail_of(bundle.route(point))
    runner.costs = Costs.estimated(runner.plan, call=1.0)
    return runners


def session_of(bundle, point=OWN, **limits):
    session = EdgeSession(bundle, **limits)
    cheap(session._runners, bundle, point)
    return session


class Camera:
    """A terminal's end of one stream, of features that are given."""

    def __init__(self, bundle, session, name=7, point=OWN):
        self.bundle, self.session, self.name, self.point = bundle, session, name, point
        self.sequence, self.reference = 0, None

    def payload(self, features, point=None):
        position = StreamPosition(self.name, self.sequence + 1, self.sequence if self.reference else 0, 5.0)
        self.sequence += 1
        data, self.reference = self.bundle.encode_next(point or self.point, features, position, self.reference)
        return data

    def send(self, features, point=None):
        data = self.payload(features, point)
        _, answer = self.bundle.decode_answer(self.session.answer(data), self.bundle.read(data).request)
        return answer


def features_of(bundle, frame):
    return bundle.head("1").run(bundle.inputs_of(frame))


def dense(bundle, features):
    return bundle.answers.reduce(bundle.tail("1").run([decoded(features[0])]))


def is_close(one, other):
    return all(np.abs(a - b).max() <= 1e-5 * np.abs(b).max() for a, b in zip(one, other, strict=True))


def test_a_bundle_has_one_tail_for_all_precisions_and_no_weight_twice(bundle, delta, tmp_path):
    cuts = {cut.level.precision: cut for cut in bundle.manifest.cuts if cut.split == "1"}
    tail = cuts["fp32"].incremental_tail
    assert tail is not None
    assert cuts["int8"].incremental_tail == tail
    assert tail.plain is None
    assert {name for half in tail.graphs for name in half.weights} <= {*cuts["fp32"].tail.weights}
    assert bundle.manifest.cut("output").incremental_tail is None
    assert bundle.route(delta).edge_half == cuts["fp32"].tail  # features, not coefficients
    assert bundle.route(replace(delta, incremental=False)).edge_half != cuts["fp32"].tail
    for point in (OperatingPoint("1", codec="raw", incremental=True), replace(OWN, incremental=False)):
        assert not bundle.route(point).has_incremental_tail
        with pytest.raises(BundleError, match="is not incremental"):
            Runners(bundle).tail_of(bundle.route(point))
    bundle.save(tmp_path / "b")
    assert Bundle.load(tmp_path / "b", codecs=[Eighths()]).manifest == bundle.manifest


def test_any_sequence_equals_dense_and_small_changes_are_computed_in_part(bundle):
    """Forth and back, twice the same, a cut, a payload at a dense point in between."""
    session, frames = session_of(bundle), [*clip(6), 255 - next(clip(1))]
    camera, ways = Camera(bundle, session), []
    for at in (0, 1, 2, 1, 0, 5, 5, 6, 3):
        features = features_of(bundle, frames[at])
        before = session.computed_by.copy()
        answer = camera.send(features)
        assert is_close(answer, dense(bundle, features))
        answer[0][...] = 0
        ways.append(*(session.computed_by - before))
        if at == 2:
            again = features_of(bundle, frames[3])
            assert is_close(camera.send(again, replace(OWN, incremental=False)), dense(bundle, again))
    assert ways[0] == "refresh"
    assert ways[1:6] == ["incremental"] * 5  # a dense point in between leaves the cache
    assert ways[6] == "unchanged"
    assert ways[7] == "dense"


def test_a_payload_that_builds_upon_nothing_is_answered_by_the_whole_tail(bundle):
    session, (first, second) = session_of(bundle), [features_of(bundle, frame) for frame in clip(2)]
    camera = Camera(bundle, session)
    camera.send(first)
    held_bytes = session.held_bytes
    assert held_bytes > 2 * first[0].size  # the reference, and the tail's tensors
    camera.reference = None
    assert is_close(camera.send(second), dense(bundle, second))
    assert session.computed_by == {"refresh": 2}
    assert session.held_bytes == held_bytes
    camera.reference = None
    camera.send(second, OperatingPoint("1"))  # whose codec has no state
    assert session.held_bytes == 0
    data = bundle.encode(OWN, first)  # of no stream
    assert is_close(bundle.decode_answer(session.answer(data), bundle.read(data).request)[1], dense(bundle, first))
    assert session.computed_by == {"refresh": 2}


def test_a_stale_or_damaged_payload_leaves_no_cache(bundle):
    session, (first, second) = session_of(bundle), [features_of(bundle, frame) for frame in clip(2)]
    camera = Camera(bundle, session)
    camera.send(first)
    data = camera.payload(second)
    with pytest.raises(PayloadError):
        session.answer(data[:-1])
    session.answer(data)
    with pytest.raises(StaleReferenceError):
        session.answer(data)
    assert session.held_bytes == 0
    camera.reference = None
    assert is_close(camera.send(second), dense(bundle, second))
    assert session.computed_by == {"refresh": 2, "incremental": 1}


def test_caches_give_way_before_references_and_all_stay_within_the_limit(bundle):
    frames = [features_of(bundle, frame) for frame in clip(3)]
    alone = session_of(bundle)
    Camera(bundle, alone).send(frames[0])
    one_bytes, reference_bytes = alone.held_bytes, 2 * frames[0][0].size
    session = session_of(bundle, max_bytes=one_bytes + 3 * reference_bytes)
    cameras = [Camera(bundle, session, name) for name in range(1, 5)]
    for features in frames:
        for camera in cameras:
            assert is_close(camera.send(features), dense(bundle, features))  # no reference was forgotten
            assert session.held_bytes <= one_bytes + 3 * reference_bytes
    assert session.computed_by == {"refresh": 12}
    assert is_close(cameras[-1].send(frames[0]), dense(bundle, frames[0]))
    assert session.computed_by["incremental"] == 1
    tight = session_of(bundle, max_bytes=reference_bytes)
    camera = Camera(bundle, tight)
    for features in frames:
        assert is_close(camera.send(features), dense(bundle, features))
    assert tight.held_bytes == reference_bytes
    assert session_of(bundle, max_bytes=0).answer(Camera(bundle, None).payload(frames[0]))
    session.answer(Camera(bundle, None, 9).payload(frames[0]))
    evicted = session_of(bundle, max_streams=1)
    for name in (1, 2):
        Camera(bundle, evicted, name).send(frames[0])
    assert evicted.held_bytes == one_bytes


def test_a_cache_is_no_older_payloads(bundle, monkeypatch):
    """While a tail computes, the stream's next payload is answered: what the first leaves then is dropped."""
    session, frames = session_of(bundle), [features_of(bundle, frame) for frame in clip(3)]
    camera, runner = Camera(bundle, session), session._runners.tail_of(bundle.route(OWN))
    camera.send(frames[0])
    late, next_one, real = camera.payload(frames[1]), camera.payload(frames[2]), type(runner).run
    waiting = [next_one]

    def overtaken(self, inputs, cache=None):
        while waiting:
            session.answer(waiting.pop())
        return real(self, inputs, cache)

    monkeypatch.setattr(type(runner), "run", overtaken)
    session.answer(late)
    monkeypatch.undo()
    assert is_close(camera.send(frames[2]), dense(bundle, frames[2]))
    assert session.computed_by["unchanged"] == 1  # what is held is the last payload's


def test_streams_at_once_do_not_mix(bundle):
    session = session_of(bundle)

    def run(name):
        camera = Camera(bundle, session, name)
        for frame in clip(6, seed=name):
            features = features_of(bundle, frame)
            assert is_close(camera.send(features), dense(bundle, features))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(1, 9)))
    assert session.computed_by == {"refresh": 8, "incremental": 40}


def test_features_that_are_not_finite_are_computed_whole_and_not_held(bundle):
    features = features_of(bundle, next(clip(1)))
    tail = CachedTail(bundle.route(OWN), Runners(bundle))
    tail.run(features)
    spoilt = features[0].copy()
    spoilt[0, 0, 5, 5] = np.nan
    (found,) = tail.run([spoilt])
    assert np.array_equal(found, bundle.tail("1").run([spoilt])[0], equal_nan=True)
    assert tail.stats.path == "dense"
    assert is_close(tail.run(features), bundle.tail("1").run(features))
    assert tail.stats.path == "refresh"


def test_over_grpc_a_terminal_with_delta_gets_the_answers_of_dense_halves(bundle, delta, credentials):
    still = replace(delta, incremental=False)
    profile = Profile({point: Cost(head_s=0.01) for point in (delta, still)}, bundle.digest, "test", "test")
    answers = {}
    for point in (still, delta):
        session = session_of(bundle, delta)
        with EdgeServer(bundle, credentials=credentials, session=session) as server:
            link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
            scheduler = Scheduler(profile, ENERGY, deadline_s=5.0, policy=Fixed(point))
            frames = [frame for frame in clip(3, seed=2) for _ in range(8)]
            with Terminal(bundle, scheduler, link, preload=False) as terminal:
                results = [terminal.infer(frame) for frame in frames]
        assert {result.measurement.answered_by for result in results} == {"edge"}
        answers[point] = [result.answer for result in results]
        ways = session.computed_by
        assert sum(ways.values()) == (len(frames) if point == delta else 0)
        if point == delta:
            assert ways["refresh"] >= 1
            assert ways["unchanged"] >= 1  # pictures come again, until nothing of their latents is left to send
    for one, other in zip(answers[delta], answers[still], strict=True):
        assert np.abs(one[0] - other[0]).max() <= 1e-5 * np.abs(other[0]).max()


def test_a_playback_and_a_profile_take_the_incremental_tail(bundle, delta):
    playback = Playback(bundle, OWN, cheap(Runners(bundle), bundle))
    for at, frame in enumerate(clip(3)):
        features = features_of(bundle, frame)
        tail, carried = playback.receive(playback.encode(features))
        assert is_close(bundle.answers.reduce(tail.run(carried)), dense(bundle, features))
        assert tail.stats.path == ("incremental" if at else "refresh")
    profile = adaedge.profile(bundle, repetitions=2, frames=[*clip()])
    for point in (OWN, delta):
        assert {cost.tail_s for cost in profile.next_costs[point]} != {profile[point].tail_s}
    still = replace(delta, incremental=False)
    assert {cost.tail_s for cost in profile.next_costs[still]} == {profile[still].tail_s}


def test_an_edge_server_measures_tails_before_its_first_payload(bundle):
    with pytest.warns(UserWarning, match="not encrypted"):
        server = EdgeServer(bundle, insecure=True)
    runner = server.session._runners.tail_of(bundle.route(OWN))
    estimated = runner.costs
    server.preload([OWN])
    assert runner.costs != estimated
    assert runner.costs.whole < 10  # seconds
