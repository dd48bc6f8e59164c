"""Listener: the options of a gRPC server of ours, and the address, TLS or none, that it listens on.

May import: ``errors``; of this part ``address`` and ``credentials``.
"""

from __future__ import annotations

import warnings
from typing import Any

import grpc

from adaedge.errors import LinkError
from adaedge.runtime.address import check_address
from adaedge.runtime.credentials import Credentials


def bind(server: Any, address: str, credentials: Credentials | None, *, insecure: bool) -> str:
    """Let a gRPC server listen; where it does.

    Args:
        server: one that has not been started.
        address: ``HOST:PORT``; port 0 takes a free one.
        credentials: certificate and key; ``None`` only with ``insecure``.
        insecure: plain text; it warns.

    Raises:
        LinkError: if there are no credentials and ``insecure`` was not asked for, or the address is none or is taken.
    """
    check_address(address, least_port=0)
    try:
        if insecure:
            who = "anyone may use it" if credentials is None else "frames and token can be read"
            warnings.warn(f"the edge server at {address} is not encrypted: {who}", stacklevel=3)
            port = server.add_insecure_port(address)
        elif credentials is None:
            raise LinkError("an edge server needs credentials: pass Credentials.stored(FOLDER), or insecure=True")
        else:
            pair = [(credentials.key, credentials.certificate)]
            port = server.add_secure_port(address, grpc.ssl_server_credentials(pair))
    except RuntimeError as error:
        raise LinkError(f"cannot listen on {address}: {error}. Is the port taken? Is it this machine?") from error
    return f"{address.rpartition(':')[0]}:{port}"


def options(max_bytes: int) -> list[tuple[str, int]]:
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
