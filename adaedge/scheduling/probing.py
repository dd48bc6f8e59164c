"""ProbePlan: when to send a few bytes over a link that no frame uses, so that its return is noticed.

May import: nothing of adaedge. Pure: every method takes the time and returns a new plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

PROBE_BYTES = 8192
"""Bytes of a probe: six packets, which still cross in one flight (TCP's initial window is ten segments, RFC 6928), so
that their duration tells the rate and not how a connection starts; and few enough to cost 65 ms at 1 Mbit/s."""
ENOUGH = 5
"""Probes in a row after which a link is known: as many as the rate estimator remembers."""


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """When an unused link should be probed.

    A probe is due when nothing was uploaded for ``wait_s``. A probe that fails doubles the wait, up to ``longest_s``;
    one that succeeds, and an offload, reset it to ``interval_s``. But a link that has answered five probes in a row and
    is still not worth an offload is known well enough: from then on the wait doubles as well.

    Attributes:
        interval_s: the shortest wait.
        longest_s: the longest wait; ``inf`` for both means never.
        wait_s: the wait now.
        used_s: when the link was last used, ``-inf`` where it never was: then a probe is due at once.
        answered: how many probes in a row were answered since the last offload.

    Example:
        >>> plan = ProbePlan().used(10.0)
        >>> plan.due(10.9), plan.due(11.0)
        (False, True)
        >>> plan.after(11.0, ok=False).due(12.5)
        False
    """

    interval_s: float = 1.0
    longest_s: float = 8.0
    wait_s: float = 0.0
    used_s: float = -math.inf
    answered: int = 0

    @classmethod
    def never(cls) -> Self:
        """A plan that is never due."""
        return cls(interval_s=math.inf, longest_s=math.inf, wait_s=math.inf, used_s=0.0)

    def due(self, now_s: float, *, eager: bool = False) -> bool:
        """Whether a probe should be sent now; where there is a reason to be eager, after the shortest wait."""
        return now_s >= self.used_s + (min(self.wait_s, self.interval_s) if eager else self.wait_s)

    def after(self, now_s: float, ok: bool) -> Self:
        """The plan after a probe that ended at ``now_s``; ``ok`` says whether the edge server answered it."""
        answered = self.answered + 1 if ok else 0
        doubled_s = min(self.longest_s, max(self.interval_s, 2 * self.wait_s))
        wait_s = self.interval_s if 0 < answered <= ENOUGH else doubled_s
        return replace(self, wait_s=wait_s, used_s=now_s, answered=answered)

    def used(self, now_s: float) -> Self:
        """The plan after a frame's payload was on the link, answered or not, until ``now_s``."""
        return replace(self, wait_s=self.interval_s, used_s=now_s, answered=0)
