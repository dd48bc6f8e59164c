"""Does a replay come to what a real run comes to?

A terminal and an edge server in another process, over gRPC and TLS, an uplink whose bytes are really held back as a
trace says: EfficientNet-Lite0 on the second halves of clips, every technique, paced as a Raspberry Pi 4. The same
frames, trace and scheduler are then replayed as ``energy_accuracy`` replays them: bytes and answers of this second half
as they were measured beforehand, choices by what the first half showed. Bars: joules a frame within 10 %, the same
point for at least 95 % of the frames. Joules are modelled in both: from what really happened in one, from a replay in
the other.

    python -m benchmarks.truth [--smoke] [--folder build/energy_accuracy] [--frames 150]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from adaedge.bundle import Bundle
from adaedge.clip import Clip, Frame
from adaedge.demo.edge import edge_server
from adaedge.demo.policy_run import FromFirstFrame
from adaedge.energy import RADIOS
from adaedge.matrix import TERMINALS, Bench, Cell, link_named, measure_network, play, scenario_named
from adaedge.matrix.clip_run import halves_of
from adaedge.matrix.techniques import ALL
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import FrameRecord, GrpcLink, ShapedLink, SkippingClock, Terminal, session
from benchmarks import result
from benchmarks.energy_accuracy import FOLDER, network_of, played_of
from benchmarks.matrix_networks import CASES, built
from benchmarks.policies_on_traces import DATA

NETWORK = "EfficientNet-Lite0"
RUNS = (
    ("bikes", "umi-blocked", "nr-drx"),
    ("one-by-one-person-detection", "umi-walk", "nr-drx-fast-release"),
    ("one-by-one-person-detection", str(DATA / "traces" / "mahimahi-ATT-LTE-driving-2016.up"), "nr-low-band"),
)
WITHIN, SAME = 0.10, 0.95


@contextmanager
def served(bundle: Bundle) -> Iterator[GrpcLink]:
    """An edge server for a bundle in another process, and the link to it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "served.bundle"
        bundle.save(path)
        with edge_server(path, Path(folder) / "state") as edge:
            token = Path(edge["token"]).read_text(encoding="utf-8").strip()
            yield GrpcLink(edge["address"], certificate=Path(edge["certificate"]).read_bytes(), token=token)


def really(cell: Cell, bundle: Bundle, frames: list[Frame], link: GrpcLink) -> list[FrameRecord]:
    """The frames of a cell, run."""
    clock, trace = SkippingClock(), FromFirstFrame(cell.trace)
    scheduler = cell.scheduler(cell.bench.believed)
    terminal = Terminal(bundle, scheduler, ShapedLink(link, trace, clock), clock=clock, paced=True)
    with terminal:
        trace.begin_s = clock.now_s()
        records = list(session.run(terminal, (frames[at % len(frames)] for at in range(cell.frames))))
        records[-1] = records[-1].plus(terminal.close())
    return records


def round_trip_s(link: GrpcLink, bundle: Bundle) -> float:
    """Seconds that an empty message takes there and back."""
    link.hello(bundle.digest, 10.0)
    spent = []
    for _ in range(20):
        begun_s = time.perf_counter()
        link.probe(0, 2.0)
        spent.append(time.perf_counter() - begun_s)
    return statistics.median(spent)


def compared(cell: Cell, ran: list[FrameRecord], replayed: list[FrameRecord]) -> dict[str, Any]:
    """A run beside its replay."""
    joules = [
        sum(record.measurement.energy.total_j for record in records) / len(records) for records in (ran, replayed)
    ]
    same = [one.decision.point == other.decision.point for one, other in zip(ran, replayed, strict=True)]
    misses = [sum(record.missed for record in records) / len(records) for records in (ran, replayed)]
    points: list[OperatingPoint] = [record.decision.point for record in ran]
    return {
        "clip": cell.bench.played.clip,
        "link": cell.link,
        "radio": cell.radio,
        "frames": len(ran),
        "ran_j": joules[0],
        "replayed_j": joules[1],
        "apart": joules[1] / joules[0] - 1,
        "same_points": sum(same) / len(same),
        "ran_misses": misses[0],
        "replayed_misses": misses[1],
        "edge_share": sum(record.measurement.answered_by == "edge" for record in ran) / len(ran),
        "kept_share": sum(point.split == "kept" for point in points) / len(points),
        "points_used": len(set(points)),
        "round_trip_s": cell.round_trip_s,
    }


def cell_of(bench: Bench, link: str, radio: str, frames: int) -> Cell:
    """A cell of a named link and radio."""
    return Cell(bench, radio, RADIOS[radio], Path(link).stem, link_named(link), frames)


def run(bench: Bench, bundle: Bundle, shown: list[Frame], link: str, radio: str, frames: int) -> dict[str, Any]:
    """One run, and its replay."""
    own = Bundle(replace(bundle.manifest, kept=bench.believed.kept), bundle._files)
    with served(own) as there:
        cell = replace(cell_of(bench, link, radio, frames), round_trip_s=round_trip_s(there, own))
        ran = really(cell, own, shown, there)
    return compared(cell, ran, cell.run(ALL))


def smoke() -> dict[str, Any]:
    """A tiny network on made frames."""
    from benchmarks.energy_accuracy import made_frames
    from benchmarks.tiny_bundle import tiny_bundle

    bundle, asked = tiny_bundle(codecs=["h264@28"], macs=100_000_000), scenario_named("robot-video")
    clip = Clip(list(islice(made_frames(), 12)), 5.0)
    network = measure_network(bundle, clip, name="tiny", repetitions=2)
    played = play(bundle, clip, "made", period_s=asked.period_s, judged=False)
    bench = Bench(network, played, TERMINALS["raspberry-pi-4"], asked)
    return run(bench, bundle, halves_of(clip, "made", asked.period_s, 60)[1], "umi-blocked", "nr-drx", 20)


def main() -> None:
    """Run, replay, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a tiny network on made frames; nothing written")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="what ``energy_accuracy`` built and measured")
    parser.add_argument("--frames", type=int, default=150)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.smoke:
        Console().print(smoke())
        return
    case, rows = CASES[NETWORK], []
    bundle, network = built(NETWORK, arguments.folder), network_of(NETWORK, case, arguments.folder)
    asked = scenario_named(case.scenario)
    for stem, link, radio in RUNS:
        path = next(clip for clip in case.clips if clip.stem == stem)
        played = played_of(NETWORK, case, path, arguments.folder)
        bench = Bench(network, played, TERMINALS["raspberry-pi-4"], asked)
        shown = halves_of(Clip.read(path), stem, asked.period_s, case.most)[1]
        rows.append(run(bench, bundle, shown, link, radio, arguments.frames))
        Console().print(rows[-1])
    met = all(abs(row["apart"]) <= WITHIN and row["same_points"] >= SAME for row in rows)
    Console().print(f"bars {WITHIN:.0%}, {SAME:.0%}: {'met' if met else 'MISSED'}")
    result.write("truth", rows, bars={"within": WITHIN, "same_points": SAME}, met=met, terminal="paced: raspberry-pi-4")


if __name__ == "__main__":
    main()
