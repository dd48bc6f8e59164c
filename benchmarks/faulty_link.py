"""A link that loses, repeats, reorders, damages and delays what the real one carries, when it is told to."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import final

from adaedge.errors import LinkError, LinkTimeoutError, StaleReferenceError
from adaedge.runtime import GrpcLink, Reply

FAULTS = (
    "payload lost",
    "answer lost",
    "duplicated",
    "reordered",
    "payload corrupted",
    "answer corrupted",
    "late answer",
    "evicted",
)
_PATIENCE_S = 5.0  # for what no frame waits for


@final
class FaultyLink:
    """Passes everything on, but for the next exchanges, with which ``faults`` says what happens.

    Args:
        link: the real one.
        evict: makes the edge server forget all streams but those that ``evict`` opens.
        draw: what is left to chance.

    Attributes:
        faults: of the next exchanges, one each, the next one first; an empty word is none.
        sent: the payloads, undamaged, since somebody emptied the list.
        hit: whether an exchange was tampered with since somebody said not.
        stale: how many payloads of a terminal were refused as stale.
        unusual: errors for deliveries that nobody waited for, by their kind.
    """

    def __init__(self, link: GrpcLink, evict: Callable[[GrpcLink], None], draw: random.Random) -> None:
        self._link, self._evict, self._draw = link, evict, draw
        self.faults: list[str] = []
        self.sent: list[bytes] = []
        self.hit = False
        self.stale = 0
        self.unusual: Counter[str] = Counter()
        self._held: bytes | None = None
        self._late: Reply | None = None

    @property
    def pending(self) -> bool:
        """Whether a fault has begun that another exchange ends."""
        return bool(self.faults) or self._held is not None or self._late is not None

    def hello(self, bundle: str, timeout_s: float) -> None:
        """Pass it on."""
        self._link.hello(bundle, timeout_s)

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:
        """Pass it on."""
        return self._link.probe(size_bytes, timeout_s)

    def close(self) -> None:
        """Close the real one."""
        self._link.close()

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:
        """Exchange, or what the fault makes of it."""
        end_s = time.monotonic() + timeout_s
        fault = self.faults.pop(0) if self.faults else ""
        self.hit |= bool(fault) or self.pending
        self.sent.append(payload)
        early = self._held is not None and self._draw.random() < 0.5
        if early:
            self._deliver_held()
        if fault == "evicted":
            self._evict(self._link)
        if fault == "reordered":
            self._deliver_held()
            self._held = payload
        if fault in ("payload lost", "reordered"):
            raise _in_vain(end_s)
        try:
            reply = self._link.exchange(
                self._damaged(payload) if fault == "payload corrupted" else payload, end_s - time.monotonic()
            )
        except StaleReferenceError:
            self.stale += 1
            raise
        finally:
            self._deliver_held()
        return self._answered(fault, payload, reply, end_s)

    def _answered(self, fault: str, payload: bytes, reply: Reply, end_s: float) -> Reply:
        """What becomes of an answer."""
        if fault == "duplicated":
            self._deliver(payload)
        if fault == "late answer":
            self._late = reply
        if fault in ("answer lost", "late answer"):
            raise _in_vain(end_s)
        if self._late is not None:
            reply, self._late = self._late, None  # it comes in place of this frame's own
        return Reply(self._damaged(reply.data)) if fault == "answer corrupted" else reply

    def _deliver_held(self) -> None:
        if self._held is not None:
            payload, self._held = self._held, None
            self._deliver(payload)

    def _deliver(self, payload: bytes) -> None:
        """Deliver what nobody waits for."""
        with contextlib.suppress(StaleReferenceError):
            try:
                self._link.exchange(payload, _PATIENCE_S)
            except StaleReferenceError:
                raise
            except LinkError as error:
                self.unusual[type(error).__name__] += 1

    def _damaged(self, data: bytes) -> bytes:
        place = self._draw.randrange(len(data))
        flipped = data[:place] + bytes([data[place] ^ 1 << self._draw.randrange(8)]) + data[place + 1 :]
        return self._draw.choice((data[:place], flipped, self._draw.randbytes(len(data)), b""))


def _in_vain(end_s: float) -> LinkTimeoutError:
    time.sleep(max(0.0, end_s - time.monotonic()))
    return LinkTimeoutError("it did not come in time")
