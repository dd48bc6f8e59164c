"""Prometheus: what an edge server does, as counters that a Prometheus server fetches.

May import: ``errors``, ``operating_point``, ``extras``. Needs the extra ``metrics``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from adaedge.errors import LinkError
from adaedge.extras import load
from adaedge.operating_point import OperatingPoint
from adaedge.runtime.address import check_address

if TYPE_CHECKING:
    from adaedge.runtime.server import EdgeServer

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Observer(Protocol):
    """Is told of every payload. Write your own for another system; it is called from many threads."""

    def answered(self, point: OperatingPoint, edge_s: float, queue_s: float) -> None:
        """A payload was answered: seconds of computing, and seconds that it waited for its turn."""
        ...

    def refused(self, reason: str) -> None:
        """One was not: ``overload``, ``stale``, ``unreadable``, ``late``, ``token``, ``rate`` or ``failed``."""
        ...


@final
class Prometheus:
    """Counters of one edge server, served over plain HTTP at ``/metrics``. An `Observer`.

    Args:
        address: ``HOST:PORT`` to serve them at. Whoever reaches it may read them: keep it inside of your network.

    Raises:
        MissingExtraError: without the extra ``metrics``.
        LinkError: if the address is none, or is taken.
    """

    def __init__(self, address: str) -> None:
        client = load("prometheus_client", "metrics of an edge server")
        check_address(address, least_port=0)
        self._registry = client.CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry}
        self._answered = client.Counter("adaedge_answers", "Payloads answered.", ["point"], **own)
        self._refused = client.Counter("adaedge_refusals", "Payloads refused.", ["reason"], **own)
        self._edge_s = client.Histogram("adaedge_edge_seconds", "Decoding and tail.", buckets=_SECONDS, **own)
        self._queue_s = client.Histogram("adaedge_queue_seconds", "Waiting for a turn.", buckets=_SECONDS, **own)
        self._waiting = client.Gauge("adaedge_waiting", "Payloads that wait for their turn.", **own)
        self._held = client.Gauge("adaedge_held_bytes", "What is held of streams.", **own)
        host, _, port = address.rpartition(":")
        try:
            self._http, self._thread = client.start_http_server(int(port), host.strip("[]"), self._registry)
        except OSError as error:
            raise LinkError(f"cannot serve metrics at {address}: {error}. Is the port taken?") from error

    def watch(self, server: EdgeServer) -> None:
        """Serve this server's queue and memory too."""
        self._waiting.set_function(lambda: server.admission.waiting)
        self._held.set_function(lambda: server.session.held_bytes)

    def answered(self, point: OperatingPoint, edge_s: float, queue_s: float) -> None:
        """Count it, as an `Observer`."""
        self._answered.labels(str(point)).inc()
        self._edge_s.observe(edge_s)
        self._queue_s.observe(queue_s)

    def refused(self, reason: str) -> None:
        """Count it, as an `Observer`."""
        self._refused.labels(reason).inc()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._http.server_port)

    def close(self) -> None:
        """Serve them no more."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
