"""Streams that are fed what they should not be: a clear error or a refresh, the frame answered, nothing lost."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import CodecError, LinkError, PayloadError, SourceError, StaleReferenceError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload import wire
from adaedge.payload.video import H264, Family, Library, video_codec
from adaedge.runtime import EdgeServer, EdgeSession, GrpcLink, ManualClock, ReplayLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from adaedge.stream import Stream
from benchmarks.tiny_bundle import tiny_bundle

VIDEO, LOCAL = OperatingPoint("input", codec="h264@20"), OperatingPoint("output")
TRACE = Trace((0.0, 1e6), (1e8, 1e8))
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle(codecs=["h264@20"])


@pytest.fixture
def session(bundle):
    return EdgeSession(bundle)


@pytest.fixture
def terminal(bundle, session):
    costs = {VIDEO: Cost(head_s=0.001, payload_bytes=900, finish_s=0.001), LOCAL: Cost(head_s=0.05)}
    scheduler = Scheduler(Profile(costs, bundle.digest, "test", "test"), ENERGY, deadline_s=0.5, policy=Fixed(VIDEO))
    link = Recording(ReplayLink(TRACE, session.answer, ManualClock()))
    with Terminal(bundle, scheduler, link, clock=link.link.clock, preload=False) as entered:
        entered.recording = link
        yield entered


class Recording:
    """Passes everything on and keeps what was sent."""

    def __init__(self, link):
        self.link, self.sent = link, []
        self.hello, self.probe, self.close = link.hello, link.probe, link.close

    def exchange(self, payload, timeout_s):
        self.sent.append(payload)
        return self.link.exchange(payload, timeout_s)


def frame(size=(64, 64), seed=0):
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.repeat(np.repeat(small, size[0] // 4, 0), size[1] // 4, 1)


def bases(terminal):
    return [terminal.bundle.read(payload).base for payload in terminal.recording.sent]


def assert_answered(terminal, result, shown, by="edge"):
    """The answer is the network's, within what the video codec leaves of the picture."""
    expected = terminal.bundle.run(LOCAL, terminal.bundle.inputs_of(shown))[0]
    assert result.measurement.answered_by == by
    assert np.abs(result.output[0] - expected).max() < 0.05 * np.abs(expected).max()


def test_frames_of_another_size_in_mid_stream_are_resized_and_the_stream_goes_on(terminal):
    for size in ((64, 64), (240, 320), (64, 64), (128, 64)):
        shown = frame(size)
        assert_answered(terminal, terminal.infer(shown), shown)
    assert bases(terminal) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "wrong", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3)), np.zeros((0, 64, 3), np.uint8), "frame", None]
)
def test_what_is_no_frame_is_refused_and_the_stream_goes_on(terminal, wrong):
    terminal.infer(frame())
    with pytest.raises(SourceError):
        terminal.infer(wrong)
    assert_answered(terminal, terminal.infer(frame()), frame())
    assert bases(terminal) == [0, 1]


def test_two_cameras_through_one_stream_are_answered_each_its_own(terminal):
    for index in range(6):
        shown = frame(seed=index % 2)
        assert_answered(terminal, terminal.infer(shown), shown)
    assert bases(terminal) == list(range(6))


def payloads(bundle, count, seed):
    """Of a stream of its own, each building upon the one before."""
    stream, made = Stream(bundle), []
    for _ in range(count):
        position, reference = stream.next(VIDEO, bundle.codec(VIDEO), 1.0)
        data, kept = bundle.encode_next(VIDEO, bundle.inputs_of(frame(seed=seed)), position, reference)
        stream.keep(position, VIDEO, kept)
        made.append(data)
    return made


def renamed(bundle, data, **fields):
    return wire.encode(replace(wire.decode(data), bundle=bundle.digest, **fields))


def test_a_payload_of_one_stream_under_the_name_of_another_is_refused_and_nothing_is_built_upon_it(bundle, session):
    mine, other = payloads(bundle, 3, seed=0), payloads(bundle, 2, seed=1)
    session.answer(mine[0])
    name = wire.decode(mine[0]).stream
    with pytest.raises(PayloadError, match="stale reference: frame 1 is damaged, or follows other packets"):
        session.answer(renamed(bundle, other[1], stream=name))
    assert session.held_bytes == 0
    with pytest.raises(StaleReferenceError, match="builds upon frame 1, which is not held here"):
        session.answer(mine[1])
    assert session.answer(mine[0])
    assert session.answer(mine[1])


@pytest.mark.parametrize(("sequence", "base"), [(2, 5), (2, 2), (2, 2**64 - 1), (1, 3)])
def test_a_base_that_lies_in_the_future_of_its_payload_is_refused(bundle, session, sequence, base):
    first, second = payloads(bundle, 2, seed=0)
    session.answer(first)
    with pytest.raises(PayloadError, match="cannot build upon a later frame"):
        session.answer(renamed(bundle, second, sequence=sequence, base=base))
    assert session.answer(second)  # its header was never believed


