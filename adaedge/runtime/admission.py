"""Admission: which payload is computed next, and which is refused at once because its answer would come too late.

May import: ``errors``. It knows no network and no model.

An edge server that computes everything in the order in which it came computes, under load, answers that nobody waits
for any more. Here the payload whose deadline comes first is computed first, which is best on one machine whenever all
can be in time (earliest deadline first: Liu and Layland, Journal of the ACM 20(1), 1973), and a payload is let in only
if all that wait can still be in time. How long a payload takes is learned from those before it.

**Fair shares.** Where not all can be in time, the one that is refused belongs to the terminal that had the most of the
edge server in the last seconds: mostly the one that came last, but a terminal that sends ten times its share takes
nothing from the others.
"""

from __future__ import annotations

import math
import time
from bisect import insort
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock
from typing import final

from adaedge.errors import OverloadError

RESERVE_S = 0.004
"""What the answer needs to get back, and what waking a thread takes; kept free of the deadline."""
MEMORY_S = 2.0
"""Seconds after which half of what a terminal had of the edge server is forgotten."""
LEAD = 1.5
"""So many times the newcomer's share a terminal must have had for its waiting payload to give way."""
_NEW = 0.1  # of the newest measurement, in what a payload is expected to take


@dataclass(slots=True, eq=False)
class _Job:
    """A payload that wants its turn."""

    due_s: float  # when its computing has to be done
    cost_s: float
    terminal: str
    wake: Condition
    turn: bool = False
    refused: bool = False


@dataclass(slots=True)
class _Cost:
    """What payloads of a kind take: a running mean, and the running mean of what they differ from it by."""

    mean_s: float
    off_s: float = 0.0

    def learn(self, took_s: float) -> None:
        self.off_s += _NEW * (abs(took_s - self.mean_s) - self.off_s)
        self.mean_s += _NEW * (took_s - self.mean_s)


@dataclass(slots=True)
class _Share:
    """Seconds of the edge server that a terminal had, the older ones forgotten by halves."""

    had_s: float = 0.0
    at_s: float = 0.0

    def now(self, now_s: float) -> float:
        return self.had_s * math.exp2((self.at_s - now_s) / MEMORY_S)

    def add(self, took_s: float, now_s: float) -> None:
        self.had_s, self.at_s = self.now(now_s) + took_s, now_s


