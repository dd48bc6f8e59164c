"""What happens to a terminal's frames when its edge server dies, hangs, refuses, lies, vanishes or changes?

Real processes: an edge server, for the black hole a proxy, and this one, the terminal. Faults of six kinds, in random
order and at random moments, are injected while frames flow and healed again. Every frame must be answered, rightly, by
its deadline + 25 ms; offloading must resume.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from adaedge.bundle import Bundle
from adaedge.energy import ComputePower, EnergyModel, RadioPower
from adaedge.operating_point import OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.runtime import GrpcLink, Terminal
from adaedge.scheduling import LeastEnergy, ProbePlan, Scheduler
from adaedge.scheduling.policy import Choice
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table
from benchmarks import result
from benchmarks.fault_processes import SIZE, Processes, favour
from benchmarks.fault_tally import Tally

KINDS = ("kill -9", "SIGSTOP", "refused", "corrupted answer", "black hole", "another bundle")
FEATURES, LOCAL = OperatingPoint("relu", codec="u8"), OperatingPoint("output")
DEADLINE_S, PERIOD_S = 0.1, 0.03
ALLOWED_S = 0.025
PATIENCE_S = 15.0  # offloading that has not resumed by then never will
PLAN = ProbePlan(interval_s=0.1, longest_s=0.4)


@dataclass
class Recovery(Tally):
    """And whether offloading resumed."""

    resumed_s: list[float] = field(default_factory=list)
    not_resumed: int = 0

    def row(self, kind: str) -> dict[str, Any]:
        """The tally as a row of the result."""
        return self.counts(kind) | {
            "unanswered": self.unanswered,
            "wrong_answers": self.wrong_answers,
            "later_than_deadline_plus_25_ms": len(self.late),
            "of_these_while_a_local_run_fitted": sum(frame["compute_s"] <= DEADLINE_S for frame in self.late),
            "late_frames": self.late,
            "latency_median_s": statistics.median(self.latency_s),
            "worst_s_after_deadline": max(self.latency_s) - DEADLINE_S,
            "not_resumed": self.not_resumed,
            "resumed_median_s": statistics.median(self.resumed_s) if self.resumed_s else None,
            "resumed_max_s": max(self.resumed_s, default=None),
        }


class Frames:
    """Sends frames through a terminal and checks every answer."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        bundle = terminal.bundle
        self.images = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3), dtype=np.uint8)
        self.expected = {
            by: [bundle.run(point, (image[None],))[0] for image in self.images]
            for by, point in (("edge", FEATURES), ("terminal", LOCAL))
        }

    def one(self, tally: Tally) -> bool:
        """Send one frame; whether the edge server answered it."""
        start_s = time.monotonic()
        index = tally.frames % len(self.images)
        tally.frames += 1
        try:
            answered = self.terminal.infer(self.images[index])
        except Exception as error:
            tally.unanswered += 1
            print(f"unanswered: {error!r}", file=sys.stderr)
            return False
        done = answered.measurement
        expected = self.expected[done.answered_by][index]
        tally.wrong_answers += not np.allclose(answered.output[0], expected, rtol=1e-4)
        tally.answered(done, done.latency_s, DEADLINE_S + ALLOWED_S)
        time.sleep(max(0.0, start_s + PERIOD_S - time.monotonic()))
        return done.answered_by == "edge"

    def until_offloaded(self, tally: Tally) -> bool:
        """Send frames until the edge server answers one; whether it did in time."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            if self.one(tally):
                return True
        return False

    def during(self, action: Callable[[], None], tally: Tally, *, delay_s: float, more: int) -> None:
        """Send frames while ``action`` happens after a delay, and some more."""
        thread = threading.Thread(target=lambda: (time.sleep(delay_s), action()))
        thread.start()
        while thread.is_alive():
            self.one(tally)
        for _ in range(more):
            self.one(tally)


def suffer(frames: Frames, fault: tuple[Callable[[], None], Callable[[], None]], tally: Recovery) -> None:
    """Inject one fault into a terminal that offloads, heal it, and wait until the terminal offloads again."""
    inject, heal = fault
    before = Tally()
    if not frames.until_offloaded(before):
        reasons = frames.terminal.scheduler.choose(None).reasons
        raise RuntimeError(f"nothing is wrong with the edge server, and nothing is offloaded: {before}, {reasons}")
    tally.injected += 1
    frames.during(inject, tally, delay_s=random.uniform(0.0, 2 * PERIOD_S), more=random.randint(8, 16))
    frames.during(heal, tally, delay_s=0.0, more=0)
    healed_s = time.monotonic()
    if frames.until_offloaded(tally):
        tally.resumed_s.append(time.monotonic() - healed_s)
    else:
        tally.not_resumed += 1


def least_energy(table: Table, predictions: Predictions, previous: int | None) -> Choice:
    """As usual, but a policy of one's own is not guarded: the ledger would hold so many faults against the link."""
    return LeastEnergy()(table, predictions, previous)


def terminal_at(port: int, processes: Processes, bundle: Bundle, measured: Profile) -> Terminal:
    """A terminal that offloads while it can: its radio costs little."""
    energy = EnergyModel(ComputePower(3.7), RadioPower("nearly free", uplink_w=0.01))
    scheduler = Scheduler(measured, energy, deadline_s=DEADLINE_S, period_s=PERIOD_S, policy=least_energy)
    stored = processes.credentials
    link = GrpcLink(f"127.0.0.1:{port}", certificate=stored.certificate, token=stored.token)
    return Terminal(bundle, scheduler, link, plan=PLAN, handshake_timeout_s=0.5)


def run(faults: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Inject so many faults, as many of each kind."""
    random.seed(seed)
    order = [KINDS[index % len(KINDS)] for index in range(faults)]
    random.shuffle(order)
    tallies = {kind: Recovery() for kind in KINDS}
    processes = Processes(folder)
    bundle = Bundle.load(folder / "right.bundle")
    try:
        measured = profile(bundle, frames=[np.zeros((SIZE, SIZE, 3), np.uint8)])
        measured = replace(measured, costs={point: measured[point] for point in (FEATURES, LOCAL)})
        near = terminal_at(processes.port, processes, bundle, measured)
        far = terminal_at(processes.proxy_port, processes, bundle, measured)
        with near, far:
            direct, proxied = Frames(near), Frames(far)
            for kind in track(order, description="faults", disable=not sys.stderr.isatty()):
                suffer(proxied if kind == "black hole" else direct, processes.faults()[kind], tallies[kind])
    finally:
        processes.close()
    return [tally.row(kind) for kind, tally in tallies.items() if tally.injected]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="12 faults; prints the rows and writes nothing")
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("adaedge").setLevel(logging.ERROR)  # that an edge server is down is no news here
    favoured = not options.smoke and favour(-10)
    with tempfile.TemporaryDirectory() as folder:
        rows = run(12 if options.smoke else options.faults, options.seed, Path(folder))
    print(json.dumps(rows, indent=1))
    if not options.smoke:
        settings = {
            "deadline_s": DEADLINE_S,
            "period_s": PERIOD_S,
            "faults": options.faults,
            "seed": options.seed,
            "favoured": favoured,
        }
        result.write("faults", rows, **settings, probe_interval_s=PLAN.interval_s, probe_longest_s=PLAN.longest_s)


if __name__ == "__main__":
    main()
