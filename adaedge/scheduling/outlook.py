"""Outlook: what an unused link may be worth, by what was seen of it, and what the modem's signal says.

May import: ``channel``. Holds no clock: times come with the calls.
"""

from __future__ import annotations

import math
from typing import final

from adaedge.channel import LinkPrior, RateEstimate
from adaedge.scheduling.table import Limits

BEST = 0.9
"""The quantile of the rates seen that a probe is judged by."""
LEARNED_EVERY_S = 1.0
"""The prior learns one rate a second at most: those of neighbouring frames say the same."""
SIGNAL_S = 5.0
"""Seconds over which the modem's signal is averaged."""


@final
class Outlook:
    """The rate that a probe may find.

    Attributes:
        prior: rates seen here, those of earlier runs included.
        signal_bps: the rate that the modem's signal promises; ``None`` where it is silent.
    """

    def __init__(self, prior: LinkPrior, limits: Limits) -> None:
        self.prior = prior
        self.signal_bps: float | None = None
        self._limits = limits
        self._mean_bps: float | None = None
        self._seen_s, self._since_s = -math.inf, math.inf  # the last rate seen; the first question
        self._learned_s = -math.inf

    def hear(self, signal_bps: float | None) -> None:
        """Take the signal's rate, once a frame: a peak of a second counts at most as the mean before it."""
        if signal_bps is None:
            self.signal_bps = self._mean_bps = None
            return
        before_bps = signal_bps if self._mean_bps is None else self._mean_bps
        share = min(1.0, self._limits.period_s / SIGNAL_S)
        self._mean_bps = before_bps + share * (signal_bps - before_bps)
        self.signal_bps = min(signal_bps, self._mean_bps)

    def learn(self, estimate: RateEstimate | None) -> None:
        """Take a rate that was seen into the prior."""
        if estimate is None or estimate.time_s <= self._seen_s:
            return
        self._seen_s = estimate.time_s
        if estimate.time_s >= self._learned_s + LEARNED_EVERY_S:
            self.prior, self._learned_s = self.prior.seen(estimate.rate_bps), estimate.time_s

    def asked(self, now_s: float) -> None:
        """A run that asks for the first time begins now."""
        self._since_s = min(self._since_s, now_s)

    def expected_bps(self, now_s: float) -> float:
        """The rate that a probe may find: what the signal says, or what was seen, and better as time goes by."""
        if self.signal_bps is not None:
            return self.signal_bps
        best_bps = self.prior.quantile(BEST)
        if best_bps is None:
            return math.inf
        # A prior is as good as new when a run begins.
        return best_bps * (1 + (now_s - max(self._seen_s, self._since_s)) / self._limits.horizon_s)
