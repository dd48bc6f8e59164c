"""How many joules per frame does each policy take on recorded and synthesised links, and what is left to gain?

Local only, the best static point over all traces, the best static point of each trace (both known in hindsight only),
the adaptive scheduler, and a clairvoyant that knows every future rate. All share deadline, accuracy floor and local
fallback. Profiles are modelled unless ``--profile`` names a measured one. Joules are modelled in any case. With
``--clip`` frames change as those of that clip do, so that codecs with a state cost what builds upon what is held, and
answers are kept where the profile says how good they are.

    python -m benchmarks.policies_on_traces [--smoke] [--profile profile.json --deadline 0.2 --floor 0.95 --clip FILE]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from adaedge.channel import MovingTerminal, Trace, UrbanMicrocell, read_trace, synthesize
from adaedge.clip import Clip
from adaedge.energy import (
    LTE_2021,
    NR_LOW_BAND,
    NR_MMWAVE,
    RADIOS,
    RASPBERRY_PI_4,
    WIFI_2012,
    ComputePower,
    EnergyModel,
    Radio,
)
from adaedge.operating_point import OUTPUT, Cost, OperatingPoint, Profile
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Limits
from adaedge.simulation import Outcome, Scenario, clairvoyant, static_runs
from benchmarks import result

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
TRACE_S = 300.0
Records = list[FrameRecord]


@dataclass(frozen=True, slots=True)
class Case:
    """A profile and what is asked of it."""

    name: str
    profile: Profile
    compute: ComputePower
    deadline_s: float
    period_s: float
    floor: float


@dataclass(frozen=True, slots=True)
class Link:
    """A trace, where it is from, and the radio that it is used with."""

    name: str
    origin: str
    trace: Trace
    radio: Radio


def lite0() -> Case:
    """EfficientNet-Lite0 on a Raspberry Pi 4: 0.4 GMAC at an assumed 4 GMAC/s; bytes and agreement as once measured."""
    answer = {"tail_s": 0.005, "answer_bytes": 4100.0}
    rows = {
        "output/w1/fp32/raw": Cost(0.100),
        "input/w1/fp32/jpeg@95": Cost(0.0, 0.004, 22.5e3, 0.002, 0.008, 4100.0, 0.100, 0.950),
        "input/w1/fp32/jpeg@98": Cost(0.0, 0.005, 40e3, 0.003, 0.008, 4100.0, 0.100, 0.985),
        "blocks.2/w1/fp32/u4+zstd": Cost(0.030, 0.002, 13e3, 0.001, finish_s=0.070, accuracy=0.960, **answer),
        "blocks.3/w1/fp32/u6+zstd": Cost(0.045, 0.001, 11.4e3, 0.001, finish_s=0.055, accuracy=0.994, **answer),
        "blocks.3/w1/fp32/u4+zstd": Cost(0.045, 0.001, 6.9e3, 0.001, finish_s=0.055, accuracy=0.960, **answer),
        "blocks.3/w1/fp32/u3+zstd": Cost(0.045, 0.001, 4.7e3, 0.001, finish_s=0.055, accuracy=0.950, **answer),
        "blocks.5/w1/fp32/u4+zstd": Cost(0.078, 0.001, 2.6e3, 0.001, finish_s=0.022, accuracy=0.970, **answer),
    }
    return Case("lite0-like (modelled)", _profile(rows), RASPBERRY_PI_4, 0.2, 0.2, 0.95)


def video_mae() -> Case:
    """A VideoMAE-B-sized clip of 16 frames each second; a board takes 0.3 s at an assumed 4.8 W for all of it."""
    answer = {"tail_s": 0.03, "answer_bytes": 1700.0}
    rows = {
        "output/w1/fp32/raw": Cost(0.300),
        "output/w0.5/fp32/raw": Cost(0.110, accuracy=0.91),
        "input/w1/fp32/jpeg@90": Cost(0.0, 0.020, 272e3, 0.010, 0.03, 1700.0, 0.300, 0.97),
        "input/w1/fp32/jpeg@75": Cost(0.0, 0.018, 165e3, 0.010, 0.03, 1700.0, 0.300, 0.95),
        "blocks.0/w1/fp32/u4+zstd": Cost(0.030, 0.010, 500e3, 0.006, finish_s=0.270, accuracy=0.99, **answer),
        "blocks.2/w1/fp32/u2+zstd": Cost(0.078, 0.008, 210e3, 0.006, finish_s=0.222, accuracy=0.96, **answer),
        "blocks.5/w1/fp32/u2+zstd": Cost(0.152, 0.008, 120e3, 0.006, finish_s=0.148, accuracy=0.96, **answer),
        "blocks.8/w1/fp32/u2+zstd": Cost(0.226, 0.008, 60e3, 0.006, finish_s=0.074, accuracy=0.96, **answer),
    }
    assumed = ComputePower(busy_w=4.8)
    return Case("VideoMAE-like (modelled)", _profile(rows), assumed, 1.0, 1.0, 0.95)


def _profile(rows: Mapping[str, Cost]) -> Profile:
    costs = {OperatingPoint.parse(name): cost for name, cost in rows.items()}
    return Profile(costs, bundle="00" * 32, terminal="modelled", edge="modelled")


def recorded() -> Iterator[Link]:
    """Recorded links, where the folder of real inputs is there."""
    for path in sorted((DATA / "traces").glob("mahimahi-*.up")):
        yield Link(path.stem.removeprefix("mahimahi-"), "recorded uplink (mahimahi)", read_trace(path), LTE_2021)
    for path in sorted((DATA / "traces").glob("lumos5g-*")):
        radio = LTE_2021 if "4g" in path.name else NR_MMWAVE
        yield Link(path.name.removeprefix("lumos5g-"), "downlink used as uplink (lumos5g)", read_trace(path), radio)


def synthesised() -> Iterator[Link]:
    """Links of a terminal that walks, drives, or is blocked."""
    street = UrbanMicrocell(bandwidth_hz=5e6, loss_db=25.0)
    blocked = MovingTerminal(((10.0, 20.0), (10.0, 60.0)), 0.8, ((40.0, 60.0), (150.0, 180.0)))
    walks = {
        "walk": (MovingTerminal(((20.0, 30.0), (20.0, 250.0)), 1.4), NR_LOW_BAND),
        "drive": (MovingTerminal(((20.0, 30.0), (20.0, 400.0)), 12.0), NR_LOW_BAND),
        "robot, blocked": (blocked, NR_LOW_BAND),
        "robot, WiFi radio": (blocked, WIFI_2012),
    }
    for seed, (name, (terminal, radio)) in enumerate(walks.items()):
        trace = synthesize(terminal, TRACE_S, rng=np.random.default_rng(seed), radio=street)
        yield Link(name, "synthesised (38.901 UMi)", trace, radio)


def replay(case: Case, link: Link, asked: Scenario) -> dict[str, Any]:
    """Every policy on one link. ``static`` holds the outcome of every point."""
    scenario = replace(asked, energy=EnergyModel(case.compute, link.radio), trace=link.trace)
    statics, adaptive = static_runs(scenario), scenario.run()
    best = next(iter(statics))
    return {
        "case": case.name,
        "trace": link.name,
        "origin": link.origin,
        "radio": link.radio.name,
        "local": _row(statics[OperatingPoint(OUTPUT)]),
        "best_static_point": str(best),
        "best_static": _row(statics[best]),
        "adaptive": _row(adaptive) | {"points": len({record.decision.point for record in adaptive})},
        "clairvoyant": _row(clairvoyant(scenario)),
        "static": {str(point): _row(records) for point, records in statics.items()},
    }


def _row(records: Records) -> dict[str, float]:
    outcome = Outcome.of(records)
    return {"energy_j_per_frame": outcome.energy_j_per_frame, "miss_fraction": outcome.miss_fraction}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the traces of one case, and regrets: what the adaptive scheduler spends above others."""
    mean = {
        name: {key: float(np.mean([row[name][key] for row in rows])) for key in ("energy_j_per_frame", "miss_fraction")}
        for name in ("local", "best_static", "adaptive", "clairvoyant")
    }
    means = {
        point: tuple(np.mean([list(row["static"][point].values()) for row in rows], axis=0).tolist())
        for point in rows[0]["static"]
    }
    one = min(means, key=lambda point: (max(0.0, means[point][1] - 0.02), means[point][0]))
    mean["best_static_over_all"] = dict(zip(("energy_j_per_frame", "miss_fraction"), means[one], strict=True))
    adaptive_j = mean["adaptive"]["energy_j_per_frame"]
    against = {
        name: adaptive_j / values["energy_j_per_frame"] - 1 for name, values in mean.items() if name != "adaptive"
    }
    return {"case": rows[0]["case"], "mean": mean, "best_static_over_all_point": one, "adaptive_against": against}


