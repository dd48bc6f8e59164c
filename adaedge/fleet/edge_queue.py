"""EdgeQueue: an edge server's slots in simulated time, by the rules of the real one.

May import: nothing of adaedge. What is due first is computed first, and what would be late, or make another late, is
refused when it comes, as ``runtime.admission`` does it; fair shares, and what is only learned by measuring, are left
out: each payload takes what it is said to take.
"""

from __future__ import annotations

import math
from bisect import insort
from typing import Any, NamedTuple, final


class Job(NamedTuple):
    """A payload; ordered by when its computing has to be done, then by its number."""

    due_s: float
    number: int
    cost_s: float
    come_s: float
    what: Any


@final
class EdgeQueue:
    """Payloads that are computed and that wait.

    Args:
        slots: payloads that are computed at the same time.

    Attributes:
        busy_s: seconds that all slots together have computed.

    Example:
        >>> queue = EdgeQueue(slots=1)
        >>> queue.come(0.0, due_s=1.0, cost_s=0.4, what="first").what, queue.come(0.1, 1.0, 0.4, "second")
        ('first', None)
        >>> queue.waiting, queue.come(0.2, due_s=1.0, cost_s=0.4, what="third"), queue.refused
        (1, None, 1)
        >>> queue.done(0.4).what
        'second'
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._ends: list[float] = []  # of those that are computed, in no order
        self._waiting: list[Job] = []
        self._number = 0
        self.busy_s = 0.0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """Payloads that wait for their turn."""
        return len(self._waiting)

    def come(self, now_s: float, due_s: float, cost_s: float, what: Any) -> Job | None:
        """A payload comes: it is returned if it begins at once; else it waits, or was `refused`."""
        self._number += 1
        job = Job(due_s, self._number, cost_s, now_s, what)
        if len(self._ends) < self._slots:
            if now_s + cost_s > due_s and self._ends:
                self.refused += 1
                return None
            return self._begun(job, now_s)
        if self._makes_late(job, now_s):
            self.refused += 1
            return None
        insort(self._waiting, job)
        return None

    def done(self, now_s: float) -> Job | None:
        """A slot is free; the next to be computed, if any waits."""
        self._ends.remove(min(self._ends))
        return self._begun(self._waiting.pop(0), now_s) if self._waiting else None

    def _begun(self, job: Job, now_s: float) -> Job:
        self._ends.append(now_s + job.cost_s)
        self.busy_s += job.cost_s
        return job

    def _makes_late(self, job: Job, now_s: float) -> bool:
        if math.isinf(job.due_s):
            return False
        ahead_s = sum(self._ends) - now_s * len(self._ends)
        placed = False
        for other in self._waiting:
            if not placed and job < other:
                placed = True
                if now_s + ahead_s / self._slots + job.cost_s > job.due_s:
                    return True
                ahead_s += job.cost_s
            if placed and now_s + ahead_s / self._slots + other.cost_s > other.due_s:
                return True
            ahead_s += other.cost_s
        return not placed and now_s + ahead_s / self._slots + job.cost_s > job.due_s
