"""``serve --ray``: the ingress in this process, the replicas on a Ray cluster.

May import, inside the command: ``cluster``, ``runtime``, ``bundle``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaedge.errors import LinkError

if TYPE_CHECKING:
    from adaedge.bundle import Bundle
    from adaedge.runtime import Credentials


def check(ray: str | None, replicas: str | None, cores: int | None, metrics: str | None) -> None:
    """Refuse options that mean nothing together.

    Raises:
        LinkError: naming them.
    """
    if ray is None and (replicas is not None or cores is not None):
        raise LinkError("--replicas and --cores are for an edge of many machines: pass --ray ADDRESS, or --ray local")
    if ray is not None and metrics is not None:
        raise LinkError("--metrics is for a single server: replicas tell Ray's metrics, see Ray's page on Prometheus")


def serve(
    loaded: Bundle,
    folder: Path,
    ray: str,
    *,
    replicas: str,
    cores: int,
    listen: str,
    credentials: Credentials | None,
    state: Path,
    ready: dict[str, Any],
) -> None:
    """Run replicas and an ingress until Ctrl-C or SIGTERM; ``ready`` is printed with the address, as by one server.

    Raises:
        LinkError: if there is no cluster, the replicas do not run, or the address is taken.
    """
    from adaedge.cluster import Ingress, ReplicaPlan
    from adaedge.cluster import application as on_ray
    from adaedge.cluster.plan import replica_range
    from adaedge.runtime import Credentials, Tokens, serve_forever

    least, most = replica_range(replicas)
    plan = ReplicaPlan(str(folder.resolve()), least, most, cores, loaded.threads, loaded.engine_name)
    inner = Credentials.create()
    on_ray.connect(ray, cores=most * cores)
    try:
        ingress = Ingress(
            loaded.digest,
            on_ray.run_replicas(plan, inner),
            inner,
            address=listen,
            credentials=credentials,
            insecure=credentials is None,
            tokens=None if credentials is None else Tokens(state),
            max_payload_bytes=loaded.max_payload_bytes,
        )
        print(json.dumps({"address": ingress.address} | ready), flush=True)  # noqa: T201 -- this line is for programs
        serve_forever(ingress)
    finally:
        on_ray.stop()
