"""What an edge server tells of itself: Prometheus metrics and health checks."""

from __future__ import annotations

import sys
import urllib.request

import grpc
import pytest

from adaedge.errors import LinkError, MissingExtraError, RefusedError
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import EdgeServer, GrpcLink, Prometheus, rpc
from adaedge.runtime.credentials import NAME

# Of the extra `metrics`, which a terminal does not have.
pytest.importorskip("prometheus_client")
health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2")
health_pb2_grpc = pytest.importorskip("grpc_health.v1.health_pb2_grpc")

POINT = OperatingPoint("relu", codec="u8")
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def metrics():
    made = Prometheus("127.0.0.1:0")
    yield made
    made.close()


def figures(metrics):
    """Name, with its labels → value, as Prometheus would read them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_every_payload_is_counted(bundle, credentials, frame, metrics):
    payload = bundle.encode(POINT, bundle.head("relu").run((frame[None],)))
    with EdgeServer(bundle, credentials=credentials, observer=metrics) as server:
        metrics.watch(server)
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        for _ in range(3):
            link.exchange(payload, 5.0)
        with pytest.raises(RefusedError):
            link.exchange(payload[:-1], 5.0)
        stranger = GrpcLink(server.address, certificate=credentials.certificate, token="another one")
        with pytest.raises(RefusedError):
            stranger.exchange(payload, 5.0)
        found = figures(metrics)
        link.close(), stranger.close()
    assert found[f'adaedge_answers_total{{point="{POINT}"}}'] == 3
    assert found['adaedge_refusals_total{reason="unreadable"}'] == 1
    assert found['adaedge_refusals_total{reason="token"}'] == 1
    assert found["adaedge_edge_seconds_count"] == found["adaedge_queue_seconds_count"] == 3
    assert 0 < found["adaedge_edge_seconds_sum"] < 5
    assert found["adaedge_waiting"] == found["adaedge_held_bytes"] == 0


def test_its_health_is_told_without_a_token(bundle, credentials):
    trust = grpc.ssl_channel_credentials(credentials.certificate)
    with EdgeServer(bundle, credentials=credentials, health=True) as server:
        options = [("grpc.ssl_target_name_override", NAME)]
        with grpc.secure_channel(server.address, trust, options) as channel:
            asked = health_pb2.HealthCheckRequest(service=rpc.SERVICE)
            assert health_pb2_grpc.HealthStub(channel).Check(asked, timeout=5).status == SERVING
            states = health_pb2_grpc.HealthStub(channel).Watch(asked, timeout=20)
            assert next(states).status == SERVING
            server.stop()
            assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_an_address_that_is_taken(metrics):
    with pytest.raises(LinkError, match=r"cannot serve metrics at 127\.0\.0\.1:\d+: .*Is the port taken\?"):
        Prometheus(f"127.0.0.1:{metrics.port}")


@pytest.mark.parametrize("package", ["prometheus_client", "grpc_health"])
def test_without_the_extra_it_is_named(bundle, monkeypatch, package):
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'adaedge\[metrics\]'"):
        Prometheus("127.0.0.1:0") if "prom" in package else EdgeServer(bundle, insecure=True, health=True)
