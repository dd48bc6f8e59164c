"""LinkState: whether the edge server can be used, how fast the link is, and when to probe it.

May import: ``errors``, ``energy``, ``channel``. Pure: what was sent over the link is told with its times,
and each event gives a new state. The terminal's link monitor and the simulation share it, so both decide alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from adaedge.channel import RateEstimate, RateEstimator, Upload
from adaedge.energy import Radio
from adaedge.errors import ScheduleError
from adaedge.scheduling.probing import ProbePlan

# Shorter uploads cannot be told from the noise of two busy machines, and a rate that seems too high by a factor of a
# hundred would make the next upload look like a link that has collapsed.
SHORTEST_S = 1e-3
# One time-out may be the radio's fault, and the rate estimate takes care of it; two in a row are a server that hangs.
TIMEOUTS = 2
# One payload too many is chance among terminals; whoever is refused twice in a row stays away, and the load goes down.
OVERLOADS = 2


def patience_with(estimator: RateEstimator) -> int:
    """Time-outs in a row that mean a link is down: two, but where an estimator knows what follows a time-out."""
    return int(getattr(estimator, "patience", TIMEOUTS))


def trips_of(link: LinkState) -> float:
    """Seconds of the round trips that a probe takes: of a link that is down three, for it is connected anew first."""
    return link.round_trip_s if link.up else 3 * link.round_trip_s


class Purpose(Enum):
    """The purpose of an exchange."""

    FRAME = "frame"
    PROBE = "probe"
    """Bytes that mean nothing. Without any it only tells the round trip, and decides nothing unless it fails."""
    HANDSHAKE = "handshake"
    """Connects and agrees on the bundle, in round trips that nobody has counted: it says nothing of the rate."""


class Failure(Enum):
    """Why an exchange brought no usable answer."""

    TIMEOUT = "timeout"
    """Not in time."""
    DOWN = "down"
    """Nothing listens there, or the connection broke; nobody knows how many bytes had gone."""
    REFUSED = "refused"
    """The edge server's answer was no."""
    OVERLOAD = "overload"
    """The edge server has no room now: the link is as good as before."""
    CORRUPTED = "corrupted"
    """The answer could not be read."""
    STALE = "stale"
    """The edge server does not hold what the payload builds on: the link is as good as before."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An event: something was sent to the edge server, and was answered or not.

    Attributes:
        start_s: when it was handed to the link.
        end_s: when the answer was there, or the sender gave up.
        payload_bytes: bytes that were to be sent.
        purpose: what for.
        failure: why there is no usable answer; ``None`` where there is one.
        edge_s: seconds that the edge server computed, as it reports; if it did not answer, those expected of it.
        upload_s: seconds that the upload took, where the link tells; ``None`` where they are what the rest leaves.
        sent_bytes: bytes that crossed before a time-out; ``None`` where the link cannot know.

    Raises:
        ScheduleError: if it ends before it starts.
    """

    start_s: float
    end_s: float
    payload_bytes: int
    purpose: Purpose = Purpose.FRAME
    failure: Failure | None = None
    edge_s: float = 0.0
    upload_s: float | None = None
    sent_bytes: int | None = None

    def __post_init__(self) -> None:
        if not self.end_s >= self.start_s:
            raise ScheduleError(f"an exchange ends after it starts; got {self.start_s} s to {self.end_s} s")

    @property
    def sending_throughout(self) -> bool:
        """Whether all of it counts as sending: how much of a failure or a handshake was waiting is not known."""
        return self.failure is not None or self.purpose is Purpose.HANDSHAKE

    @property
    def crossed_bytes(self) -> int:
        """Bytes that crossed, as far as is known: all of them, unless the link knows better or broke."""
        if self.failure is Failure.TIMEOUT and self.sent_bytes is not None:
            return self.sent_bytes
        return 0 if self.failure is Failure.DOWN else self.payload_bytes


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """An upload that happened, for the energy meter: when it began and ended, and its bytes.

    It begins when the radio is awake: the meter charges the waking by itself. One that timed out counts as sending
    until it was given up: the bytes that crossed where the link knows them, all where it does not. One whose connection
    broke has no bytes.
    """

    start_s: float
    end_s: float
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Step:
    """The consequences of an exchange.

    Attributes:
        state: the link from now on.
        record: the upload, for the energy meter.
        lesson: the upload, for the rate estimator; ``None`` where it says nothing of the rate.
    """

    state: LinkState
    record: UploadRecord
    lesson: Upload | None


