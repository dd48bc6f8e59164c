"""EdgeServer: answers payloads over gRPC.

May import: ``errors``, ``operating_point``, ``bundle``, ``taught``, ``extras``.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any, Protocol, final

import grpc
import numpy as np

from adaedge.bundle import Bundle
from adaedge.bundle.entries import Subgraph
from adaedge.errors import OverloadError, PayloadError, StaleReferenceError
from adaedge.operating_point import INPUT, OperatingPoint
from adaedge.runtime import rpc
from adaedge.runtime.access_tokens import Tokens
from adaedge.runtime.admission import Admission
from adaedge.runtime.callers import Callers, ForwardedCallers
from adaedge.runtime.calls import Calls, Refusals
from adaedge.runtime.credentials import Credentials
from adaedge.runtime.edge_session import EdgeSession
from adaedge.runtime.json_logs import about_frame
from adaedge.runtime.listener import Listener
from adaedge.runtime.prometheus import Observer
from adaedge.runtime.teacher import Teaching
from adaedge.taught.held_weights import HeldWeights

_log = logging.getLogger(__name__)
_GRACE_S = 10.0
# Calls at the same time, computed or waiting.
_CALLS = 128


@final
class EdgeServer:
    """An edge server for one bundle. It listens from ``start`` (or ``with``) until ``stop``.

    Several terminals may use it at once; no message larger than the bundle can need is accepted.

    Args:
        bundle: what it answers with.
        address: ``HOST:PORT`` to listen on; port 0 takes a free one.
        credentials: certificate, key and token. ``None`` only with ``insecure``.
        insecure: no TLS; without credentials no token either. For experiments on one machine; it warns.
        session: what answers and what it may hold of streams; one with the usual limits by default.
        workers: frames computed at the same time; by default, as many as there are cores. What cannot be ready in time
            is refused at once, see ``admission``.
        tokens: those of terminals that have one of their own, beside that of ``credentials``.
        observer: is told of every payload, such as `Prometheus`.
        health: answer gRPC's health checks too; needs the extra ``metrics``.
        behind_ingress: an `Ingress` calls, which says whose payload it is; only it may know the token.
        teaching: teaches a student by frames that a terminal's `Pupil` sends, such as a `TeacherProcess`.

    Raises:
        LinkError: if there are no credentials and ``insecure`` was not asked for, or the address is taken.

    Example:
        >>> import adaedge, torch
        >>> bundle = adaedge.build(torch.nn.Linear(4, 2).eval(), (torch.zeros(1, 4),), adaedge.Space([]))
        >>> credentials = Credentials.create()
        >>> with EdgeServer(bundle, credentials=credentials) as server:
        ...     link = adaedge.GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        ...     link.hello(bundle.digest, timeout_s=2.0)
        ...     link.close()
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        address: str = "127.0.0.1:0",
        credentials: Credentials | None = None,
        insecure: bool = False,
        session: EdgeSession | None = None,
        workers: int | None = None,
        tokens: Tokens | None = None,
        observer: Observer | None = None,
        health: bool = False,
        behind_ingress: bool = False,
        teaching: Teaching | None = None,
    ) -> None:
        self._bundle = bundle
        token = None if credentials is None else credentials.token
        callers = ForwardedCallers(token) if behind_ingress else Callers(token, tokens)
        self.admission = Admission(workers or os.cpu_count() or 1)
        self.session = session or EdgeSession(bundle)
        refusals = Refusals(observer)
        answers = _Answers(bundle, self.session, self.admission, observer, refusals, teaching)
        more = {} if teaching is None else {rpc.LABEL: answers.label, rpc.UPDATE: answers.update}
        self._listener = Listener(
            Calls(bundle.digest, callers, answers.infer, refusals, more).handler(),
            address,
            credentials,
            insecure=insecure,
            calls=_CALLS,
            max_bytes=bundle.max_payload_bytes,
            health=health,
            name="adaedge-edge",
        )
        self.address = self._listener.address

    def preload(self, points: Iterable[OperatingPoint] | None = None) -> None:
        """Load and run the tails of these points now (of all, by default), instead of at each one's first payload."""
        points = [point for point in points or self._bundle.points if not point.is_local]
        for point in points:
            self._bundle.codec(point)
        took_s = {half: self._timed(half) for half in {self._bundle.route(point).edge_half for point in points} if half}
        for point in points:
            if half := self._bundle.route(point).edge_half:
                self.admission.expect(point, took_s[half])
        self.session.preload(points)

    def _timed(self, half: Subgraph) -> float:
        """Seconds of a tail on zeros, the second time: the first loads it."""
        for _ in range(2):
            start_s = time.perf_counter()
            outputs = self._bundle.engine(half).run([np.zeros(spec.shape, spec.dtype) for spec in half.inputs])
            self._bundle.answers.write(self._bundle.answers.reduce(outputs))
        return time.perf_counter() - start_s

    def start(self) -> None:
        """Begin to answer."""
        self._listener.start()

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Take no more calls, finish those that run for at most ``grace_s``, and stop."""
        self._listener.stop(grace_s)

    def __enter__(self) -> EdgeServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Serving(Protocol):
    """A server that answers terminals: an `EdgeServer`, or the ingress of many."""

    def start(self) -> None:
        """Begin to answer."""
        ...

    def stop(self, grace_s: float) -> None:
        """Finish the calls that run, and stop."""
        ...


def serve_forever(server: Serving, *, grace_s: float = _GRACE_S) -> None:
    """Start the server and stay until SIGTERM or SIGINT; then finish the calls that run. For the main thread only."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.start()
        stopped.wait()
    finally:
        server.stop(grace_s)
        for number, handler in before.items():
            signal.signal(number, handler)


