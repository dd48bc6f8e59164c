"""Link: what a terminal asks of the way to an edge server. `grpc_link` holds the real one, `emulated_links` the others.

May import: nothing of adaedge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

HELLO_BYTES = 256  # a hello on the link, roughly


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply that came back over a link.

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
