"""VirtualQueues: an accuracy that holds on average, and a battery that lasts until an hour.

May import: ``errors``; of this part ``policy``, ``prediction``, ``table``.

Limits that hold in the long run, not at every frame, are queues (Neely, "Stochastic network optimization", 2010): one
grows by what a frame lacks of the average accuracy, the other by what it spends beyond its part of the battery. Each
frame takes the point of the least

    joules / scale - accuracy_queue · weight · accuracy                         without a battery
    battery_queue · joules / scale - (accuracy_queue + 1) · accuracy            with one

where *scale* is the most joules of a point on time just now. What is lacking after n frames is the queue over n, and
a queue cannot grow for ever: at some length the most accurate point, or the cheapest, is always chosen. The battery's
part of a frame is what is left of it over the frames that are left, so what was saved early is spent later. A link is
probed only where that can pay, or probes would empty the battery behind the policy's back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from adaedge.errors import ScheduleError
from adaedge.scheduling.policy import Choice, Guarded, LeastLatency
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table

PRICE = 0.05
"""How much of its part of the battery a frame must overdraw to raise the price of a joule by one."""


@dataclass(frozen=True, slots=True)
class Queues:
    """The memory of the queues.

    Attributes:
        begun_s: when the first frame came.
        accuracy: how much accuracy is lacking so far.
        price: accuracy that a whole scale of joules is worth.
        spent_j: joules so far.
    """

    begun_s: float
    accuracy: float = 0.0
    price: float = 0.0
    spent_j: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class VirtualQueues(Guarded):
    """The least energy at an accuracy on average; with a battery, the best accuracy that it lasts for.

    Set ``accuracy_floor`` of the scheduler to what no single answer may fall below.

    Attributes:
        accuracy: that answers have on average; ``None`` for none.
        battery_j: joules above idle that the frames may take; ``None`` for no such limit.
        until_s: seconds from the first frame that they must last.
        weight: how much a lack of accuracy weighs against joules: more keeps it sooner and costs more.

    Raises:
        ScheduleError: if the accuracy is no fraction, or one of battery and hour is missing, or not above 0.

    Example:
        >>> VirtualQueues(battery_j=500.0)
        Traceback (most recent call last):
            ...
        adaedge.errors.ScheduleError: a battery lasts until an hour: give battery_j and until_s, both; got 500.0, None
    """

    accuracy: float | None = None
    battery_j: float | None = None
    until_s: float | None = None
    weight: float = 20.0

    def __post_init__(self) -> None:
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            raise ScheduleError(f"an average accuracy is a fraction in [0, 1]; got {self.accuracy}")
        if (self.battery_j is None) != (self.until_s is None):
            raise ScheduleError(
                f"a battery lasts until an hour: give battery_j and until_s, both; got {self.battery_j}, {self.until_s}"
            )
        for name, value in (("battery_j", self.battery_j), ("until_s", self.until_s), ("weight", self.weight)):
            if value is not None and not 0 < value < math.inf:
                raise ScheduleError(f"{name} is finite and above 0; got {value}")

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row of the best sum, and the queues after it."""
        queues = self._settled(table, predictions)
        on_time, energy_j = predictions.on_time, predictions.energy_j
        if not on_time.any():
            return LeastLatency()(table, predictions, previous)._replace(memory=queues)
        scale_j = max(float(energy_j[on_time].max()), 1e-12)
        if self.battery_j is None:
            score = energy_j / scale_j - queues.accuracy * self.weight * table.accuracy
            reason = f"{queues.accuracy:.3g} of accuracy is lacking so far"
        else:
            score = queues.price * energy_j / scale_j - (1 + queues.accuracy * self.weight) * table.accuracy
            reason = f"{self.battery_j - queues.spent_j:.4g} J are left of the battery"
        row = int(np.where(on_time, score, np.inf).argmin())
        lack = 0.0 if self.accuracy is None else self.accuracy - float(table.accuracy[row])
        return Choice(row, reason, replace(queues, accuracy=max(0.0, queues.accuracy + lack)))

    def _settled(self, table: Table, predictions: Predictions) -> Queues:
        """The queues once it is known what the frame before took."""
        past = predictions.past
        queues = past.memory if isinstance(past.memory, Queues) else Queues(past.now_s)
        queues = replace(queues, spent_j=queues.spent_j + past.spent_j)
        if self.battery_j is None or self.until_s is None:
            return queues
        period_s = min(table.limits.period_s, self.until_s)
        left = max(1.0, (queues.begun_s + self.until_s - past.now_s) / period_s)
        part_j = max(0.0, self.battery_j - queues.spent_j) / left
        over = past.spent_j / part_j - 1 if part_j > 0 else 1.0
        return replace(queues, price=max(0.0, queues.price + PRICE * min(1.0, over)))
