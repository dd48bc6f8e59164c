"""LinkWatch: whether the edge server can be used and how fast the link is, from what was sent over it.

May import: ``errors``, ``channel``, ``scheduling``.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import final

from adaedge.channel import RateEstimate, RateEstimator, Upload
from adaedge.errors import LinkDownError, LinkError, LinkTimeoutError
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

    It begins when the radio is awake: the meter charges the promotion by itself. One that timed out counts as sending
    until it was given up: the bytes that crossed where the link knows them, all where it does not. One whose connection
    broke has no bytes.
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
        promotion_s: seconds that the radio takes to wake up. Where the link does not tell how long an upload took, they
            are taken off the first one after a sleep, unless it was too short to hold them. They come from the energy
            model: over a cable that is modelled as a radio, such an upload then seems up to ten times as fast.
        tail_s: seconds that the radio stays awake after its last packet.
    """

    def __init__(
        self,
        link: Link,
        bundle: str,
        estimator: RateEstimator,
        clock: Clock,
        plan: ProbePlan,
        timeout_s: float,
        *,
        promotion_s: float = 0.0,
        tail_s: float = 0.0,
    ) -> None:
        self._link = link
        self._bundle = bundle
        self._estimator = estimator
        self._clock = clock
        self._plan = plan
        self._timeout_s = timeout_s
        self._promotion_s = promotion_s
        self._tail_s = tail_s
        self._active_s = -math.inf  # when the radio carried its last packet
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

    def crossed(
        self, start_s: float, end_s: float, payload_bytes: int, edge_s: float, upload_s: float | None
    ) -> Crossing:
        """A payload was answered. Where the link does not tell ``upload_s``, the upload is what the rest leaves."""
        with self._lock:
            self._up, self._timeouts = True, 0
            self._plan = self._plan.used(end_s)
            return self._arrived(start_s, end_s, payload_bytes, edge_s, upload_s)

    def failed(self, error: Exception, start_s: float, end_s: float, payload_bytes: int, edge_s: float) -> Crossing:
        """A payload was not answered, or not readably. ``edge_s`` is what the edge server was expected to compute."""
        with self._lock:
            self._plan = self._plan.used(end_s)
            crossing = self._lost(error, start_s, end_s, payload_bytes, edge_s)
            self._timeouts += isinstance(error, LinkTimeoutError)
            if self._timeouts >= _TIMEOUTS or not isinstance(error, LinkTimeoutError):
                self._fall(error)
            return crossing

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
            self._probes.append(self._crossing(start_s, self._clock.now_s(), HELLO_BYTES))

    def _timed(self, size_bytes: int) -> float:
        """Seconds that a probe of so many bytes takes, there and back. Without bytes it is all waiting."""
        start_s = self._clock.now_s()
        with self._counted(start_s, size_bytes):
            reply = self._link.probe(size_bytes, self._timeout_s)
        end_s = self._clock.now_s()
        with self._lock:
            self._probes.append(self._arrived(start_s, end_s, size_bytes, 0.0, reply.upload_s))
        return end_s - start_s

    @contextmanager
    def _counted(self, start_s: float, size_bytes: int) -> Iterator[None]:
        """Let no attempt that fails be lost to the energy meter."""
        try:
            yield
        except LinkError as error:
            end_s = self._clock.now_s()
            with self._lock:
                self._probes.append(self._lost(error, start_s, end_s, size_bytes, 0.0))
            raise

    def _arrived(self, start_s: float, end_s: float, size: int, edge_s: float, upload_s: float | None) -> Crossing:
        """Learn from an upload that was answered."""
        woken_s = 0.0
        if upload_s is None:
            computed_s = min(max(edge_s, 0.0), end_s - start_s)  # the edge server's word, within what can be
            upload_s = end_s - start_s - computed_s - self._round_trip_s
            woken_s = self._woken_s(start_s, upload_s)
        self._active_s = max(self._active_s, end_s)
        begin_s = start_s + woken_s
        if not size:
            return Crossing(begin_s, begin_s, 0)
        upload_s = max(upload_s - woken_s, _SHORTEST_S)
        self._estimator.observe(Upload(end_s, size, upload_s))
        return Crossing(begin_s, min(begin_s + upload_s, end_s), size)

    def _lost(self, error: Exception, start_s: float, end_s: float, size: int, edge_s: float) -> Crossing:
        """Learn from an upload that was not answered."""
        crossing = self._crossing(start_s, end_s, _sent_bytes(error, size))
        # The way back did not fit either: what is left bounds the upload.
        bound_s = end_s - edge_s - crossing.start_s - self._round_trip_s
        if isinstance(error, LinkTimeoutError) and size > HELLO_BYTES and bound_s > 0:
            self._estimator.observe(Upload(end_s - edge_s, size, bound_s, completed=False))
        return crossing

    def _crossing(self, start_s: float, end_s: float, size: int) -> Crossing:
        """An upload that took all this time, the radio's waking up before it."""
        begin_s = start_s + self._woken_s(start_s, end_s - start_s)
        self._active_s = max(self._active_s, end_s)
        return Crossing(begin_s, end_s, size)

    def _woken_s(self, start_s: float, lasted_s: float) -> float:
        """Seconds of an upload in which the radio woke up; a tenth is left for the upload, for promotions vary."""
        asleep = start_s > self._active_s + self._tail_s
        return min(self._promotion_s, 0.9 * lasted_s) if asleep and lasted_s > self._promotion_s else 0.0

    def _fall(self, error: Exception) -> None:
        if self._up or not self._told:
            _log.warning("frames are answered locally until the edge server is back: %s", error)
        self._up, self._told = False, True


def _sent_bytes(error: Exception, size: int) -> int:
    """Bytes of a payload that were sent before it failed, as far as is known."""
    if isinstance(error, LinkTimeoutError) and error.sent_bytes is not None:
        return error.sent_bytes
    return 0 if isinstance(error, LinkDownError) else size
