"""LinkObserver: what a terminal knows of the link in a replay.

May import: ``channel``, ``scheduling``.
"""

from __future__ import annotations

from adaedge.channel import RateEstimate, RateEstimator
from adaedge.scheduling import LONGEST_PROBE_S, Exchange, LinkState, Scheduler, trips_of


class LinkObserver:
    """The terminal's knowledge of the link: the replay's counterpart of the runtime's ``LinkMonitor``."""

    def __init__(self, estimator: RateEstimator, state: LinkState, scheduler: Scheduler | None = None) -> None:
        self._estimator = estimator
        self._state = state
        self._scheduler = scheduler
        self._probe: Exchange | None = None  # under way, or not yet seen to have ended

    def estimate(self, now_s: float) -> RateEstimate | None:
        """The link at ``now_s``, a probe that ended before it included."""
        if self._probe is not None and self._probe.end_s <= now_s:
            probe, self._probe = self._probe, None
            self.exchanged(probe)
        return self._state.estimate(self._estimator, now_s)

    def exchanged(self, exchange: Exchange) -> None:
        """Learn from a payload that was answered, or given up."""
        step = self._state.after(exchange)
        if step.lesson is not None:
            self._estimator.observe(step.lesson)
        self._state = step.state

    def wants_probe(self, now_s: float) -> bool:
        """Whether a probe should be sent."""
        if self._scheduler is None:
            return self._state.probe_due(now_s)
        return self._scheduler.wants_probe(self._state, now_s)

    @property
    def probe_timeout_s(self) -> float:
        """Seconds after which a probe is given up, once the edge server was reached for the first time."""
        trips_s = trips_of(self._state)
        if self._scheduler is None or not trips_s:
            return LONGEST_PROBE_S
        return self._scheduler.probe_timeout_s(trips_s)

    def settle(self, spent_j: float, owed_j: float) -> None:
        """Tell the scheduler what was really spent."""
        if self._scheduler is not None:
            self._scheduler.settle(spent_j, owed_j)

    def probed(self, probe: Exchange) -> None:
        """A probe was sent; it is known when it has ended."""
        self._state, self._probe = self._state.probe_sent(), probe
