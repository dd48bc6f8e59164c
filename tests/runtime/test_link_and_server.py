import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from adaedge.bundle.route import Route
from adaedge.errors import LinkDownError, LinkError, LinkTimeoutError, PayloadError, RefusedError
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, rpc

INPUT = OperatingPoint("input")


@pytest.fixture
def payload(bundle, frame):
    return bundle.encode(INPUT, (frame[None],), sequence=7)


def test_a_payload_is_answered_as_the_bundle_would(bundle, link, frame, payload):
    link.hello(bundle.digest, 2.0)
    request = bundle.read(payload).request
    assert (request.sequence, request.point) == (7, INPUT)
    header, outputs = bundle.decode_answer(link.exchange(payload, 2.0).data, request)
    assert np.array_equal(outputs[0], bundle.run(INPUT, (frame[None],))[0])
    assert 0 < header.edge_s < 1


def test_a_probe_returns_the_number_of_its_bytes(link):
    assert link.probe(8192, 2.0).data == (8192).to_bytes(4, "little")
    assert link.probe(0, 2.0).data == bytes(4)


def test_the_calls_are_pinned_by_their_bytes():
    assert rpc.path(rpc.INFER) == "/adaedge.Edge/Infer"
    assert rpc.hello("ab" * 32) == b'{"wire": 3, "bundle": "' + b"ab" * 32 + b'"}'


def test_two_bundles_do_not_shake_hands(link, other_bundle):
    with pytest.raises(RefusedError, match=r"FAILED_PRECONDITION.*the terminal has bundle .*Copy the same bundle"):
        link.hello(other_bundle.digest, 2.0)


def test_another_wire_format_does_not_shake_hands(bundle):
    said = json.dumps({"wire": 99, "bundle": bundle.digest}).encode()
    assert rpc.mismatch(said, bundle.digest).startswith("the terminal speaks wire format 99, the edge server 3")


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b'{"wire": 1}', b"[" * 100_000])
def test_what_is_no_hello_is_refused(data, bundle):
    with pytest.raises(PayloadError, match="not a hello of adaedge"):
        rpc.mismatch(data, bundle.digest)


@pytest.mark.parametrize("shown", [None, "", "wrong", b"wr\xc3\xb6ng"])
def test_without_the_token_nothing_is_answered(server, credentials, bundle, payload, shown):
    link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
    if isinstance(shown, bytes):  # as bytes that no header may hold
        link._metadata = ((rpc.AUTHORIZATION, b"Bearer " + shown),)
    else:  # as a client that is not ours might
        link._metadata = () if shown is None else ((rpc.AUTHORIZATION, rpc.bearer(shown)),)
    try:
        for call in (
            lambda: link.hello(bundle.digest, 2.0),
            lambda: link.exchange(payload, 2.0),
            lambda: link.probe(10, 2.0),
        ):
            with pytest.raises(LinkError):
                call()
        if not isinstance(shown, bytes):
            with pytest.raises(RefusedError, match=r"UNAUTHENTICATED.*Copy the edge server's token to the terminal"):
                link.probe(10, 2.0)
    finally:
        link.close()


def test_another_servers_certificate_is_not_trusted(server, credentials):
    link = GrpcLink(server.address, certificate=Credentials.create().certificate, token=credentials.token)
    with pytest.raises(
        LinkDownError, match=r"Is the certificate the one of this edge server\? Copy its certificate.pem"
    ):
        link.probe(0, 2.0)
    link.close()


def test_a_certificate_that_adaedge_did_not_make_is_held_to_its_names(credentials):
    from adaedge.runtime.credentials import is_own

    assert is_own(credentials.certificate)
    assert not is_own(_foreign_certificate())
    assert not is_own(_foreign_certificate("edge.example"))


