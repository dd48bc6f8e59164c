"""GrpcChannel: one connection over gRPC, and what its errors mean.

May import: ``errors``; of this part ``credentials`` and ``rpc``. Importing gRPC takes a sixth of a terminal's start, so
`grpc_link` imports this module when it first calls.
"""

from __future__ import annotations

from typing import Any, final

import grpc

from adaedge.errors import LinkDownError, LinkError, LinkTimeoutError, OverloadError, RefusedError, StaleReferenceError
from adaedge.runtime import credentials, rpc

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
_WORDS: dict[grpc.StatusCode, type[LinkError]] = {
    grpc.StatusCode.UNAVAILABLE: LinkDownError,
    grpc.StatusCode.CANCELLED: LinkDownError,
    grpc.StatusCode.UNKNOWN: LinkDownError,
    grpc.StatusCode.DEADLINE_EXCEEDED: LinkTimeoutError,
    grpc.StatusCode[rpc.STALE]: StaleReferenceError,
    grpc.StatusCode[rpc.OVERLOAD]: OverloadError,
}


Metadata = tuple[tuple[str, str], ...]


@final
class GrpcChannel:
    """A channel and its calls, bytes in and bytes out: their objects are made once.

    Args:
        address: ``HOST:PORT``.
        pem: the edge server's certificate; ``None`` sends everything in plain text.
        metadata: what every call bears.
        max_bytes: largest message, either way.
    """

    def __init__(self, address: str, pem: bytes | None, metadata: Metadata, max_bytes: int) -> None:
        self._address = address
        self._metadata = metadata
        options: list[tuple[str, int | str]] = [
            *_OPTIONS,
            ("grpc.max_receive_message_length", max_bytes),
            ("grpc.max_send_message_length", max_bytes),
        ]
        if pem is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            if credentials.is_own(pem):
                options.append(("grpc.ssl_target_name_override", credentials.NAME))
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(pem), options)
        names = (rpc.HELLO, rpc.INFER, rpc.PROBE, rpc.LABEL, rpc.UPDATE)
        self._calls: dict[str, Any] = {name: self._channel.unary_unary(rpc.path(name), None, None) for name in names}

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Send a request and wait for its reply.

        Raises:
            LinkError: ``LinkTimeoutError``, ``LinkDownError``, ``RefusedError`` or ``StaleReferenceError``, and nothing
                else.
        """
        try:
            reply: bytes = self._calls[method](request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._said(error, timeout_s) from error
        except ValueError as error:  # what gRPC raises on a closed channel
            raise LinkDownError(f"the link to {self._address} is closed") from error
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _said(self, error: grpc.RpcError, timeout_s: float) -> LinkError:
        code: grpc.StatusCode = error.code()
        text = str(error.details() or "")
        kind = _WORDS.get(code, RefusedError)
        if kind is LinkTimeoutError:
            return LinkTimeoutError(f"no answer from {self._address} within {timeout_s:.3f} s")
        if kind is StaleReferenceError:
            return StaleReferenceError(text)
        if issubclass(kind, RefusedError):
            return kind(f"the edge server at {self._address} refused ({code.name}): {text}")
        if "certificate" in text.lower() or "handshake" in text.lower():
            text += f". Is the certificate the one of this edge server? Copy its {credentials.CERTIFICATE} again"
        return LinkDownError(f"the edge server at {self._address} cannot be reached: {text}")
