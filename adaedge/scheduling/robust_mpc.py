"""RobustMPC: the plan for the next frames that is best at the low rate of the link.

May import: ``errors``; of this part ``least_energy``, ``policy``, ``prediction``, ``table``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from adaedge.errors import ScheduleError
from adaedge.scheduling.least_energy import least
from adaedge.scheduling.policy import Choice, Guarded
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table


@final
@dataclass(frozen=True, slots=True)
class RobustMPC(Guarded):
    """Model predictive control over the next frames, at the rate that the link will probably exceed.

    As RobustMPC does for video (Yin et al., SIGCOMM 2015), the plan is made for the low rate, `RateEstimate.low_bps`;
    here it is that of a terminal: the same point for all of the next frames, the changes of the radio's state at their
    beginning and end among its joules. Only its first frame is run; the next one is planned anew.

    Attributes:
        frames: how far it looks.
        hysteresis: as of `LeastEnergy`.

    Raises:
        ScheduleError: if it looks no frame ahead, or the hysteresis is not in [0, 1).
    """

    frames: int = 20
    hysteresis: float = 0.05

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ScheduleError(f"a plan is of at least one frame; got {self.frames}")
        if not 0 <= self.hysteresis < 1:
            raise ScheduleError(f"hysteresis is a fraction of the energy, in [0, 1); got {self.hysteresis}")

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row of the least joules over the next frames at the low rate."""
        if predictions.estimate is None:
            return least(table, predictions, previous, predictions.energy_j, predictions.on_time, self.hysteresis)
        low = predictions.at(predictions.estimate.low_bps, frames=self.frames)
        # What the scheduler ruled out stays so, whatever the rate.
        allowed = low.on_time & predictions.on_time
        return least(table, low, previous, low.energy_j, allowed, self.hysteresis)
