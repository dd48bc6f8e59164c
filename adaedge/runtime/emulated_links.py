"""Links that follow a rate trace: ShapedLink delays real bytes, ReplayLink replays the delays on a clock. And NoLink.

May import: ``errors``, ``channel``. Only the uplink is shaped: answers are small.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, final

from adaedge.errors import LinkDownError, LinkTimeoutError, PayloadError, RefusedError
from adaedge.runtime.clock import Clock, ManualClock
from adaedge.runtime.link import HELLO_BYTES, Link, Reply


class Transfer(Protocol):
    """The protocol of a trace: ``adaedge.channel.Trace``, or a user's own."""

    def transfer_s(self, payload_bytes: float, start_s: float) -> float:
        """Seconds that so many bytes take when the first is sent at ``start_s``."""
        ...

    def bytes_within(self, start_s: float, duration_s: float) -> float:
        """Bytes that cross in ``duration_s`` seconds from ``start_s``."""
        ...


@final
class ShapedLink:
    """A link whose uploads take as long as a trace says: bytes are really held back, in real time.

    Uploads share the link: one waits for another to end. A reply says how long its upload took, waiting included.

    Args:
        link: where the bytes go once they have taken their time.
        trace: the rate along time.
        clock: says where in the trace we are; it must run with real time (``MonotonicClock`` or ``SkippingClock``).

    Raises:
        LinkTimeoutError: from a call that the link does not carry in time.
    """

    def __init__(self, link: Link, trace: Transfer, clock: Clock) -> None:
        self._link = link
        self._trace = trace
        self._clock = clock
        self._lock = threading.Lock()

    def hello(self, bundle: str, timeout_s: float) -> None:
        """Hold the hello back, then pass it on."""
        left_s, _ = self._hold_back(HELLO_BYTES, timeout_s)
        self._link.hello(bundle, left_s)

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:
        """Hold the payload back, then pass it on."""
        left_s, upload_s = self._hold_back(len(payload), timeout_s)
        return Reply(self._link.exchange(payload, left_s).data, upload_s)

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:
        """Hold the probe back, then pass it on."""
        left_s, upload_s = self._hold_back(size_bytes, timeout_s)
        return Reply(self._link.probe(size_bytes, left_s).data, upload_s)

    def close(self) -> None:
        """Close the link underneath."""
        self._link.close()

    def _hold_back(self, size_bytes: int, timeout_s: float) -> tuple[float, float]:
        """Seconds that are left of the time-out, and seconds that the upload took."""
        start_s = time.perf_counter()
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            raise LinkTimeoutError(f"{size_bytes} bytes waited for the link in vain for {timeout_s:.3f} s", 0)
        try:
            left_s = timeout_s - (time.perf_counter() - start_s)
            begin_s = self._clock.now_s()
            transfer_s = self._trace.transfer_s(size_bytes, begin_s) if size_bytes else 0.0
            time.sleep(max(0.0, min(left_s, transfer_s)))
        finally:
            self._lock.release()
        if transfer_s >= left_s:
            raise _late(self._trace, begin_s, left_s, size_bytes)
        upload_s = time.perf_counter() - start_s
        return timeout_s - upload_s, upload_s


@final
class ReplayLink:
    """A recorded rate replayed in this process: no network, no sleeping. Time passes on a clock that it moves.

    On a ``ManualClock`` only the link takes time and a run repeats exactly; on a ``SkippingClock`` computing takes its
    real time as well.

    Args:
        trace: the rate along time.
        server: answers a payload: ``EdgeSession(bundle).answer``, or any function of bytes to bytes.
        clock: the clock to move; give the same one to the terminal.
        round_trip_s: seconds that an empty message takes there and back.

    Raises:
        LinkTimeoutError: from a call that the link does not carry in time.
        RefusedError: from ``exchange``, if ``server`` refuses the payload.

    Example:
        >>> from adaedge.channel import Trace
        >>> link = ReplayLink(Trace([0.0], [8e6]), lambda payload: payload[:1])
        >>> reply = link.exchange(bytes(500_000), timeout_s=2.0)
        >>> reply.upload_s, link.clock.now_s()  # half a megabyte at 8 Mbit/s
        (0.5, 0.5)
    """

    def __init__(
        self,
        trace: Transfer,
        server: Callable[[bytes], bytes],
        clock: Clock | None = None,
        *,
        round_trip_s: float = 0.0,
    ) -> None:
        self.clock: Clock = ManualClock() if clock is None else clock
        self._trace = trace
        self._server = server
        self._round_trip_s = round_trip_s

    def hello(self, bundle: str, timeout_s: float) -> None:  # noqa: ARG002 -- payloads name their bundle themselves
        """Take the time of a hello."""
        self._cross(HELLO_BYTES, timeout_s)

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:
        """Take the payload's time, then answer it here."""
        upload_s = self._cross(len(payload), timeout_s)
        try:
            return Reply(self._server(payload), upload_s)
        except PayloadError as error:
            raise RefusedError(f"the edge server refused: {error}") from error

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:
        """Take the probe's time."""
        return Reply(b"", self._cross(size_bytes, timeout_s))

    def close(self) -> None:
        """Nothing to give back."""

    def _cross(self, size_bytes: int, timeout_s: float) -> float:
        """Seconds that the upload took."""
        start_s = self.clock.now_s()
        upload_s = self._trace.transfer_s(size_bytes, start_s) if size_bytes else 0.0
        self.clock.sleep_until(start_s + min(upload_s + self._round_trip_s, timeout_s))
        if upload_s + self._round_trip_s >= timeout_s:
            raise _late(self._trace, start_s, timeout_s, size_bytes)
        return upload_s


@final
class NoLink:
    """No edge server: a terminal on its own. Whatever is asked of it is down.

    Example:
        >>> NoLink().exchange(b"", 0.1)
        Traceback (most recent call last):
        adaedge.errors.LinkDownError: there is no edge server: this terminal runs on its own
    """

    def hello(self, bundle: str, timeout_s: float) -> None:  # noqa: ARG002 -- as `Link` has it
        """Nobody is there."""
        raise LinkDownError(_ALONE)

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:  # noqa: ARG002
        """Nobody is there."""
        raise LinkDownError(_ALONE)

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:  # noqa: ARG002
        """Nobody is there."""
        raise LinkDownError(_ALONE)

    def close(self) -> None:
        """Nothing to give back."""


_ALONE = "there is no edge server: this terminal runs on its own"


def _late(trace: Transfer, start_s: float, lasted_s: float, size_bytes: int) -> LinkTimeoutError:
    sent_bytes = min(size_bytes, int(trace.bytes_within(start_s, max(0.0, lasted_s))))
    words = f"{size_bytes} bytes did not cross the link within {lasted_s:.3f} s; {sent_bytes} did"
    return LinkTimeoutError(words, sent_bytes)
