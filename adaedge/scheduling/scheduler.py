"""Scheduler: the table, the policy and their state; one decision per frame, with its reasons.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``. It holds no clock: times come with the calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from adaedge.channel import RateEstimate
from adaedge.energy import EnergyModel
from adaedge.operating_point import (
    KEPT,
    NOT_FASTER,
    REFRESH,
    Cost,
    Decision,
    LastAnswer,
    OperatingPoint,
    Profile,
)
from adaedge.scheduling.keeping import Keeping
from adaedge.scheduling.knots import Named
from adaedge.scheduling.policy import Choice, Fixed, LeastEnergy, Policy
from adaedge.scheduling.prediction import Predictions, next_regret_j, predict
from adaedge.scheduling.probing import PROBE_BYTES, ProbePlan
from adaedge.scheduling.table import PAYLOAD_BYTES, Limits, Table


@dataclass(frozen=True, slots=True)
class State:
    """What a scheduler remembers from one frame to the next.

    Attributes:
        point: what was chosen for the last frame that was computed; ``None`` before the first.
        now_s: when that was.
        active_s: when the radio carried its last packet, as far as is known; ``-inf`` where it never did.
        regret_j: what the frames so far would have cost less with the radio asleep; negative: with the radio awake.
    """

    point: OperatingPoint | None = None
    now_s: float = 0.0
    active_s: float = -math.inf
    regret_j: float = 0.0


@final
class Scheduler:
    """Chooses an operating point per frame: the least energy that meets the deadline and the accuracy floor.

    Args:
        profile: what every point costs.
        energy: the terminal's energy model.
        deadline_s: seconds from a frame to its answer.
        accuracy_floor: least accuracy of a point, in [0, 1].
        period_s: seconds from a frame to the next; the deadline where it is ``None``.
        policy: how to choose.
        margin_s: seconds kept in reserve for a local finish; where it is ``None``, a tenth of the deadline, at most
            10 ms.
        horizon_s: seconds that the link is taken to stay as it is (see ``prediction``); by default twice as long as
            a cellular radio takes to fall asleep.
        downlink_bps: rate of the answers; that of the uplink where it is ``None``.

    Raises:
        ScheduleError: if no point has the accuracy, or a limit cannot be.

    Example:
        >>> from adaedge.channel import RateEstimate
        >>> from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
        >>> local, offload = OperatingPoint("output"), OperatingPoint("input", codec="jpeg@90")
        >>> profile = Profile(
        ...     {
        ...         local: Cost(head_s=0.15),
        ...         offload: Cost(head_s=0.0, encode_s=0.005, payload_bytes=17e3, tail_s=0.01, finish_s=0.15),
        ...     },
        ...     bundle="00" * 32,
        ...     terminal="a small board",
        ...     edge="a server",
        ... )
        >>> energy = EnergyModel(ComputePower(busy_w=3.7), WIFI_2012)
        >>> scheduler = Scheduler(profile, energy, deadline_s=0.2)
        >>> str(scheduler.choose(RateEstimate(rate_bps=20e6, low_bps=10e6)).point)
        'input/w1/fp32/jpeg@90'
        >>> scheduler.choose(None).reasons
        ('least energy of 1 point that meets 0.200 s', 'the link is unknown or down: only local points count')
    """

    def __init__(
        self,
        profile: Profile | Mapping[OperatingPoint, Cost],
        energy: EnergyModel,
        *,
        deadline_s: float,
        accuracy_floor: float = 0.0,
        period_s: float | None = None,
        policy: Policy | None = None,
        margin_s: float | None = None,
        horizon_s: float = 20.0,
        downlink_bps: float | None = None,
    ) -> None:
        self.limits = Limits.of(deadline_s, accuracy_floor, period_s, margin_s, horizon_s)
        self.table = Table.build(profile, self.limits)
        self.keeping = Keeping.of(profile, self.table)
        self.energy = energy
        self.policy: Policy = LeastEnergy() if policy is None else policy
        self.downlink_bps = downlink_bps
        self.state = State()
        self._named: Named | None = None  # which points the changes of the frame before named

    def choose(
        self,
        estimate: RateEstimate | None,
        now_s: float | None = None,
        changes: Mapping[OperatingPoint, float] | None = None,
        sent_ratio: Mapping[OperatingPoint, float] | None = None,
        last: LastAnswer | None = None,
    ) -> Decision:
        """The point for a frame that has just arrived.

        Args:
            estimate: the link; ``None`` where it is unknown or down.
            now_s: the time, on the clock of the estimate; where it is ``None``, frames arrive every ``period_s``.
            changes: how much the frame changed, in [0, 1], against what is held for each point that can build upon it,
                as ``Stream.changes`` says; a point that is not in it refreshes, as if all had changed.
            sent_ratio: of points that are in it, how many times the predicted bytes the stream has really sent.
            last: what is known of the answer that may be kept, where ``changes`` holds ``OperatingPoint("kept")``;
                without it, it is taken to be the full network's.
        """
        table, changes = self.table, changes or {}
        if self.keeping and (accuracy := self.keeping.accuracy(changes, last)) is not None:
            table = self.keeping.offered(accuracy)
        table = self._table_at(table, changes, sent_ratio) if changes else table
        now_s, active_s = self._times(estimate, now_s)
        predictions = predict(
            table,
            self.energy,
            estimate,
            idle_s=max(0.0, now_s - active_s),
            regret_j=self.state.regret_j,
            downlink_bps=self.downlink_bps,
        )
        previous = None if self.state.point is None else table.rows[self.state.point]
        choice = self.policy(table, predictions, previous)
        point, knots = table.points[choice.row], table.knots
        by_change = point is KEPT or (knots is not None and point in knots.rows)
        decision = _decision(table, predictions, choice, changes.get(point, REFRESH) if by_change else REFRESH)
        if self.keeping and last and KEPT in changes:
            reason = self.keeping.reason(changes[KEPT], last, kept=KEPT in table.rows)
            decision = replace(decision, reasons=(decision.reasons[0], reason, *decision.reasons[1:]))
        if point is KEPT:
            # A frame that computes and sends nothing says nothing of what the radio's states would have cost.
            self.state = replace(self.state, now_s=now_s, active_s=active_s)
            return decision
        if not table.local[choice.row]:
            active_s = now_s + decision.latency_s
        regret_j = next_regret_j(predictions, table, self.energy.radio, self.state.regret_j)
        self.state = State(point, now_s, active_s, regret_j)
        return decision

    def kept_accuracy(self, changes: Mapping[OperatingPoint, float], last: LastAnswer | None) -> float | None:
        """At least how good the last answer is for a frame; ``None`` where it may not be kept."""
        return self.keeping.accuracy(changes, last) if self.keeping else None

    def timeout_s(self, point: OperatingPoint) -> float:
        """Seconds after the frame arrived at which the terminal gives up waiting for the edge server."""
        return float(self.table.timeout_s[self.table.row(point)])

    def probe_plan(self) -> ProbePlan:
        """How an unused link should be probed with this radio and this profile.

        A probe of a sleeping radio costs E joules, its whole tail included; noticing a good link late costs up to
        G watts. With a probe every I seconds during an outage of D seconds (the horizon), that is ``E·D/I + G·I/2``
        joules, least at ``I = sqrt(2·E·D/G)``, the interval of Young (CACM 17(9), 1974) for checkpoints. It bounds the
        longest wait; the waits before it double from 1 s, while the radio is still awake and a probe costs little.
        Where even the best link would not pay for one probe within the horizon, none is sent; of a probe that finds
        such a link the tail is not lost, for offloads follow.
        """
        always_local = isinstance(self.policy, Fixed) and self.policy.point.is_local
        gain_w = 0.0 if always_local else self._offload_gain_w()
        probe = self.energy.offload(0.0, PROBE_BYTES, 1e6, idle_s=math.inf)
        if gain_w * self.limits.horizon_s <= float(probe.total_j - probe.tail_j):
            return ProbePlan.never()
        longest_s = math.sqrt(2 * float(probe.total_j) * self.limits.horizon_s / gain_w)
        return ProbePlan(longest_s=max(8.0, longest_s))

    def _offload_gain_w(self) -> float:
        """Watts that the best offload saves against the best local point, on a link without limits, the radio awake."""
        ideal = predict(self.table, self.energy, RateEstimate(1e12, 1e12), idle_s=0.0)
        local, offload = ideal.on_time & self.table.local, ideal.on_time & ~self.table.local
        if not offload.any():
            return 0.0
        if not local.any():
            return math.inf
        gain_j = float(ideal.steady_j[local].min() - ideal.steady_j[offload].min())
        return gain_j / self.limits.period_s

    def _table_at(
        self, table: Table, changes: Mapping[OperatingPoint, float], sent_ratio: Mapping[OperatingPoint, float] | None
    ) -> Table:
        if table.knots is None:
            return table
        self._named = table.knots.named(changes, self._named)
        return table.at(changes, sent_ratio, self._named)

    def _times(self, estimate: RateEstimate | None, now_s: float | None) -> tuple[float, float]:
        seen_s = estimate.time_s if estimate is not None else -math.inf
        if now_s is None:
            next_s = self.state.now_s + self.limits.period_s if self.state.point is not None else 0.0
            now_s = max(next_s, seen_s)
        return now_s, max(self.state.active_s, seen_s)


def _decision(table: Table, predictions: Predictions, choice: Choice, change: float) -> Decision:
    row, estimate = choice.row, predictions.estimate
    reasons = [choice.reason]
    if estimate is None:
        reasons.append("the link is unknown or down: only local points count")
    elif late := len(table.points) - int(np.count_nonzero(predictions.on_time)):
        rate_bps = estimate.rate_bps if table.guards else estimate.low_bps
        reasons.append(f"{_points(late, 'misses', 'miss')} the deadline at {rate_bps / 1e6:.3g} Mbit/s")
    if not table.local[row] and estimate is not None and predictions.risk[row] >= 0.005:
        reasons.append(f"the edge server answers in time with a chance of {100 * (1 - predictions.risk[row]):.0f} %")
    if table.below_floor:
        reasons.append(f"{_points(table.below_floor, 'is', 'are')} below the accuracy floor")
    if table.not_faster:
        reasons.append(f"{_points(len(table.not_faster), 'is', 'are')} left out: {NOT_FASTER} than fp32")
    return Decision(
        table.points[row],
        predictions.latency_s.item(row),
        predictions.energy_j.item(row),
        table.accuracy.item(row) if table.measured[row] else None,
        None if estimate is None else estimate.rate_bps,
        tuple(reasons),
        table.columns.item(PAYLOAD_BYTES, row),
        change,
    )


def _points(count: int, one: str, many: str) -> str:
    return f"1 point {one}" if count == 1 else f"{count} points {many}"
