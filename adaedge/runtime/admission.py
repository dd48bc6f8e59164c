"""Admission: which payload is computed next, and which is refused at once because its answer would come too late.

May import: ``errors``. It knows no network and no model.

An edge server that computes payloads in the order of arrival computes, under load, answers that no terminal waits
for any more. Here the payload whose deadline comes first is computed first, which is best on one machine whenever all
can be in time (earliest deadline first: Liu and Layland, Journal of the ACM 20(1), 1973), and a payload is let in only
if it and all that wait can still be in time. How long a payload takes is learned from those before it, and payloads are
let in by what they take with caution.

**Who is let in stays in.** A refusal is of use to a terminal only if it comes at once: then there is time to compute
the frame itself. So nobody is refused later to make room for another, and the order of those that wait changes only
when a newcomer comes, and only so that all stay in time. A payload is refused after it was let in only
if those before it took longer than expected with caution.

**Fair shares.** A terminal that had more of the edge server than most, in the last seconds and with what it waits for,
comes after the others, whatever its deadlines are, and is let in only if there is room for theirs: one that sends ten
times its share takes nothing from them. What of it was let in already moves behind the others too, if it stays in time
there.
"""

from __future__ import annotations

import math
import time
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
"""So many times what the middle one of all terminals had, one must have had to come after the others."""
ROOM = 0.5
"""Of the time that is left, the share by which a payload of such a terminal has to be done to be let in."""
_ABSENT_S = 1e-3  # whoever had less in the last seconds is not counted among the terminals
_NEW = 0.2  # of the newest measurement, in what a payload is expected to take
_CAUTION = 3.0  # mean deviations above the mean: the 99th percentile of a normal spread is 2.9 of them


@dataclass(slots=True, eq=False)
class _Job:
    """A payload that wants its turn."""

    due_s: float  # when its computing has to be done
    cost_s: float  # what it is expected to take, with caution
    least_s: float  # and if all goes well
    terminal: str
    wake: Condition
    after: bool = False  # its terminal had more than most: it comes after the others
    turn: bool = False
    refused: bool = False


