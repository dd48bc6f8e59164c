"""Do streams survive what happens to payloads, answers and edge servers, and what does an edge server hold of them?

EfficientNet-Lite0 with its weights, a clip, an edge server's process over gRPC and TLS, and between them a link that
loses, repeats, reorders, damages and delays when it is told to. Each fault hits a stream that builds upon what it sent
before: a video codec, or deltas of a bottleneck's latents. Every fourth frame whose answer may be kept gets the answer
before. What must hold: every frame has its answer in the deadline; every picture that the edge server decodes is, by
its checksum, what PyAV alone decodes of the packets that the terminal's encoder wrote for it, and all latents are what
the payloads say one after another; every answer is the network's to them, or the one before where it is kept; and the
first payload that reaches a sound edge server again is accepted. The second part opens streams and leaves them:
``benchmarks/stream_memory.py``.

    python -m benchmarks.stream_faults [--smoke] [--part faults | memory]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from adaedge.builder import Space, build
from adaedge.bundle import Bundle
from adaedge.clip import Clip
from adaedge.demo import film, material
from adaedge.energy import ComputePower, EnergyModel, RadioPower
from adaedge.operating_point import KEPT, OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.runtime import GrpcLink, Result, Terminal, frames
from adaedge.scheduling import ProbePlan, Scheduler
from adaedge.scheduling.policy import Choice
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table
from benchmarks import result, stream_memory
from benchmarks.fault_processes import favour
from benchmarks.fault_tally import Tally
from benchmarks.faulty_link import FAULTS, FaultyLink
from benchmarks.stream_pictures import Pictures, evicting
from benchmarks.stream_processes import Edge

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
VIDEO = tuple(OperatingPoint("input", codec=codec) for codec in ("h264@28", "hevc@28", "av1@35"))
DELTA = tuple(OperatingPoint("blocks.2", codec=codec) for codec in ("delta@3", "delta@6"))
STATEFUL = (*VIDEO, *DELTA)
OTHERS = (OperatingPoint("input", codec="jpeg@90"), OperatingPoint("blocks.2", codec="u5+zstd"))
LOCAL = OperatingPoint("output")
PROCESS_FAULTS = ("restarted while idle", "killed", "stopped")
KINDS = (*FAULTS, "evicted, then lost", "changed point", *PROCESS_FAULTS)
DEADLINE_S, MARGIN_S, PERIOD_S = 0.25, 0.03, 0.05
MAX_STREAMS, MAX_BYTES = 4, 2**25
PATIENCE_S = 20.0
KEPT_SHARE = 0.25
FLOOR = 0.01  # so low that every point, and every kept answer that the bundle says anything of, is above it
PLAN = ProbePlan(interval_s=0.05, longest_s=0.2)


@dataclass
class StreamTally(Tally):
    """And what the edge server decoded, and what was accepted again."""

    kept: int = 0
    decoded: int = 0
    wrong_reconstructions: int = 0
    accepted_after: Counter[int] = field(default_factory=Counter)
    refreshes: int = 0
    stale: int = 0
    down_after_stale: int = 0

    def row(self, kind: str) -> dict[str, Any]:
        """The tally as a row of the result."""
        return self.counts(kind) | {
            "without_an_answer": self.unanswered,
            "later_than_the_deadline": len(self.late),
            "late_frames": self.late,
            "kept_answers": self.kept,
            "wrong_answers": self.wrong_answers,
            "decoded_by_the_edge": self.decoded,
            "wrong_reconstructions": self.wrong_reconstructions,
            "offloads_until_accepted": {str(count): times for count, times in sorted(self.accepted_after.items())},
            "accepted_as_a_refresh": self.refreshes,
            "refused_as_stale": self.stale,
            "link_down_after_stale": self.down_after_stale,
            "latency_median_s": statistics.median(self.latency_s),
            "latency_max_s": max(self.latency_s),
        }


class Wanted:
    """A policy: the answer before now and then, else the point that is asked for, and a local one without a link."""

    def __init__(self) -> None:
        self.point = VIDEO[0]

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:  # noqa: ARG002
        """The row."""
        if KEPT in table.rows and random.random() < KEPT_SHARE:
            return Choice(table.row(KEPT), "kept")
        down = predictions.estimate is None
        return Choice(table.row(LOCAL), "down") if down else Choice(table.row(self.point), "asked for")


class Camera:
    """Sends the frames of a clip through a terminal, and checks each answer and each picture."""

    def __init__(self, terminal: Terminal, link: FaultyLink, edge: Edge, policy: Wanted, shown: Sequence[Any]) -> None:
        self.terminal, self.link, self.edge, self.policy = terminal, link, edge, policy
        self.stream = terminal.stream()
        self.pictures = Pictures(terminal.bundle)
        self._shown = cycle([*shown, *shown[-2:0:-1]])  # forwards and backwards: neighbours stay neighbours
        self.offloaded = self.accepted = False
        self.base = 0
        self.answer: Any = None

    def one(self, tally: StreamTally) -> None:
        """Send one frame; afterwards ``offloaded``, ``accepted`` and ``base`` say what became of it."""
        frame, start_s = next(self._shown), time.monotonic()
        stale, self.link.sent = self.link.stale, []
        tally.frames += 1
        try:
            result = self.terminal.infer(frame, self.stream)
        except Exception as error:
            tally.unanswered += 1
            print(f"without an answer: {error!r}", file=sys.stderr)
            return
        latency_s, done = time.monotonic() - start_s, result.measurement
        tally.answered(done, latency_s, DEADLINE_S)
        tally.stale += self.link.stale - stale
        self.offloaded, self.accepted = bool(self.link.sent), done.answered_by == "edge"
        if self.link.stale > stale and done.failure in ("", "stale"):
            tally.down_after_stale += not self.terminal.offloads
        self._check(tally, frame, result)
        time.sleep(max(0.0, start_s + PERIOD_S - time.monotonic()))

    def _check(self, tally: StreamTally, frame: Any, result: Result) -> None:
        for payload in self.link.sent:
            self.base = self.pictures.sent(payload)
        for stream, number, crc in self.edge.decoded():
            tally.decoded += 1
            tally.wrong_reconstructions += not self.pictures.right(stream, number, crc)
        (output,), kept = result.answer, result.decision.point == KEPT
        tally.kept += kept
        if kept:
            expected = self.answer
        else:
            expected = self.pictures.expected(self.link.sent[-1]) if self.accepted else self.pictures.locally(frame)
        tally.wrong_answers += not np.allclose(output, expected, rtol=1e-4, atol=1e-5)
        self.answer = output

    def until(self, tally: StreamTally, done: Callable[[], bool]) -> int:
        """Send frames until something holds; how many of them were offloaded."""
        offloaded, end_s = 0, time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            self.one(tally)
            offloaded += self.offloaded
            if done():
                return offloaded
        raise RuntimeError(f"offloading has not resumed: {tally}")

    def during(self, tally: StreamTally, action: Callable[[], None]) -> None:
        """Send frames while something happens."""
        thread = threading.Thread(target=action)
        thread.start()
        while thread.is_alive():
            self.one(tally)
        thread.join()


def inject(camera: Camera, kind: str, tally: StreamTally) -> None:
    """Let a fault happen; afterwards it is over, though nothing need be accepted yet."""
    edge, link = camera.edge, camera.link
    if kind == "restarted while idle":
        edge.restart(kindly=random.random() < 0.5)
    elif kind == "killed":
        camera.during(tally, lambda: (time.sleep(random.uniform(0, 2 * PERIOD_S)), edge.restart())[1])
    elif kind == "stopped":
        camera.during(tally, lambda: (edge.stop(), time.sleep(random.uniform(0.2, 2) * DEADLINE_S), edge.go_on())[2])
    elif kind == "changed point":
        for point in random.sample((*STATEFUL, *OTHERS), 4):
            camera.policy.point = point
            camera.one(tally)
        camera.policy.point = random.choice([point for point in STATEFUL if point != camera.policy.point])
    else:
        link.faults = ["evicted", "payload lost"] if kind == "evicted, then lost" else [kind]
        while link.pending:
            camera.one(tally)


def suffer(camera: Camera, kind: str, tally: StreamTally, steady: StreamTally) -> None:
    """One fault to a stream that builds upon what it has sent, and what comes after it."""
    camera.policy.point = random.choice(STATEFUL)
    camera.until(steady, lambda: camera.accepted and camera.base > 0)
    tally.injected += 1
    inject(camera, kind, tally)
    refreshed = camera.accepted and camera.base == 0  # within the frame itself
    tally.accepted_after[camera.until(tally, lambda: camera.accepted)] += 1
    tally.refreshes += refreshed or camera.base == 0


def real_bundle(folder: Path, shown: Sequence[Any]) -> Bundle:
    """EfficientNet-Lite0 with its weights, all points of this benchmark."""
    model = material.network()
    codecs = [point.codec for point in (*VIDEO, *OTHERS)]
    space = Space(splits=["input", "blocks.2", "output"], codecs=[*codecs, "delta"], kept=True)
    about: dict[str, Any] = {"preprocessing": model.preprocessing, "labels": model.labels, "name": model.name}
    build(model.module, model.args, space, calibrate=[Clip(shown, fps=1 / PERIOD_S)], **about).save(
        folder / "real.bundle"
    )
    return Bundle.load(folder / "real.bundle")


def measured(bundle: Bundle, shown: Sequence[Any]) -> Profile:
    """The points of this benchmark, as this machine takes them."""
    here = profile(bundle, frames=shown, repetitions=10)
    wanted = (*STATEFUL, *OTHERS, LOCAL, KEPT)
    following = {point: costs for point, costs in here.next_costs.items() if point in wanted}
    return replace(here, costs={point: here[point] for point in wanted}, next_costs=following)


def run(folder: Path, shown: Sequence[Any], faults: Sequence[str]) -> list[dict[str, Any]]:
    """Inject the faults, in random order."""
    bundle, policy = real_bundle(folder, shown), Wanted()
    edge = Edge(folder, max_streams=MAX_STREAMS, max_bytes=MAX_BYTES)
    try:
        energy = EnergyModel(ComputePower(3.7), RadioPower("nearly free", uplink_w=0.01))
        limits = {"deadline_s": DEADLINE_S, "margin_s": MARGIN_S, "period_s": PERIOD_S, "accuracy_floor": FLOOR}
        scheduler = Scheduler(measured(bundle, shown[:8]), energy, policy=policy, **limits)
        real = GrpcLink(edge.address, certificate=edge.credentials.certificate, token=edge.credentials.token)
        link = FaultyLink(real, evicting(bundle, VIDEO[0], shown[0], MAX_STREAMS), random.Random(random.random()))
        tallies = {kind: StreamTally() for kind in ("none", *KINDS)}
        with Terminal(bundle, scheduler, link, plan=PLAN, handshake_timeout_s=0.5) as terminal:
            camera = Camera(terminal, link, edge, policy, shown)
            for kind in track(faults, description="faults", disable=not sys.stderr.isatty()):
                suffer(camera, kind, tallies[kind], tallies["none"])
    finally:
        edge.kill()
    return [tally.row(kind) for kind, tally in tallies.items() if tally.frames]


def recorded() -> dict[str, Any]:
    """The rows of the last record."""
    rows: dict[str, Any] = json.loads((result.RESULTS / "stream_faults.json").read_text(encoding="utf-8"))["rows"]
    return rows


def order(count: int) -> list[str]:
    """So many faults in random order: a tenth to the process, the others evenly to the link."""
    others = KINDS[: -len(PROCESS_FAULTS)]
    of_processes = max(len(PROCESS_FAULTS), count // 10)
    kinds = [*islice(cycle(PROCESS_FAULTS), of_processes), *islice(cycle(others), count - of_processes)]
    random.shuffle(kinds)
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one fault of each kind, few streams; writes nothing")
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("faults", "memory"), help="this part only; the other stays as recorded")
    asked = parser.parse_args()
    logging.getLogger("adaedge").setLevel(logging.ERROR)  # that an edge server is down is no news here
    favoured = not asked.smoke and favour(-10)
    random.seed(asked.seed)
    path = DATA / "clips" / "one-by-one-person-detection.mp4"
    robot = film.scenes(40, half=1)[0]
    shown = list(islice(frames(path), 300, 300 + 120)) if path.exists() and not asked.smoke else list(robot.frames)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {} if asked.part is None else recorded()
        if asked.part != "memory":
            rows["faults"] = run(folder, shown, order(len(KINDS) if asked.smoke else asked.faults))
        if asked.part != "faults":
            codecs = ("h264@28",) if asked.smoke else tuple(stream_memory.CODECS)
            rows["edge_memory"] = stream_memory.rows(folder, shown, 40 if asked.smoke else asked.streams, codecs)
    print(json.dumps(rows, indent=1))
    if not asked.smoke:
        settings = {"deadline_s": DEADLINE_S, "margin_s": MARGIN_S, "period_s": PERIOD_S, "seed": asked.seed}
        limits = {"max_streams": MAX_STREAMS, "max_bytes": MAX_BYTES}
        clip = path.name if path.exists() else robot.name
        result.write("stream_faults", rows, clip=clip, favoured=favoured, edge_limits=limits, **settings)


if __name__ == "__main__":
    main()
