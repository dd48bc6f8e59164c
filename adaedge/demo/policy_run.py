"""One policy, run: the film through a terminal and an edge server in another process, and how good its answers were.

May import: every part above the line; of this part ``film``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaedge.bundle import Bundle
from adaedge.channel import Trace
from adaedge.clip import Frame
from adaedge.demo.film import Scene
from adaedge.energy import EnergyModel
from adaedge.engine import Arrays
from adaedge.metrics import Divergence
from adaedge.operating_point import OUTPUT, OperatingPoint, Profile
from adaedge.runtime import FrameRecord, GrpcLink, ShapedLink, SkippingClock, Terminal, session
from adaedge.scheduling import Fixed, Policy, Scheduler

DEADLINE_S = 0.2
PERIOD_S = 0.2
NATS = 0.1
METRIC = Divergence()
ACCURACY_FLOOR = math.exp(-NATS)
"""The floor: a mean divergence of 0.1 nats from the full network's prediction, as `Divergence` maps it to [0, 1]."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """The things that all policies of the demo share.

    Attributes:
        bundle: the deployed model.
        energy: the terminal's energy model.
        trace: the rate of the uplink.
        scenes: what is seen, one after another.
        expected: the full network's answer to each frame as it came.
        address: where the edge server listens.
        certificate: the edge server's certificate, PEM.
        token: the edge server's token.
    """

    bundle: Bundle
    energy: EnergyModel
    trace: Trace
    scenes: Sequence[Scene]
    expected: Sequence[Arrays]
    address: str
    certificate: bytes
    token: str

    @property
    def frames(self) -> list[Frame]:
        """The frames of all scenes, in order."""
        return [frame for scene in self.scenes for frame in scene.frames]


@dataclass(frozen=True, slots=True)
class Run:
    """The run of one policy.

    Attributes:
        records: one a frame.
        score: of all answers, by ``METRIC``.
        scenes: scene → joules a frame, and score; the radio's last tail, after the film, is in none of them.
    """

    records: list[FrameRecord]
    score: float
    scenes: dict[str, tuple[float, float]]


@dataclass(slots=True)
class FromFirstFrame:
    """A trace that begins with the first frame, so that every policy meets the same rates however long it loads."""

    trace: Trace
    begin_s: float = math.inf

    def transfer_s(self, payload_bytes: float, start_s: float) -> float:
        """Ask the trace, from the first frame on."""
        return float(self.trace.transfer_s(payload_bytes, max(0.0, start_s - self.begin_s)))

    def bytes_within(self, start_s: float, duration_s: float) -> float:
        """Ask the trace, from the first frame on."""
        return self.trace.bytes_within(max(0.0, start_s - self.begin_s), duration_s)


def answers_of(bundle: Bundle, scenes: Sequence[Scene]) -> list[Arrays]:
    """The answers of the full network in fp32 to each frame as it came."""
    return [
        bundle.run(OperatingPoint(OUTPUT), (bundle.preprocess(frame),)) for scene in scenes for frame in scene.frames
    ]


def play(stage: Stage, profile: Profile, policy: Policy, name: str, progress: Progress) -> Run:
    """Run the film through one policy, from the start of the trace."""
    clock = SkippingClock()
    trace = FromFirstFrame(stage.trace)
    link = ShapedLink(GrpcLink(stage.address, certificate=stage.certificate, token=stage.token), trace, clock)
    scheduler = Scheduler(
        profile,
        stage.energy,
        deadline_s=DEADLINE_S,
        accuracy_floor=0.0 if isinstance(policy, Fixed) else ACCURACY_FLOOR,
        period_s=PERIOD_S,
        policy=policy,
    )
    records: list[FrameRecord] = []
    given: list[Arrays] = []
    frames = stage.frames
    with Terminal(stage.bundle, scheduler, link, clock=clock, paced=True) as terminal:
        trace.begin_s = clock.now_s()
        for record in session.run(terminal, frames, heard=lambda result: given.append(result.answer)):
            records.append(record)
            progress(name, len(records), len(frames))
        scenes = _by_scene(stage, records, given)
        records[-1] = records[-1].plus(terminal.close())
    return Run(records, METRIC.score(stage.expected, given).value, scenes)


def _by_scene(stage: Stage, records: Sequence[FrameRecord], given: Sequence[Arrays]) -> dict[str, tuple[float, float]]:
    found, start = {}, 0
    for scene in stage.scenes:
        stop = start + len(scene.frames)
        joules = math.fsum(record.measurement.energy.total_j for record in records[start:stop])
        score = METRIC.score(stage.expected[start:stop], given[start:stop]).value
        found[scene.name] = (joules / len(scene.frames), score)
        start = stop
    return found
