"""Clocks: real time, real time without the idle parts, and time that moves only when told; and a stopwatch.

May import: nothing of adaedge. All of them count seconds from their own start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, final

Job = Callable[[], None]


class Clock(Protocol):
    """The protocol of a clock. A user's own clock needs these three methods."""

    def now_s(self) -> float:
        """Seconds since the clock was made."""
        ...

    def sleep_until(self, time_s: float) -> None:
        """Do nothing until ``time_s``; return at once if it has passed."""
        ...

    def run_in_background(self, job: Job) -> None:
        """Run a job beside the caller, while time passes for both."""
        ...


@final
class Stopwatch:
    """Seconds that the terminal computed for one frame: those inside of ``with stopwatch:``, which do not nest.

    Example:
        >>> stopwatch = Stopwatch(clock := ManualClock())
        >>> with stopwatch:
        ...     clock.sleep_until(0.25)
        >>> clock.sleep_until(1.0)
        >>> stopwatch.compute_s
        0.25
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_s = 0.0
        self.compute_s = 0.0

    def __enter__(self) -> None:
        self._start_s = self._clock.now_s()

    def __exit__(self, *_: object) -> None:
        """Count the seconds, also of what raised."""
        self.compute_s += self._clock.now_s() - self._start_s

    def pad(self, compute_s: float) -> None:
        """Wait until so many seconds of computing are counted, as a slower processor would still be at it."""
        if self.compute_s < compute_s:
            with self:
                self._clock.sleep_until(self._start_s + compute_s - self.compute_s)


@final
class MonotonicClock:
    """Real time, from 0."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    def now_s(self) -> float:
        """Seconds since the clock was made."""
        return time.monotonic() - self._start_s

    def sleep_until(self, time_s: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, time_s - self.now_s()))

    def run_in_background(self, job: Job) -> None:
        """Run the job in a thread."""
        threading.Thread(target=job, name="adaedge-background", daemon=True).start()


@final
class SkippingClock:
    """Real time while something happens; idle time is skipped by moving the clock forward.

    A run paced by it sees the same instants as one paced by real time, but does not take as long. What is measured
    (computing, uploads) takes its real time, and while a job runs aside, nothing is skipped.

    Example:
        >>> clock = SkippingClock()
        >>> clock.sleep_until(3600.0)
        >>> 3600 <= clock.now_s() < 3601
        True
    """

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._skipped_s = 0.0
        self._jobs = 0
        self._condition = threading.Condition()

    def now_s(self) -> float:
        """Seconds since the clock was made, skipped ones included."""
        return time.monotonic() - self._start_s + self._skipped_s

    def sleep_until(self, time_s: float) -> None:
        """Wait while a job runs aside, then skip the rest."""
        with self._condition:
            while self._jobs and self.now_s() < time_s:
                self._condition.wait(time_s - self.now_s())
            self._skipped_s += max(0.0, time_s - self.now_s())

    def run_in_background(self, job: Job) -> None:
        """Run the job in a thread, and hold the clock to real time until it is done."""
        with self._condition:
            self._jobs += 1

        def run() -> None:
            try:
                job()
            finally:
                with self._condition:
                    self._jobs -= 1
                    self._condition.notify_all()

        threading.Thread(target=run, name="adaedge-background", daemon=True).start()


@final
class ManualClock:
    """Time that moves only when someone sleeps: for tests and replays. What is computed takes no time.

    Example:
        >>> clock = ManualClock()
        >>> clock.sleep_until(2.5)
        >>> clock.now_s()
        2.5
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()

    def now_s(self) -> float:
        """The time that was set last."""
        return self._now_s

    def sleep_until(self, time_s: float) -> None:
        """Move the clock forward to ``time_s``."""
        with self._lock:
            self._now_s = max(self._now_s, time_s)

    def run_in_background(self, job: Job) -> None:
        """Run the job now, in the caller: where time does not flow, nothing happens beside anything else."""
        job()
