"""Offload: one frame's features sent to the edge server, and its answer, or why there is none.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``, ``stream``, ``scheduling``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import final

from adaedge.bundle import Bundle
from adaedge.bundle.route import Route
from adaedge.engine import Arrays
from adaedge.errors import (
    CodecError,
    LinkDownError,
    LinkError,
    LinkTimeoutError,
    OverloadError,
    PayloadError,
    RefusedError,
    StaleReferenceError,
)
from adaedge.operating_point import REFRESH, OperatingPoint
from adaedge.runtime.clock import Clock, Stopwatch
from adaedge.runtime.frame_identity import frame_id
from adaedge.runtime.link import Link
from adaedge.runtime.link_monitor import LinkMonitor
from adaedge.scheduling import Table, UploadRecord
from adaedge.stream import Stream

_log = logging.getLogger(__name__)

_FAILURES: dict[type[Exception], str] = {
    LinkTimeoutError: "timeout",
    LinkDownError: "down",
    OverloadError: "overload",
    RefusedError: "refused",
    StaleReferenceError: "stale",
    PayloadError: "corrupted",
}


@dataclass(frozen=True, slots=True, eq=False)
class BoundPoint:
    """An operating point as a terminal runs it: looked up when it is first chosen, then kept.

    Attributes:
        route: its way through the bundle.
        timeout_s: seconds from a frame until the terminal gives up waiting for the edge server.
        edge_s: seconds that the edge server is expected to compute.
        sent_after_s: by how much a frame changed, seconds of computing that its payload, or a local answer, takes at
            least; 0 for what it takes.
        finish_s: likewise of a local finish, on top.
    """

    route: Route
    timeout_s: float
    edge_s: float
    sent_after_s: Callable[[float], float] = field(default=lambda _: 0.0)
    finish_s: float = 0.0

    @classmethod
    def of(cls, point: OperatingPoint, route: Route, table: Table, *, paced: bool) -> BoundPoint:
        """The point, by its row of a scheduler's table; ``paced``: all computing takes at least what that says."""
        row = table.row(point)
        timeout_s, edge_s = float(table.timeout_s[row]), float(table.edge_s[row])
        if not paced:
            return cls(route, timeout_s, edge_s)

        def sent_after_s(change: float) -> float:
            return float(table.at({point: change}).terminal_s[row])

        return cls(route, timeout_s, edge_s, sent_after_s, float(table.finish_s[row]))


@final
class Bindings:
    """Operating points as a terminal runs them, each bound when it is first asked for.

    Args:
        bundle: the model.
        table: the scheduler's.
        paced: whether all computing takes at least what the table says.
    """

    def __init__(self, bundle: Bundle, table: Table, *, paced: bool) -> None:
        self._bundle, self._table, self._paced = bundle, table, paced
        self._bound: dict[OperatingPoint, BoundPoint] = {}

    def of(self, point: OperatingPoint, after_s: float = 0.0) -> BoundPoint:
        """The point's route, and its row of the table; ``after_s``: seconds of computing that come before it."""
        bound = self._bound.get(point)
        if bound is None:
            bound = BoundPoint.of(point, self._bundle.route(point), self._table, paced=self._paced)
            self._bound[point] = bound
        if not (after_s and self._paced):
            return bound
        own_s = bound.sent_after_s
        return replace(bound, sent_after_s=lambda change: after_s + own_s(change))


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
        edge_s: seconds that the edge server computed, as it reports.
        frame_id: the name of the frame on the link; empty where nothing was sent.
    """

    answer: Arrays | None = None
    failure: str = ""
    uploads: tuple[UploadRecord, ...] = ()
    wait_s: float = 0.0
    answer_bytes: int = 0
    lost_segments: int = 0
    edge_s: float = 0.0
    frame_id: str = ""


@final
class Offload:
    """Sends frames to the edge server, each within what is left of its deadline.

    A payload that the edge server refuses because it does not hold what it builds upon is sent anew as a refresh, if
    there is time: nothing is wrong with the link then.

    Args:
        link: the way to the edge server.
        monitor: is told what became of each upload.
        clock: the time.
    """

    def __init__(self, link: Link, monitor: LinkMonitor, clock: Clock) -> None:
        self._link, self._monitor, self._clock = link, monitor, clock
        self._told: set[OperatingPoint] = set()

    def run(
        self,
        bound: BoundPoint,
        features: Arrays,
        stream: Stream,
        give_up_s: float,
        stopwatch: Stopwatch,
        change: float = REFRESH,
    ) -> Attempt:
        """Encode, send and wait.

        Args:
            bound: where the features cross.
            features: what the head returned.
            stream: whose frame it is.
            give_up_s: when to give up, on the clock.
            stopwatch: counts what is computed.
            change: how much the frame changed against what both ends hold.
        """
        found = self._once(bound, features, stream, give_up_s, stopwatch, change)
        if found.failure != "stale" or self._clock.now_s() >= give_up_s:
            return found
        again = self._once(bound, features, stream, give_up_s, stopwatch, REFRESH)
        return replace(again, uploads=found.uploads + again.uploads)

    def _once(
        self,
        bound: BoundPoint,
        features: Arrays,
        stream: Stream,
        give_up_s: float,
        stopwatch: Stopwatch,
        change: float,
    ) -> Attempt:
        route = bound.route
        left_s = max(0.0, give_up_s - self._clock.now_s())
        position, reference = stream.next(route.point, route.codec, left_s)
        try:
            with stopwatch:
                payload, kept = route.encode(features, position, reference)
        except CodecError as error:  # a missing encoder, infinite features: no fault of the link's, which is left alone
            self._tell(route.point, error)
            return Attempt(failure="unsent")
        stopwatch.pad(bound.sent_after_s(REFRESH if reference is None else change))
        start_s = self._clock.now_s()
        if start_s >= give_up_s:
            return Attempt(failure="timeout")  # computing took what time there was: nothing is sent
        name = frame_id(position.stream, position.sequence)
        try:
            reply = self._link.exchange(payload, give_up_s - start_s)
            end_s = self._clock.now_s()
            with stopwatch:
                header, answer = route.decode_answer(reply.data, position)
        except (LinkError, PayloadError) as error:
            upload = self._monitor.failed(error, start_s, self._clock.now_s(), len(payload), bound.edge_s)
            return Attempt(failure=_word(error), uploads=(upload,), frame_id=name)
        whole = header.reference_held and not header.lost_segments
        stream.keep(position, route.point, kept if whole else None)
        upload = self._monitor.crossed(start_s, end_s, len(payload), header.edge_s + header.queue_s, reply.upload_s)
        wait_s = end_s - upload.end_s
        return Attempt(answer, "", (upload,), wait_s, len(reply.data), header.lost_segments, header.edge_s, name)

    def _tell(self, point: OperatingPoint, error: CodecError) -> None:
        """Warn of what keeps a point from being sent, once for each point: it may be so for every frame."""
        if point not in self._told:
            self._told.add(point)
            _log.warning("frames at %s are answered locally: %s", point, error)


def _word(error: Exception) -> str:
    return next((word for kind, word in _FAILURES.items() if isinstance(error, kind)), "down")


def for_meter(crossings: list[UploadRecord]) -> list[tuple[float, float, int]]:
    """The uploads as the energy meter takes them."""
    return sorted(map(attrgetter("start_s", "end_s", "payload_bytes"), crossings))
