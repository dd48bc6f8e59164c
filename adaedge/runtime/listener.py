"""Listener: a gRPC server of ours: its threads and options, the address, TLS or none, that it listens on, its health.

May import: ``errors``; of this part ``address``, ``credentials`` and ``health``.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import grpc

from adaedge.errors import LinkError
from adaedge.runtime.address import check_address
from adaedge.runtime.credentials import Credentials
from adaedge.runtime.health import Health


@final
class Listener:
    """Takes calls from ``start`` to ``stop``.

    Args:
        handler: what answers them.
        address: ``HOST:PORT``; port 0 takes a free one.
        credentials: certificate and key; ``None`` only with ``insecure``.
        insecure: plain text; it warns.
        calls: at the same time, each in a thread: more are refused at once, so that memory stays bounded.
        max_bytes: largest message.
        health: answer gRPC's health checks too; needs the extra ``metrics``.
        name: of its threads.

    Attributes:
        address: where it listens.

    Raises:
        LinkError: if there are no credentials and ``insecure`` was not asked for, or the address is none or is taken.
    """

    def __init__(
        self,
        handler: Any,
        address: str,
        credentials: Credentials | None,
        *,
        insecure: bool,
        calls: int,
        max_bytes: int,
        health: bool,
        name: str,
    ) -> None:
        self._threads = ThreadPoolExecutor(calls, thread_name_prefix=name)
        self._server = grpc.server(
            self._threads, handlers=[handler], options=_options(max_bytes), maximum_concurrent_rpcs=calls
        )
        self._health = Health(self._server) if health else None
        self.address = _bind(self._server, address, credentials, insecure=insecure)

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()
        if self._health is not None:
            self._health.serving()

    def stop(self, grace_s: float) -> None:
        """Take no more calls, finish those that run for at most ``grace_s``, and stop."""
        if self._health is not None:
            self._health.draining()
        self._server.stop(grace_s).wait()
        self._threads.shutdown(wait=False)


def _bind(server: Any, address: str, credentials: Credentials | None, *, insecure: bool) -> str:
    """Let a gRPC server that has not been started listen; where it does."""
    check_address(address, least_port=0)
    try:
        if insecure:
            who = "anyone may use it" if credentials is None else "frames and token can be read"
            warnings.warn(f"the edge server at {address} is not encrypted: {who}", stacklevel=4)
            port = server.add_insecure_port(address)
        elif credentials is None:
            raise LinkError("an edge server needs credentials: pass Credentials.stored(FOLDER), or insecure=True")
        else:
            pair = [(credentials.key, credentials.certificate)]
            port = server.add_secure_port(address, grpc.ssl_server_credentials(pair))
    except RuntimeError as error:
        raise LinkError(f"cannot listen on {address}: {error}. Is the port taken? Is it this machine?") from error
    return f"{address.rpartition(':')[0]}:{port}"


def _options(max_bytes: int) -> list[tuple[str, int]]:
    """Those of a server that accepts payloads of at most so many bytes."""
    return [
        ("grpc.max_receive_message_length", max_bytes),
        # A payload larger than this would wait for a round trip in the middle.
        ("grpc.http2.lookahead_bytes", 2**20),
        # Terminals may ask every few seconds whether the connection lives.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.so_reuseport", 0),  # two servers on one port would share the terminals between them
    ]
