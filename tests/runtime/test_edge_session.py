"""Streams on both ends of a link: what the edge decodes is what the terminal encoded, or it is refused as stale."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.bundle import codecs
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import BundleError, LinkTimeoutError, PayloadError, StaleReferenceError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload import StreamPosition, get_codec, is_stateful
from adaedge.runtime import EdgeServer, EdgeSession, GrpcLink, ManualClock, ReplayLink, Reply, Terminal
from adaedge.scheduling import Fixed, ProbePlan, Scheduler
from adaedge.stream import Stream

sys.path.insert(0, str(Path(__file__).parent))
from deltas import Deltas, decoded

from benchmarks.tiny_bundle import tiny_bundle

POINT = OperatingPoint("relu", codec="u8")
PLAIN = OperatingPoint("relu", codec="raw")
WHOLE = OperatingPoint("input", codec="jpeg@90")
LOCAL = OperatingPoint("output")
TRACE = Trace((0.0, 1e6), (1e7, 1e7))
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)


@pytest.fixture(autouse=True, scope="module")
def with_a_state():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "get_codec", lambda name, *more: Deltas() if name == "u8" else get_codec(name, *more))
        patch.setattr(codecs, "is_stateful", lambda name: name == "u8" or is_stateful(name))
        yield


@pytest.fixture(scope="module")
def bundle(with_a_state):
    return tiny_bundle()  # others' has bound its points already


def frames(count, seed=0):
    """A camera that sees nearly the same again and again."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 200, (64, 64, 3))
    return [(first + generator.integers(0, 40, first.shape)).astype(np.uint8) for _ in range(count)]


def features_of(bundle, frame):
    return bundle.head("relu").run((bundle.preprocess(frame),))


def payload(bundle, stream, frame, point=POINT):
    """The next payload of a stream, and what keeps its reference."""
    features = features_of(bundle, frame)
    position, reference = stream.next(point, bundle.codec(point), 1.0)
    data, kept = bundle.encode_next(point, features, position, reference)
    return data, lambda: stream.keep(position, point, kept)


def outputs_of(bundle, frame):
    return bundle.tail("relu").run((decoded(features_of(bundle, frame)[0]),))[0]


def test_a_payload_builds_upon_the_one_before(bundle):
    session, stream = EdgeSession(bundle), Stream(bundle)
    for index, frame in enumerate(frames(4)):
        data, keep = payload(bundle, stream, frame)
        message = bundle.read(data)
        assert (message.stream, message.sequence, message.base) == (stream.name, index + 1, index)
        answer, (found,) = bundle.decode_answer(session.answer(data, queue_s=0.25), message.request)
        assert np.array_equal(found, outputs_of(bundle, frame))
        assert (answer.reference_held, answer.queue_s) == (True, 0.25)
        keep()
    assert session.held_bytes == 2 * 8 * 16 * 16


def test_what_is_not_kept_is_not_built_upon(bundle):
    stream = Stream(bundle)
    payload(bundle, stream, frames(1)[0])[1]()
    assert bundle.read(payload(bundle, stream, frames(1)[0])[0]).base == 1
    assert bundle.read(payload(bundle, stream, frames(1)[0])[0]).base == 0  # the one before was not answered


def test_another_point_begins_anew_and_leaves_nothing(bundle):
    session, stream = EdgeSession(bundle), Stream(bundle)
    bases = []
    for point in (POINT, PLAIN, POINT, POINT):
        data, keep = payload(bundle, stream, frames(1)[0], point)
        bases.append(bundle.read(data).base)
        assert bundle.decode_answer(session.answer(data), bundle.read(data).request)[0].reference_held is (
            point == POINT
        )
        keep()
    assert bases == [0, 0, 0, 3]


