"""Session: runs frames through a terminal, paced by the clock, and yields one record for each.

May import: ``bundle``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from adaedge.runtime.record import FrameRecord
from adaedge.runtime.result import Result
from adaedge.runtime.terminal import Terminal


def run(
    terminal: Terminal,
    frames: Iterable[Any],
    *,
    period_s: float | None = None,
    heard: Callable[[Result], None] | None = None,
) -> Iterator[FrameRecord]:
    """Run frames through a terminal and yield a record as each is answered, so that none is lost if the source breaks.

    A frame is taken every ``period_s``. A run that falls behind takes the next frame at once and drops none: its frames
    then start late, which ``time_s`` shows. ``period_s=0`` takes each frame as soon as the one before is answered.

    Args:
        terminal: an entered terminal; its clock paces the run.
        frames: what ``Terminal.infer`` takes.
        period_s: seconds from a frame to the next; the scheduler's by default.
        heard: is given each result, of which a record holds the answer in short only.

    Raises:
        SourceError: what the source raises, and what ``Terminal.infer`` raises for a frame that does not fit.
    """
    period_s = terminal.scheduler.limits.period_s if period_s is None else period_s
    deadline_s = terminal.scheduler.limits.deadline_s
    begin_s = terminal.clock.now_s()
    taken = iter(frames)
    for index in count():
        terminal.clock.sleep_until(begin_s + index * period_s)
        try:
            frame = next(taken)  # only now: what a camera saw a period ago is no news
        except StopIteration:
            return
        time_s = terminal.clock.now_s() - begin_s
        result = terminal.infer(frame)
        if heard is not None:
            heard(result)
        answers, answer = terminal.bundle.answers, result.answer
        outputs, best = answers.described(answer, frame), answers.best_class(answer)
        yield FrameRecord(index, time_s, deadline_s, result.decision, result.measurement, best, outputs)
