"""An ingress before replicas in this process: one address, our wire, and no frame lost where a replica is."""

from __future__ import annotations

import logging
import threading
import time

import grpc
import pytest

from adaedge.cluster import Ingress
from adaedge.cluster.ways import Way
from adaedge.errors import LinkDownError, LinkError, RefusedError, StaleReferenceError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import wire
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, Terminal, Tokens, rpc

FEATURES = OperatingPoint("relu", codec="u8")


def replica(bundle, inner, **more):
    server = EdgeServer(bundle, credentials=inner, behind_ingress=True, **more)
    server.start()
    return server


@pytest.fixture
def edge(bundle, inner, credentials):
    """Two replicas, their ingress, and a link to it."""
    servers = [replica(bundle, inner), replica(bundle, inner)]
    there = {server.address for server in servers}
    with Ingress(bundle.digest, lambda: set(there), inner, credentials=credentials) as ingress:
        link = GrpcLink(ingress.address, certificate=credentials.certificate, token=credentials.token)
        yield servers, there, ingress, link
        link.close()
    for server in servers:
        server.stop(0.0)


@pytest.fixture
def payload(bundle, frames):
    return bundle.encode(FEATURES, bundle.head("relu").run((frames[0][None],)))


def until(holds):
    for _ in range(200):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to that within 4 s")


def test_it_answers_as_one_edge_server_does(edge, bundle, frames, payload):
    *_, link = edge
    link.hello(bundle.digest, 5.0)
    reply = link.exchange(payload, 5.0).data
    answer = bundle.decode_answer(reply, bundle.read(payload).request)
    alone = bundle.tail("relu").run(bundle.decode(payload)[1])
    assert (answer[1][0] == alone[0]).all()
    assert link.probe(100, 5.0).data == (100).to_bytes(4, "little")
    with pytest.raises(RefusedError, match="Copy the same bundle"):
        link.hello("ab" * 32, 5.0)


def test_a_stream_stays_on_its_replica_and_a_lost_one_costs_a_refresh(edge, bundle, scheduler, frames):
    servers, there, ingress, link = edge
    sizes, holders = [], []
    with Terminal(bundle, scheduler, link, preload=False) as terminal:
        for index, frame in enumerate(frames[:12]):
            if index == 6:
                holder = next(server for server in servers if server.session.held_bytes)
                holder.stop(0.0)  # it is not told to the ingress, as where a machine fails
                there.discard(holder.address)
            measurement = terminal.infer(frame).measurement
            assert (measurement.answered_by, measurement.failure) == ("edge", "")
            sizes.append(measurement.payload_bytes - measurement.probe_bytes)
            holders.append([server.session.held_bytes > 0 for server in servers])
    assert len({tuple(held) for held in holders[:6]}) == 1
    assert sizes[6] > sizes[0]  # a payload that the other one does not know, and a refresh
    assert max(sizes[1:6] + sizes[7:]) < 0.6 * sizes[0]
    until(lambda: len(ingress.replicas) == 1)


def test_every_call_of_many_terminals_is_answered_while_a_replica_is_lost(edge, bundle, credentials, payload):
    servers, _, ingress, _ = edge
    failed, answered, stop = [], [], threading.Event()

    def ask():
        link = GrpcLink(ingress.address, certificate=credentials.certificate, token=credentials.token)
        while not stop.is_set():
            try:
                answered.append(link.exchange(payload, 5.0))
            except LinkError as error:
                failed.append(error)
        link.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(answered) > 50)
    servers[0].stop(0.0)
    before = len(answered)
    until(lambda: len(answered) > before + 50)
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_new_replica_is_found_and_used(edge, bundle, inner, payload):
    servers, there, ingress, link = edge
    new = replica(bundle, inner)
    servers.append(new)
    there.add(new.address)
    until(lambda: new.address in ingress.replicas)
    with ingress._ways.affinity.turn(0, 0), ingress._ways.affinity.turn(0, 0):
        link.exchange(payload, 5.0)  # the two others have something under way
    assert new.admission.asked_s > 0


def test_a_replica_that_cannot_be_reached_gets_no_payloads(edge, payload):
    _, there, ingress, link = edge
    there.add("127.0.0.1:1")
    time.sleep(0.6)
    for _ in range(4):
        link.exchange(payload, 5.0)
    assert "127.0.0.1:1" not in ingress.replicas


def test_where_no_replica_is_left_the_link_is_down_at_once(edge, payload):
    servers, there, ingress, link = edge
    there.clear()
    for server in servers:
        server.stop(0.0)
    until(lambda: not ingress.replicas)
    start_s = time.monotonic()
    with pytest.raises(LinkDownError, match="no replica of this edge server runs now; the cluster starts one"):
        link.exchange(payload, 5.0)
    assert time.monotonic() - start_s < 1.0


def test_a_cluster_that_does_not_answer_leaves_the_replicas_of_before(bundle, inner, credentials, payload, caplog):
    server, asked = replica(bundle, inner), []

    def addresses():
        asked.append(1)
        if len(asked) > 1:
            raise ConnectionError("the head is gone")
        return [server.address]

    with Ingress(bundle.digest, addresses, inner, credentials=credentials) as ingress:
        until(lambda: len(asked) > 2)
        link = GrpcLink(ingress.address, certificate=credentials.certificate, token=credentials.token)
        link.exchange(payload, 5.0)
        link.close()
    server.stop(0.0)
    assert "cannot see which replicas there are: the head is gone" in caplog.text