def show(rows: list[dict[str, Any]], total: dict[str, Any]) -> None:
    table = Table(title=f"{total['case']}: joules per frame, modelled (misses)")
    for heading in ("trace", "radio", "local", "one static", "static of trace", "adaptive", "clairvoyant"):
        table.add_column(heading, justify="left" if heading in ("trace", "radio") else "right")
    one = total["best_static_over_all_point"]
    for row in rows:
        cells = [row["local"], row["static"][one], row["best_static"], row["adaptive"], row["clairvoyant"]]
        table.add_row(row["trace"], row["radio"], *map(_cell, cells))
    names = ("local", "best_static_over_all", "best_static", "adaptive", "clairvoyant")
    table.add_section()
    table.add_row("mean", "", *(_cell(total["mean"][name]) for name in names))
    Console().print(table)
    for name, regret in total["adaptive_against"].items():
        Console().print(f"  adaptive against {name}: {regret:+.1%}")


def _cell(row: dict[str, float]) -> str:
    return f"{row['energy_j_per_frame']:.3f} ({row['miss_fraction']:.1%})"


def cases(arguments: argparse.Namespace) -> list[Case]:
    if arguments.profile is None:
        return [lite0(), video_mae()]
    profile = Profile.load(arguments.profile)
    return [
        Case(str(arguments.profile), profile, RASPBERRY_PI_4, arguments.deadline, arguments.deadline, arguments.floor)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="two traces, few frames, nothing written")
    parser.add_argument("--profile", type=Path, help="a profile that `adaedge profile` wrote")
    parser.add_argument("--clip", type=Path, help="a video; without one every payload is a refresh")
    parser.add_argument("--deadline", type=float, default=0.2)
    parser.add_argument("--floor", type=float, default=0.95)
    parser.add_argument("--radio", choices=RADIOS, help="of every link; the one of its own time unless told")
    arguments = parser.parse_args()
    chosen = [*recorded(), *synthesised()][-2 if arguments.smoke else 0 :]
    if arguments.radio:
        chosen = [replace(link, radio=RADIOS[arguments.radio]) for link in chosen]
    rows, totals = [], []
    for case in cases(arguments):
        frames = 50 if arguments.smoke else round(TRACE_S / case.period_s)
        clip = None if arguments.clip is None else Clip.read(arguments.clip)
        if clip is not None and not (case.profile.next_costs or case.profile.kept):
            parser.error(f"no frame of {case.name} builds upon another, nor is an answer kept: name a --profile")
        limits = Limits.of(case.deadline_s, case.floor, case.period_s)
        asked = Scenario(case.profile, EnergyModel(case.compute, chosen[0].radio), chosen[0].trace, limits, frames)
        asked = asked if clip is None else asked.showing(clip)
        found = [replay(case, link, asked) for link in track(chosen, description=case.name)]
        totals.append(summary(found))
        show(found, totals[-1])
        rows += found
    if not arguments.smoke:
        profile = "modelled" if arguments.profile is None else "measured"
        name = "policies_on_traces" if arguments.clip is None else f"policies_on_traces_{arguments.clip.stem}"
        name += f"_{arguments.radio}" if arguments.radio else ""
        result.write(name, rows, summaries=totals, profile=profile, energy="modelled", trace_s=TRACE_S)


if __name__ == "__main__":
    main()
