"""Scenario: costs, link, frames and limits that all policies of a comparison share.

May import: ``operating_point``, ``energy``, ``channel``, ``clip``, ``stream``, ``scheduling``, ``runtime.record``; of
this part ``changes``, ``references``, ``replay``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adaedge.channel import Trace
from adaedge.clip import Clip, Frame
from adaedge.energy import EnergyModel
from adaedge.operating_point import Profile
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Limits, Policy, Scheduler
from adaedge.simulation.changes import Changes, ClipChanges
from adaedge.simulation.references import Costs
from adaedge.simulation.replay import simulate
from adaedge.stream.detectors import check_detector


@dataclass(frozen=True, slots=True)
class Scenario:
    """The costs, link, frames and limits that all policies of a comparison share.

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
        signal: the rate that the modem's signal promises at a time, in bit/s; ``None`` where there is none.
        kept_changes: the same, as the detector of the profile's kept answers sees it; ``None``: no answer is kept.

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
    kept_changes: Changes | Sequence[float] | None = None

    def showing(self, clip: Clip | str | Path | Sequence[Frame]) -> Scenario:
        """The same with the frames of a clip: each is the one that a camera shows then.

        Codecs with a state cost what changes, and answers are kept as the profile's curve says.

        Args:
            clip: a clip, the path of a video, or a list of frames.

        Raises:
            SourceError: if the clip cannot be read.
            ScheduleError: if the curve was fitted with a detector that is none of adaedge's.
        """
        told: dict[str, Any] = {"period_s": self.limits.period_s, "frames": self.frames}
        detector = check_detector(self.costs.kept, None) if isinstance(self.costs, Profile) else None
        kept_changes = None if detector is None else ClipChanges.of_clip(clip, detector=detector, **told)
        return replace(self, changes=ClipChanges.of_clip(clip, **told), kept_changes=kept_changes)

    def scheduler(self, policy: Policy | None = None) -> Scheduler:
        """A fresh scheduler for these points and limits; its default policy chooses unless one is given.

        Raises:
            ScheduleError: if no point has the accuracy.
        """
        limits = self.limits
        return Scheduler(
            self.costs,
            self.energy,
            deadline_s=limits.deadline_s,
            accuracy_floor=limits.accuracy_floor,
            period_s=limits.period_s,
            margin_s=limits.margin_s,
            horizon_s=limits.horizon_s,
            policy=policy,
        )

    def run(self, policy: Policy | None = None) -> list[FrameRecord]:
        """Replay the frames through a fresh `scheduler`.

        Raises:
            ScheduleError: if no point has the accuracy.
            SourceError: if the changes are fewer than the frames, or one is no number in [0, 1].
        """
        return simulate(
            self.costs,
            self.energy,
            self.trace,
            self.scheduler(policy),
            frames=self.frames,
            period_s=self.limits.period_s,
            round_trip_s=self.round_trip_s,
            start_s=self.start_s,
            changes=self.changes,
            signal=self.signal,
            kept_changes=self.kept_changes,
        )