@final
class _Answers:
    """Answers payloads in the order that the admission gives them."""

    def __init__(
        self,
        bundle: Bundle,
        session: EdgeSession,
        admission: Admission,
        observer: Observer | None,
        refusals: Refusals,
        teaching: Teaching | None = None,
    ) -> None:
        self._teaching = teaching
        self._bundle, self._session, self._admission, self._observer = bundle, session, admission, observer
        self._refusals, self._refuse = refusals, refusals.refuse

    def label(self, request: bytes, context: Any, terminal: str) -> bytes:
        """Answer a frame, and give it to whoever teaches."""
        return self.infer(request, context, terminal, labels=True)

    def update(self, request: bytes, context: Any, _: str) -> bytes:
        """The update upon what a terminal holds."""
        assert self._teaching is not None
        try:
            return self._teaching.update(HeldWeights.from_bytes(request))
        except PayloadError as error:
            self._refuse("unreadable", context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def infer(self, request: bytes, context: Any, terminal: str, *, labels: bool = False) -> bytes:
        left_s = self._refusals.left_s(context)
        start_s = time.perf_counter()
        about: dict[str, Any] = {}  # what is known of the frame, for the log
        try:
            message = self._bundle.read(request)
            heard = self._teaching.label if labels and self._teaching is not None else None
            if heard is not None and message.point != OperatingPoint(INPUT, codec=message.point.codec):
                raise PayloadError(f"a frame is labelled whole, at `{INPUT}`; got {message.point}")
            about = about_frame(message.stream, message.sequence, terminal=terminal, point=str(message.point))
            read_s = time.perf_counter() - start_s
            with self._admission.turn(message.point, left_s, terminal) as waited_s:
                reply = self._session.answer(message, waited_s, read_s, terminal, heard)
        except OverloadError as error:
            self._refuse("overload", context, grpc.StatusCode[rpc.OVERLOAD], str(error), about)
        except StaleReferenceError as error:
            self._refuse("stale", context, grpc.StatusCode[rpc.STALE], str(error), about)
        except PayloadError as error:
            self._refuse("unreadable", context, grpc.StatusCode.INVALID_ARGUMENT, str(error), about)
        except Exception:
            # The terminal learns that it failed, the log why.
            _log.exception("a payload of %d bytes could not be answered", len(request), extra=about)
            text = "the edge server failed on this payload; its log says why"
            self._refuse("failed", context, grpc.StatusCode.INTERNAL, text, about)
        took_s = time.perf_counter() - start_s
        _log.debug("answered %d bytes in %.1f ms", len(request), 1e3 * took_s, extra=about)
        if self._observer is not None:
            self._observer.answered(message.point, took_s - waited_s, waited_s)
        return reply
