"""Crowd: thousands of terminals over one edge server, along simulated time, as one queue of events.

May import: ``errors``; of this part ``edge_queue``, ``member``.

What ``simulation`` replays for one terminal in detail is replayed here for many, whose payloads meet at the edge
server. Joules are those of the same energy models, transfers those of the same traces. What is simpler: every payload
is a refresh; no probes are sent; what a terminal chooses at which rate is worked out once for each kind, by
``scheduling.predict``; it knows the rate by a harmonic mean of its uploads that forgets, and goes back to the mean of
its link where it has sent nothing for a while. One that was refused stays local for a while, twice as long each time.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any, Literal, final

from adaedge.errors import ScheduleError
from adaedge.fleet.edge_queue import EdgeQueue, Job
from adaedge.fleet.member import FastTrace, Member, Offload

STALE_S = 10.0
"""Seconds after its last upload from which on a terminal takes its link to be as it mostly is."""
RETRY_S = (1.0, 30.0)
"""Seconds that a terminal stays local after it was refused once, and at the most."""
_NEW = 0.3  # of the newest upload, in the mean
_DONE, _ARRIVED, _FRAME = range(3)  # events at one time: first what makes room


@dataclass(slots=True)
class CrowdOutcome:
    """The result of a simulated crowd.

    Attributes:
        frames: frames that came.
        answered: those that the edge server answered in time.
        refused: those that it refused; the terminal answered.
        in_vain: those whose payload was not across in time; the terminal answered.
        missed: those answered after their deadline.
        energy_j: joules of each terminal.
        busy: fraction of the time that the slots computed.
        waits_s: seconds that each payload waited for its turn.
    """

    frames: int = 0
    answered: int = 0
    refused: int = 0
    in_vain: int = 0
    missed: int = 0
    energy_j: list[float] = field(default_factory=list)
    busy: float = 0.0
    waits_s: array[float] = field(default_factory=lambda: array("d"))

    @property
    def energy_j_per_frame(self) -> float:
        """Mean joules of a frame."""
        return sum(self.energy_j) / self.frames if self.frames else 0.0


def simulate_crowd(
    members: Sequence[Member],
    *,
    slots: int,
    duration_s: float,
    arrivals: Literal["periodic", "poisson"] = "periodic",
    seed: int = 0,
) -> CrowdOutcome:
    """Simulate many terminals over one edge server.

    Args:
        members: the terminals.
        slots: payloads that the edge server computes at the same time.
        duration_s: seconds in which frames come.
        arrivals: of frames: one each period, or at random with the period as their mean distance.
        seed: of what is random: arrivals, and how long a refused terminal stays local.

    Raises:
        ScheduleError: if there are no terminals, no slots or no time, a period is infinite, or a kind has no point that
            sends nothing.

    Example:
        >>> from adaedge.channel import Trace
        >>> from adaedge.energy import RADIOS, ComputePower, EnergyModel
        >>> from adaedge.fleet import Kind
        >>> from adaedge.operating_point import Cost, OperatingPoint, Profile
        >>> from adaedge.scheduling import Limits
        >>> jpeg = OperatingPoint("input", codec="jpeg@90")
        >>> costs = {OperatingPoint("output"): Cost(0.1), jpeg: Cost(0.0, 0.01, 10_000, tail_s=0.02, finish_s=0.1)}
        >>> energy = EnergyModel(ComputePower(4.0), RADIOS["nr-awake"])
        >>> kind = Kind(Profile(costs, "", "board", "server"), energy, Limits.of(0.3, period_s=1.0), jpeg)
        >>> crowd = [Member(kind, Trace([0.0], [20e6]), start_s=0.025 * number) for number in range(40)]
        >>> found = simulate_crowd(crowd, slots=1, duration_s=60.0)
        >>> found.frames, found.answered, round(found.busy, 2)
        (2400, 2400, 0.8)
    """
    if not members or slots < 1 or not 0 < duration_s < math.inf:
        raise ScheduleError(f"a crowd has terminals, slots and time; got {len(members)}, {slots} and {duration_s} s")
    if any(math.isinf(member.kind.limits.period_s) for member in members):
        raise ScheduleError("each terminal of a crowd has a period: give its limits one")
    if arrivals not in ("periodic", "poisson"):
        raise ScheduleError(f"frames arrive periodic or poisson; got {arrivals!r}")
    return _Crowd(members, slots, duration_s, random.Random(seed), poisson=arrivals == "poisson").run()


@final
class _State:
    """A terminal as it is, and what its radio draws: as `EnergyMeter` counts it, one sum instead of its parts."""

    __slots__ = (
        "frames",
        "home_s",
        "inverse",
        "kind",
        "link",
        "mean",
        "next_s",
        "packet_s",
        "retry_s",
        "spent_j",
        "start_s",
        "until_s",
    )

    def __init__(self, member: Member, link: FastTrace) -> None:
        self.kind, self.link = member.kind, link
        self.mean = self.inverse = 1 / member.trace.mean_bps
        self.start_s = self.next_s = member.start_s
        self.frames = 0
        self.packet_s = self.until_s = -math.inf  # its radio's last packet; it stays local until
        self.retry_s, self.spent_j = RETRY_S[0], 0.0
        self.home_s = member.kind.home.terminal_s

    def spend(self, upload: _Upload, compute_s: float, sent: tuple[float, float, int], end_s: float) -> None:
        """Joules of a frame whose upload began and ended so, and then waited until ``end_s``, its answer's included."""
        energy, radio = self.kind.energy, self.kind.energy.radio
        begin_s, sent_s, crossed = sent
        answer_s = upload.answer_s if end_s > sent_s + upload.answer_s and crossed and not upload.given_up else 0.0
        wait_s = end_s - sent_s - answer_s
        idle_s = begin_s - self.packet_s
        spent_j = energy.compute.busy_w * compute_s + radio.ready_j(idle_s) + radio.sending_j(crossed, sent_s - begin_s)
        spent_j += radio.wait_j(wait_s) + energy.compute.wait_w * wait_s
        if idle_s < math.inf:
            spent_j += radio.idle_j(0.0, idle_s)
        if answer_s:
            spent_j += radio.downlink_j(upload.cost.answer_bytes, 8 * crossed / (sent_s - begin_s))
        self.spent_j += spent_j
        self.packet_s = end_s
        if sent_s > begin_s:
            self.inverse += _NEW * ((upload.sent_s - begin_s) / (8 * upload.cost.payload_bytes) - self.inverse)

    def close(self) -> float:
        """The joules of the whole run, its radio asleep again."""
        if self.packet_s > -math.inf:
            self.spent_j += float(self.kind.energy.radio.idle_j(0.0, math.inf))
        return float(self.spent_j)


