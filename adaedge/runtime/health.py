"""Health: gRPC's own health checking beside the edge server's calls.

May import: ``extras``. Needs the extra ``metrics``.
"""

from __future__ import annotations

from typing import Any, final

from adaedge.extras import load
from adaedge.runtime import rpc

_WANTED = "health checks of an edge server"


@final
class Health:
    """Answers ``grpc.health.v1.Health``, without a token: whether the server serves, or is draining.

    Raises:
        MissingExtraError: without the extra ``metrics``.
    """

    def __init__(self, server: Any) -> None:
        load("grpc_health", _WANTED)  # the package first: it is the one that an extra brings
        health = load("grpc_health.v1.health", _WANTED)
        self._states = load("grpc_health.v1.health_pb2", _WANTED).HealthCheckResponse
        calls = load("grpc_health.v1.health_pb2_grpc", _WANTED)
        self._servicer = health.HealthServicer(experimental_non_blocking=True)
        calls.add_HealthServicer_to_server(self._servicer, server)

    def serving(self) -> None:
        """Say from now on that the server serves."""
        self._servicer.set(rpc.SERVICE, self._states.SERVING)

    def draining(self) -> None:
        """Say from now on that no new calls are taken."""
        self._servicer.enter_graceful_shutdown()
