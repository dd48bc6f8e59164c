"""One cell: a network on a clip, on a terminal, with a radio, over a link; every mode and every technique in it.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``, ``metrics``, ``scheduling``, ``runtime.record``,
``simulation``, ``stream``; of this part all.

The scheduler, and whoever picks one point for ever, know the first half of the clip. What then happens is the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from adaedge.channel import Trace
from adaedge.energy import EnergyModel, EnergySplit, Radio
from adaedge.errors import MetricError
from adaedge.matrix import techniques
from adaedge.matrix.foresight import Foreseen, Workloads
from adaedge.matrix.played_clip import ClipHalf, PlayedClip
from adaedge.matrix.pruning import worth_offering
from adaedge.matrix.rows import Row
from adaedge.matrix.scenarios import Scenario3gpp
from adaedge.matrix.techniques import ALL, JPEG, LOCAL, MODES, NONE, TECHNIQUES, VIDEO
from adaedge.matrix.terminals import Terminal
from adaedge.metrics import Metric
from adaedge.operating_point import KEPT, OUTPUT, OperatingPoint, Profile
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Fixed, Policy, Scheduler
from adaedge.simulation import ClipChanges, Outcome, simulate
from adaedge.stream import BlockChange, MovedBlocks

ROUND_TRIP_S = 0.02


@dataclass(frozen=True, slots=True)
class Network:
    """A network that is compared, as it was measured here.

    Attributes:
        name: for people.
        profile: of its bundle on this machine, without preparing frames.
        macs: of the whole network.
        pixels: of a frame as the network takes it.
        metric: judges its answers; ``None`` where its weights are random: it counts for its cost only.
        floor: least accuracy that every arm keeps on the first half; 0 without a metric.
    """

    name: str
    profile: Profile
    macs: float
    pixels: float
    metric: Metric | None = None
    floor: float = 0.0


@dataclass(frozen=True)
class Bench:
    """A network and a clip on a terminal: what all radios and links of it share.

    Attributes:
        network: as measured here.
        played: the clip.
        terminal: the processor.
        scenario: what is asked.
    """

    network: Network
    played: PlayedClip
    terminal: Terminal
    scenario: Scenario3gpp
    _scores: dict[tuple[tuple[OperatingPoint, int], ...], float | None] = field(default_factory=dict, repr=False)

    def _costs(self, half: ClipHalf) -> Profile:
        network = self.network
        profile = replace(network.profile, kept=self.played.kept if network.metric else None)
        if profile.kept is None:
            profile = techniques.without(profile, "kept answers")
        costs = half.costs(techniques.offered(profile, {KEPT, *half.points}), network.metric)
        return self.terminal.profile(costs, network.macs, prepare_s=self.played.prepare_s, pixels=network.pixels)

    @cached_property
    def _all(self) -> Profile:
        return self._costs(self.played.first)

    @cached_property
    def believed(self) -> Profile:
        """What the first half says of the points that are worth offering."""
        floor, steady = self.network.floor, Workloads.of(self._all, self._change, self.network.floor).steady
        return techniques.offered(self._all, worth_offering(self._all, steady, floor))

    @cached_property
    def true(self) -> Profile:
        """What the second half will say."""
        return self._costs(self.played.second)

    @cached_property
    def changes(self) -> tuple[ClipChanges, ClipChanges | None]:
        """The changes of the second half's frames, as codecs and as kept answers see them."""
        lumas = self.played.second.lumas
        moved = MovedBlocks()
        own = self.believed.kept is not None and self.believed.kept.detector == moved.name
        kept = ClipChanges(map(moved.look_at, lumas), moved) if own else None
        return ClipChanges(lumas, BlockChange()), kept

    @cached_property
    def workloads(self) -> Workloads:
        """What the closed forecast sees of the first half."""
        return Workloads.of(self.believed, self._change, self.network.floor)

    @cached_property
    def _change(self) -> float:
        """From a frame to the next, on the mean of the first half."""
        lumas, change = self.played.first.lumas, BlockChange().change
        return sum(change(lumas[at - 1], lumas[at]) for at in range(1, len(lumas))) / max(1, len(lumas) - 1)

    def score(self, records: Sequence[FrameRecord]) -> float | None:
        """How good the answers of a run are, each as it was measured; ``None`` where they are not judged."""
        metric, half = self.network.metric, self.played.second
        if metric is None:
            return None
        given = tuple(self._answered(records, record) for record in records)
        if given not in self._scores:
            whole = OperatingPoint(OUTPUT)
            expected = [half.answer(whole, record.index) for record in records]
            try:
                self._scores[given] = metric.score(expected, [half.answer(*one) for one in given]).value
            except MetricError:
                self._scores[given] = None
        return self._scores[given]

    def _answered(self, records: Sequence[FrameRecord], record: FrameRecord) -> tuple[OperatingPoint, int]:
        """Which point answered a frame, and to which frame that answer was."""
        kept_from = record.measurement.kept_from
        if record.decision.point == KEPT and kept_from is not None:
            point, at = self._answered(records, records[kept_from])
            return point, at
        point = record.decision.point
        if record.measurement.failure:
            local = replace(point, split=OUTPUT, codec="raw")
            point = local if local in self.played.second.answers else OperatingPoint(OUTPUT)
        return point, record.index % len(self.played.second)


