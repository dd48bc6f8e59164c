"""Pupil: the terminal's end of teaching over a link, beside the frames: labels go up, new weights come down.

May import: ``errors``, ``operating_point``, ``energy``, ``payload``, ``engine``, ``bundle``, ``taught``,
``scheduling``.
"""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self, final

from adaedge.bundle import Bundle
from adaedge.energy import EnergyMeter, EnergySplit
from adaedge.engine import Arrays
from adaedge.errors import BundleError, LinkError, PayloadError, ScheduleError
from adaedge.operating_point import INPUT, OperatingPoint
from adaedge.payload import Reference, StreamPosition
from adaedge.runtime.clock import Clock, MonotonicClock, Stopwatch
from adaedge.runtime.link import Reply
from adaedge.runtime.link_monitor import LinkMonitor
from adaedge.scheduling import UploadRecord
from adaedge.taught.taught_network import TaughtNetwork

_log = logging.getLogger(__name__)
_LONGEST_PAUSE = 32  # times the period: how seldom an edge server is asked that gives nothing usable


class TeachingLink(Protocol):
    """The way to an edge server that teaches, such as a `GrpcLink`. Safe to use from several threads."""

    def label(self, payload: bytes, timeout_s: float) -> Reply:
        """Send a frame to be labelled; the reply is its answer. Raises as ``Link.exchange``."""
        ...

    def update(self, holding: bytes, timeout_s: float) -> Reply:
        """Ask for an update upon what is held; the reply is empty where there is none. Raises as ``Link.probe``."""
        ...


@dataclass(frozen=True, slots=True)
class Lesson:
    """What teaching took since the frame before, for the meter and the record.

    Attributes:
        uploads: labelled frames and questions.
        compute_s: seconds that the terminal computed: encoding, verifying, loading.
        label_bytes: sent up for labels.
        received_bytes: that came back, updates included.
        update_bytes: of updates, those that were refused included.
        failure: why the last label or update came to nothing, in one word; empty where none did.
    """

    uploads: tuple[UploadRecord, ...] = ()
    compute_s: float = 0.0
    label_bytes: int = 0
    received_bytes: int = 0
    update_bytes: int = 0
    failure: str = ""


