"""Ingress: what terminals see of an edge of many machines: one address, with our wire, TLS and tokens.

May import: ``errors``, ``payload``, ``runtime``; of this part ``ways``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

import grpc

from adaedge.cluster.ways import Way, Ways
from adaedge.errors import PayloadError
from adaedge.payload import MAX_BYTES, wire
from adaedge.runtime import Credentials, Tokens
from adaedge.runtime.callers import Callers
from adaedge.runtime.calls import Calls, Refusals, abort
from adaedge.runtime.listener import Listener
from adaedge.runtime.prometheus import Observer

# Calls at the same time: each waits in a thread for its replica.
_CALLS = 512
_GRACE_S = 10.0
_LONGEST_S = 60.0  # a terminal says when it needs its answer; what says nothing waits no longer
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


@final
class Ingress:
    """Answers terminals by passing their payloads on to replicas. It listens from ``start`` (or ``with``) to ``stop``.

    It checks the token, answers hello and probe itself, and reads of a payload only the header: which stream, and what
    the payload builds upon. `Affinity` says which replica it goes to. Where a replica is gone, the payload goes to
    another one within its deadline; one that builds upon what is lost is refused there as stale, so that the terminal
    sends a refresh. Everything else a replica says, refusals included, is passed back as it is.

    Args:
        digest: of the bundle that the replicas hold.
        addresses: asks which replicas there are, as ``HOST:PORT``.
        inner: certificate of the replicas and the token that they ask of the ingress; no terminal knows either.
        address: ``HOST:PORT`` to listen on; port 0 takes a free one.
        credentials: certificate, key and token that terminals know. ``None`` only with ``insecure``.
        insecure: no TLS towards terminals; without credentials no token either. It warns.
        tokens: those of terminals that have one of their own. An ingress counts the calls that pass through it.
        max_payload_bytes: largest payload.
        observer: is told of payloads that are refused here.
        health: answer gRPC's health checks too; needs the extra ``metrics``.

    Raises:
        LinkError: if there are no credentials and ``insecure`` was not asked for, or the address is taken.
    """

    def __init__(
        self,
        digest: str,
        addresses: Callable[[], Iterable[str]],
        inner: Credentials,
        *,
        address: str = "127.0.0.1:0",
        credentials: Credentials | None = None,
        insecure: bool = False,
        tokens: Tokens | None = None,
        max_payload_bytes: int = MAX_BYTES,
        observer: Observer | None = None,
        health: bool = False,
    ) -> None:
        callers = Callers(None if credentials is None else credentials.token, tokens)
        self._refusals = Refusals(observer)
        self._ways = Ways(addresses, lambda where: Way(where, inner, max_payload_bytes))
        self._listener = Listener(
            Calls(digest, callers, self._infer, self._refusals).handler(),
            address,
            credentials,
            insecure=insecure,
            calls=_CALLS,
            max_bytes=max_payload_bytes,
            health=health,
            name="adaedge-ingress",
        )
        self.address = self._listener.address

    @property
    def replicas(self) -> tuple[str, ...]:
        """Addresses of those that payloads go to now."""
        return self._ways.affinity.replicas

    def start(self) -> None:
        """Begin to answer."""
        self._ways.start()
        self._listener.start()

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Take no more calls, finish those that run for at most ``grace_s``, and stop."""
        self._listener.stop(grace_s)
        self._ways.close()

    def __enter__(self) -> Ingress:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _infer(self, payload: bytes, context: Any, terminal: str) -> bytes:
        try:
            stream, base = wire.place_in_stream(payload)
        except PayloadError as error:
            self._refusals.refuse("unreadable", context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        tried: list[str] = []
        while True:
            with self._ways.affinity.turn(stream, base, tried) as replica:
                if replica is None:
                    text = "no replica of this edge server runs now; the cluster starts one"
                    self._refusals.refuse("failed", context, grpc.StatusCode.UNAVAILABLE, text)
                tried.append(replica)
                answer = self._answer(replica, payload, context, terminal)
            if answer is not None:
                return answer

    def _answer(self, replica: str, payload: bytes, context: Any, terminal: str) -> bytes | None:
        """A replica's answer; ``None`` where it is gone."""
        left_s = self._refusals.left_s(context)
        way = self._ways[replica]
        try:
            return None if way is None else way.infer(payload, _LONGEST_S if left_s is None else left_s, terminal)
        except ValueError:  # what gRPC raises on a channel that another call found lost
            return None
        except grpc.RpcError as error:
            if error.code() not in _GONE:
                abort(context, error.code(), str(error.details() or ""))
        self._ways.lost(replica)
        return None
