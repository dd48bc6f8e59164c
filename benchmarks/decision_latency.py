"""How long does a decision take? The bar: estimator update and choice among 512 points, p99 at most 150 microseconds.

Also where a quarter of the points has a codec with a state, and a stream says how much the frame changed and what such
points have really sent: their costs are then interpolated for each frame.

Among them, as a measure of how quick and how quiet the machine is just then, a loop of plain Python: what lies between
its median and its p99 is the machine's.

python -m benchmarks.decision_latency [--smoke]
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from adaedge.channel import Transitions, Upload
from adaedge.energy import NR_LOW_BAND, RASPBERRY_PI_4, EnergyModel
from adaedge.operating_point import OUTPUT, Cost, OperatingPoint, Profile
from adaedge.scheduling import Scheduler
from benchmarks import result

POINTS = (8, 64, 512)
STATEFUL = 0.25
CHANGES = (0.02, 0.1, 0.3, 1.0)
WARM_UP = 500
BLOCK = 500


def profile(points: int, rng: np.random.Generator) -> Profile:
    """Random points that are worth a thought: deeper splits compute more and send less."""
    costs = {OperatingPoint(OUTPUT): Cost(head_s=0.1)}
    for index in range(points - 1):
        depth = rng.random()
        costs[OperatingPoint(f"blocks.{index // 8}", codec=f"u{index % 8 + 1}")] = Cost(
            head_s=0.1 * depth,
            encode_s=0.002,
            payload_bytes=4e4 * (1.05 - depth) * (index % 8 + 1) / 8,
            tail_s=0.01 * (1 - depth),
            answer_bytes=4e3,
            finish_s=0.1 * (1 - depth),
            accuracy=0.9 + 0.1 * rng.random(),
        )
    stateful = list(costs)[1 : 1 + round(STATEFUL * points)]
    next_costs = {point: tuple(_after(costs[point], change) for change in CHANGES[:-1]) for point in stateful}
    return Profile(costs, "00" * 32, "random", "random", CHANGES, next_costs)


def _after(cost: Cost, change: float) -> Cost:
    """A frame that builds upon another, of which so much changed."""
    return replace(cost, payload_bytes=cost.payload_bytes * (0.02 + change))


class Arm:
    """A scheduler and an estimator on a link whose rate walks at random.

    Args:
        points: number of points.
        seed: of the profile and the link.
        changing: whether a stream tells how much each frame changed.
    """

    def __init__(self, points: int, seed: int, *, changing: bool) -> None:
        self._rng = np.random.default_rng(seed)
        energy = EnergyModel(RASPBERRY_PI_4, NR_LOW_BAND)
        table = profile(points, self._rng)
        self._scheduler = Scheduler(table, energy, deadline_s=0.2, accuracy_floor=0.9, period_s=0.2)
        self._estimator = Transitions()
        # Points of the bundle, as a stream has them: equal to those of the profile, not the same objects.
        self._successors = [replace(point) for point in table.next_costs] if changing else []
        self._sent_ratio = dict.fromkeys(self._successors[:3], 1.25)
        self._now_s, self._log_bps = 0.0, np.log(8e6)

    def block(self, repetitions: int) -> list[float]:
        """Seconds of each update and choice."""
        seconds = []
        for _ in range(repetitions):
            self._now_s += 0.2
            self._log_bps += 0.3 * self._rng.standard_normal() - 0.1 * (self._log_bps - np.log(8e6))
            changes = dict.fromkeys(self._successors, float(self._rng.random()))
            upload = Upload(self._now_s - 0.1, 10_000, float(8e4 / np.exp(self._log_bps)))
            begin = time.perf_counter()
            self._estimator.observe(upload)
            self._scheduler.choose(self._estimator.estimate(self._now_s), self._now_s, changes, self._sent_ratio)
            seconds.append(time.perf_counter() - begin)
        return seconds


class Loop:
    """A thousand steps of plain Python."""

    def block(self, repetitions: int) -> list[float]:
        """Seconds of each loop."""
        seconds = []
        for _ in range(repetitions):
            begin, total = time.perf_counter(), 0
            for step in range(1000):
                total += step * step
            seconds.append(time.perf_counter() - begin)
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few repetitions, nothing written")
    blocks = 1 if parser.parse_args().smoke else 40
    kinds = [(points, changing) for points in POINTS for changing in (False, True)]
    arms: dict[tuple[int, bool], Arm | Loop] = {kind: Arm(kind[0], kind[0], changing=kind[1]) for kind in kinds}
    kinds.append((0, False))
    arms[0, False] = Loop()
    found: dict[tuple[int, bool], list[float]] = {kind: [] for kind in kinds}
    for arm in arms.values():
        arm.block(WARM_UP)
    order = np.random.default_rng(0)
    gc.collect()
    with Progress() as progress:
        task = progress.add_task("decisions", total=blocks * len(kinds))
        for _ in range(blocks):
            for index in order.permutation(len(kinds)):
                found[kinds[index]] += arms[kinds[index]].block(BLOCK)
                progress.advance(task)
    rows = [
        {"points": points, "changing": round(STATEFUL * points) if changing else 0} | _quantiles(seconds)
        for (points, changing), seconds in found.items()
    ]
    table = Table("points", "changing", "median", "p90", "p99", "p99.9", title="update and choice, microseconds")
    for row in rows:
        table.add_row(
            str(row["points"] or "a loop"),
            str(row["changing"]),
            *(f"{1e6 * row[key]:.0f}" for key in ("p50_s", "p90_s", "p99_s", "p999_s")),
        )
    Console().print(table)
    if blocks > 1:
        # Others' load shows first in the far quantiles: a p99 is worth something only at a load below the cores.
        load = round(os.getloadavg()[0], 2)
        result.write("decision_latency", rows, repetitions=blocks * BLOCK, warm_up=WARM_UP, bar_p99_s=150e-6, load=load)


def _quantiles(seconds: list[float]) -> dict[str, float]:
    names, levels = ("p50_s", "p90_s", "p99_s", "p999_s"), (0.5, 0.9, 0.99, 0.999)
    return dict(zip(names, np.quantile(seconds, levels).tolist(), strict=True))


if __name__ == "__main__":
    main()