def _foreign_certificate(*names):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge.example")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_nothing_is_insecure_silently(bundle, payload):
    with pytest.raises(LinkError, match=r"needs the edge server's certificate.*insecure=True"):
        GrpcLink("127.0.0.1:1")
    with pytest.raises(LinkError, match="needs credentials: pass"):
        EdgeServer(bundle)
    with pytest.warns(UserWarning, match="is not encrypted: anyone may use it"):
        server = EdgeServer(bundle, insecure=True)
    with server:
        with pytest.warns(UserWarning, match="is not encrypted: frames and token can be read"):
            link = GrpcLink(server.address, insecure=True)
        bundle.decode_answer(link.exchange(payload, 2.0).data, bundle.read(payload).request)
        link.close()


def test_a_certificate_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(LinkError, match=r"cannot read the certificate .*none\.pem"):
        GrpcLink("127.0.0.1:1", certificate=tmp_path / "none.pem")


def test_the_certificate_may_be_a_path(server, credentials, tmp_path):
    (tmp_path / "certificate.pem").write_bytes(credentials.certificate)
    link = GrpcLink(server.address, certificate=tmp_path / "certificate.pem", token=credentials.token)
    link.probe(1, 2.0)
    link.close()


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda data: data[:-5], "truncated payload"),
        (lambda data: b"GARB" + data[4:], "foreign payload"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "corrupted payload"),
        (lambda _: b"", "truncated payload"),
    ],
)
def test_a_bad_payload_is_refused_with_its_reason(link, payload, spoil, text):
    with pytest.raises(RefusedError, match=f"INVALID_ARGUMENT.*{text}"):
        link.exchange(spoil(payload), 2.0)
    link.exchange(payload, 2.0)


def test_a_payload_of_another_bundle_is_refused(link, other_bundle, frame):
    with pytest.raises(RefusedError, match=r"payload of another bundle.*Copy the same bundle"):
        link.exchange(other_bundle.encode(INPUT, (frame[None],)), 2.0)


def test_a_message_larger_than_the_bundle_can_need_is_refused(bundle, link):
    with pytest.raises(RefusedError, match=r"RESOURCE_EXHAUSTED.*larger than max"):
        link.exchange(bytes(bundle.max_payload_bytes + 1), 2.0)


