"""LinkMonitor: sends probes and handshakes over one link, and keeps its `LinkState` for several threads.

May import: ``errors``, ``energy``, ``channel``, ``scheduling``.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import final

from adaedge.channel import RateEstimate, RateEstimator
from adaedge.energy import Radio
from adaedge.errors import (
    LinkDownError,
    LinkError,
    LinkTimeoutError,
    OverloadError,
    RefusedError,
    StaleReferenceError,
)
from adaedge.runtime.clock import Clock
from adaedge.runtime.link import HELLO_BYTES, Link, Reply
from adaedge.scheduling import (
    PROBE_BYTES,
    Exchange,
    Failure,
    LinkState,
    ProbePlan,
    Purpose,
    UploadRecord,
    patience_with,
    trips_of,
)

_log = logging.getLogger(__name__)
_FAILURES: dict[type[Exception], Failure] = {
    LinkTimeoutError: Failure.TIMEOUT,
    LinkDownError: Failure.DOWN,
    OverloadError: Failure.OVERLOAD,
    RefusedError: Failure.REFUSED,
    StaleReferenceError: Failure.STALE,
}
_ROUND_TRIPS = 3  # the shortest of so many counts: the first one after a handshake is slow


@final
class LinkMonitor:
    """Keeps the state of one link. Safe to use from several threads.

    What follows from an exchange is decided by `LinkState`. While the link is down, probes (a handshake, then some
    bytes), as the plan allows them, bring it back; while it is up and unused, probes keep the estimate fresh.

    Args:
        link: the link.
        bundle: SHA-256 of the bundle, for the handshake.
        estimator: turns uploads into a rate.
        clock: the time.
        plan: when to probe.
        handshake_timeout_s: seconds that a handshake or a probe has.
        radio: the terminal's; what it takes to wake is no part of an upload.
        wants_probe: whether to probe now, of the link's state and the time; as the plan says by default.
        probe_timeout_s: seconds that a probe has, of its round trips; as long as a first handshake by default.
    """

    def __init__(
        self,
        link: Link,
        bundle: str,
        estimator: RateEstimator,
        clock: Clock,
        plan: ProbePlan,
        handshake_timeout_s: float,
        radio: Radio | None = None,
        wants_probe: Callable[[LinkState, float], bool] | None = None,
        probe_timeout_s: Callable[[float], float] | None = None,
    ) -> None:
        self._link = link
        self._bundle = bundle
        self._estimator = estimator
        self._clock = clock
        self._timeout_s = handshake_timeout_s
        self._state = LinkState(plan, radio=radio, patience=patience_with(estimator))
        self._probe_timeout_s = probe_timeout_s
        self._wants_probe = LinkState.probe_due if wants_probe is None else wants_probe
        self._told = False  # somebody knows that it is down
        self._probes: list[UploadRecord] = []
        self._lock = threading.Condition()

    @property
    def up(self) -> bool:
        """Whether the edge server can be used, as far as is known."""
        return self._state.up

    def estimate(self, now_s: float) -> RateEstimate | None:
        """The link's rate; ``None`` while it is down or nothing was sent yet."""
        with self._lock:
            return self._state.estimate(self._estimator, now_s)

    def crossed(
        self, start_s: float, end_s: float, payload_bytes: int, edge_s: float, upload_s: float | None
    ) -> UploadRecord:
        """A payload was answered. Where the link does not tell ``upload_s``, the upload is what the rest leaves."""
        with self._lock:
            return self._learn(Exchange(start_s, end_s, payload_bytes, edge_s=edge_s, upload_s=upload_s))

    def failed(self, error: Exception, start_s: float, end_s: float, payload_bytes: int, edge_s: float) -> UploadRecord:
        """A payload was not answered, or not readably. ``edge_s`` is what the edge server was expected to compute."""
        with self._lock:
            return self._learn(_failed(error, start_s, end_s, payload_bytes, Purpose.FRAME, edge_s), error)

    def due(self) -> bool:
        """Whether a probe is wanted now."""
        return self._wants_probe(self._state, self._clock.now_s())

    def refresh(self) -> None:
        """Probe beside the caller, if a probe is due."""
        with self._lock:
            if not self.due():
                return
            self._state = self._state.probe_sent()
        self._clock.run_in_background(self._probe_in_background)

    def probe(self) -> None:
        """Probe now: a handshake where the link is down, then some bytes.

        Raises:
            LinkError: if the edge server did not answer; the link is down then.
        """
        with self._lock:
            self._state = self._state.probe_sent()
        self._probe()

    def take_probes(self) -> list[UploadRecord]:
        """The probes and handshakes since the last call, answered or not, for the energy meter."""
        with self._lock:
            probes, self._probes = self._probes, []
        return probes

    def close(self) -> None:
        """Wait for a probe that is under way, and close the link."""
        with self._lock:
            self._lock.wait_for(lambda: not self._state.probing, timeout=3 * self._timeout_s)
        self._link.close()

    def _probe_in_background(self) -> None:
        with contextlib.suppress(LinkError):  # the link is down, and the next probe is planned
            self._probe()

    def _probe(self) -> None:
        try:
            if not self.up:
                self._timed(Purpose.HANDSHAKE, HELLO_BYTES)
                round_trip_s = min(self._timed(Purpose.PROBE, 0) for _ in range(_ROUND_TRIPS))
                with self._lock:
                    self._state = self._state.contacted(round_trip_s)
            self._timed(Purpose.PROBE, PROBE_BYTES)
        finally:
            with self._lock:
                self._state = replace(self._state, probing=False)  # whatever a user's own link raises
                self._lock.notify_all()

    def _timed(self, purpose: Purpose, size_bytes: int) -> float:
        """Seconds that it takes, there and back. An attempt that fails is not lost to the energy meter."""
        start_s = self._clock.now_s()
        try:
            reply = self._send(purpose, size_bytes)
        except LinkError as error:
            exchange = _failed(error, start_s, self._clock.now_s(), size_bytes, purpose)
            with self._lock:
                self._probes.append(self._learn(exchange, error))
            raise
        exchange = Exchange(start_s, self._clock.now_s(), size_bytes, purpose, upload_s=reply.upload_s)
        with self._lock:
            self._probes.append(self._learn(exchange))
        return exchange.end_s - start_s

    def _send(self, purpose: Purpose, size_bytes: int) -> Reply:
        if purpose is Purpose.PROBE:
            return self._link.probe(size_bytes, self._given_s())
        self._link.hello(self._bundle, self._given_s())
        return Reply(b"")

    def _given_s(self) -> float:
        """Seconds that a probe has now; all of them until a first contact has told the round trip."""
        trips_s = trips_of(self._state)
        if self._probe_timeout_s is None or not trips_s:
            return self._timeout_s
        return min(self._timeout_s, self._probe_timeout_s(trips_s))

    def _learn(self, exchange: Exchange, error: Exception | None = None) -> UploadRecord:
        """Take an exchange into the state and the estimate; say so where the link comes up or falls."""
        before, step = self._state, self._state.after(exchange)
        if step.lesson is not None:
            self._estimator.observe(step.lesson)
        self._state = step.state
        if step.state.up and not before.up:
            _log.info("the edge server can be used")
        if error is not None and not step.state.up:
            if before.up or (exchange.purpose is Purpose.FRAME and not self._told):
                _log.warning("frames are answered locally until the edge server is back: %s", error)
            self._told = True  # by this warning, or by the error that whoever asked for the probe gets
        return step.record


def _failed(
    error: Exception, start_s: float, end_s: float, size_bytes: int, purpose: Purpose, edge_s: float = 0.0
) -> Exchange:
    """An exchange that brought no usable answer. What is no `LinkError` is an answer that could not be read."""
    failure = next((kind for cls, kind in _FAILURES.items() if isinstance(error, cls)), Failure.CORRUPTED)
    sent_bytes = error.sent_bytes if isinstance(error, LinkTimeoutError) else None
    return Exchange(start_s, end_s, size_bytes, purpose, failure, edge_s, sent_bytes=sent_bytes)