@final
class _Upload:
    """A frame whose payload is sent."""

    __slots__ = ("answer_s", "begin_s", "cost", "give_up_s", "given_up", "ready_s", "sent_s", "start_s", "state")

    def __init__(self, state: _State, cost: Offload, start_s: float) -> None:
        self.state, self.cost, self.start_s, self.given_up = state, cost, start_s, False
        self.ready_s = start_s + cost.terminal_s
        self.give_up_s = start_s + cost.timeout_s
        self.begin_s = self.ready_s + state.kind.energy.radio.ready_s(self.ready_s - state.packet_s)
        transfer_s = state.link.transfer_s(cost.payload_bytes, self.begin_s)
        self.sent_s = self.begin_s + transfer_s
        self.answer_s = cost.answer_bytes * transfer_s / cost.payload_bytes  # at the rate of the upload


@final
class _Crowd:
    """The events of a crowd, in order of their time."""

    def __init__(
        self, members: Sequence[Member], slots: int, duration_s: float, draw: random.Random, *, poisson: bool
    ) -> None:
        links = {id(member.trace): FastTrace(member.trace) for member in members}
        self._states = [_State(member, links[id(member.trace)]) for member in members]
        self._queue, self._duration_s, self._draw, self._poisson = EdgeQueue(slots), duration_s, draw, poisson
        self._slots, self._number = slots, len(members)
        self._events: list[tuple[float, int, int, Any]] = [
            (self._next(state), _FRAME, number, state) for number, state in enumerate(self._states)
        ]
        self._found = CrowdOutcome()

    def run(self) -> CrowdOutcome:
        """Let all happen."""
        events, found = [event for event in self._events if event[0] < self._duration_s], self._found
        heapify(events)
        self._events = events
        happens = self._done, self._arrived, self._frame
        while events:
            now_s, event, _, what = heappop(events)
            happens[event](now_s, what)
        found.energy_j = [state.close() for state in self._states]
        found.refused = self._queue.refused
        found.busy = self._queue.busy_s / (self._slots * self._duration_s)
        return found

    def _push(self, time_s: float, event: int, what: Any) -> None:
        self._number += 1
        heappush(self._events, (time_s, event, self._number, what))

    def _frame(self, now_s: float, state: _State) -> None:
        self._found.frames += 1
        cost = self._choice(state, now_s)
        if cost is None:
            state.spent_j += state.kind.energy.compute.busy_w * state.home_s
            self._answered(state, now_s, now_s + state.home_s)
            return
        upload = _Upload(state, cost, now_s)
        if upload.sent_s + state.kind.round_trip_s + cost.edge_s + upload.answer_s > upload.give_up_s:
            self._found.in_vain += 1
            self._finish(upload, upload.give_up_s)
        else:
            self._push(upload.sent_s + 0.5 * state.kind.round_trip_s, _ARRIVED, upload)

    def _choice(self, state: _State, now_s: float) -> Offload | None:
        if now_s < state.until_s:
            return None
        if now_s - state.packet_s > STALE_S:
            state.inverse = state.mean
        return state.kind.choice(1 / state.inverse)

    def _arrived(self, now_s: float, upload: _Upload) -> None:
        state, queue = upload.state, self._queue
        due_s = upload.give_up_s - 0.5 * state.kind.round_trip_s - upload.answer_s
        refused = queue.refused
        job = queue.come(now_s, due_s, upload.cost.edge_s, upload)
        if job is not None:
            self._begun(job, now_s)
        elif queue.refused > refused:
            state.until_s = now_s + state.retry_s * self._draw.uniform(0.75, 1.25)
            state.retry_s = min(2 * state.retry_s, RETRY_S[1])
            self._finish(upload, now_s + 0.5 * state.kind.round_trip_s)

    def _begun(self, job: Job, now_s: float) -> None:
        self._found.waits_s.append(now_s - job.come_s)
        self._push(now_s + job.cost_s, _DONE, job)

    def _done(self, now_s: float, job: Job) -> None:
        following = self._queue.done(now_s)
        if following is not None:
            self._begun(following, now_s)
        upload: _Upload = job.what
        state = upload.state
        wait_s = now_s + 0.5 * state.kind.round_trip_s - upload.sent_s
        end_s = upload.sent_s + wait_s + upload.answer_s
        radio = state.kind.energy.radio
        if wait_s >= radio.listen_s:
            end_s += radio.hold_s(wait_s)
        if end_s > upload.give_up_s + 1e-9:  # the radio heard the answer too late
            self._found.in_vain += 1
            self._finish(upload, upload.give_up_s)
            return
        self._found.answered += 1
        state.retry_s = RETRY_S[0]
        sent = (upload.begin_s, upload.sent_s, upload.cost.payload_bytes)
        state.spend(upload, upload.cost.terminal_s, sent, end_s)
        self._answered(state, upload.start_s, end_s)

    def _finish(self, upload: _Upload, given_up_s: float) -> None:
        """The terminal answers a frame whose payload it sent, or began to send, until then."""
        state, cost = upload.state, upload.cost
        upload.given_up = True
        given_up_s = max(given_up_s, upload.ready_s)
        begin_s, sent_s = min(upload.begin_s, given_up_s), min(upload.sent_s, given_up_s)
        crossed = cost.payload_bytes
        if sent_s < upload.sent_s:
            crossed = int(state.link.bytes_within(begin_s, sent_s - begin_s))
        state.spend(upload, cost.terminal_s + cost.finish_s, (begin_s, sent_s, crossed), given_up_s)
        self._answered(state, upload.start_s, given_up_s + cost.finish_s)

    def _answered(self, state: _State, start_s: float, end_s: float) -> None:
        """A frame is answered; the next comes when its time has come and the terminal is free."""
        limits = state.kind.limits
        self._found.missed += end_s - start_s > limits.deadline_s + 1e-9
        if self._next(state) < self._duration_s - 1e-9:
            self._push(max(state.next_s, end_s), _FRAME, state)

    def _next(self, state: _State) -> float:
        """When its next frame comes."""
        period_s = state.kind.limits.period_s
        if self._poisson:
            state.next_s += self._draw.expovariate(1 / period_s)
        else:
            state.next_s = state.start_s + state.frames * period_s
        state.frames += 1
        return state.next_s
