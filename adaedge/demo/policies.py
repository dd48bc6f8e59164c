"""The six policies of the demo, and how each is run: the same frames, trace, deadline and fallback.

May import: every part above the line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adaedge.bundle import Bundle
from adaedge.channel import Trace
from adaedge.clip import Frame
from adaedge.energy import EnergyModel
from adaedge.operating_point import OUTPUT, Level, OperatingPoint, Profile
from adaedge.payload import is_progressive
from adaedge.runtime import FrameRecord, GrpcLink, ShapedLink, SkippingClock, Terminal, session
from adaedge.scheduling import Fixed, LeastEnergy, Limits, Policy, Scheduler
from adaedge.simulation import Scenario, static_runs

DEADLINE_S = 0.2
PERIOD_S = 0.2
ACCURACY_FLOOR = 0.95
ADAPTIVE = "adaptive"
WITHOUT_LEVELS = "adaptive without levels"
WITHOUT_BOTTLENECK = "adaptive without bottleneck"
LOOPBACK_S = 0.002  # an empty message to a process on this machine and back, with TLS

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """What all policies share.

    Attributes:
        bundle: the deployed model.
        profile: its costs, the terminal's as slow as the one that is stood in for.
        energy: the terminal's energy model.
        trace: the rate of the uplink.
        frames: the clip.
        address: where the edge server listens.
        certificate: the edge server's certificate, PEM.
        token: the edge server's token.
    """

    bundle: Bundle
    profile: Profile
    energy: EnergyModel
    trace: Trace
    frames: Sequence[Frame]
    address: str
    certificate: bytes
    token: str


@dataclass(slots=True)
class _FromFirstFrame:
    """A trace that begins with the first frame, so that every policy meets the same rates however long it loads."""

    trace: Trace
    begin_s: float = math.inf

    def transfer_s(self, payload_bytes: float, start_s: float) -> float:
        return float(self.trace.transfer_s(payload_bytes, max(0.0, start_s - self.begin_s)))

    def bytes_within(self, start_s: float, duration_s: float) -> float:
        return self.trace.bytes_within(max(0.0, start_s - self.begin_s), duration_s)


def play_all(stage: Stage, progress: Progress) -> dict[str, list[FrameRecord]]:
    """Run every policy; the local answers are what the others are compared with."""
    records = {"local": play(stage, Fixed(OperatingPoint(OUTPUT)), "local", progress)}
    reference = [record.answer for record in records["local"]]
    records["offload"] = play(stage, Fixed(offload_point(stage.profile)), "full offload", progress)
    records["static"] = play(stage, Fixed(static_point(stage, reference, progress)), "best static", progress)
    for name, profile in (
        (WITHOUT_BOTTLENECK, without_bottleneck(stage.profile)),
        (WITHOUT_LEVELS, without_levels(stage.profile)),
    ):
        records[name] = play(replace(stage, profile=profile), LeastEnergy(), name, progress)
    records[ADAPTIVE] = play(stage, LeastEnergy(), ADAPTIVE, progress)
    return records


def without_levels(profile: Profile) -> Profile:
    """The profile of the full width in fp32 alone: what there is to choose from without width and precision levels."""
    costs = {point: cost for point, cost in profile.items() if point.level == Level()}
    return replace(profile, costs=costs)


def without_bottleneck(profile: Profile) -> Profile:
    """The profile of the codecs that nobody fits: what there is to choose from without a bottleneck."""
    return replace(profile, costs={point: cost for point, cost in profile.items() if not is_progressive(point.codec)})


def play(stage: Stage, policy: Policy, name: str, progress: Progress) -> list[FrameRecord]:
    """Run the clip through one policy, from the start of the trace."""
    clock = SkippingClock()
    grpc_link = GrpcLink(stage.address, certificate=stage.certificate, token=stage.token)
    trace = _FromFirstFrame(stage.trace)
    link = ShapedLink(grpc_link, trace, clock)
    scheduler = Scheduler(
        stage.profile,
        stage.energy,
        deadline_s=DEADLINE_S,
        accuracy_floor=0.0 if isinstance(policy, Fixed) else ACCURACY_FLOOR,
        period_s=PERIOD_S,
        policy=policy,
    )
    records = []
    with Terminal(stage.bundle, scheduler, link, clock=clock, paced=True) as terminal:
        trace.begin_s = clock.now_s()
        for record in session.run(terminal, stage.frames):
            records.append(record)
            progress(name, len(records), len(stage.frames))
        records[-1] = records[-1].plus(terminal.close())
    return records


def offload_point(profile: Profile) -> OperatingPoint:
    """The JPEG of the lowest quality that meets the floor; of the highest quality there is where none does."""
    jpegs = sorted((point for point in profile if point.codec.startswith("jpeg@")), key=_quality)
    return next((point for point in jpegs if profile[point].meets(ACCURACY_FLOOR)), jpegs[-1])


def _quality(point: OperatingPoint) -> int:
    return int(point.codec.removeprefix("jpeg@"))


def static_point(stage: Stage, reference: Sequence[int | None], progress: Progress) -> OperatingPoint:
    """The point of least energy in hindsight: by replay of this very trace, with the agreement on this very clip."""
    limits = Limits.of(DEADLINE_S, period_s=PERIOD_S)
    scenario = Scenario(stage.profile, stage.energy, stage.trace, limits, len(stage.frames), round_trip_s=LOOPBACK_S)
    # The local point always agrees, so there is one.
    return next(
        point
        for point in static_runs(scenario)
        if point == OperatingPoint(OUTPUT) or _agrees(stage, point, reference, progress)
    )


def _agrees(stage: Stage, point: OperatingPoint, reference: Sequence[int | None], progress: Progress) -> bool:
    """Whether a point answers what the full network answers, on enough of the clip's frames."""
    allowed = (1 - ACCURACY_FLOOR) * len(stage.frames)
    others = 0
    for done, (frame, answer) in enumerate(zip(stage.frames, reference, strict=True), 1):
        others += int(np.argmax(stage.bundle.run(point, (stage.bundle.preprocess(frame),))[0])) != answer
        progress("find best static", done, len(stage.frames))
        if others > allowed:
            return False
    return True