@pytest.mark.parametrize("spoil", ["restart", "forgotten", "twice", "too large", "none"])
def test_what_is_not_held_is_refused_as_stale(bundle, spoil):
    session = EdgeSession(bundle, max_streams=1, max_bytes=4095 if spoil == "too large" else 4096)
    stream, other = Stream(bundle), Stream(bundle)
    data, keep = payload(bundle, stream, frames(1)[0])
    assert bundle.decode_answer(session.answer(data), bundle.read(data).request)[0].reference_held is (
        spoil != "too large"
    )
    keep()
    data, _ = payload(bundle, stream, frames(2)[1])
    if spoil == "restart":
        session = EdgeSession(bundle)
    if spoil == "forgotten":
        session.answer(payload(bundle, other, frames(1)[0])[0])
    if spoil == "twice":
        session.answer(data)
    if spoil == "none":
        session.answer(data)
        return
    with pytest.raises(StaleReferenceError, match=r"frame 2 of stream [0-9a-f]{16} builds upon frame 1, which is not"):
        session.answer(data)
    refresh, _ = payload(bundle, stream, frames(2)[1])
    assert np.array_equal(
        bundle.decode_answer(session.answer(refresh), bundle.read(refresh).request)[1][0],
        outputs_of(bundle, frames(2)[1]),
    )


def test_a_payload_of_a_stream_that_was_never_opened_or_of_no_stream(bundle):
    features, reference = features_of(bundle, frames(1)[0]), Deltas().encode([np.zeros((1, 8, 16, 16))], [1])[1]
    data, _ = bundle.encode_next(POINT, features, StreamPosition(77, 5, 4, 1.0), reference)
    with pytest.raises(StaleReferenceError, match="frame 5 of stream 000000000000004d builds upon frame 4"):
        EdgeSession(bundle).answer(data)
    data, _ = bundle.encode_next(POINT, features, StreamPosition(0, 5, 4, 1.0), reference)
    with pytest.raises(StaleReferenceError, match="frame 5 of stream 0000000000000000"):
        EdgeSession(bundle).answer(data)
    session = EdgeSession(bundle)
    session.answer(bundle.encode(POINT, features))
    assert session.held_bytes == 0


def test_a_damaged_payload_leaves_nothing_to_build_upon(bundle):
    session, stream = EdgeSession(bundle), Stream(bundle)
    data, keep = payload(bundle, stream, frames(1)[0])
    session.answer(data)
    keep()
    data, _ = payload(bundle, stream, frames(1)[0])
    with pytest.raises(PayloadError):
        session.answer(data[:-1])
    assert session.answer(data)  # its header was never believed


def test_many_streams_stay_within_the_limits(bundle):
    session = EdgeSession(bundle, max_streams=50, max_bytes=20 * 4096 + 100)
    opened = [Stream(bundle) for _ in range(200)]
    for stream in opened:
        session.answer(payload(bundle, stream, frames(1)[0])[0])
        assert session.held_bytes <= 20 * 4096
    assert session.held_bytes == 20 * 4096
    for limits in ({"max_streams": -1}, {"max_bytes": -1}):
        with pytest.raises(BundleError, match="limits are numbers from 0"):
            EdgeSession(bundle, **limits)


def test_a_stream_that_is_forgotten_while_it_is_decoded_stays_forgotten(bundle, monkeypatch):
    session, stream = EdgeSession(bundle, max_streams=1), Stream(bundle)
    others = [_refresh(bundle, Stream(bundle)) for _ in range(2)]
    decode = Deltas.decode

    def overtaken(self, *args):
        if others:
            session.answer(others.pop())
        return decode(self, *args)

    data, keep = payload(bundle, stream, frames(1)[0])
    monkeypatch.setattr(Deltas, "decode", overtaken)
    assert bundle.decode_answer(session.answer(data), bundle.read(data).request)[0].reference_held is False
    keep()
    assert session.held_bytes == 4096  # of the one that overtook it, and of no stream that is not held
    with pytest.raises(StaleReferenceError):
        session.answer(payload(bundle, stream, frames(2)[1])[0])


def test_refused_payloads_hold_no_bytes_and_no_streams(bundle, monkeypatch):
    session, stream = EdgeSession(bundle, max_streams=3), Stream(bundle)
    session.answer(payload(bundle, stream, frames(1)[0])[0])
    assert session.held_bytes == 4096

    def damaged(self, *args):
        raise PayloadError("damaged")

    monkeypatch.setattr(Deltas, "decode", damaged)
    for opened in [stream, *(Stream(bundle) for _ in range(9))]:
        with pytest.raises(PayloadError, match="damaged"):
            session.answer(payload(bundle, opened, frames(1)[0])[0])
        assert session.held_bytes == 0
    assert len(session._streams) <= 3


