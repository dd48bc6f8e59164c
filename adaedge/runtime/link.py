"""Link: the way to the edge server. GrpcLink is the real one, `emulated_links` holds those that follow a rate trace.

May import: ``errors``, ``payload``.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, final

import grpc

from adaedge.errors import LinkDownError, LinkError, LinkTimeoutError, RefusedError, StaleReferenceError
from adaedge.payload import MAX_BYTES
from adaedge.runtime import credentials, rpc
from adaedge.runtime.address import check_address

HELLO_BYTES = 256  # a hello on the link, roughly


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over a link.

    Attributes:
        data: the answer's bytes, unchecked.
        upload_s: seconds that the payload took, where the link knows; ``None`` where it must be worked out.
    """

    data: bytes
    upload_s: float | None = None


class Link(Protocol):
    """The way to an edge server. Safe to use from several threads.

    Every method raises ``LinkTimeoutError``, ``LinkDownError`` or ``RefusedError``, ``exchange`` also
    ``StaleReferenceError``, and nothing else.
    """

    def hello(self, bundle: str, timeout_s: float) -> None:
        """Agree with the edge server on the bundle's hash; connect anew where the connection is in doubt."""
        ...

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:
        """Send a payload and wait for its answer, at most ``timeout_s`` in all."""
        ...

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:
        """Send so many bytes that mean nothing, to see how long they take."""
        ...

    def close(self) -> None:
        """Give the connection back. Nothing may be sent after it."""
        ...


_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),  # it is also the time that one attempt to connect has
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Channels to one address would share their connection, and a new one would inherit a dead one.
    ("grpc.use_local_subchannel_pool", 1),
    # A frame is not sent twice: the terminal answers it.
    ("grpc.enable_retries", 0),
)
_WORDS = {
    grpc.StatusCode.UNAVAILABLE: LinkDownError,
    grpc.StatusCode.CANCELLED: LinkDownError,
    grpc.StatusCode.UNKNOWN: LinkDownError,
    grpc.StatusCode.DEADLINE_EXCEEDED: LinkTimeoutError,
    rpc.STALE: StaleReferenceError,
}


class _Connection(NamedTuple):
    """A channel and its calls, bytes in and bytes out: their objects are made once."""

    channel: grpc.Channel
    calls: dict[str, Any]

    @classmethod
    def over(cls, channel: grpc.Channel) -> _Connection:
        names = (rpc.HELLO, rpc.INFER, rpc.PROBE)
        return cls(channel, {name: channel.unary_unary(rpc.path(name), None, None) for name in names})


@final
class GrpcLink:
    """A link over gRPC. The edge server is trusted by its certificate, the terminal by its token.

    Args:
        address: ``HOST:PORT``.
        certificate: the edge server's certificate, a path or PEM bytes. One that adaedge made is trusted under any
            address; another one (of an authority, say) only for the host that it names.
        token: the edge server's token: the text in its file, whose last newline does not count.
        insecure: send everything, the token included, in plain text. For experiments on one machine; it warns.
        max_bytes: largest answer that is accepted.

    Raises:
        LinkError: if the address is none, or the certificate or the token is missing or cannot be one and
            ``insecure`` was not asked for.
    """

    def __init__(
        self,
        address: str,
        *,
        certificate: str | Path | bytes | None = None,
        token: str = "",
        insecure: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._address = check_address(address)
        self._pem = None if insecure else _pem(certificate)
        token = token.strip()  # a file that holds it may end with a newline
        if not insecure:
            credentials.check_token(token)
        self._metadata = ((rpc.AUTHORIZATION, rpc.bearer(token)),)
        self._options: list[tuple[str, int | str]] = [
            *_OPTIONS,
            ("grpc.max_receive_message_length", max_bytes),
            ("grpc.max_send_message_length", max_bytes),
        ]
        if self._pem is not None and credentials.is_own(self._pem):
            self._options.append(("grpc.ssl_target_name_override", credentials.NAME))
        if insecure:
            warnings.warn(f"the link to {address} is not encrypted: frames and token can be read", stacklevel=2)
        self._lock = threading.Lock()
        self._timeouts = 0  # in a row
        self._connection = self._connect()

    def hello(self, bundle: str, timeout_s: float) -> None:
        """Agree with the edge server on the bundle's hash; after a time-out, over a new connection."""
        self._call(rpc.HELLO, rpc.hello(bundle), timeout_s, trusted=1)

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:
        """Send a payload and wait for its answer."""
        return Reply(self._call(rpc.INFER, payload, timeout_s))

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:
        """Send zeros, of which the edge server returns the number."""
        return Reply(self._call(rpc.PROBE, bytes(size_bytes), timeout_s))

    def close(self) -> None:
        """Close the connection."""
        self._connection.channel.close()

    def _connect(self) -> _Connection:
        if self._pem is None:
            return _Connection.over(grpc.insecure_channel(self._address, self._options))
        trust = grpc.ssl_channel_credentials(self._pem)
        return _Connection.over(grpc.secure_channel(self._address, trust, self._options))

    def _connection_now(self, trusted: int) -> _Connection:
        """The connection; a new one after ``trusted`` time-outs, for the old one may lead nowhere and never say so."""
        with self._lock:
            if self._timeouts >= trusted:
                self._connection.channel.close()
                self._connection = self._connect()
                self._timeouts = 0
            return self._connection

    def _call(self, method: str, request: bytes, timeout_s: float, *, trusted: int = 3) -> bytes:
        if timeout_s <= 0:
            raise LinkTimeoutError(f"no time is left to reach the edge server at {self._address}")
        try:
            call = self._connection_now(trusted).calls[method]
            reply: bytes = call(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._said(error, timeout_s) from error
        except ValueError as error:  # what gRPC raises on a closed channel
            raise LinkDownError(f"the link to {self._address} is closed") from error
        self._timeouts = 0
        return reply

    def _said(self, error: grpc.RpcError, timeout_s: float) -> LinkError:
        code: grpc.StatusCode = error.code()
        text = str(error.details() or "")
        kind = _WORDS.get(code, RefusedError)
        if kind is LinkTimeoutError:
            self._timeouts += 1
            return LinkTimeoutError(f"no answer from {self._address} within {timeout_s:.3f} s")
        if kind is StaleReferenceError:
            return StaleReferenceError(text)
        if kind is RefusedError:
            return RefusedError(f"the edge server at {self._address} refused ({code.name}): {text}")
        if "certificate" in text.lower() or "handshake" in text.lower():
            text += f". Is the certificate the one of this edge server? Copy its {credentials.CERTIFICATE} again"
        return LinkDownError(f"the edge server at {self._address} cannot be reached: {text}")


def _pem(certificate: str | Path | bytes | None) -> bytes:
    if certificate is None:
        raise LinkError(
            f"a link needs the edge server's certificate: copy its {credentials.CERTIFICATE} here and name it."
            " Or pass insecure=True and know that everything is sent in plain text."
        )
    try:
        pem = certificate if isinstance(certificate, bytes) else Path(certificate).read_bytes()
    except OSError as error:
        raise LinkError(f"cannot read the certificate {certificate!s}: {error}") from error
    credentials.parse(pem)
    return pem