@dataclass(frozen=True, slots=True)
class Cell:
    """A bench with a radio and a link.

    Attributes:
        bench: network, clip, terminal, scenario.
        radio: its name.
        model: the radio.
        link: its name.
        trace: the link.
        frames: of a run.
        round_trip_s: seconds that an empty message takes there and back.
    """

    bench: Bench
    radio: str
    model: Radio
    link: str
    trace: Trace
    frames: int
    round_trip_s: float = ROUND_TRIP_S

    @property
    def energy(self) -> EnergyModel:
        """What the terminal draws."""
        return EnergyModel(self.bench.terminal.compute, self.model)

    def rows(self) -> list[Row]:
        """Every mode, every technique alone, none and all of them together."""
        foreseen = self.foreseen()
        found = [self._mode(mode, foreseen) for mode in MODES]
        costs = self.bench.believed
        offers: dict[str, Sequence[OperatingPoint]] = {NONE: list(filter(techniques.is_base, costs))}
        offers |= {name: techniques.alone(costs, name) for name in TECHNIQUES}
        offers[ALL] = list(costs)
        known: dict[frozenset[OperatingPoint], Row] = {}
        for name, points in offers.items():
            # What is below the floor is never chosen: where nothing else was added, nothing else happens.
            usable = frozenset(
                point for point in points if point == KEPT or costs[point].meets(self.bench.network.floor)
            )
            if points:
                row = known.get(usable) or self._adaptive(name, points)
                known[usable] = row
                found.append(replace(row, mode_or_technique=name))
        return [row for row in found if row is not None]

    def foreseen(self) -> Foreseen:
        """What the closed forecast says of the modes."""
        limits = self.bench.scenario.limits(self.bench.network.floor)
        return self.bench.workloads.foreseen(self.energy, self.trace, limits, self.round_trip_s)

    def run(self, name: str) -> list[FrameRecord]:
        """The frames of one mode or technique, as its row sums them up.

        Raises:
            KeyError: if the bundle has no such points.
        """
        costs = self.bench.believed
        if name in MODES:
            point = self._picked(name, self.foreseen())
            if point is None:
                raise KeyError(name)
            return self._replay(costs, Fixed(point))
        points = list(costs) if name == ALL else techniques.alone(costs, name)
        if not points:
            raise KeyError(name)
        return self._replay(techniques.offered(costs, points), None)

    def _picked(self, mode: str, foreseen: Foreseen) -> OperatingPoint | None:
        """The cheapest point of a mode that keeps the floor on the first half; where none does, the most accurate."""
        costs, floor = self.bench.believed, self.bench.network.floor
        points = techniques.in_mode(costs, mode)
        if not points:
            return None
        kept = [point for point in points if costs[point].meets(floor)]
        if not kept:
            return max(points, key=lambda point: costs[point].accuracy or 0.0)
        if mode == LOCAL:
            return min(kept, key=lambda point: costs[point].head_s)
        if mode in (JPEG, VIDEO):
            return min(kept, key=lambda point: self.bench.workloads.steady[point].payload_bytes)
        return min(kept, key=lambda point: foreseen.points[point])

    def _mode(self, mode: str, foreseen: Foreseen) -> Row | None:
        point = self._picked(mode, foreseen)
        if point is None:
            return None
        believed = self.bench.believed[point].accuracy
        keeps = None if believed is None else believed >= self.bench.network.floor
        predicted_j = foreseen.points.get(point)
        return self._row(mode, self._replay(self.bench.believed, Fixed(point)), str(point), keeps, predicted_j)

    def _adaptive(self, name: str, points: Sequence[OperatingPoint]) -> Row:
        records = self._replay(techniques.offered(self.bench.believed, points), None)
        keeps = True if self.bench.network.metric else None
        return self._row(name, records, "", keeps, None)

    def scheduler(self, believed: Profile, policy: Policy | None = None) -> Scheduler:
        """What chooses: by the floor, or always one point, whose accuracy was looked at when it was picked."""
        limits = self.bench.scenario.limits(self.bench.network.floor)
        return Scheduler(
            believed,
            self.energy,
            deadline_s=limits.deadline_s,
            accuracy_floor=0.0 if policy else limits.accuracy_floor,
            period_s=limits.period_s,
            policy=policy,
        )

    def _replay(self, believed: Profile, policy: Policy | None) -> list[FrameRecord]:
        bench, scheduler = self.bench, self.scheduler(believed, policy)
        changes, kept = bench.changes
        true = techniques.offered(bench.true, believed)
        told: dict[str, Any] = {
            "frames": self.frames,
            "period_s": bench.scenario.period_s,
            "round_trip_s": self.round_trip_s,
        }
        return simulate(true, self.energy, self.trace, scheduler, changes=changes, kept_changes=kept, **told)

    def _row(
        self, name: str, records: Sequence[FrameRecord], point: str, keeps: bool | None, predicted_j: float | None
    ) -> Row:
        bench, outcome = self.bench, Outcome.of(records)
        parts = sum((record.measurement.energy for record in records), EnergySplit())
        accuracy, metric = bench.score(records), bench.network.metric
        return Row(
            network=bench.network.name,
            clip=bench.played.clip,
            terminal=bench.terminal.name,
            radio=self.radio,
            link=self.link,
            mode_or_technique=name,
            energy_j=outcome.energy_j_per_frame,
            accuracy=accuracy,
            metric=metric.name if metric else "cost only: random weights",
            misses=outcome.miss_fraction,
            scenario=bench.scenario.name,
            floor=bench.network.floor,
            chosen_to_keep_floor=keeps,
            keeps_floor=None if accuracy is None else accuracy >= bench.network.floor,
            point=point,
            compute_j=parts.compute_j / len(records),
            transmit_j=(parts.promote_j + parts.transmit_j + parts.receive_j) / len(records),
            wait_j=parts.wait_j / len(records),
            tail_j=parts.tail_j / len(records),
            bytes_per_frame=math.fsum(record.measurement.payload_bytes for record in records) / len(records),
            computed=sum(record.decision.point != KEPT for record in records) / len(records),
            predicted_j=predicted_j,
            compute_known=str(bench.terminal.known),
            radio_known=self.model.describe(),
        )