def test_what_was_forgotten_is_returned_to_the_system_now_and_then(bundle, monkeypatch):
    returned = []
    module = importlib.import_module("adaedge.runtime.edge_session")
    monkeypatch.setattr(module, "FORGOTTEN_BYTES", 3 * 4096)
    monkeypatch.setattr(module, "return_freed_memory", lambda: returned.append(session.held_bytes))
    session = EdgeSession(bundle, max_streams=2)
    for _ in range(2 + 7):
        session.answer(_refresh(bundle, Stream(bundle)))
    assert returned == [4096] * 2  # before the stream that came was decoded


class Lossy:
    """A link to an edge session in this process; what goes wrong with each payload is told in advance."""

    def __init__(self, bundle):
        self.bundle, self.session = bundle, EdgeSession(bundle, max_streams=2)
        self.link = ReplayLink(TRACE, lambda data: self.session.answer(data), ManualClock())
        self.clock, self.faults, self.sent, self.stale = self.link.clock, [], [], 0

    def hello(self, bundle, timeout_s):
        self.link.hello(bundle, timeout_s)

    def probe(self, size_bytes, timeout_s):
        return self.link.probe(size_bytes, timeout_s)

    def exchange(self, payload, timeout_s):
        fault = self.faults.pop() if self.faults else "none"
        self.sent.append(payload)
        if fault == "lost":
            raise LinkTimeoutError("lost on the way there", 0)
        self.before(fault)
        try:
            reply = self.link.exchange(payload, timeout_s)
        except StaleReferenceError:
            self.stale += 1
            raise
        return self.after(fault, payload, reply)

    def before(self, fault):
        """What happens to the edge server before the payload arrives."""
        if fault == "restart":
            self.session = EdgeSession(self.bundle, max_streams=2)
        if fault == "evicted":
            for other in (Stream(self.bundle), Stream(self.bundle)):
                self.session.answer(_refresh(self.bundle, other))
        if fault == "earlier again":
            self.try_again(self.sent[0])

    def after(self, fault, payload, reply):
        """What becomes of the answer."""
        if fault == "twice":
            self.try_again(payload)
        if fault == "answer lost":
            raise LinkTimeoutError("lost on the way back")
        if fault == "answer corrupted":
            return Reply(reply.data[:-3])
        if fault == "earlier answer":
            return Reply(self.session.answer(_refresh(self.bundle, Stream(self.bundle))))
        return reply

    def try_again(self, payload):
        try:
            self.session.answer(payload)
        except StaleReferenceError:
            self.stale += 1

    def close(self):
        pass


def _refresh(bundle, stream):
    """The first payload of another camera's stream."""
    features = (np.zeros((1, 8, 16, 16), np.float32),)
    return bundle.encode_next(POINT, features, StreamPosition(stream.name, 1, 0, 1.0))[0]


FAULTS = ["none", "lost", "answer lost", "answer corrupted", "earlier answer", "twice", "earlier again", "restart"]
FAULTS += ["evicted"]


def terminal_of(bundle, link, points=(POINT, WHOLE)):
    costs = {
        point: Cost(head_s=0.001, encode_s=0.001, payload_bytes=4300, tail_s=0.001, answer_bytes=150, finish_s=0.001)
        for point in points
    }
    profile = Profile(costs | {LOCAL: Cost(head_s=0.05)}, bundle.digest, "test", "test")
    scheduler = Scheduler(profile, ENERGY, deadline_s=0.1, policy=Fixed(POINT))
    plan = ProbePlan(interval_s=0.01, longest_s=0.01)
    return Terminal(bundle, scheduler, link, clock=link.clock, plan=plan, preload=False)


