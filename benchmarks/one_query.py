"""One query in ten seconds: is the radio woken for it, and what does that cost?

A robot that asks now and then pays the radio's falling asleep for every single query. Two modelled networks, 60
queries, 10 s apart, answers within 1 s; three links, four radios. Compared: always local, the cheapest offload always,
the scheduler, and the best static point in hindsight. Bars: under a tail model (LTE, 5G NSA low band) at least 5 times
less than always offloading; under C-DRX the scheduler's point is the one of the least joules for at least 95 % of the
queries after the first, and it says why. Costs and joules are modelled.

    python -m benchmarks.one_query [--smoke]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from adaedge.energy import RADIOS, EnergyModel
from adaedge.matrix import link_named, scenario_named
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.scheduling import Limits
from adaedge.simulation import Outcome, Scenario, static_runs
from benchmarks import result
from benchmarks.policies_on_traces import DATA, Case, lite0, video_mae

QUERIES = 60
TAILS, DRX = ("nr-low-band", "lte-2021"), ("nr-drx", "nr-drx-fast-release")
LINKS = ("umi-walk", "20mbps", str(DATA / "traces" / "mahimahi-ATT-LTE-driving-2016.up"))
TIMES_LESS, RIGHT = 5.0, 0.95


def cases() -> list[Case]:
    """The two networks of ``policies_on_traces``, asked now and then."""
    asked = scenario_named("query")
    return [replace(one, period_s=asked.period_s, deadline_s=asked.deadline_s) for one in (lite0(), video_mae())]


def measure(case: Case, radio: str, link: str, queries: int = QUERIES) -> dict[str, Any]:
    """One network, radio and link."""
    limits = Limits.of(case.deadline_s, case.floor, case.period_s)
    scenario = Scenario(case.profile, EnergyModel(case.compute, RADIOS[radio]), link_named(link), limits, queries)
    statics = {point: Outcome.of(records) for point, records in static_runs(scenario).items()}
    local_j = statics[OperatingPoint(OUTPUT)].energy_j_per_frame
    offload = min((point for point in statics if not point.is_local), key=lambda one: statics[one].energy_j_per_frame)
    records = scenario.run()
    best = min(statics, key=lambda one: statics[one].energy_j_per_frame)
    best_is_local = best.is_local
    right = [record.decision.point.is_local == best_is_local for record in records[1:]]
    adaptive = Outcome.of(records)
    return {
        "case": case.name,
        "radio": radio,
        "link": Path(link).stem,
        "local_j": local_j,
        "always_offloading": str(offload),
        "always_offloading_j": statics[offload].energy_j_per_frame,
        "best_static": str(best),
        "best_static_j": statics[best].energy_j_per_frame,
        "adaptive_j": adaptive.energy_j_per_frame,
        "misses": adaptive.miss_fraction,
        "times_less_than_offloading": statics[offload].energy_j_per_frame / adaptive.energy_j_per_frame,
        "right": sum(right) / len(right),
        "why": list(records[-1].decision.reasons),
    }


def main() -> None:
    """Replay, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one link, few queries, nothing written")
    arguments = parser.parse_args()
    links, queries = (LINKS[1:2], 10) if arguments.smoke else (LINKS, QUERIES)
    rows = [measure(case, radio, link, queries) for case in cases() for radio in (*TAILS, *DRX) for link in links]
    table = Table(title="Joules a query, modelled; one in 10 s")
    for heading in ("case", "radio", "link", "local", "offloading", "adaptive", "times less", "right", "why"):
        table.add_column(heading)
    for row in rows:
        joules = [f"{row[name]:.3f}" for name in ("local_j", "always_offloading_j", "adaptive_j")]
        rest = f"{row['times_less_than_offloading']:.1f}", f"{row['right']:.2f}", row["why"][0]
        table.add_row(row["case"], row["radio"], row["link"], *joules, *rest)
    Console(width=170).print(table)
    tails = [row for row in rows if row["radio"] in TAILS]
    summary = {
        "tail_cells": len(tails),
        "tail_least_times_less": min(row["times_less_than_offloading"] for row in tails),
        "tail_where_local_is_best_least_times_less": min(
            (row["times_less_than_offloading"] for row in tails if row["best_static"].startswith(OUTPUT)), default=None
        ),
        "tail_cells_at_the_bar": sum(row["times_less_than_offloading"] >= TIMES_LESS for row in tails),
        "drx_cells": sum(row["radio"] in DRX for row in rows),
        "drx_right_cells": sum(row["right"] >= RIGHT for row in rows if row["radio"] in DRX),
        "all_reasons_given": all(row["why"] for row in rows),
    }
    Console().print(summary)
    if not arguments.smoke:
        result.write(
            "one_query", rows, summary=summary, bars={"times_less": TIMES_LESS, "right": RIGHT}, energy="modelled"
        )


if __name__ == "__main__":
    main()
