"""Replay: a terminal, its radio and a link, along the time of a trace.

May import: ``operating_point``, ``energy``, ``channel``, ``scheduling``, ``runtime.record``; of this part ``changes``,
``kept_answers``, ``observer``, ``references``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from adaedge.channel import RateEstimator, Trace, Transitions
from adaedge.energy import EnergyMeter, EnergyModel, EnergySplit
from adaedge.operating_point import KEPT, Cost, Decision
from adaedge.runtime.record import FrameRecord, Measurement
from adaedge.scheduling import (
    LONGEST_PROBE_S,
    PROBE_BYTES,
    Exchange,
    Failure,
    Limits,
    LinkState,
    Purpose,
    Scheduler,
    offload_timeout_s,
    patience_with,
)
from adaedge.simulation.changes import Changes, as_changes
from adaedge.simulation.kept_answers import KeptAnswers
from adaedge.simulation.observer import LinkObserver
from adaedge.simulation.references import Costs, HeldFrames, cost_at, whole_bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a replay.

    Attributes:
        energy_j_per_frame: mean modelled joules of the terminal, failed offloads and probes included.
        miss_fraction: fraction of frames answered after their deadline.
    """

    energy_j_per_frame: float
    miss_fraction: float

    @classmethod
    def of(cls, records: Sequence[FrameRecord]) -> Outcome:
        """Sum up records."""
        energy_j = sum(record.measurement.energy.total_j for record in records)
        return cls(energy_j / len(records), sum(record.missed for record in records) / len(records))

    def regret(self, oracle: Outcome) -> float:
        """The fraction by which it took more joules than a clairvoyant's choice for the same frames.

        Example:
            >>> round(Outcome(0.22, 0.0).regret(Outcome(0.2, 0.0)), 6)
            0.1
        """
        return self.energy_j_per_frame / oracle.energy_j_per_frame - 1 if oracle.energy_j_per_frame else 0.0


def simulate(
    profile: Costs,
    energy: EnergyModel,
    trace: Trace,
    scheduler: Scheduler,
    *,
    frames: int,
    period_s: float,
    estimator: RateEstimator | None = None,
    round_trip_s: float = 0.02,
    start_s: float = 0.0,
    changes: Changes | Sequence[float] | None = None,
    signal: Callable[[float], float | None] | None = None,
    kept_changes: Changes | Sequence[float] | None = None,
) -> list[FrameRecord]:
    """Replay a trace: one record per frame, as the runtime writes them.

    Args:
        profile: what every point costs.
        energy: what the terminal really draws; the scheduler may believe otherwise.
        trace: the rate of the uplink.
        scheduler: chooses; its state goes on from where it is.
        frames: number of frames.
        period_s: seconds from a frame to the next.
        estimator: turns uploads into a rate; a new ``Transitions`` by default.
        round_trip_s: seconds that an empty message takes there and back.
        start_s: where in the trace the first frame arrives.
        changes: how much the frames differ from each other: `ClipChanges` of a clip, or a number a frame, its change
            against the one before. ``None``: each frame is as the first ever seen, so every payload is a refresh.
        kept_changes: the same, as the detector sees it that the profile's curve of kept answers was fitted with, so
            that answers are kept by it as a terminal does; ``None``: none is.
        signal: the rate that the modem's signal promises at a time, in bit/s; ``None`` where there is none.

    Returns:
        One record per frame. The probe that the terminal sends before the first is charged to it, the radio's tail
        after the last to that.

    Raises:
        SourceError: if the changes are fewer than the frames, or one is no number in [0, 1].
        ScheduleError: if ``kept_changes`` are a clip's as another detector sees them.
    """
    # Without the radio: an exchange of a replay starts when it is awake.
    estimator = Transitions() if estimator is None else estimator
    state = LinkState(scheduler.probe_plan(), round_trip_s=round_trip_s, patience=patience_with(estimator))
    observer = LinkObserver(estimator, state, scheduler)

    held = HeldFrames(profile, as_changes(changes, frames))
    answers = KeptAnswers(profile, scheduler, as_changes(kept_changes, frames))

    def choose(index: int, now_s: float) -> Decision:
        scheduler.hear(None if signal is None else signal(now_s))
        told = held.changes(index) | answers.changes(index)
        step = held.step(index)
        decision = scheduler.choose(observer.estimate(now_s), now_s, told, held.sent_ratio, answers.last, step)
        answers.decided(index, decision.point)
        return decision

    replay = Replay(profile, energy, trace, scheduler.limits, round_trip_s, scheduler.downlink_bps, held, observer)
    scheduler.hear(None if signal is None else signal(start_s))
    replay.contact(start_s)
    return replay.run(choose, range(frames), period_s, start_s)


