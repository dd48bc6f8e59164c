"""Terminals that mean harm, or are broken: refused or bound, and the others are served as before."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from adaedge.errors import OverloadError, RefusedError
from adaedge.payload import wire
from adaedge.runtime import EdgeServer, EdgeSession, GrpcLink, Tokens, rpc
from adaedge.runtime.bodies import MOST, Bodies
from adaedge.stream import Stream
from benchmarks.tiny_bundle import tiny_bundle

sys.path.insert(0, str(Path(__file__).parent))
from half_calls import HalfCalls, connected

from adaedge.operating_point import OperatingPoint

VIDEO = OperatingPoint("input", codec="h264@28")


@pytest.fixture(scope="module")
def video_bundle():
    return tiny_bundle(codecs=[VIDEO.codec])


@pytest.fixture
def payload(bundle, frame):
    point = OperatingPoint("relu", codec="u8")
    return bundle.encode(point, bundle.head("relu").run((frame[None],)))


def is_served(link, payload, within_s=1.0):
    """Each call in the time that a frame has."""
    for _ in range(5):
        link.exchange(payload, within_s)


def half(opened, server, credentials, connections, calls, token):
    for _ in range(connections):
        one = HalfCalls(server.address, credentials.certificate)
        opened.callback(one.close)
        for _ in range(calls):
            one.begin(rpc.path(rpc.INFER), token)
    time.sleep(0.3)  # they arrive
    return one


def test_an_expired_token_is_refused_by_the_server(bundle, credentials, tmp_path):
    now = [1e9]
    tokens = Tokens(tmp_path, now_s=lambda: now[0])
    token = tokens.grant("robot", days=1)
    with EdgeServer(bundle, credentials=credentials, tokens=tokens) as server:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=token)
        link.hello(bundle.digest, 5.0)
        now[0] += 86_401
        with pytest.raises(RefusedError, match="UNAUTHENTICATED"):
            link.probe(10, 5.0)
        link.close()


def test_two_hundred_idle_connections_harm_nobody_and_are_given_back(server, link, credentials, payload):
    is_served(link, payload)
    before = psutil.Process().num_fds()
    with ExitStack() as idle:
        for number in range(200):
            one = connected(server.address, credentials.certificate)
            idle.callback(one.close)
            if number % 2:
                one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")  # half of them begin to speak
        is_served(link, payload)
        assert psutil.Process().num_fds() >= before + 200
    for _ in range(100):
        if psutil.Process().num_fds() <= before + 5:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("connections are not given back within 5 s")
    is_served(link, payload)


@pytest.mark.parametrize("token", ["", "another"])
def test_whoever_has_no_token_holds_no_thread_however_slowly_it_sends(server, link, credentials, payload, token):
    with ExitStack() as opened:
        one = half(opened, server, credentials, 4, 50, token)
        is_served(link, payload)
        one.drip()
        is_served(link, payload)


def test_a_terminal_that_begins_calls_and_does_not_end_them_is_bound(bundle, credentials, tmp_path, payload):
    tokens = Tokens(tmp_path)
    slow, other = tokens.grant("slow"), tokens.grant("other")
    with EdgeServer(bundle, credentials=credentials, tokens=tokens) as server, ExitStack() as opened:
        half(opened, server, credentials, 4, 50, slow)  # more calls than the edge server has threads
        link = GrpcLink(server.address, certificate=credentials.certificate, token=other)
        is_served(link, payload)
        mine = GrpcLink(server.address, certificate=credentials.certificate, token=slow)
        text = rf"RESOURCE_EXHAUSTED.*slow has {MOST} payloads on their way, and no more are taken"
        with pytest.raises(RefusedError, match=text):
            mine.exchange(payload, 5.0)
        link.close()
        mine.close()


def test_a_byte_a_second_is_ended_and_those_that_share_a_token_are_served_again(
    bundle, credentials, payload, monkeypatch
):
    monkeypatch.setattr("adaedge.runtime.calls.Bodies", lambda: Bodies(longest_s=1.0))
    with EdgeServer(bundle, credentials=credentials) as server, ExitStack() as opened:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        link.hello(bundle.digest, 5.0)
        half(opened, server, credentials, 5, MOST, credentials.token)  # all threads
        begun_s = time.monotonic()
        refused = 0
        while True:
            try:
                link.exchange(payload, 5.0)
            except RefusedError as error:
                refused += "Concurrent RPC limit exceeded" in str(error)
                time.sleep(0.05)
            else:
                break
            assert time.monotonic() < begun_s + 5.0
        assert refused
        is_served(link, payload)
        link.close()


def test_what_is_on_its_way_is_counted_by_terminal_and_ended_in_order():
    class Context:
        ended = False

        def cancel(self):
            self.ended = True

    now, first, second = [0.0], Context(), Context()
    bodies = Bodies(longest_s=5.0, most=2, now_s=lambda: now[0])
    with ExitStack() as under_way:
        under_way.enter_context(bodies.coming("a", first))
        now[0] = 3.0
        under_way.enter_context(bodies.coming("a", second))
        with pytest.raises(OverloadError, match="a has 2 payloads on their way"), bodies.coming("a", None):
            pass
        with bodies.coming("b", None):
            pass
        now[0] = 5.0
        bodies.sweep()
        assert (first.ended, second.ended) == (False, False)
        now[0] = 5.1
        bodies.sweep()
        assert (first.ended, second.ended) == (True, False)
    with bodies.coming("a", None), bodies.coming("a", None):
        now[0] = 100.0
    bodies.sweep()
    assert (bodies._of, [*bodies._begun]) == ({}, [])


def streams_of(bundle, frame):
    """A payload that is the first of its stream, made anew for another stream by its name alone."""
    stream = Stream(bundle)
    position, reference = stream.next(VIDEO, bundle.codec(VIDEO), 1.0)
    data, kept = bundle.encode_next(VIDEO, bundle.inputs_of(frame), position, reference)
    message = bundle.read(data)
    stream.keep(position, VIDEO, kept)
    return stream, data, lambda name: wire.encode(replace(message, stream=name))


def opens_without_end(bundle, frame, count, session, data=None):
    """How many of another terminal's frames built upon the one before, while one opens so many streams."""
    stream, first, named = streams_of(bundle, frame)
    if data is not None:
        message = bundle.read(data)

        def named(name):
            return wire.encode(replace(message, stream=name))

    session.answer(first, terminal="robot")
    built = 0
    for number in range(count):
        session.answer(named(number + 1), terminal="hostile")
        if number % (count // 5) == count // 5 - 1:
            position, reference = stream.next(VIDEO, bundle.codec(VIDEO), 1.0)
            data, kept = bundle.encode_next(VIDEO, bundle.inputs_of(frame), position, reference)
            assert bundle.read(data).base
            session.answer(data, terminal="robot")
            stream.keep(position, VIDEO, kept)
            built += 1
    return built


def test_a_terminal_that_opens_streams_without_end_loses_its_own(video_bundle, frame):
    session = EdgeSession(video_bundle, max_streams=8)
    assert opens_without_end(video_bundle, frame, 60, session) == 5
    assert len(session._streams) == 8
    assert [session._holders.of(name)[0] for name in ("hostile", "robot")] == [7, 1]


def test_bytes_are_taken_from_whoever_holds_most(video_bundle, frame):
    session = EdgeSession(video_bundle)
    _, first, _ = streams_of(video_bundle, frame)
    session.answer(first, terminal="robot")
    one_bytes = session.held_bytes
    session = EdgeSession(video_bundle, max_bytes=4 * one_bytes)
    assert opens_without_end(video_bundle, frame, 40, session) == 5
    assert session.held_bytes <= 4 * one_bytes
    assert sum(session._holders.of(name)[1] for name in ("hostile", "robot")) == session.held_bytes


def test_among_terminals_that_hold_alike_the_one_that_called_longest_ago_loses(video_bundle, frame):
    session = EdgeSession(video_bundle, max_streams=3)
    _, _, named = streams_of(video_bundle, frame)
    for number, terminal in enumerate(["a", "b", "c", "a", "d"]):
        session.answer(named({"a": 1, "b": 2, "c": 3, "d": 4}[terminal]), terminal=terminal)
        assert number < 4 or session._holders.terminals == ("c", "a", "d")


def test_a_stream_that_comes_over_a_new_connection_is_that_terminals(video_bundle, frame):
    session = EdgeSession(video_bundle)
    stream, first, _ = streams_of(video_bundle, frame)
    session.answer(first, terminal="ipv4:1")
    position, reference = stream.next(VIDEO, video_bundle.codec(VIDEO), 1.0)
    second, _ = video_bundle.encode_next(VIDEO, video_bundle.inputs_of(frame), position, reference)
    session.answer(second, terminal="ipv4:2")
    assert session._holders.terminals == ("ipv4:2",)
    assert session._holders.of("ipv4:2")[1] == session.held_bytes > 0


@pytest.mark.slow
def test_a_hundred_thousand_streams_take_no_more_than_the_limits(video_bundle, frame):
    point = OperatingPoint("relu", codec="u8")
    cheap = video_bundle.encode(point, video_bundle.head("relu").run((frame[None],)), sequence=1)
    session = EdgeSession(video_bundle, max_streams=64)
    opens_without_end(video_bundle, frame, 1_000, session, cheap)
    before = psutil.Process().memory_info().rss
    assert opens_without_end(video_bundle, frame, 100_000, session, cheap) == 5
    assert len(session._streams) == 64
    assert psutil.Process().memory_info().rss < before + 40e6