def suffer(bundle, faults, seed=0):
    """Frames over a link with faults: every one is answered, by the edge server from exactly what was sent."""
    link = Lossy(bundle)
    with terminal_of(bundle, link) as terminal:
        for fault, frame in zip(faults, frames(len(faults), seed), strict=True):
            link.faults = [fault]
            result = terminal.infer(frame)
            features = features_of(bundle, frame)
            by_edge = result.measurement.answered_by == "edge"
            expected = outputs_of(bundle, frame) if by_edge else bundle.tail("relu").run(features)[0]
            if terminal.offloads or by_edge:
                assert np.allclose(result.output[0], expected, rtol=1e-5, atol=1e-6), fault
            if fault in ("none", "twice", "earlier again", "restart", "evicted") and by_edge:
                assert not result.measurement.failure
            link.clock.sleep_until(link.clock.now_s() + 0.05)
    return link


@given(st.lists(st.sampled_from(FAULTS), max_size=25), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_no_fault_makes_a_wrong_reconstruction(bundle, faults, seed):
    suffer(bundle, faults, seed)


def test_a_stale_payload_is_sent_anew_within_the_frame_and_the_link_stays_up(bundle):
    link = Lossy(bundle)
    with terminal_of(bundle, link) as terminal:
        for fault, bases in (("none", [0]), ("none", [1]), ("restart", [2, 0]), ("none", [4])):
            link.faults, begun = [fault], len(link.sent)
            result = terminal.infer(frames(1)[0])
            assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
            assert [bundle.read(data).base for data in link.sent[begun:]] == bases
            assert result.measurement.payload_bytes >= sum(map(len, link.sent[begun:]))
            assert terminal.offloads
        assert link.stale == 1


def test_two_cameras_do_not_mix(bundle):
    link = Lossy(bundle)
    with terminal_of(bundle, link) as terminal:
        streams = [terminal.stream(), terminal.stream()]
        for index in range(6):
            frame = frames(1, seed=index)[0]
            found = terminal.infer(frame, streams[index % 2]).output[0]
            assert np.allclose(found, outputs_of(bundle, frame), rtol=1e-5, atol=1e-6)
        assert [bundle.read(data).base for data in link.sent] == [0, 0, 1, 1, 2, 2]


def test_frames_of_one_stream_take_turns_and_one_that_waits_too_long_builds_upon_none(bundle):
    link = Lossy(bundle)
    with terminal_of(bundle, link) as terminal:
        terminal.infer(frames(1)[0])
        held, go = Event(), Event()
        stream = terminal.stream()

        def hold():
            with stream.turn(1.0):
                held.set()
                go.wait(5)

        holder = Thread(target=hold)
        holder.start()
        held.wait(5)
        result = terminal.infer(frames(1)[0], stream)
        go.set()
        holder.join()
        assert result.measurement.latency_s <= 0.1  # of the clock, which stood still
        message = bundle.read(link.sent[-1])
        assert message.base == 0
        assert message.stream not in (stream.name, bundle.read(link.sent[0]).stream)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda frame: terminal.infer(frame, stream), frames(8)))
        assert {one.measurement.answered_by for one in results} == {"edge"}
        assert [bundle.read(data).base for data in link.sent[2:]] == list(range(8))


def test_over_grpc_a_stale_payload_has_a_status_of_its_own(bundle, credentials):
    session = EdgeSession(bundle)
    with EdgeServer(bundle, credentials=credentials, session=session) as server:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        link.hello(bundle.digest, 5.0)
        stream = Stream(bundle)
        first, keep = payload(bundle, stream, frames(1)[0])
        answer, _ = bundle.decode_answer(link.exchange(first, 5.0).data, bundle.read(first).request)
        assert answer.reference_held
        assert 0 <= answer.queue_s < 1
        keep()
        second, _ = payload(bundle, stream, frames(1)[0])
        link.exchange(second, 5.0)
        with pytest.raises(StaleReferenceError, match=r"builds upon frame 1, which is not held here\. Send a refresh"):
            link.exchange(second, 5.0)
        link.close()


@pytest.mark.slow
def test_ten_thousand_faults(bundle):
    generator = np.random.default_rng(0)
    stale = 0
    for seed in range(400):
        stale += suffer(bundle, [FAULTS[at] for at in generator.integers(len(FAULTS), size=25)], seed).stale
    assert stale > 100
