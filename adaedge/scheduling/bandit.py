"""LinearBandit: corrects a wrong profile by what frames really took.

May import: ``errors``; of this part ``least_energy``, ``policy``, ``prediction``, ``table``.

A profile was measured on another day, on a board that was cooler. So the joules of a point are taken to be

    θ₁ · computing + θ₂ · (radio and waiting)

of its predicted ones, and θ is learned from what each frame really took: ridge regression about θ = (1, 1), weighed in
local frames. As in μLinUCB (Zhang et al., "Autodidactic neurosurgeon", 2021), a point is judged by the least that it
may take, ``x·θ - bonus · sqrt(x A⁻¹ x)``: what is not known well is worth a trial; and the other side, local or not, is
sampled by force at frames ever further apart, for a terminal that always does the same learns nothing of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from adaedge.errors import ScheduleError
from adaedge.scheduling.knots import Column
from adaedge.scheduling.least_energy import least
from adaedge.scheduling.policy import Choice, Guarded
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table

_PRIOR = 4.0  # so many frames weighs that the profile says it is right
_FORGET = 0.99  # of what was learned, at each frame
_OUTLIER = 3.0  # a frame that took so many times as much met an accident


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The memory of the bandit.

    Attributes:
        gram: (2, 2): of the joules predicted, by cause, beyond the prior.
        moment: (2,): of these with what was found beyond them.
        frames: so far.
        asked: (2,): the joules predicted for the frame before, by cause, in local frames.
        scale_j: joules of a local frame.
    """

    gram: Column
    moment: Column
    frames: int
    asked: Column
    scale_j: float

    @property
    def inverse(self) -> Column:
        """The inverse of the whole Gram matrix."""
        return np.asarray(np.linalg.inv(self.gram + _PRIOR * np.eye(2)))


@final
@dataclass(frozen=True, slots=True)
class LinearBandit(Guarded):
    """The least energy by a profile that is corrected as frames go.

    Attributes:
        bonus: how much what is not known counts in a point's favour.
        forced: the first frames that are sampled by force are so many apart; each gap is twice the one before it.
            0: none is.
        hysteresis: as of `LeastEnergy`.

    Raises:
        ScheduleError: if one is below 0, or the hysteresis not below 1.
    """

    bonus: float = 0.02
    forced: int = 64
    hysteresis: float = 0.05

    def __post_init__(self) -> None:
        if not (0 <= self.hysteresis < 1 and self.bonus >= 0 and self.forced >= 0):
            raise ScheduleError(
                "bonus and forced are at least 0 and hysteresis is in [0, 1);"
                f" got {self.bonus}, {self.forced}, {self.hysteresis}"
            )

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row of the least corrected joules, and what was learned."""
        learned = self._learn(table, predictions)
        causes = _causes(table, predictions, learned.scale_j)
        inverse = learned.inverse
        theta = inverse @ learned.moment
        unknown = np.sqrt(np.maximum(0.0, np.einsum("ij,ik,kj->j", causes, inverse, causes)))
        better = theta @ causes - self.bonus * unknown
        corrected_j = np.maximum(0.0, predictions.energy_j + learned.scale_j * better)
        choice = self._forced(table, predictions, learned, corrected_j) or least(
            table, predictions, previous, corrected_j, predictions.on_time, self.hysteresis
        )
        memory = Learned(learned.gram, learned.moment, learned.frames + 1, causes[:, choice.row], learned.scale_j)
        return choice._replace(memory=memory)

    def _learn(self, table: Table, predictions: Predictions) -> Learned:
        """What is known once it is known what the frame before took."""
        past = predictions.past
        learned = past.memory
        if not isinstance(learned, Learned):
            rows = [row for row in table.local_rows if table.terminal_s[row] > 0]
            scale_j = max([float(predictions.steady_j[row]) for row in rows], default=1.0) or 1.0
            return Learned(np.zeros((2, 2)), np.zeros(2), 0, np.zeros(2), scale_j)
        asked, found = learned.asked, past.spent_j / learned.scale_j
        expected = float(asked.sum())
        if not (0 < found < _OUTLIER * expected):
            return learned
        gram = _FORGET * learned.gram + np.outer(asked, asked)
        moment = _FORGET * learned.moment + asked * (found - expected)
        return Learned(gram, moment, learned.frames, asked, learned.scale_j)

    def _forced(self, table: Table, predictions: Predictions, learned: Learned, energy_j: Column) -> Choice | None:
        """The best point of the other side, where it is time to sample it and it might pay."""
        step = (learned.frames - 1) // self.forced if self.forced and learned.frames else 0
        if not step or (learned.frames - 1) % self.forced or step & (step - 1):
            return None
        sides = [np.where(predictions.on_time & side, energy_j, np.inf) for side in (table.local, table.remote)]
        best = [int(side.argmin()) for side in sides]
        costs = [float(side[row]) for side, row in zip(sides, best, strict=True)]
        other = int(costs[0] <= costs[1])
        if not costs[other] <= 2 * costs[1 - other]:
            return None
        return Choice(best[other], "sampled by force: the other side was not tried for long")


def _causes(table: Table, predictions: Predictions, scale_j: float) -> Column:
    """(2, points): joules of computing, and of radio and waiting, in local frames."""
    rows = [row for row in table.local_rows if table.terminal_s[row] > 0]
    busy_w = float(predictions.steady_j[rows[0]] / table.terminal_s[rows[0]]) if rows else 0.0
    computing_j = busy_w * table.terminal_s
    return np.stack([computing_j, np.maximum(0.0, predictions.steady_j - computing_j)]) / scale_j
