"""Replica: an edge server that Ray Serve places, watches, restarts and takes down.

May import: ``extras``, ``operating_point``, ``bundle``, ``runtime``; of this part ``load`` and
``plan``. It runs in Ray's processes.
"""

from __future__ import annotations

import time
from typing import Any, final

from adaedge.bundle import Bundle
from adaedge.cluster.load import BUSY
from adaedge.cluster.plan import ReplicaPlan
from adaedge.extras import load
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import Credentials, EdgeServer

_DRAIN_S = 5.0


@final
class Replica:
    """Answers the ingress over gRPC, on a port of its own. What Ray calls is only told where, and how busy it is.

    Args:
        plan: bundle, cores, threads, engine.
        inner: what it proves itself with to the ingress, and asks of it.
    """

    def __init__(self, plan: ReplicaPlan, inner: Credentials) -> None:
        ray: Any = load("ray", "a replica")

        self._server = EdgeServer(
            Bundle.load(plan.bundle, threads=plan.threads, engine=plan.engine),
            address=f"{ray.util.get_node_ip_address()}:0",
            credentials=inner,
            workers=plan.cores,
            observer=RayMetrics(),
            behind_ingress=True,
        )
        self._server.preload()
        self._server.start()
        self._told_s, self._asked_s = time.monotonic(), 0.0

    def where(self) -> str:
        """The address of the replica."""
        return self._server.address

    def record_autoscaling_stats(self) -> dict[str, float]:
        """How busy it was since it was asked last; see `load`. Ray asks."""
        admission, now_s = self._server.admission, time.monotonic()
        asked_s, passed_s = admission.asked_s - self._asked_s, now_s - self._told_s
        self._told_s, self._asked_s = now_s, self._asked_s + asked_s
        return {BUSY: asked_s / max(1e-3, passed_s) / admission.slots}

    def __del__(self) -> None:
        """What Ray Serve calls when it takes a replica down: calls that run are finished."""
        if server := getattr(self, "_server", None):
            server.stop(_DRAIN_S)


@final
class RayMetrics:
    """An `Observer` that tells Ray's own metrics, which every machine of the cluster exports to Prometheus.

    Their names are those of `runtime.Prometheus`, and Ray puts ``ray_`` before them.
    """

    def __init__(self) -> None:
        from ray.util import metrics

        self._answered: Any = metrics.Counter("adaedge_answers", "Payloads answered.", ("point",))
        self._refused: Any = metrics.Counter("adaedge_refusals", "Payloads refused.", ("reason",))
        bounds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
        self._edge_s: Any = metrics.Histogram("adaedge_edge_seconds", "Decoding and tail.", bounds)
        self._queue_s: Any = metrics.Histogram("adaedge_queue_seconds", "Waiting for a turn.", bounds)

    def answered(self, point: OperatingPoint, edge_s: float, queue_s: float) -> None:
        """Count it, as an `Observer`."""
        self._answered.inc(tags={"point": str(point)})
        self._edge_s.observe(edge_s)
        self._queue_s.observe(queue_s)

    def refused(self, reason: str) -> None:
        """Count it, as an `Observer`."""
        self._refused.inc(tags={"reason": reason})
