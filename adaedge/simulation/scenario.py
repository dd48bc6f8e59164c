"""Scenario: what every policy of a comparison meets alike.

May import: ``operating_point``, ``energy``, ``channel``, ``scheduling``, ``runtime.record``; of this part ``changes``,
``references``, ``replay``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaedge.channel import Trace
from adaedge.energy import EnergyModel
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Limits, Policy, Scheduler
from adaedge.simulation.changes import Changes
from adaedge.simulation.references import Costs
from adaedge.simulation.replay import simulate


@dataclass(frozen=True, slots=True)
class Scenario:
    """What every policy of a comparison meets alike.

    Attributes:
        costs: what every point costs.
        energy: what the terminal draws.
        trace: the rate of the uplink.
        limits: what is asked of the answers, and how often a frame comes.
        frames: number of frames.
        round_trip_s: seconds that an empty message takes there and back.
        start_s: where in the trace the first frame arrives.
        changes: how much the frames differ from each other: `ClipChanges` of a clip, or a number a frame, its change
            against the one before. ``None``: each frame is as the first ever seen, so every payload is a refresh.
        signal: what the modem's signal lets expect of the uplink at a time, in bit/s; ``None`` where there is none.

    Example:
        >>> from adaedge.energy import WIFI_2012, ComputePower
        >>> from adaedge.operating_point import Cost, OperatingPoint
        >>> costs = {OperatingPoint("output"): Cost(head_s=0.1)}
        >>> energy = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)
        >>> scenario = Scenario(costs, energy, Trace([0.0], [8e6]), Limits.of(deadline_s=0.2), frames=3)
        >>> [round(record.measurement.energy.compute_j, 3) for record in scenario.run()]
        [0.4, 0.4, 0.4]
    """

    costs: Costs
    energy: EnergyModel
    trace: Trace
    limits: Limits
    frames: int
    round_trip_s: float = 0.02
    start_s: float = 0.0
    changes: Changes | Sequence[float] | None = None
    signal: Callable[[float], float | None] | None = None

    def run(self, policy: Policy | None = None) -> list[FrameRecord]:
        """Replay the frames through a fresh scheduler; `LeastEnergy` chooses unless a policy is given.

        Raises:
            ScheduleError: if no point has the accuracy.
            SourceError: if the changes are fewer than the frames, or one is no number in [0, 1].
        """
        limits = self.limits
        scheduler = Scheduler(
            self.costs,
            self.energy,
            deadline_s=limits.deadline_s,
            accuracy_floor=limits.accuracy_floor,
            period_s=limits.period_s,
            margin_s=limits.margin_s,
            horizon_s=limits.horizon_s,
            policy=policy,
        )
        return simulate(
            self.costs,
            self.energy,
            self.trace,
            scheduler,
            frames=self.frames,
            period_s=limits.period_s,
            round_trip_s=self.round_trip_s,
            start_s=self.start_s,
            changes=self.changes,
            signal=self.signal,
        )
