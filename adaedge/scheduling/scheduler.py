"""Scheduler: the table, the policy and their state; one decision per frame, with its reasons.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``. It holds no clock: times come with the calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from adaedge.channel import LinkPrior, RateEstimate
from adaedge.energy import EnergyModel
from adaedge.operating_point import KEPT, Cost, Decision, LastAnswer, OperatingPoint, Profile
from adaedge.scheduling.cached_heads import CachedHeads
from adaedge.scheduling.cascade_rows import with_cascades
from adaedge.scheduling.kept_row import KeptRow
from adaedge.scheduling.knots import Named
from adaedge.scheduling.least_energy import ExpectedEnergy
from adaedge.scheduling.ledger import Ledger
from adaedge.scheduling.link_state import LinkState
from adaedge.scheduling.outlook import Outlook
from adaedge.scheduling.past import Past
from adaedge.scheduling.policy import AlwaysLocal, Fixed, Guarded, Policy
from adaedge.scheduling.prediction import Predictions, next_regret_j, predict
from adaedge.scheduling.probing import ProbePlan
from adaedge.scheduling.reasons import decision_of
from adaedge.scheduling.table import REMOTE, Limits, Table
from adaedge.scheduling.two_answers import TwoAnswers
from adaedge.scheduling.worth import LONGEST_PROBE_S, Worth

REFUSED = "no offload: waking the radio is not covered by what was saved so far"
FIRST_FRAMES = 2.0
"""Local frames that the first contact may cost beyond its probe, to find out what the link is really good for."""


@dataclass(frozen=True, slots=True)
class State:
    """The memory of a scheduler from one frame to the next.

    Attributes:
        point: what was chosen for the last frame that was computed; ``None`` before the first.
        now_s: when that was.
        active_s: when the radio carried its last packet, as far as is known; ``-inf`` where it never did.
        regret_j: what the frames so far would have cost less with the radio asleep; negative: with the radio awake.
        ledger: what offloading has saved so far.
        memory: what the policy returned with its last choice.
        spent_j: joules really spent since then, with what the radio draws yet because of them.
    """

    point: OperatingPoint | None = None
    now_s: float = 0.0
    active_s: float = -math.inf
    regret_j: float = 0.0
    ledger: Ledger = field(default=Ledger(), compare=False)
    memory: object = field(default=None, compare=False)
    spent_j: float = field(default=0.0, compare=False)


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
        cascades: of the profile's points, each a point to choose as well, see `adaedge.Cascade`.
        prior: rates seen here in earlier runs. `Scheduler.prior` goes on learning; save it for the next run.

    **No harm.** Where `LeastEnergy` chooses, what looking for something better than always local may cost is bounded
    (see ``ledger``), and the link is probed only while that can pay on what was seen. A policy of one's own is obeyed.

    Raises:
        ScheduleError: if no point has the accuracy, or a limit cannot be.

    Example:
        >>> from adaedge.channel import LinkPrior, RateEstimate
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
        >>> scheduler.choose(None).reasons[-1]
        'the link is unknown or down: only local points count'
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
        prior: LinkPrior | None = None,
        cascades: Sequence[TwoAnswers] = (),
    ) -> None:
        self.limits = Limits.of(deadline_s, accuracy_floor, period_s, margin_s, horizon_s)
        self.table = with_cascades(Table.build(profile, self.limits), profile, cascades)
        self.keeping, self.caching = KeptRow.of(profile, self.table), CachedHeads.of(self.table)
        self.energy = energy
        self.policy: Policy = ExpectedEnergy() if policy is None else policy
        self.downlink_bps = downlink_bps
        self.worth = Worth.of(self.table, energy)
        self.guarded = isinstance(self.policy, Guarded)
        self._outlook = Outlook(LinkPrior() if prior is None else prior, self.limits)
        self.state = State(ledger=Ledger(self.worth.probe_j + FIRST_FRAMES * self.worth.local_j))
        self._named: Named | None = None  # which points the changes of the frame before named

    def choose(
        self,
        estimate: RateEstimate | None,
        now_s: float | None = None,
        changes: Mapping[OperatingPoint, float] | None = None,
        sent_ratio: Mapping[OperatingPoint, float] | None = None,
        last: LastAnswer | None = None,
        step: float | None = None,
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
            step: how much the frame changed against the one before, as ``Stream.step`` says: what incremental heads
                save later is weighed by it, see ``cached_heads``.
        """
        table, changes = self.table, changes or {}
        self._outlook.learn(estimate)
        if estimate is not None and isinstance(self.policy, Guarded) and self.policy.at_the_estimate:
            estimate = replace(estimate, spread=None)
        if self.keeping and (accuracy := self.keeping.accuracy(changes, last)) is not None:
            table = self.keeping.offered(accuracy)
        table = self._table_at(table, changes, sent_ratio) if changes else table
        now_s, active_s = self._times(estimate, now_s)
        idle_s = max(0.0, now_s - active_s)
        before = self.state
        past = Past(before.memory, before.spent_j, now_s)

        def predicted(one: Table) -> Predictions:
            radio = {"idle_s": idle_s, "regret_j": before.regret_j}
            return predict(one, self.energy, estimate, downlink_bps=self.downlink_bps, past=past, **radio)

        predictions = predicted(table)
        if self.caching and step is not None:
            predictions = self.caching.spread(predictions, table, step, predicted)
        refused = self.guarded and not self.state.ledger.covers(self._waking_j(idle_s))
        if refused and (predictions.on_time & table.local).any():
            predictions = replace(predictions, on_time=predictions.on_time & table.local)
        previous = None if self.state.point is None else table.rows[self.state.point]
        choice = self.policy(table, predictions, previous)
        point = table.points[choice.row]
        decision = decision_of(table, predictions, choice, changes, step)
        if refused and estimate is not None:
            decision = replace(decision, reasons=(*decision.reasons, REFUSED))
        if self.keeping and last and KEPT in changes:
            reason = self.keeping.reason(changes[KEPT], last, kept=KEPT in table.rows)
            decision = replace(decision, reasons=(decision.reasons[0], reason, *decision.reasons[1:]))
        if point is KEPT:
            # A frame that computes and sends nothing says nothing of what the radio's states would have cost.
            ledger = self.state.ledger.earned(float(predictions.steady_j[choice.row]))
            kept = replace(before, now_s=now_s, active_s=active_s, ledger=ledger)
            self.state = replace(kept, memory=choice.memory, spent_j=0.0)
            return decision
        if table.columns[REMOTE, choice.row] == 1.0:  # a cascade may send nothing: of what it sent the estimate tells
            active_s = now_s + decision.latency_s
        regret_j = next_regret_j(predictions, table, self.energy.radio, before.regret_j)
        ledger = self.state.ledger.earned(_local_j(predictions, table))
        self.state = State(point, now_s, active_s, regret_j, ledger, choice.memory)
        return decision

    def kept_accuracy(self, changes: Mapping[OperatingPoint, float], last: LastAnswer | None) -> float | None:
        """At least how good the last answer is for a frame; ``None`` where it may not be kept."""
        return self.keeping.accuracy(changes, last) if self.keeping else None

    def timeout_s(self, point: OperatingPoint) -> float:
        """Seconds after the frame arrived at which the terminal gives up waiting for the edge server."""
        return float(self.table.timeout_s[self.table.row(point)])

    def probe_plan(self) -> ProbePlan:
        """How an unused link should be probed with this radio and this profile, see `Worth.plan`.

        A policy of one's own is not second-guessed: it gets a link whether or not offloading can pay.
        """
        if isinstance(self.policy, AlwaysLocal) or (isinstance(self.policy, Fixed) and self.policy.point.is_local):
            return ProbePlan.never()
        if not isinstance(self.policy, Guarded | Fixed):
            return ProbePlan()
        return self.worth.plan(self.limits.horizon_s, float(self.energy.radio.idle_j(0.0, math.inf)))

    @property
    def prior(self) -> LinkPrior:
        """The rates seen here; save it for the next run."""
        return self._outlook.prior

    @property
    def signal_bps(self) -> float | None:
        """The rate that the modem's signal promises; ``None`` where it is silent."""
        return self._outlook.signal_bps

    @property
    def verdict(self) -> str:
        """The rate from which offloading pays here, or why it cannot; for people."""
        worth = self.worth
        if math.isinf(self.probe_plan().wait_s):
            return (
                f"offloading cannot pay here, because even the best link would save {max(0.0, worth.gain_w):.3g} W, and"
                f" reaching for it takes {worth.probe_j:.3g} J"
            )
        return worth.words

    def hear(self, signal_bps: float | None) -> None:
        """The rate that the modem's signal promises, once a frame, see `LinkSignal`; ``None`` where it is silent.

        A peak of a second does not pay for the radio's falling asleep: it counts no more than the mean before it.
        """
        self._outlook.hear(signal_bps)

    def wants_probe(self, link: LinkState, now_s: float) -> bool:
        """Whether an unused link should be probed now: the plan wants it, it can pay, and the ledger covers it."""
        if not self.guarded:
            return link.probe_due(now_s)
        self._outlook.asked(now_s)
        idle_s = max(0.0, now_s - max(self.state.active_s, link.active_s))
        asleep = float(self.energy.radio.idle_j(idle_s, math.inf)) <= 0
        expected_bps = self._outlook.expected_bps(now_s)
        pays = math.isinf(expected_bps) or expected_bps >= (self.worth.asleep_bps if asleep else self.worth.awake_bps)
        if not link.probe_due(now_s, eager=pays and self.signal_bps is not None):
            return False
        sent_j = self.worth.probe_j - self.energy.radio.wake_j - float(self.energy.radio.idle_j(0.0, math.inf))
        return self.state.ledger.covers(sent_j + self._waking_j(idle_s), on_credit=pays)

    def probe_timeout_s(self, trips_s: float) -> float:
        """Seconds after which a probe is given up, see `Worth.probe_timeout_s`; 2 s for a policy of one's own."""
        return self.worth.probe_timeout_s(trips_s) if self.guarded else LONGEST_PROBE_S

    def settle(self, spent_j: float, owed_j: float) -> None:
        """Take the joules that the terminal has really spent since the last time, and those its radio will draw yet."""
        before = self.state
        more_j = spent_j + owed_j - before.ledger.owed_j
        ledger = before.ledger.settled(spent_j, owed_j)
        self.state = replace(before, ledger=ledger, spent_j=before.spent_j + more_j)

    def _waking_j(self, idle_s: float) -> float:
        """What using the radio now takes, beyond the transfer and beyond what it draws if it is left alone."""
        radio = self.energy.radio
        return float(radio.ready_j(idle_s) + radio.idle_j(0.0, math.inf) - radio.idle_j(idle_s, math.inf))

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


def _local_j(predictions: Predictions, table: Table) -> float:
    """Joules of the best local point on time; 0 where there is none."""
    return min([float(predictions.steady_j[row]) for row in table.local_rows if predictions.on_time[row]], default=0.0)
