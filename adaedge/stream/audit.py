"""Audit: now and then a frame whose answer could be kept is computed after all, and the two answers are compared.

May import: nothing of adaedge. State comes in and goes out: `Audit` is a value.

A curve is fitted once, on some clips; a camera sees other things later. So one such frame in N is computed, and where
the kept answer was worse than the curve promised, a change counts for more from then on:

    correction ← correction + ½ · reach · (promised − score),  kept within 0 and 1.25 · reach

``reach`` is the largest change that an answer is kept over: at the upper end nothing is kept. The score is of the last
four audited frames together, for some metrics are pooled over frames and say little of a single one. Each audit that
finds more than was promised brings some of it back: it forgets slowly. As long as it is not at either end, its sum
telescopes, and the audited frames score on average what was promised (I. Gibbs and E. Candès, "Adaptive conformal
inference under distribution shift", NeurIPS 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

EVERY = 50
"""One frame in so many that could be kept is audited, unless told: at most 2 % of them are computed for that."""
TOGETHER = 4
"""So many audited frames are scored together."""
_GAIN = 0.5
_END = 1.25


@dataclass(frozen=True, slots=True)
class Audit:
    """The findings of a stream's audits.

    Attributes:
        every: one frame in so many that could be kept is audited; 0 for none.
        reach: the largest change that an answer is kept over.
        seen: how many such frames came since the last audit.
        correction: how much more a change counts.

    Example:
        >>> audit = Audit(every=2, reach=0.04).passed()
        >>> audit.due, audit.found(score=0.5, promised=0.75).correction
        (True, 0.005)
    """

    every: int = EVERY
    reach: float = 1.0
    seen: int = 0
    correction: float = 0.0

    @property
    def due(self) -> bool:
        """Whether the next frame that could be kept is audited."""
        return self.every > 0 and self.seen + 1 >= self.every

    def passed(self) -> Self:
        """After a frame that could be kept, and was not audited."""
        return replace(self, seen=self.seen + 1)

    def found(self, score: float, promised: float) -> Self:
        """After an audit.

        Args:
            score: of kept answers against those that were computed, in [0, 1].
            promised: what they score at least by the curve.
        """
        moved = self.correction + _GAIN * self.reach * (promised - score)
        return replace(self, seen=0, correction=min(max(moved, 0.0), _END * self.reach))

    def missed(self) -> Self:
        """After an audit that found nothing: the answer could not be computed, or not be compared."""
        return replace(self, seen=0)
