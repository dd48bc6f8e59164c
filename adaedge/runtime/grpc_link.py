"""GrpcLink: the way to an edge server over gRPC, with TLS and a token.

May import: ``errors``, ``payload``.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, final

from adaedge.errors import LinkDownError, LinkError, LinkTimeoutError
from adaedge.payload import MAX_BYTES
from adaedge.runtime import credentials, rpc
from adaedge.runtime.address import check_address
from adaedge.runtime.link import Reply

if TYPE_CHECKING:
    from adaedge.runtime.grpc_channel import GrpcChannel


@final
class GrpcLink:
    """A link over gRPC. The edge server is trusted by its certificate, the terminal by its token.

    It connects, and imports gRPC, with its first call: a terminal's first answer does not wait for either.

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

    Example:
        >>> from adaedge.runtime import Credentials
        >>> credentials = Credentials.create()  # those of an edge server
        >>> link = GrpcLink("edge.local:50051", certificate=credentials.certificate, token=credentials.token)
        >>> link.close()  # it connects with its first call, and there was none
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
        token = str(token).strip()  # a file that holds it may end with a newline; a Path that names the file is refused
        if not insecure:
            credentials.check_token(token)
        self._metadata = ((rpc.AUTHORIZATION, rpc.bearer(token)),)
        if insecure:
            warnings.warn(f"the link to {address} is not encrypted: frames and token can be read", stacklevel=2)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._timeouts = 0  # in a row
        self._channel: GrpcChannel | None = None
        self._closed = False

    def hello(self, bundle: str, timeout_s: float) -> None:
        """Agree with the edge server on the bundle's hash; after a time-out, over a new connection."""
        self._call(rpc.HELLO, rpc.hello(bundle), timeout_s, trusted=1)

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:
        """Send a payload and wait for its answer."""
        return Reply(self._call(rpc.INFER, payload, timeout_s))

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:
        """Send zeros, of which the edge server returns the number."""
        return Reply(self._call(rpc.PROBE, bytes(size_bytes), timeout_s))

    def label(self, payload: bytes, timeout_s: float) -> Reply:
        """Send a frame to be labelled, to an edge server that teaches; the reply is its answer."""
        return Reply(self._call(rpc.LABEL, payload, timeout_s))

    def update(self, holding: bytes, timeout_s: float) -> Reply:
        """Ask an edge server that teaches for an update upon what is held; nothing where there is none."""
        return Reply(self._call(rpc.UPDATE, holding, timeout_s))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._closed = True
            if self._channel is not None:
                self._channel.close()

    def _channel_now(self, trusted: int) -> GrpcChannel:
        """The connection; a new one after ``trusted`` time-outs, for the old one may lead nowhere and never say so."""
        from adaedge.runtime.grpc_channel import GrpcChannel

        with self._lock:
            if self._closed:
                raise LinkDownError(f"the link to {self._address} is closed")
            if self._channel is not None and self._timeouts >= trusted:
                self._channel.close()
                self._channel = None
            if self._channel is None:
                self._channel = GrpcChannel(self._address, self._pem, self._metadata, self._max_bytes)
                self._timeouts = 0
            return self._channel

    def _call(self, method: str, request: bytes, timeout_s: float, *, trusted: int = 3) -> bytes:
        if timeout_s <= 0:
            raise LinkTimeoutError(f"no time is left to reach the edge server at {self._address}")
        try:
            reply = self._channel_now(trusted).call(method, request, timeout_s)
        except LinkTimeoutError:
            self._timeouts += 1
            raise
        self._timeouts = 0
        return reply


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
    credentials.check_certificate(pem)
    return pem
