"""LinkWatch: whether the edge server can be used and how fast the link is, from what was sent over it.

May import: ``errors``, ``channel``, ``scheduling``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import final

from adaedge.channel import RateEstimate, RateEstimator, Upload
from adaedge.errors import LinkError, LinkTimeoutError
from adaedge.runtime.clock import Clock
from adaedge.runtime.link import Link
from adaedge.runtime.shaped import HELLO_BYTES
from adaedge.scheduling import PROBE_BYTES, ProbePlan

_log = logging.getLogger(__name__)
# Shorter uploads cannot be told from the noise of two busy machines, and a rate that seems too high by a factor of a
# hundred would make the next upload look like a link that has collapsed.
_SHORTEST_S = 1e-3
_ROUND_TRIPS = 3  # the shortest of so many counts: the first one after a handshake is slow
# One time-out may be the radio's fault, and the rate estimate takes care of it; two in a row are a server that hangs.
_TIMEOUTS = 2


@dataclass(frozen=True, slots=True)
class Crossing:
    """An upload that happened, for the energy meter: when it began and ended, and its bytes.

    One that timed out counts as sending, all its bytes, until it was given up. How much of it crossed is not known.
    """

    start_s: float
    end_s: float
    payload_bytes: int


@final
class LinkWatch:
    """Keeps the state of one link. Safe to use from several threads.

    The link is *up* after a handshake and a probe, and after every answered payload; *down* after a refusal, a broken
    connection, an unreadable answer, or two time-outs in a row. While it is down there is no estimate, so the scheduler
    stays local, and probes (a handshake, then some bytes), as the plan allows them, bring it back. While it is up and
    unused, probes keep the estimate fresh.

    Args:
        link: the link.
        bundle: SHA-256 of the bundle, for the handshake.
        estimator: turns uploads into a rate.
        clock: the time.
        plan: when to probe.
        timeout_s: seconds that a handshake or a probe has.
    """

    def __init__(
        self, link: Link, bundle: str, estimator: RateEstimator, clock: Clock, plan: ProbePlan, timeout_s: float
    ) -> None:
        self._link = link
        self._bundle = bundle
        self._estimator = estimator
        self._clock = clock
        self._plan = plan
        self._timeout_s = timeout_s
        self._up = False
        self._told = False  # somebody knows that it is down
        self._timeouts = 0
        self._round_trip_s = 0.0
        self._probing = False
        self._probes: list[Crossing] = []
        self._lock = threading.Condition()

    @property
    def up(self) -> bool:
        """Whether the edge server can be used, as far as is known."""
        return self._up

    def estimate(self, now_s: float) -> RateEstimate | None:
        """The link's rate; ``None`` while it is down or nothing was sent yet."""
        with self._lock:
            estimate = self._estimator.estimate(now_s) if self._up else None
            return estimate and replace(estimate, round_trip_s=self._round_trip_s)

    def crossed(self, start_s: float, end_s: float, payload_bytes: int, edge_s: float, upload_s: float | None) -> float:
        """A payload was answered. Returns the seconds of its upload: the link's own figure, or what the rest leaves."""
        with self._lock:
            self._up, self._timeouts = True, 0
            upload_s = self._observe(start_s, end_s, payload_bytes, edge_s, upload_s)
            self._plan = self._plan.used(end_s)
        return upload_s

    def failed(self, error: Exception, start_s: float, end_s: float, payload_bytes: int, edge_s: float) -> None:
        """A payload was not answered, or not readably. ``edge_s`` is what the edge server was expected to compute."""
        with self._lock:
            self._plan = self._plan.used(end_s)
            if isinstance(error, LinkTimeoutError):
                self._gave_up(start_s, end_s - edge_s, payload_bytes)
                self._timeouts += 1
                if self._timeouts < _TIMEOUTS:
                    return
            self._fall(error)

    def due(self) -> bool:
        """Whether the plan wants a probe now."""
        return self._plan.due(self._clock.now_s())

    def refresh(self) -> None:
        """Probe beside the caller, if a probe is due."""
        with self._lock:
            if self._probing or not self.due():
                return
            self._probing = True
        self._clock.run_aside(self._probe_aside)

    def probe(self) -> None:
        """Probe now: a handshake where the link is down, then some bytes.

        Raises:
            LinkError: if the edge server did not answer; the link is down then.
        """
        try:
            if not self._up:
                self._hello()
                self._round_trip_s = min(self._timed(0) for _ in range(_ROUND_TRIPS))
            self._timed(PROBE_BYTES)
        except LinkError as error:
            with self._lock:
                self._plan = self._plan.after(self._clock.now_s(), ok=False)
                self._told = True  # whoever asked for the probe knows
                self._fall(error)
            raise
        with self._lock:
            self._plan = self._plan.after(self._clock.now_s(), ok=True)
            if not self._up:
                _log.info("the edge server can be used")
            self._up, self._timeouts = True, 0

    def take_probes(self) -> list[Crossing]:
        """The probes and handshakes since the last call, answered or not, for the energy meter."""
        with self._lock:
            probes, self._probes = self._probes, []
        return probes

    def close(self) -> None:
        """Wait for a probe that is under way, and close the link."""
        with self._lock:
            self._lock.wait_for(lambda: not self._probing, timeout=3 * self._timeout_s)
        self._link.close()

    def _probe_aside(self) -> None:
        try:
            self.probe()
        except LinkError:
            pass  # the link is down, and the next probe is planned
        finally:
            with self._lock:
                self._probing = False
                self._lock.notify_all()

    def _hello(self) -> None:
        """A handshake; all of its time counts as sending, for nobody knows yet how much of it is waiting."""
        start_s = self._clock.now_s()
        with self._counted(start_s, HELLO_BYTES):
            self._link.hello(self._bundle, self._timeout_s)
        with self._lock:
            self._probes.append(Crossing(start_s, self._clock.now_s(), HELLO_BYTES))

    def _timed(self, size_bytes: int) -> float:
        """Seconds that a probe of so many bytes takes, there and back. Without bytes it is all waiting."""
        start_s = self._clock.now_s()
        with self._counted(start_s, size_bytes):
            reply = self._link.probe(size_bytes, self._timeout_s)
        end_s = self._clock.now_s()
        with self._lock:
            upload_s = self._observe(start_s, end_s, size_bytes, 0.0, reply.upload_s) if size_bytes else 0.0
            self._probes.append(Crossing(start_s, start_s + upload_s, size_bytes))
        return end_s - start_s

    @contextmanager
    def _counted(self, start_s: float, size_bytes: int) -> Iterator[None]:
        """Let no attempt that fails be lost to the energy meter."""
        try:
            yield
        except LinkError as error:
            end_s = self._clock.now_s()
            with self._lock:
                if isinstance(error, LinkTimeoutError) and size_bytes > HELLO_BYTES:
                    self._gave_up(start_s, end_s, size_bytes)  # fewer bytes say nothing of the rate
                self._probes.append(Crossing(start_s, end_s, size_bytes))
            raise

    def _observe(self, start_s: float, end_s: float, size: int, edge_s: float, upload_s: float | None) -> float:
        if upload_s is None:
            computed_s = min(max(edge_s, 0.0), end_s - start_s)  # the edge server's word, within what can be
            upload_s = end_s - start_s - computed_s - self._round_trip_s
        upload_s = max(upload_s, _SHORTEST_S)
        self._estimator.observe(Upload(end_s, size, upload_s))
        return upload_s

    def _gave_up(self, start_s: float, end_s: float, size_bytes: int) -> None:
        # The way back did not fit either: what is left bounds the upload.
        bound_s = end_s - start_s - self._round_trip_s
        if size_bytes and bound_s > 0:
            self._estimator.observe(Upload(end_s, size_bytes, bound_s, completed=False))

    def _fall(self, error: Exception) -> None:
        if self._up or not self._told:
            _log.warning("frames are answered locally until the edge server is back: %s", error)
        self._up, self._told = False, True
