"""Offload: one frame's features sent to the edge server, and its answer, or why there is none.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``, ``stream``,
``scheduling``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from adaedge.bundle import Bundle
from adaedge.engine import Arrays
from adaedge.errors import (
    CodecError,
    LinkDownError,
    LinkError,
    LinkTimeoutError,
    PayloadError,
    RefusedError,
    StaleReferenceError,
)
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Reference, Request, StreamPosition
from adaedge.payload.answers.wire import AnswerHeader
from adaedge.runtime.clock import Clock
from adaedge.runtime.computing import Stopwatch
from adaedge.runtime.link import Link
from adaedge.runtime.link_monitor import LinkMonitor
from adaedge.scheduling import UploadRecord
from adaedge.stream import Stream

_FAILURES: dict[type[Exception], str] = {
    LinkTimeoutError: "timeout",
    LinkDownError: "down",
    RefusedError: "refused",
    StaleReferenceError: "stale",
    PayloadError: "corrupted",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An offload: the answer, or why there is none.

    Attributes:
        answer: what the bundle answers; ``None`` where the terminal has to answer.
        failure: why, in one word; empty where the edge server answered.
        uploads: the uploads, one after another; more than one where a refresh followed.
        wait_s: seconds from the payload's arrival to the answer's.
        answer_bytes: bytes that came back.
        lost_segments: how many of the payload's last segments the edge server could not use.
    """

    answer: Arrays | None = None
    failure: str = ""
    uploads: tuple[UploadRecord, ...] = ()
    wait_s: float = 0.0
    answer_bytes: int = 0
    lost_segments: int = 0


@final
class Offload:
    """Sends frames to the edge server, each within what is left of its deadline.

    A payload that the edge server refuses because it does not hold what it builds upon is sent anew as a refresh, if
    there is time: nothing is wrong with the link then.

    Args:
        bundle: encodes and reads.
        link: the way to the edge server.
        monitor: is told what became of each upload.
        clock: the time.
        edge_s: seconds that the edge server is expected to compute at a point.
    """

    def __init__(
        self, bundle: Bundle, link: Link, monitor: LinkMonitor, clock: Clock, edge_s: Callable[[OperatingPoint], float]
    ) -> None:
        self._bundle, self._link, self._monitor, self._clock, self._edge_s = bundle, link, monitor, clock, edge_s

    def run(
        self,
        point: OperatingPoint,
        features: Arrays,
        stream: Stream,
        give_up_s: float,
        stopwatch: Stopwatch,
        pace: Callable[[], None],
    ) -> Attempt:
        """Encode, send and wait.

        Args:
            point: where the features cross.
            features: what the head returned.
            stream: whose frame it is.
            give_up_s: when to give up, on the clock.
            stopwatch: counts what is computed.
            pace: called once all is computed, before anything is sent.
        """
        found = self._once(point, features, stream, give_up_s, stopwatch, pace)
        if found.failure != "stale" or self._clock.now_s() >= give_up_s:
            return found
        again = self._once(point, features, stream, give_up_s, stopwatch, pace)
        return Attempt(
            again.answer,
            again.failure,
            found.uploads + again.uploads,
            again.wait_s,
            again.answer_bytes,
            again.lost_segments,
        )

    def _once(
        self,
        point: OperatingPoint,
        features: Arrays,
        stream: Stream,
        give_up_s: float,
        stopwatch: Stopwatch,
        pace: Callable[[], None],
    ) -> Attempt:
        left_s = max(0.0, give_up_s - self._clock.now_s())
        position, reference = stream.next(point, self._bundle.codec(point), left_s)
        try:
            payload, kept = stopwatch(self._bundle.encode_next, point, features, position, reference)
        except CodecError:
            return Attempt(failure="unsent")  # infinite features, say: no fault of the link's, which is left alone
        pace()
        start_s = self._clock.now_s()
        if start_s >= give_up_s:
            return Attempt(failure="timeout")  # computing took what time there was: nothing is sent
        try:
            reply = self._link.exchange(payload, give_up_s - start_s)
            end_s = self._clock.now_s()
            header, answer = stopwatch(self._bundle.decode_answer, reply.data, self._request(point, position))
        except (LinkError, PayloadError) as error:
            upload = self._monitor.failed(error, start_s, self._clock.now_s(), len(payload), self._edge_s(point))
            return Attempt(failure=_word(error), uploads=(upload,))
        self._hold(stream, position, point, kept, header)
        upload = self._monitor.crossed(start_s, end_s, len(payload), header.edge_s + header.queue_s, reply.upload_s)
        return Attempt(answer, "", (upload,), end_s - upload.end_s, len(reply.data), header.lost_segments)

    @staticmethod
    def _hold(
        stream: Stream, position: StreamPosition, point: OperatingPoint, kept: Reference | None, header: AnswerHeader
    ) -> None:
        whole = header.reference_held and not header.lost_segments
        stream.keep(position, point, kept if whole else None)

    def _request(self, point: OperatingPoint, position: StreamPosition) -> Request:
        return Request(self._bundle.digest, position.stream, position.sequence, self._bundle.resolve(point))


def _word(error: Exception) -> str:
    return next((word for kind, word in _FAILURES.items() if isinstance(error, kind)), "down")