def test_a_failure_inside_is_logged_there_and_not_told(server, link, bundle, payload, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a secret path")

    monkeypatch.setattr(Route, "receive", broken)
    with (
        caplog.at_level(logging.ERROR, "adaedge.runtime.server"),
        pytest.raises(RefusedError, match="INTERNAL") as error,
    ):
        link.exchange(payload, 2.0)
    assert "secret" not in str(error.value)
    assert "a secret path" in caplog.text


def test_a_payload_whose_deadline_has_passed_is_not_computed(bundle):
    from adaedge.runtime.calls import Refusals
    from adaedge.runtime.server import _Answers

    class Context:
        def time_remaining(self):
            return -0.01

        def abort(self, code, text):
            raise RuntimeError(code.name, text)

    with pytest.raises(RuntimeError, match=r"DEADLINE_EXCEEDED.*before the frame's turn came"):
        _Answers(None, None, None, None, Refusals(None)).infer(b"", Context(), "")


def test_a_slow_answer_is_given_up_in_time(link, bundle, payload, monkeypatch):
    tail = bundle.tail("input")

    class Slow:
        def run(self, inputs):
            time.sleep(0.5)
            return tail.run(inputs)

    monkeypatch.setattr(Route, "edge", property(lambda _: Slow()))
    start = time.monotonic()
    with pytest.raises(LinkTimeoutError, match=r"no answer from .* within 0.050 s"):
        link.exchange(payload, 0.05)
    assert time.monotonic() - start < 0.4


def test_no_time_left_is_a_timeout_and_sends_nothing(link, payload):
    with pytest.raises(LinkTimeoutError, match="no time is left"):
        link.exchange(payload, 0.0)


def test_where_nothing_listens_the_link_is_down_at_once(credentials):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    link = GrpcLink(f"127.0.0.1:{port}", certificate=credentials.certificate, token=credentials.token)
    start = time.monotonic()
    with pytest.raises(LinkDownError, match=f"127.0.0.1:{port} cannot be reached"):
        link.probe(0, 5.0)
    assert time.monotonic() - start < 2
    link.close()


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_link_is_down(server, credentials, used):
    link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
    if used:
        link.probe(0, 2.0)
    link.close()
    with pytest.raises(LinkDownError, match="is closed"):
        link.probe(0, 1.0)


def test_a_taken_port_is_told(server, bundle, credentials):
    with pytest.raises(LinkError, match=f"cannot listen on {server.address}.*Is the port taken"):
        EdgeServer(bundle, address=server.address, credentials=credentials)


def test_several_terminals_at_once(server, credentials, bundle):
    generator = np.random.default_rng(3)
    failures = []

    def use(number):
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        for index in range(20):
            image = generator.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
            payload = bundle.encode(INPUT, (image,), sequence=100 * number + index)
            _, outputs = bundle.decode_answer(link.exchange(payload, 5.0).data, bundle.read(payload).request)
            if not np.array_equal(outputs[0], bundle.run(INPUT, (image,))[0]):
                failures.append((number, index))
        link.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures


def test_a_hello_after_a_timeout_connects_anew(server, credentials, bundle):
    with socket.create_server(("127.0.0.1", 0)) as hole:  # accepts and says nothing
        address = f"127.0.0.1:{hole.getsockname()[1]}"
        link = GrpcLink(address, certificate=credentials.certificate, token=credentials.token)
        with pytest.raises(LinkTimeoutError):
            link.probe(0, 0.1)
        before = link._channel
        for _ in range(2):
            with pytest.raises(LinkTimeoutError):
                link.exchange(b"", 0.1)
        assert link._channel is before
        with pytest.raises(LinkError):
            link.exchange(b"", 0.1)  # after three
        assert link._channel is not before
        before = link._channel
        with pytest.raises(LinkError):
            link.hello(bundle.digest, 0.1)
        assert link._channel is not before
        link.close()


SERVE = """
import sys
from pathlib import Path
sys.path.append({root!r})
from benchmarks.tiny_bundle import tiny_bundle
from adaedge.bundle.route import Route
from adaedge.runtime import Credentials, EdgeServer, serve_forever
import time
bundle = tiny_bundle()
tail = bundle.tail("input")
class Slow:
    def run(self, inputs):
        time.sleep(0.5)
        return tail.run(inputs)
Route.edge = property(lambda _: Slow())
server = EdgeServer(bundle, credentials=Credentials.stored(sys.argv[1]))
print(server.address, flush=True)
serve_forever(server)
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_calls_finish(number, tmp_path, bundle, payload):
    stored = Credentials.stored(tmp_path)
    script = SERVE.format(root=str(Path(__file__).parents[2]))
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        link = GrpcLink(process.stdout.readline().strip(), certificate=stored.certificate, token=stored.token)
        link.hello(bundle.digest, 5.0)
        threading.Timer(0.15, os.kill, (process.pid, number)).start()
        bundle.decode_answer(link.exchange(payload, 5.0).data, bundle.read(payload).request)
        assert process.wait(10) == 0
        assert process.stdout.read() == "stopped\n"
        with pytest.raises(LinkDownError):
            link.exchange(payload, 1.0)
        link.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    "address", ["edge.local", ":50051", "a:b", "http://edge:50051", "::1:50051", "edge:99999", "a:-1"]
)
def test_an_address_that_is_none_is_refused_by_both_ends(bundle, credentials, address):
    words = r"an address is HOST:PORT, with a port from [01] to 65535"
    with pytest.raises(LinkError, match=words):
        GrpcLink(address, certificate=credentials.certificate, token=credentials.token)
    with pytest.raises(LinkError, match=words):
        EdgeServer(bundle, address=address, credentials=credentials)


def test_a_link_without_a_token_is_refused_before_anything_is_sent(credentials):
    with pytest.raises(LinkError, match=r"a token is printable ASCII and not empty; this one has 0 characters"):
        GrpcLink("127.0.0.1:1", certificate=credentials.certificate)