@dataclass(frozen=True, slots=True)
class LinkState:
    """The state of one link, and what follows from it.

    The link is *up* after an answered probe or frame; *down* before the first one, after a probe that failed, and after
    a frame that was refused, unreadable, met a broken connection, or was the second in a row to time out or to find the
    edge server overloaded. While it is down there is no estimate, so the scheduler stays local, and probes bring it
    back.

    Attributes:
        plan: when an unused link is probed.
        round_trip_s: seconds that an empty message takes there and back.
        radio: the terminal's. Where the link does not tell how long an upload took, what the radio took to wake is
            taken off it, unless it was too short to hold that. It comes from the energy model: over a cable that is
            modelled as a radio, such an upload then seems up to ten times as fast. ``None`` where ``start_s`` of an
            exchange is when the radio was awake.
        up: whether the edge server can be used.
        timeouts: frames in a row that timed out.
        overloads: frames in a row that the edge server had no room for.
        patience: so many of them mean that the link is down; an estimator that knows what follows a time-out has more.
        probing: whether a probe is under way.
        active_s: when the radio carried its last packet.

    Raises:
        ScheduleError: if a round trip is negative or not finite.

    Example:
        >>> state = LinkState(ProbePlan())
        >>> state.up, state.probe_due(0.0)
        (False, True)
        >>> step = state.probe_sent().after(Exchange(0.0, 0.1, 8192, Purpose.PROBE))
        >>> step.state.up, step.state.next_probe_s, step.lesson.duration_s
        (True, 1.1, 0.1)
        >>> step.state.after(Exchange(2.0, 2.3, 9000, failure=Failure.REFUSED)).state.up
        False
    """

    plan: ProbePlan
    round_trip_s: float = 0.0
    radio: Radio | None = None
    up: bool = False
    timeouts: int = 0
    overloads: int = 0
    patience: int = TIMEOUTS
    probing: bool = False
    active_s: float = -math.inf

    def __post_init__(self) -> None:
        if not (self.round_trip_s >= 0 and math.isfinite(self.round_trip_s)):
            raise ScheduleError(f"a round trip takes finite seconds, at least 0; got {self.round_trip_s}")

    @property
    def next_probe_s(self) -> float:
        """When the next probe is due; ``inf`` for never, or while one is under way."""
        return math.inf if self.probing else self.plan.used_s + self.plan.wait_s

    def probe_due(self, now_s: float, *, eager: bool = False) -> bool:
        """Whether a probe should be sent now; an eager one waits for the shortest time only."""
        return not self.probing and self.plan.due(now_s, eager=eager)

    def estimate(self, estimator: RateEstimator, now_s: float) -> RateEstimate | None:
        """The link's rate as ``estimator`` has it; ``None`` while the link is down or nothing was sent yet."""
        known = estimator.estimate(now_s) if self.up else None
        return known and replace(known, round_trip_s=self.round_trip_s)

    def contacted(self, round_trip_s: float) -> LinkState:
        """After a handshake: the round trip that was measured then. Up it is once a probe has told the rate."""
        return replace(self, round_trip_s=round_trip_s)

    def probe_sent(self) -> LinkState:
        """While a probe is under way: no other is due until it is answered or fails."""
        return replace(self, probing=True)

    def after(self, exchange: Exchange) -> Step:
        """What follows from an exchange, answered or not."""
        woken_s, upload_s = self._spans(exchange)
        state = self._after_frame(exchange) if exchange.purpose is Purpose.FRAME else self._after_probe(exchange)
        return Step(state, _record(exchange, woken_s, upload_s), self._lesson(exchange, upload_s))

    def _after_frame(self, exchange: Exchange) -> LinkState:
        timeouts, overloads = self.timeouts, 0
        if exchange.failure in (None, Failure.STALE):
            up, timeouts = True, 0
        elif exchange.failure is Failure.TIMEOUT:
            timeouts += 1
            up = self.up and timeouts < self.patience
        elif exchange.failure is Failure.OVERLOAD:
            timeouts, overloads = 0, self.overloads + 1
            up = self.up and overloads < OVERLOADS
        else:
            up = False
        return replace(
            self,
            plan=self.plan.used(exchange.end_s),
            active_s=max(self.active_s, exchange.end_s),
            up=up,
            timeouts=timeouts,
            overloads=overloads,
        )

    def _after_probe(self, exchange: Exchange) -> LinkState:
        """The link once a probe, or the handshake before it, has failed or told the rate; more is to come otherwise."""
        awake = replace(self, active_s=max(self.active_s, exchange.end_s))
        if exchange.failure is not None:
            return replace(awake, plan=self.plan.after(exchange.end_s, ok=False), up=False, probing=False)
        if exchange.purpose is Purpose.HANDSHAKE or not exchange.payload_bytes:
            return awake
        return replace(
            awake, plan=self.plan.after(exchange.end_s, ok=True), up=True, timeouts=0, overloads=0, probing=False
        )

    def _spans(self, exchange: Exchange) -> tuple[float, float]:
        """Seconds in which the radio woke up, and those of the upload after it."""
        lasted_s = exchange.end_s - exchange.start_s
        if exchange.sending_throughout:
            upload_s = lasted_s
        elif exchange.upload_s is not None:
            return 0.0, exchange.upload_s
        else:
            computed_s = min(max(exchange.edge_s, 0.0), lasted_s)  # the edge server's word, within what can be
            upload_s = lasted_s - computed_s - self.round_trip_s
        woken_s = self._woken_s(exchange.start_s, upload_s)
        return woken_s, upload_s - woken_s

    def _woken_s(self, start_s: float, lasted_s: float) -> float:
        """Seconds of an upload in which the radio woke up; a tenth is left for the upload, for wakings vary."""
        if self.radio is None:
            return 0.0
        ready_s = float(self.radio.ready_s(start_s - self.active_s))
        return min(ready_s, 0.9 * lasted_s) if lasted_s > ready_s else 0.0

    def _lesson(self, exchange: Exchange, upload_s: float) -> Upload | None:
        if exchange.purpose is Purpose.HANDSHAKE or not exchange.payload_bytes:
            return None
        if exchange.failure is None:
            return Upload(exchange.end_s, exchange.payload_bytes, max(upload_s, SHORTEST_S))
        # The edge server's computing and the way back did not fit either: what is left bounds the upload.
        bound_s = upload_s - exchange.edge_s - self.round_trip_s
        if exchange.failure is not Failure.TIMEOUT or bound_s <= 0:
            return None
        return Upload(exchange.end_s, exchange.payload_bytes, bound_s, completed=False)


def _record(exchange: Exchange, woken_s: float, upload_s: float) -> UploadRecord:
    start_s = exchange.start_s + woken_s
    if exchange.sending_throughout:
        return UploadRecord(start_s, exchange.end_s, exchange.crossed_bytes)
    if not exchange.payload_bytes:
        return UploadRecord(start_s, start_s, 0)  # it is all waiting
    return UploadRecord(start_s, min(start_s + max(upload_s, SHORTEST_S), exchange.end_s), exchange.payload_bytes)