def test_what_a_replica_refuses_is_passed_back_as_it_is(edge, bundle, payload, monkeypatch):
    servers, _, _, link = edge
    stale = wire.encode(_with(bundle.read(payload), stream=9, sequence=5, base=4))
    with pytest.raises(StaleReferenceError, match=r"builds upon frame 4, which is not held here\. Send a refresh"):
        link.exchange(stale, 5.0)
    with pytest.raises(RefusedError, match=r"INVALID_ARGUMENT.*its header does not match|INVALID_ARGUMENT.*truncated"):
        link.exchange(payload[:-3], 5.0)
    with pytest.raises(RefusedError, match=r"INVALID_ARGUMENT.*foreign payload"):
        link.exchange(b"GET / HTTP/1.1", 5.0)
    assert [server.session.held_bytes for server in servers] == [0, 0]


def _with(message, **changes):
    from dataclasses import replace

    return replace(message, **changes)


def test_a_terminal_is_known_to_the_replica_by_its_own_token(bundle, inner, tmp_path, payload, caplog):
    caplog.set_level(logging.DEBUG, "adaedge.runtime")
    credentials, tokens = Credentials.create(), Tokens(tmp_path)
    own = tokens.grant("robot-7", rate_per_s=0.01)
    server = replica(bundle, inner)
    with Ingress(bundle.digest, lambda: [server.address], inner, credentials=credentials, tokens=tokens) as ingress:
        link = GrpcLink(ingress.address, certificate=credentials.certificate, token=own)
        for _ in range(8):
            link.exchange(payload, 5.0)
        with pytest.raises(RefusedError, match="robot-7 sends more than it was granted"):
            link.exchange(payload, 5.0)
        stranger = GrpcLink(ingress.address, certificate=credentials.certificate, token="another")
        with pytest.raises(RefusedError, match="UNAUTHENTICATED"):
            stranger.exchange(payload, 5.0)
        link.close()
        stranger.close()
    server.stop(0.0)
    assert {*server.admission._shares} == {"robot-7"}


def test_nobody_but_the_ingress_may_call_a_replica(edge, bundle, credentials, inner, payload):
    servers, *_ = edge
    for token in (credentials.token, "another"):
        link = GrpcLink(servers[0].address, certificate=inner.certificate, token=token)
        with pytest.raises(RefusedError, match="UNAUTHENTICATED"):
            link.exchange(payload, 5.0)
        link.close()


def test_a_terminal_cannot_pass_for_another_by_saying_so(bundle, inner, credentials, payload):
    """What a terminal writes into the ingress's metadata is not passed on."""
    server = replica(bundle, inner)
    with Ingress(bundle.digest, lambda: [server.address], inner, credentials=credentials) as ingress:
        way = Way(ingress.address, credentials, 2**20)
        way.infer(payload, 5.0, "robot-7")
        way.close()
    server.stop(0.0)
    assert all("robot-7" not in name for name in server.admission._shares)


def test_the_deadline_reaches_the_replica(edge, payload, monkeypatch):
    servers, _, _, link = edge
    seen = []
    for server in servers:
        turn = server.admission.turn
        monkeypatch.setattr(
            server.admission,
            "turn",
            lambda kind, left_s, name="", turn=turn: (seen.append(left_s), turn(kind, left_s, name))[1],
        )
    link.exchange(payload, 3.0)
    assert 2.0 < seen[0] < 3.5  # gRPC rounds it


def test_a_payload_whose_deadline_has_passed_is_not_passed_on(bundle, inner, credentials, payload):
    class Context:
        def time_remaining(self):
            return -0.01

        def abort(self, code, text):
            raise RuntimeError(code.name, text)

    ingress = Ingress(bundle.digest, lambda: [], inner, credentials=credentials)
    ingress._ways.affinity.join("a")
    with pytest.raises(RuntimeError, match=r"DEADLINE_EXCEEDED.*before the frame's turn came"):
        ingress._infer(payload, Context(), "")
    ingress.stop(0.0)


def test_its_health_is_told(bundle, inner, credentials):
    health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2")
    with Ingress(bundle.digest, lambda: [], inner, credentials=credentials, health=True) as ingress:
        channel = grpc.secure_channel(
            ingress.address,
            grpc.ssl_channel_credentials(credentials.certificate),
            [("grpc.ssl_target_name_override", "adaedge")],
        )
        call = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        state = call(health_pb2.HealthCheckRequest(service=rpc.SERVICE), timeout=5.0)
        assert state.status == health_pb2.HealthCheckResponse.SERVING
        channel.close()


def test_refusals_here_are_observed(bundle, inner, credentials):
    class Seen(list):
        def refused(self, reason):
            self.append(reason)

    seen = Seen()
    with Ingress(bundle.digest, lambda: [], inner, credentials=credentials, observer=seen) as ingress:
        link = GrpcLink(ingress.address, certificate=credentials.certificate, token=credentials.token)
        with pytest.raises(RefusedError):
            link.exchange(b"ADAE", 5.0)
        link.close()
    assert seen == ["unreadable"]
