"""BestOf: a policy that follows the best of several.

May import: ``errors``; of this part ``bandit``, ``least_energy``, ``policy``, ``prediction``, ``robust_mpc`` and
``table``.

Each policy proposes a row for every frame, with a memory of its own. What its proposal would have taken is known where
it was run; a local one takes what is predicted; and of an offload that was not run, where another was, the prediction
is scaled by what that one took beyond its own. The policy with the fewest joules so far, old frames counting less, is
followed; another replaces it only once it leads by a few local frames: two policies that are as good differ by luck.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from adaedge.errors import ScheduleError
from adaedge.scheduling.bandit import LinearBandit
from adaedge.scheduling.least_energy import ExpectedEnergy, LeastEnergy
from adaedge.scheduling.policy import Choice, Guarded, Policy
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.robust_mpc import RobustMPC
from adaedge.scheduling.table import Table

MEMBERS: tuple[Policy, ...] = (ExpectedEnergy(), LeastEnergy(), RobustMPC(), LinearBandit())
_FORGET = 0.998


@dataclass(frozen=True, slots=True)
class Standing:
    """The memory of each policy's proposals and joules.

    Attributes:
        choices: what they proposed for the frame before.
        predicted_j: what these were predicted to take.
        local: whether they were local.
        totals_j: what they took so far, old frames counting less.
        leader: whose proposal was run.
    """

    choices: tuple[Choice, ...]
    predicted_j: tuple[float, ...]
    local: tuple[bool, ...]
    totals_j: tuple[float, ...]
    leader: int


@final
@dataclass(frozen=True, slots=True)
class BestOf(Guarded):
    """Follows whichever policy has taken the fewest joules so far.

    Attributes:
        policies: the first one leads at the beginning.
        lead: local frames' joules that another must be ahead before it is followed.

    Raises:
        ScheduleError: if there is none, or the lead is below 0.
    """

    policies: tuple[Policy, ...] = MEMBERS
    lead: float = 4.0

    def __post_init__(self) -> None:
        if not self.policies or not self.lead >= 0:
            raise ScheduleError(f"there is a policy to follow, and the lead is at least 0; got {self}")

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The leader's row, and how all of them stand."""
        past = predictions.past
        before = past.memory if isinstance(past.memory, Standing) else None
        totals_j = (0.0,) * len(self.policies) if before is None else _totals(before, past.spent_j)
        leader = 0 if before is None else before.leader
        local_j = min([float(predictions.steady_j[row]) for row in table.local_rows], default=0.0)
        ahead = min(range(len(totals_j)), key=totals_j.__getitem__)
        if totals_j[ahead] < totals_j[leader] - self.lead * local_j:
            leader = ahead
        choices = tuple(self._ask(index, table, predictions, previous, before) for index in range(len(self.policies)))
        rows = [choice.row for choice in choices]
        predicted_j = tuple(float(predictions.steady_j[row]) for row in rows)
        local = tuple(bool(table.local[row]) for row in rows)
        standing = Standing(choices, predicted_j, local, totals_j, leader)
        chosen = choices[leader]
        return Choice(chosen.row, f"{type(self.policies[leader]).__name__}: {chosen.reason}", standing)

    def _ask(
        self, index: int, table: Table, predictions: Predictions, previous: int | None, before: Standing | None
    ) -> Choice:
        policy = self.policies[index]
        own = None if before is None else before.choices[index]
        # Of a frame that was not run as it proposed, a policy learns nothing.
        ran = before is not None and own is not None and own.row == before.choices[before.leader].row
        spent_j = predictions.past.spent_j if ran else 0.0
        past = replace(predictions.past, memory=own and own.memory, spent_j=spent_j)
        told = replace(predictions, past=past)
        if isinstance(policy, Guarded) and policy.at_the_estimate:
            told = replace(told.at_the_estimate, on_time=told.at_the_estimate.on_time & predictions.on_time)
        return policy(table, told, previous)


def _totals(before: Standing, spent_j: float) -> tuple[float, ...]:
    """What each took so far, the frame before included."""
    leader = before.leader
    run_j, predicted_j = spent_j, before.predicted_j[leader]
    factor = run_j / predicted_j if not before.local[leader] and predicted_j > 0 else 1.0
    took_j = [
        run_j if choice.row == before.choices[leader].row else own_j * (1.0 if local else factor)
        for choice, own_j, local in zip(before.choices, before.predicted_j, before.local, strict=True)
    ]
    return tuple(_FORGET * total_j + own_j for total_j, own_j in zip(before.totals_j, took_j, strict=True))
