"""Applications of Ray Serve: replicas alone, for an ingress in this process; both together, for a Serve config file.

May import: ``errors``, ``extras``, ``bundle``, ``runtime``; of this part all. Needs the extra ``ray``.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from adaedge.bundle import Bundle
from adaedge.cluster.ingress import Ingress
from adaedge.cluster.load import by_load
from adaedge.cluster.plan import ReplicaPlan
from adaedge.cluster.replica import Replica
from adaedge.errors import LinkError
from adaedge.extras import load
from adaedge.runtime import Credentials, Tokens, default_folder

NAME = "adaedge"
LOCAL = "local"
_WANTED = "an edge of many machines"
_ANSWER_S = 2.0  # how long a replica may take to say where it is
_DRAIN_S = 10.0
_REACH_S = 3.0


def connect(address: str, cores: int) -> None:
    """Join a Ray cluster, or start one on this machine.

    Args:
        address: ``HOST:PORT`` of a cluster, ``auto`` for the one that this machine belongs to, or ``local``.
        cores: that a cluster started here may use.

    Raises:
        MissingExtraError: without the extra ``ray``.
        LinkError: if there is no cluster.
    """
    ray: Any = load("ray", _WANTED)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody unless it is asked for
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
    try:
        if address == LOCAL:
            ray.init(address=LOCAL, num_cpus=cores, include_dashboard=False, **quiet)
        else:
            if ":" in address and "://" not in address:
                _reach(address)
            ray.init(address=address, **quiet)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise LinkError(
            f"no Ray cluster at {address}: {str(error).splitlines()[0]}. Start one with `ray start --head` and join it"
            f" from this machine, or pass --ray {LOCAL}"
        ) from error


def _reach(address: str) -> None:
    """See that something listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()


def run_replicas(plan: ReplicaPlan, inner: Credentials) -> Callable[[], list[str]]:
    """Deploy replicas and wait for the first ones; what asks where they are.

    Raises:
        LinkError: if they do not run: no machine has so many cores, or the bundle is not on it.
    """
    serve: Any = load("ray.serve", _WANTED, extra="ray")
    serve.start(proxy_location="Disabled")  # terminals reach the ingress, and nothing listens for HTTP
    try:
        handle = serve.run(replicas(plan, inner), name=NAME, route_prefix=None)
    except RuntimeError as error:
        raise LinkError(
            f"the replicas do not run: {error}. Is {plan.bundle} on every machine of the cluster?"
        ) from error
    return lambda: where(handle)


def stop() -> None:
    """Take the replicas down and leave the cluster; one that was started here ends."""
    serve: Any = load("ray.serve", _WANTED, extra="ray")
    serve.delete(NAME)
    load("ray", _WANTED).shutdown()


def where(handle: Any) -> list[str]:
    """Addresses of the replicas that say so."""
    told = handle.broadcast("where").results(timeout_s=_ANSWER_S, return_exceptions=True)
    return [address for address in told if isinstance(address, str)]


def replicas(plan: ReplicaPlan, inner: Credentials) -> Any:
    """The application of the replicas alone."""
    serve: Any = load("ray.serve", _WANTED, extra="ray")
    scale: dict[str, Any] = {"num_replicas": plan.least}
    if plan.most > plan.least:
        policy = {"policy_function": by_load}
        scale = {"autoscaling_config": {"min_replicas": plan.least, "max_replicas": plan.most, "policy": policy}}
    deployment = serve.deployment(
        Replica,
        name="Replica",
        ray_actor_options={"num_cpus": plan.cores},
        # One that is gone is to be seen in a second and not in ten.
        health_check_period_s=1.0,
        health_check_timeout_s=5.0,
        graceful_shutdown_timeout_s=_DRAIN_S,
        **scale,
    )
    return deployment.bind(plan, inner)


def application(args: dict[str, Any]) -> Any:
    """Ingress and replicas, for a Serve config file: ``import_path: adaedge.cluster.application:application``.

    Args:
        args: ``bundle``; and, if they are given, ``listen`` (``0.0.0.0:50051``), ``state`` (the folder of
            certificate, key and token, on the machine of the ingress), ``names`` that the certificate is for,
            ``replicas`` (``2``, or ``1-8``), ``cores``, ``threads``, ``engine``.

    Raises:
        LinkError: if an argument is none of these, or cannot be.
    """
    serve: Any = load("ray.serve", _WANTED, extra="ray")
    plan, listen, state, names = planned(args)
    inner = Credentials.create()
    deployment = serve.deployment(
        IngressReplica, name="Ingress", ray_actor_options={"num_cpus": 1}, max_ongoing_requests=8
    )
    return deployment.bind(replicas(plan, inner), plan.bundle, inner, listen, state, names)


def planned(args: dict[str, Any]) -> tuple[ReplicaPlan, str, str, tuple[str, ...]]:
    """The plan, address, folder and names in the arguments of a Serve config file.

    Raises:
        LinkError: if an argument is unknown, or the bundle is missing.
    """
    from adaedge.cluster.plan import replica_range

    known = {field.name for field in dataclasses.fields(ReplicaPlan)} - {"least", "most"}
    known |= {"replicas", "listen", "state", "names"}
    if strange := sorted({*args} - known):
        raise LinkError(f"no such argument: {', '.join(strange)}; those there are: {', '.join(sorted(known))}")
    if "bundle" not in args:
        raise LinkError("the argument bundle is missing: the folder of a bundle, on every machine of the cluster")
    given = dict(args)
    least, most = replica_range(str(given.pop("replicas", "1")))
    listen, state = given.pop("listen", "0.0.0.0:50051"), given.pop("state", str(default_folder()))
    names = tuple(given.pop("names", ()))
    return ReplicaPlan(least=least, most=most, **given), listen, state, names


@final
class IngressReplica:
    """The ingress as a deployment: it runs on a machine of the cluster and listens there.

    Args:
        handle: of the replicas.
        bundle: folder of the bundle.
        inner: credentials of the replicas.
        listen: address.
        state: folder of the credentials that terminals know.
        names: that its certificate is for, where it is made.
    """

    def __init__(
        self, handle: Any, bundle: str, inner: Credentials, listen: str, state: str, names: tuple[str, ...]
    ) -> None:
        loaded = Bundle.load(bundle)
        self._ingress = Ingress(
            loaded.digest,
            lambda: where(handle),
            inner,
            address=listen,
            credentials=Credentials.stored(Path(state), names),
            tokens=Tokens(state),
            max_payload_bytes=loaded.max_payload_bytes,
        )
        self._ingress.start()

    def where(self) -> str:
        """The address of the ingress."""
        return self._ingress.address

    def __del__(self) -> None:
        """What Ray Serve calls when it takes it down."""
        if ingress := getattr(self, "_ingress", None):
            ingress.stop()