@final
class Pupil:
    """Lets an edge server teach a student of the terminal's bundle; give it to one `Terminal`.

    Beside the frames and one by one, it sends a frame now and then to be labelled, and asks for an update. One
    that is not signed, not upon the weights that are held, or not whole is refused, and the weights stand. New weights
    are loaded beside the old ones; the frame that is being computed ends with those that it began with. Where nothing
    usable comes, it asks less and less often. A link that is down it probes as seldom, for the plan of a terminal that
    answers locally may never do so.

    Frames leave the terminal to be labelled only where there is a pupil; ``labels_per_s=0`` sends none and asks all the
    same.

    Args:
        taught: the student, of the terminal's bundle.
        link: the way to the edge server; it may be the terminal's own. Whoever made it closes it.
        labels_per_s: frames that are sent to be labelled.
        period_s: from one question for an update to the next.
        codec: how these frames cross at ``input``; a stream of their own.
        timeout_s: seconds that a label or an update may take.

    Raises:
        ScheduleError: if a time cannot be.

    Example:
        docs/how-to/teach-on-the-stream.md has one that runs.
    """

    def __init__(
        self,
        taught: TaughtNetwork,
        link: TeachingLink,
        *,
        labels_per_s: float = 2.0,
        period_s: float = 2.0,
        codec: str = "h264-444@30",
        timeout_s: float = 5.0,
    ) -> None:
        if not (labels_per_s >= 0 and period_s > 0 and timeout_s > 0):
            raise ScheduleError(
                "a pupil sends 0 labels a second or more, and has a period and a time-out above 0 s; got"
                f" {labels_per_s}, {period_s} and {timeout_s}"
            )
        self.taught, self._link, self._timeout_s = taught, link, timeout_s
        self._label_every_s = 1 / labels_per_s if labels_per_s else float("inf")
        self._period_s = self._pause_s = period_s
        self._point = OperatingPoint(INPUT, codec=codec)
        self._name, self._sequence = secrets.randbits(63) + 1, 0
        self._held: Reference | None = None
        self._idle = threading.Condition()
        self._busy = False
        self._lesson = Lesson()

    def begin(self, bundle: Bundle, monitor: LinkMonitor, clock: Clock | None = None) -> Self:
        """Called by the terminal, once: what it runs, what it knows of the link, its clock."""
        self._route, self._monitor = bundle.route(self._point), monitor
        self._clock: Clock = clock or MonotonicClock()
        now_s = self._clock.now_s()
        self._label_due_s = now_s if self._label_every_s < float("inf") else float("inf")
        self._ask_due_s = now_s + self._period_s
        return self

    def saw(self, inputs: Arrays | None) -> None:
        """Called by the terminal after every frame; ``None`` of one that was not prepared, for its answer was kept."""
        now_s = self._clock.now_s()
        with self._idle:
            labels = inputs is not None and now_s >= self._label_due_s and self._monitor.up
            asks = now_s >= self._ask_due_s
            if self._busy or not (labels or asks):
                return
            self._busy = True
            if labels:
                self._label_due_s = max(self._label_due_s + self._label_every_s, now_s)
        self._clock.run_in_background(partial(self._work, inputs if labels else None, asks=asks))

    def charged(self, meter: EnergyMeter, start_s: float) -> tuple[EnergySplit, dict[str, Any]]:
        """Charge what teaching took since the last call; its joules, and what the record of a frame says of it."""
        with self._idle:
            lesson, self._lesson = self._lesson, Lesson()
        uploads = sorted((one.start_s, one.end_s, one.payload_bytes) for one in lesson.uploads)
        end_s = max([start_s, *(end for _, end, _ in uploads)])
        energy = EnergySplit()
        if uploads or lesson.compute_s:
            energy = meter.frame(start_s, lesson.compute_s, uploads, 0.0, lesson.received_bytes, end_s=end_s)
        told: dict[str, Any] = {"label_bytes": lesson.label_bytes, "update_bytes": lesson.update_bytes}
        told |= {"weights_version": self.taught.version, "teaching_failure": lesson.failure}
        return energy, told | {"teaching_j": energy.total_j - energy.tail_j}

    def close(self, meter: EnergyMeter, now_s: float) -> EnergySplit:
        """Called by the terminal: wait for what is under way. Its joules."""
        with self._idle:
            self._idle.wait_for(lambda: not self._busy, timeout=2 * self._timeout_s)
        return self.charged(meter, now_s)[0]

    def _work(self, inputs: Arrays | None, *, asks: bool) -> None:
        try:
            if inputs is not None:
                self._label(inputs)
            if asks and self._reached():
                self._ask()
        finally:
            with self._idle:
                self._busy = False
                self._idle.notify_all()

    def _reached(self) -> bool:
        """Whether the link is up, or can be brought up."""
        if not self._monitor.up:
            try:
                self._monitor.probe()
            except LinkError:
                self._wait(failed=True)
                self._add((), 0.0, failure="link")
        return self._monitor.up

    def _wait(self, *, failed: bool) -> None:
        """Plan the next question."""
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE * self._period_s) if failed else self._period_s
        self._ask_due_s = self._clock.now_s() + self._pause_s

    def _label(self, inputs: Arrays) -> None:
        watch, held = Stopwatch(self._clock), self._held
        self._held, self._sequence = None, self._sequence + 1
        position = StreamPosition(self._name, self._sequence, self._sequence - 1 if held else 0, self._timeout_s)
        with watch:
            payload, kept = self._route.encode(inputs, position, held)
        start_s, size = self._clock.now_s(), len(payload)
        try:
            reply = self._link.label(payload, self._timeout_s)
            end_s = self._clock.now_s()
            header, _ = self._route.decode_answer(reply.data, position)
        except (LinkError, PayloadError) as error:
            upload = UploadRecord(start_s, self._clock.now_s(), size)
            self._add((upload,), watch.compute_s, label_bytes=size, failure=_word(error))
            _log.info("a frame was not labelled: %s", error)
            return
        self._held = kept if header.reference_held and not header.lost_segments else None
        upload = self._monitor.crossed(start_s, end_s, size, header.edge_s + header.queue_s, reply.upload_s)
        self._add((upload,), watch.compute_s, label_bytes=size, received_bytes=len(reply.data))

    def _ask(self) -> None:
        watch, failure, data = Stopwatch(self._clock), "", b""
        with watch:
            holding = self.taught.holding.to_bytes()
        start_s = self._clock.now_s()
        estimate = self._monitor.estimate(start_s)
        try:
            data = self._link.update(holding, self._timeout_s).data
            if data:
                with watch:
                    self.taught.receive(data)
        except (LinkError, PayloadError, BundleError) as error:
            failure = _word(error)
            _log.warning("version %d of %r stands: %s", self.taught.version, self.taught.network, error)
        now_s = self._clock.now_s()
        self._wait(failed=bool(failure))
        sent_s = now_s if estimate is None else min(now_s, start_s + 8 * len(holding) / estimate.rate_bps)
        upload = UploadRecord(start_s, sent_s, len(holding))
        size = len(data)
        self._add((upload,), watch.compute_s, received_bytes=size, update_bytes=size, failure=failure)

    def _add(self, uploads: tuple[UploadRecord, ...], compute_s: float, *, failure: str = "", **sizes: int) -> None:
        with self._idle:
            lesson = self._lesson
            counted = {name: getattr(lesson, name) + size for name, size in sizes.items()}
            self._lesson = replace(
                lesson,
                uploads=lesson.uploads + uploads,
                compute_s=lesson.compute_s + compute_s,
                failure=failure or lesson.failure,
                **counted,
            )


def _word(error: Exception) -> str:
    """``link`` where nothing came, ``refused`` where what came was no use."""
    return "link" if isinstance(error, LinkError) else "refused"