def test_a_base_that_lies_in_the_future_of_the_edge_server_is_refused_as_stale(bundle, session):
    first, second = payloads(bundle, 2, seed=0)
    session.answer(first)
    with pytest.raises(StaleReferenceError, match=r"builds upon frame 6, which is not held here\. Send a refresh"):
        session.answer(renamed(bundle, second, sequence=7, base=6))
    assert session.held_bytes == 0
    assert bundle.decode_answer(session.answer(first), bundle.read(first).request)[0].reference_held


def test_a_payload_of_a_video_for_a_stream_that_was_never_opened_is_refused_as_stale(bundle, session):
    _, second = payloads(bundle, 2, seed=0)
    with pytest.raises(StaleReferenceError, match="of stream 000000000000002a builds upon frame 1, which is not held"):
        session.answer(renamed(bundle, second, stream=42))
    with pytest.raises(StaleReferenceError, match="of stream 0000000000000000 builds upon"):
        session.answer(renamed(bundle, second, stream=0))


def test_a_payload_that_contradicts_its_base_is_refused(bundle, session):
    first, second = payloads(bundle, 2, seed=0)
    with pytest.raises(
        PayloadError, match="stale reference: frame 1 since its refresh builds on frame 0; it came witho"
    ):
        session.answer(renamed(bundle, second, base=0))
    session.answer(first)
    with pytest.raises(
        PayloadError, match="stale reference: frame 0 since its refresh decodes alone; it came with the"
    ):
        session.answer(renamed(bundle, first, sequence=2, base=1))


def test_a_missing_encoder_leaves_the_frame_to_the_terminal_and_the_link_up(terminal, monkeypatch, caplog):
    missing = Library("libnothing", "none", {}, 0, 0)
    blind = replace(video_codec("h264@20"), family=Family("h264", missing, H264.decoder, 51))
    monkeypatch.setattr(terminal.bundle.route(VIDEO), "codec", blind)
    result = terminal.infer(frame())
    assert_answered(terminal, result, frame(), by="terminal")
    assert (result.measurement.failure, terminal.recording.sent, terminal.offloads) == ("unsent", [], True)
    terminal.infer(frame())
    (told,) = caplog.messages  # not for each frame
    assert re.match(r"frames at input/w1/fp32/h264@20 are answered locally: .*libnothing", told)
    monkeypatch.undo()
    assert_answered(terminal, terminal.infer(frame()), frame())


def test_a_missing_decoder_is_refused_by_the_edge_and_the_terminal_answers(terminal, monkeypatch):
    missing = Library("libnothing", "none", {}, 0, 0)
    deaf = replace(video_codec("h264@20"), family=Family("h264", H264.encoder, missing, 51))
    monkeypatch.setattr(terminal.bundle.route(VIDEO), "edge_codec", deaf)
    result = terminal.infer(frame())
    assert_answered(terminal, result, frame(), by="terminal")
    assert result.measurement.failure == "refused"


def test_a_rate_factor_out_of_range_is_refused_when_it_is_asked_for_and_when_it_comes(bundle, session):
    pytest.importorskip("torch")  # what prepares models needs it, and a terminal has none
    from adaedge.builder import Space

    with pytest.raises(CodecError, match=r"CRF of h264 is 0 \(finest\) to 51; got 52"):
        Space(codecs=["h264@52"])
    with pytest.raises(CodecError, match=r"CRF of h264 is 0 \(finest\) to 51; got 52"):
        bundle.encode(replace(VIDEO, codec="h264@52"), bundle.inputs_of(frame()))
    for codec, words in (("h264@52", "CRF of h264 is 0"), ("vp9@20", "vp9@20")):
        forged = renamed(bundle, payloads(bundle, 1, seed=0)[0], point=replace(VIDEO, codec=codec))
        with pytest.raises(PayloadError, match=words):
            session.answer(forged)


def test_over_grpc_what_is_stale_leaves_the_connection_as_it_was(bundle, credentials):
    first, second = payloads(bundle, 2, seed=0)
    with EdgeServer(bundle, credentials=credentials) as server:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        for wrong in (second, renamed(bundle, second, stream=42)):
            with pytest.raises(StaleReferenceError, match="Send a refresh"):
                link.exchange(wrong, 5.0)
        with pytest.raises(LinkError, match="CRF of h264"):
            link.exchange(renamed(bundle, first, point=replace(VIDEO, codec="h264@52")), 5.0)
        link.exchange(first, 5.0)
        assert bundle.decode_answer(link.exchange(second, 5.0).data, bundle.read(second).request)[0].reference_held
        link.close()