@final
class Admission:
    """Turns to compute. Safe to use from many threads: each payload has one that waits here.

    Args:
        slots: payloads that are computed at the same time.
        now_s: the time; that of the machine unless told.

    Example:
        >>> admission = Admission(slots=1)
        >>> with admission.turn("a point", left_s=1.0, terminal="robot") as waited_s:
        ...     waited_s < 1.0, admission.waiting
        (True, 0)
    """

    def __init__(self, slots: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._slots, self._now_s = slots, now_s
        self._lock = Lock()
        self._waiting: list[_Job] = []  # by the time at which they have to be done
        self._running: dict[_Job, float] = {}  # when each began
        self._costs: dict[Hashable, _Cost] = {}
        self._shares: dict[str, _Share] = {}

    @property
    def waiting(self) -> int:
        """Payloads that wait for their turn."""
        return len(self._waiting)

    @contextmanager
    def turn(self, kind: Hashable, left_s: float | None, terminal: str = "") -> Iterator[float]:
        """Wait for the turn of a payload, hold it, and learn from how long it was held. Gives the seconds waited.

        Args:
            kind: what is computed: payloads of one kind take about as long as each other.
            left_s: seconds until its answer has to be back; ``None`` where nobody says.
            terminal: whose it is.

        Raises:
            OverloadError: at once, or as soon as it is known, if its answer would come too late.
        """
        come_s = self._now_s()
        with self._lock:
            job = self._job(kind, come_s + (math.inf if left_s is None else left_s - RESERVE_S), terminal)
            insort(self._waiting, job, key=lambda other: other.due_s)
            self._make_room(job)
            self._begin()
            while not (job.turn or job.refused):
                job.wake.wait()
            if job.refused:
                raise OverloadError(self._why(job, left_s))
        begun_s = self._now_s()
        try:
            yield begun_s - come_s
        finally:
            self._done(job, kind, self._now_s() - begun_s)

    def _job(self, kind: Hashable, due_s: float, terminal: str) -> _Job:
        known = self._costs.get(kind)
        if known is None and self._costs:  # nothing is known of this kind: it is taken to be as the others are
            expected_s = sum(cost.mean_s for cost in self._costs.values()) / len(self._costs)
        else:
            expected_s = known.mean_s + known.off_s if known else 0.0
        return _Job(due_s, expected_s, terminal, Condition(self._lock))

    def _make_room(self, newcomer: _Job) -> None:
        """Refuse until all that wait can be in time."""
        while (late := self._first_late()) is not None:
            victim = self._victim(self._waiting[: late + 1], newcomer)
            self._waiting.remove(victim)
            victim.refused = True
            victim.wake.notify()
            if victim is newcomer:
                return

    def _first_late(self) -> int | None:
        """The place of the first that would be late, if all went as expected."""
        now_s = self._now_s()
        ahead_s = sum(max(0.0, begun_s + job.cost_s - now_s) for job, begun_s in self._running.items())
        free = self._slots - len(self._running)
        for place, job in enumerate(self._waiting):
            start_s = now_s if place < free else now_s + ahead_s / self._slots
            if start_s + job.cost_s > job.due_s and not self._alone(place, job, now_s):
                return place
            ahead_s += job.cost_s
        return None

    def _alone(self, place: int, job: _Job, now_s: float) -> bool:
        """Whether nothing is in its way: then it is tried, or what was expected could never turn out to be wrong."""
        return place == 0 and not self._running and now_s < job.due_s

    def _victim(self, candidates: list[_Job], newcomer: _Job) -> _Job:
        """The newcomer, if it is in the way, unless another terminal had much more; the last of what that one sent."""
        now_s = self._now_s()
        if newcomer not in candidates:
            return candidates[-1]  # what was expected has changed: the last of them cannot be in time any more
        most = max(candidates, key=lambda job: (self._had_s(job.terminal, now_s), job is newcomer, job.due_s))
        greedy = self._had_s(most.terminal, now_s) > LEAD * self._had_s(newcomer.terminal, now_s)
        return most if greedy and most.terminal != newcomer.terminal else newcomer

    def _had_s(self, terminal: str, now_s: float) -> float:
        share = self._shares.get(terminal)
        return 0.0 if share is None else share.now(now_s)

    def _begin(self) -> None:
        """Give free slots to those whose deadline comes first; refuse such as have become late by waiting."""
        now_s = self._now_s()
        while self._waiting and len(self._running) < self._slots:
            job = self._waiting.pop(0)
            if now_s + job.cost_s > job.due_s and not self._alone(0, job, now_s):
                job.refused = True
            else:
                job.turn = True
                self._running[job] = now_s
            job.wake.notify()

    def _done(self, job: _Job, kind: Hashable, took_s: float) -> None:
        with self._lock:
            now_s = self._now_s()
            del self._running[job]
            self._costs.setdefault(kind, _Cost(took_s)).learn(took_s)
            self._shares.setdefault(job.terminal, _Share()).add(took_s, now_s)
            if len(self._shares) > 1024:
                self._shares = {name: share for name, share in self._shares.items() if share.now(now_s) > 1e-3}
            self._begin()

    def _why(self, job: _Job, left_s: float | None) -> str:
        left = "" if left_s is None else f", and its answer is due in {max(0.0, left_s):.3f} s"
        return (
            f"the edge server has more work than it can do in time: {len(self._running)} payloads are computed,"
            f" {len(self._waiting)} wait; this one takes {job.cost_s:.3f} s{left}"
        )
