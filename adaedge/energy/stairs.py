"""Stairs: how a radio that is left alone falls asleep, step by step; joules and waking at any time of it.

May import: nothing of adaedge.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Step(NamedTuple):
    """A stretch of time in which a radio draws the same power.

    Attributes:
        lasts_s: seconds.
        power_w: watts.
        ready_s: seconds that it takes to wake, at the beginning and at the end; linear between.
        ready_j: joules of that, likewise.
        hold_s: seconds until it listens, likewise.
    """

    lasts_s: float
    power_w: float
    ready_s: tuple[float, float] = (0.0, 0.0)
    ready_j: tuple[float, float] = (0.0, 0.0)
    hold_s: tuple[float, float] = (0.0, 0.0)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Stairs:
    """Steps one after the other; after the last all stays as it is at its end, and nothing more is drawn.

    Attributes:
        times_s: beginning and end of every step, (2 · steps,).
        joules: drawn until then.
        ready_s: seconds to wake at that time.
        ready_j: joules of that.
        hold_s: seconds until it listens.
        marks_s: the times again, as plain numbers.

    Example:
        >>> stairs = Stairs.of([Step(1.0, 2.0), Step(1.0, 0.5, ready_s=(0.1, 0.1))])
        >>> stairs.drawn_j(0.5, 1.5), stairs.drawn_j(1.5, float("inf")), stairs.at(stairs.ready_s, 1.5)
        (1.25, 0.25, 0.1)
    """

    times_s: Floats
    joules: Floats
    ready_s: Floats
    ready_j: Floats
    hold_s: Floats
    marks_s: tuple[float, ...]

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Self:
        """The stairs of some steps."""
        rows, time_s, joules = [], 0.0, 0.0
        for step in steps:
            after_s, after_j = time_s + step.lasts_s, joules + step.lasts_s * step.power_w
            for place, (when_s, drawn_j) in enumerate(((time_s, joules), (after_s, after_j))):
                rows.append((when_s, drawn_j, step.ready_s[place], step.ready_j[place], step.hold_s[place]))
            time_s, joules = after_s, after_j
        times_s, drawn_j, ready_s, ready_j, hold_s = np.array(rows, dtype=np.float64).T.copy()
        return cls(times_s, drawn_j, ready_s, ready_j, hold_s, tuple(times_s.tolist()))

    def at(self, column: Floats, time_s: Any) -> Any:
        """The value of a column at a time, or at an array of them."""
        if isinstance(time_s, np.ndarray):
            return np.interp(time_s, self.times_s, column)
        # One number at a time is quicker without NumPy.
        after = bisect_right(self.marks_s, time_s)
        if after in (0, len(self.marks_s)):
            return float(column[0 if after == 0 else -1])
        before_s, after_s = self.marks_s[after - 1], self.marks_s[after]
        before, next_ = float(column[after - 1]), float(column[after])
        return before + (next_ - before) * (time_s - before_s) / (after_s - before_s)

    def drawn_j(self, from_s: Any, until_s: Any) -> Any:
        """Joules between two times."""
        return self.at(self.joules, until_s) - self.at(self.joules, from_s)