class Replay:
    """A terminal, its radio and the link, along the time of a trace."""

    def __init__(
        self,
        profile: Costs,
        energy: EnergyModel,
        trace: Trace,
        limits: Limits,
        round_trip_s: float,
        downlink_bps: float | None,
        held: HeldFrames,
        observer: LinkObserver | None = None,
    ) -> None:
        self._profile = profile
        self._radio = energy.radio
        self._meter = EnergyMeter(energy)
        self._trace = trace
        self._limits = limits
        self._round_trip_s = round_trip_s
        self._downlink_bps = downlink_bps
        self._held = held
        self._observer = observer
        self._packet_s = -math.inf  # when the radio carried its last packet
        self._link_free_s = -math.inf
        self._before = EnergySplit()
        self._computed: int | None = None  # the last frame that was

    def contact(self, start_s: float) -> None:
        """Reach the edge server just before the first frame, as a terminal does, unless no probe is ever due."""
        if self._observer is not None and self._observer.wants_probe(start_s):
            transfer_s = min(LONGEST_PROBE_S, float(self._trace.transfer_s(PROBE_BYTES, start_s)))
            begin_s, failure = start_s - transfer_s, None if transfer_s < LONGEST_PROBE_S else Failure.TIMEOUT
            self._before = self._meter.frame(begin_s, 0.0, [(begin_s, start_s, PROBE_BYTES)], end_s=start_s)
            self._observer.probed(Exchange(begin_s, start_s, PROBE_BYTES, Purpose.PROBE, failure, upload_s=transfer_s))
            self._used(start_s, start_s)
            self._observer.settle(self._before.total_j, self._meter.owed_j)

    def run(
        self, choose: Callable[[int, float], Decision], frames: Iterable[int], period_s: float, start_s: float
    ) -> list[FrameRecord]:
        """Replay frames, each at the point that ``choose(index, now_s)`` says."""
        records: list[FrameRecord] = []
        free_s = start_s
        for index in frames:
            now_s = max(start_s + index * period_s, free_s)
            decision = choose(index, now_s)
            answer = self._local if decision.point.is_local else self._offload
            measurement = answer(decision, index, now_s)
            if self._observer is not None:
                self._observer.settle(measurement.energy.total_j, self._meter.owed_j)
            self._computed = self._computed if decision.point == KEPT else index
            free_s = now_s + measurement.latency_s
            asked = now_s - start_s, self._limits.deadline_s
            records.append(FrameRecord(index, *asked, decision, measurement, change=self._held.step(index)))
        if records:
            records[0] = _with(records[0], self._before)
            records[-1] = _with(records[-1], self._meter.close())
        return records

    def _local(self, decision: Decision, index: int, now_s: float) -> Measurement:
        cost = cost_at(self._profile, decision.point, self._held.compute(decision.point, index))
        end_s = now_s + cost.head_s
        uploads = []
        if self._observer is not None and self._observer.wants_probe(end_s):
            uploads = [self._send_probe(self._observer, end_s)]
        energy = self._meter.frame(now_s, cost.head_s, uploads, end_s=end_s)
        measured = Measurement(cost.head_s, cost.head_s, payload_bytes=sum(sent[2] for sent in uploads), energy=energy)
        if decision.point == KEPT:
            return replace(measured, answered_by="earlier", kept_from=self._computed)
        return measured

    def _offload(self, decision: Decision, index: int, now_s: float) -> Measurement:
        # When it is given up is what a refresh asks for, as in the scheduler's table.
        refresh, change = self._profile[decision.point], self._held.take(decision.point, index)
        give_up_s = now_s + offload_timeout_s(refresh, self._limits.deadline_s, self._limits.margin_s)
        cost = cost_at(self._profile, decision.point, change)
        size = int(whole_bytes(cost.payload_bytes))
        begin_s = self._begin_s(now_s + cost.terminal_s)
        transfer_s = float(self._trace.transfer_s(size, begin_s))
        downlink_s_per_byte = 8 / self._downlink_bps if self._downlink_bps else transfer_s / max(size, 1)
        answer_s = cost.answer_bytes * downlink_s_per_byte
        wait_s = self._round_trip_s + cost.edge_s
        wait_s += float(self._radio.hold_s(wait_s))
        if begin_s + transfer_s + wait_s + answer_s > give_up_s:
            return self._in_vain(cost, now_s, begin_s, give_up_s, size, transfer_s)
        end_s = begin_s + transfer_s + wait_s + answer_s
        self._used(begin_s + transfer_s, end_s)
        answer_bytes = int(whole_bytes(cost.answer_bytes))
        sent = (begin_s, begin_s + transfer_s, size)
        energy = self._meter.frame(now_s, cost.terminal_s, [sent], wait_s, answer_bytes, end_s=end_s)
        self._held.answered(decision, index, size)
        if self._observer is not None:
            self._observer.exchanged(Exchange(begin_s, end_s, size, edge_s=cost.edge_s, upload_s=transfer_s))
        spent = end_s - now_s, cost.terminal_s, transfer_s, wait_s
        return Measurement(*spent, size, answer_bytes, "edge", energy=energy, edge_s=cost.edge_s)

    def _in_vain(
        self, cost: Cost, now_s: float, begin_s: float, give_up_s: float, size: int, transfer_s: float
    ) -> Measurement:
        give_up_s = max(give_up_s, now_s + cost.terminal_s)
        begin_s = min(begin_s, give_up_s)
        sent_s = min(begin_s + transfer_s, give_up_s)
        crossed = (
            size if begin_s + transfer_s <= give_up_s else int(self._trace.bytes_within(begin_s, sent_s - begin_s))
        )
        self._used(sent_s, give_up_s)
        compute_s, wait_s = cost.terminal_s + cost.finish_s, give_up_s - sent_s
        end_s = give_up_s + cost.finish_s
        energy = self._meter.frame(now_s, compute_s, [(begin_s, sent_s, crossed)], wait_s, end_s=end_s)
        if self._observer is not None and now_s + cost.terminal_s < give_up_s:  # else nothing was sent
            self._observer.exchanged(
                Exchange(begin_s, give_up_s, size, failure=Failure.TIMEOUT, edge_s=cost.edge_s, sent_bytes=crossed)
            )
        return Measurement(
            end_s - now_s, compute_s, sent_s - begin_s, wait_s, crossed, failure="timeout", energy=energy
        )

    def _send_probe(self, observer: LinkObserver, now_s: float) -> tuple[float, float, int]:
        begin_s = self._begin_s(now_s)
        transfer_s = float(self._trace.transfer_s(PROBE_BYTES, begin_s))
        completed = transfer_s + self._round_trip_s <= observer.probe_timeout_s
        lasted_s = transfer_s if completed else observer.probe_timeout_s
        crossed = PROBE_BYTES if completed else int(self._trace.bytes_within(begin_s, lasted_s))
        seen_s = begin_s + lasted_s + (self._round_trip_s if completed else 0.0)
        self._used(begin_s + lasted_s, seen_s)
        failure = None if completed else Failure.TIMEOUT
        observer.probed(Exchange(begin_s, seen_s, PROBE_BYTES, Purpose.PROBE, failure, upload_s=lasted_s))
        return (begin_s, begin_s + lasted_s, crossed)

    def _begin_s(self, ready_s: float) -> float:
        """When an upload that is ready at ``ready_s`` begins: the link is free and the radio awake."""
        ready_s = max(ready_s, self._link_free_s)
        return ready_s + float(self._radio.ready_s(ready_s - self._packet_s))

    def _used(self, link_free_s: float, packet_s: float) -> None:
        self._link_free_s, self._packet_s = link_free_s, packet_s


def _with(record: FrameRecord, more: EnergySplit) -> FrameRecord:
    return replace(record, measurement=replace(record.measurement, energy=record.measurement.energy + more))
