"""The four policies of the demo, and how each is run: the same frames, trace, deadline and fallback.

May import: every part above the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaedge.bundle import Bundle
from adaedge.channel import Trace
from adaedge.energy import EnergyModel
from adaedge.operating_point import INPUT, OUTPUT, OperatingPoint, Profile
from adaedge.runtime import FrameRecord, GrpcLink, ShapedLink, SkippingClock, Terminal, session
from adaedge.scheduling import Fixed, LeastEnergy, Policy, Scheduler

Frame = npt.NDArray[np.uint8]

DEADLINE_S = 0.2
PERIOD_S = 0.2
ACCURACY_FLOOR = 0.95


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
        slowdown: times by which the terminal is slower than this machine.
    """

    bundle: Bundle
    profile: Profile
    energy: EnergyModel
    trace: Trace
    frames: Sequence[Frame]
    address: str
    certificate: bytes
    token: str
    slowdown: float


def play(stage: Stage, policy: Policy, progress: Callable[[int], None]) -> list[FrameRecord]:
    """Run the clip through one policy, from the start of the trace."""
    scheduler = Scheduler(
        stage.profile,
        stage.energy,
        deadline_s=DEADLINE_S,
        accuracy_floor=0.0 if isinstance(policy, Fixed) else ACCURACY_FLOOR,
        period_s=PERIOD_S,
        policy=policy,
    )
    clock = SkippingClock()
    link = ShapedLink(GrpcLink(stage.address, certificate=stage.certificate, token=stage.token), stage.trace, clock)
    records = []
    with Terminal(stage.bundle, scheduler, link, clock=clock, slowdown=stage.slowdown) as terminal:
        for record in session(terminal, stage.frames, period_s=PERIOD_S):
            records.append(record)
            progress(len(records))
    return records


def local() -> Policy:
    """The terminal alone."""
    return Fixed(OperatingPoint(OUTPUT))


def offload(profile: Profile) -> Policy:
    """Every frame as a JPEG of the lowest quality that meets the floor; of the highest there is where none does."""
    qualities = sorted((int(p.codec.removeprefix("jpeg@")), p) for p in profile if p.codec.startswith("jpeg@"))
    enough = [point for _, point in qualities if profile[point].accuracy >= ACCURACY_FLOOR]
    return Fixed(enough[0] if enough else qualities[-1][1])


def adaptive() -> Policy:
    """The least energy that meets deadline and floor at the estimated rate."""
    return LeastEnergy()


def agreement(stage: Stage, point: OperatingPoint, reference: Sequence[int | None]) -> float:
    """Fraction of the clip's frames on which a point answers what the full network answers."""
    answers = [int(np.argmax(stage.bundle.run(point, (stage.bundle.preprocess(frame),))[0])) for frame in stage.frames]
    return float(np.mean([mine == theirs for mine, theirs in zip(answers, reference, strict=True)]))


__all__ = [
    "ACCURACY_FLOOR",
    "DEADLINE_S",
    "INPUT",
    "PERIOD_S",
    "Stage",
    "adaptive",
    "agreement",
    "local",
    "offload",
    "play",
]
