"""Addresses of edge servers, checked before gRPC guesses what was meant.

May import: ``errors``.
"""

from __future__ import annotations

from adaedge.errors import LinkError


def check_address(address: str, *, least_port: int = 1) -> str:
    """The address itself, if it is ``HOST:PORT``; gRPC would take port 443 for a missing one.

    Raises:
        LinkError: if it is not.

    Example:
        >>> check_address("edge.local:50051"), check_address("[::1]:0", least_port=0)
        ('edge.local:50051', '[::1]:0')
    """
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    fits = port.isascii() and port.isdigit() and least_port <= int(port) <= 65535
    if not host or "/" in host or (":" in host and not bracketed) or not fits:
        raise LinkError(f"an address is HOST:PORT, with a port from {least_port} to 65535; got {address!r}")
    return address