def _place(job: _Job) -> tuple[bool, float]:
    """What those that wait are ordered by."""
    return job.after, job.due_s


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
        now_s: the time; that of the machine by default.

    Example:
        >>> admission = Admission(slots=1)
        >>> with admission.turn("a point", left_s=1.0, terminal="robot") as waited_s:
        ...     waited_s < 1.0, admission.waiting
        (True, 0)
    """

    def __init__(self, slots: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._slots, self._now_s = slots, now_s
        self._lock = Lock()
        self._waiting: list[_Job] = []
        self._running: dict[_Job, float] = {}  # when each began
        self._costs: dict[Hashable, _Cost] = {}
        self._shares: dict[str, _Share] = {}
        self._asked_s = 0.0

    @property
    def slots(self) -> int:
        """Payloads that are computed at the same time."""
        return self._slots

    @property
    def asked_s(self) -> float:
        """Seconds of computing that were asked for so far: those done, and what refused payloads would have taken."""
        return self._asked_s

    @property
    def waiting(self) -> int:
        """Payloads that wait for their turn."""
        return len(self._waiting)

    def expect(self, kind: Hashable, took_s: float) -> None:
        """A payload of a kind was found to take so long, before any has come."""
        with self._lock:
            self._costs.setdefault(kind, _Cost(took_s))

    @contextmanager
    def turn(self, kind: Hashable, left_s: float | None, terminal: str = "") -> Iterator[float]:
        """Wait for the turn of a payload, hold it, and learn from how long it was held. Gives the seconds waited.

        Args:
            kind: what is computed: payloads of one kind take about as long as each other.
            left_s: seconds until its answer has to be back; ``None`` where that is not known.
            terminal: whose it is.

        Raises:
            OverloadError: at once if its answer would come too late; later only if those before it took longer than
                expected with caution.
        """
        come_s = self._now_s()
        with self._lock:
            job = self._job(kind, come_s + (math.inf if left_s is None else left_s - RESERVE_S), terminal)
            job.refused = not self._let_in(job)
            self._begin()
            while not (job.turn or job.refused):
                job.wake.wait()
            if job.refused:
                self._asked_s += job.cost_s
                raise OverloadError(self._why(job, left_s))
        begun_s = self._now_s()
        try:
            yield begun_s - come_s
        finally:
            self._done(job, kind, self._now_s() - begun_s)

    def _job(self, kind: Hashable, due_s: float, terminal: str) -> _Job:
        known = self._costs.get(kind)
        alike = [known] if known else [*self._costs.values()]  # a new kind is taken to be as the others are
        cost_s = sum(cost.mean_s + _CAUTION * cost.off_s for cost in alike) / max(1, len(alike))
        least_s = sum(cost.mean_s - cost.off_s for cost in alike) / max(1, len(alike))
        return _Job(due_s, cost_s, least_s, terminal, Condition(self._lock))

    def _greedy(self) -> set[str]:
        """The terminals that had more than most, what they wait for included."""
        now_s = self._now_s()
        had_s = {name: share.now(now_s) for name, share in self._shares.items()}
        for job in (*self._running, *self._waiting):
            had_s[job.terminal] = had_s.get(job.terminal, 0.0) + job.cost_s
        present = sorted(seconds for seconds in had_s.values() if seconds > _ABSENT_S)
        if not present:
            return set()
        return {name for name, seconds in had_s.items() if seconds > LEAD * present[(len(present) - 1) // 2]}

    def _let_in(self, newcomer: _Job) -> bool:
        """Put the newcomer among those that wait, unless it or another would be late.

        Payloads of terminals that turned out to be greedy move behind the others if all stay in time there.
        """
        self._waiting.append(newcomer)
        greedy = self._greedy()
        before = {job: job.after for job in self._waiting}
        for job in self._waiting:
            job.after = job.terminal in greedy
        if not self._late(newcomer, 0):
            return True
        for job, after in before.items():
            job.after = after
        newcomer.after = newcomer.terminal in greedy
        # Those before it were let in and stay as they are.
        if not self._late(newcomer, sorted(self._waiting, key=_place).index(newcomer)):
            return True
        self._waiting.remove(newcomer)
        return False

    def _late(self, newcomer: _Job, first: int) -> bool:
        """Whether one from a place on would be late."""
        now_s = self._now_s()
        ahead_s = sum(max(0.0, begun_s + job.cost_s - now_s) for job, begun_s in self._running.items())
        free = self._slots - len(self._running)
        for place, job in enumerate(sorted(self._waiting, key=_place)):
            start_s = now_s if place < free else now_s + ahead_s / self._slots
            room = ROOM if job is newcomer and job.after else 1.0
            late = start_s + job.cost_s > now_s + room * (job.due_s - now_s)
            if place >= first and late and not (place == 0 and self._alone(job)):
                return True
            ahead_s += job.cost_s
        return False

    def _alone(self, job: _Job) -> bool:
        """Whether nothing is in its way: then it is tried, or what was expected could never turn out to be wrong."""
        return not self._running and self._now_s() < job.due_s

    def _begin(self) -> None:
        """Give free slots to those whose turn it is; refuse such as have become late by waiting."""
        while self._waiting and len(self._running) < self._slots:
            now_s, job = self._now_s(), min(self._waiting, key=_place)
            self._waiting.remove(job)
            if now_s + job.least_s > job.due_s and not self._alone(job):
                job.refused = True
            else:
                job.turn = True
                self._running[job] = now_s
            job.wake.notify()

    def _done(self, job: _Job, kind: Hashable, took_s: float) -> None:
        with self._lock:
            now_s = self._now_s()
            del self._running[job]
            self._asked_s += took_s
            self._costs.setdefault(kind, _Cost(took_s)).learn(took_s)
            self._shares.setdefault(job.terminal, _Share()).add(took_s, now_s)
            if len(self._shares) > 1024:
                self._shares = {name: share for name, share in self._shares.items() if share.now(now_s) > _ABSENT_S}
            self._begin()

    def _why(self, job: _Job, left_s: float | None) -> str:
        left = "" if left_s is None else f", and its answer is due in {max(0.0, left_s):.3f} s"
        return (
            f"the edge server has more work than it can do in time: {len(self._running)} payloads are computed,"
            f" {len(self._waiting)} wait; this one takes {job.cost_s:.3f} s{left}"
        )
