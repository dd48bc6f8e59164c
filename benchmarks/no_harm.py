"""Does the adaptive scheduler ever cost more than not having it?

Two modelled cases, every link of ``policies_on_traces`` and three of the given traces scaled down to 0.9 Mbit/s, five
radios, 600 frames each. Rows: joules per frame above always local, above the best static point in hindsight and above a
clairvoyant; misses; each without and with a signal of the modem. The signal is modelled from the trace (its mean over
the last second, 2 dB of noise, rounded down to a CQI), not measured. Joules are modelled. The scheduler's defaults were
chosen on the links in `TUNED_ON`; the summary is pooled over the others, which nothing was tuned on, and over those.

    python -m benchmarks.no_harm [--smoke] [--links NAME ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from adaedge.channel import Trace
from adaedge.energy import RADIOS, EnergyModel, Radio
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.scheduling import Limits
from adaedge.simulation import ModelledSignal, Outcome, Scenario, clairvoyant, static_runs
from benchmarks import result
from benchmarks.policies_on_traces import Case, Link, lite0, recorded, synthesised, video_mae

SLOW_BPS = 0.9e6
FRAMES = 600
CHOSEN_RADIOS = ("lte-2021", "wifi-2012", "nr-low-band", "nr-drx", "nr-drx-fast-release")
SCALED = ("ATT-LTE-driving-2016", "TMobile-LTE-short", "Verizon-LTE-short")
TUNED_ON = (*SCALED, "4g_trace_driving_50015_dr", "4g_trace_driving_50132_dr", "robot, WiFi radio")
TUNED_ON += ("TMobile-LTE-short, scaled",)
BARS = {"above_local": 0.01, "above_static": 0.03, "misses": 0.01}


def links() -> Iterator[Link]:
    """All links; the radio is given by the cell, not by the link."""
    known = [*recorded(), *synthesised()]
    yield from known
    for link in known:
        if link.name in SCALED:
            trace = link.trace
            rates = trace.rates_bps * (SLOW_BPS / trace.mean_bps)
            slow = Trace(trace.times_s, rates, duration_s=trace.duration_s)
            yield replace(link, name=f"{link.name}, scaled", origin=f"{link.origin}, to 0.9 Mbit/s", trace=slow)


def measure(case: Case, link: Link, radio: Radio, frames: int) -> dict[str, Any]:
    """One cell: what is spent above others, as fractions."""
    limits = Limits.of(case.deadline_s, case.floor, case.period_s)
    scenario = Scenario(case.profile, EnergyModel(case.compute, radio), link.trace, limits, frames)
    runs = {point: Outcome.of(records) for point, records in static_runs(scenario).items()}
    best = next(iter(runs))
    outcomes = {
        "local": runs[OperatingPoint(OUTPUT)],
        "best_static": runs[best],
        "clairvoyant": Outcome.of(clairvoyant(scenario)),
        "without_signal": Outcome.of(scenario.run()),
        "with_signal": Outcome.of(replace(scenario, signal=ModelledSignal(link.trace)).run()),
    }
    joules = {f"{name}_j": outcome.energy_j_per_frame for name, outcome in outcomes.items()}
    misses = {f"{name}_misses": outcome.miss_fraction for name, outcome in outcomes.items()}
    tuned = link.name in TUNED_ON
    named = {"case": case.name, "link": link.name, "origin": link.origin, "radio": radio.name, "tuned_on": tuned}
    return {**named, "best_static_point": str(best), **joules, **misses}


def summary(rows: list[dict[str, Any]], arm: str) -> dict[str, Any]:
    """What an arm comes to over some cells, and how many of them are above a bar."""
    spent_j = np.array([row[f"{arm}_j"] for row in rows])
    above = {
        name: spent_j / np.array([row[f"{other}_j"] for row in rows]) - 1
        for name, other in (("above_local", "local"), ("above_static", "best_static"))
    }
    # A miss counts where the oracle has none.
    misses = np.array([row[f"{arm}_misses"] * (row["clairvoyant_misses"] == 0) for row in rows])
    values = {**above, "misses": misses}
    pooled = spent_j.sum() / sum(row["clairvoyant_j"] for row in rows) - 1
    found: dict[str, Any] = {"arm": arm, "cells": len(rows), "pooled_regret": float(pooled)}
    for name, column in values.items():
        found |= {f"{name}_worst": float(column.max()), f"{name}_missed": int((column > BARS[name]).sum())}
    return found


def show(rows: list[dict[str, Any]], totals: list[dict[str, Any]]) -> None:
    table = Table(title="joules per frame, modelled; without / with a modelled signal")
    for heading in ("case", "link", "radio", "local", "best static", "clairvoyant", "adaptive"):
        table.add_column(heading)
    for row in rows:
        known = [f"{row[f'{name}_j']:.3f}" for name in ("local", "best_static", "clairvoyant")]
        ours = f"{row['without_signal_j']:.3f} / {row['with_signal_j']:.3f}"
        table.add_row(row["case"], row["link"], row["radio"], *known, ours)
    Console().print(table)
    for total in totals:
        Console().print(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one case, one link, two radios, few frames")
    parser.add_argument("--links", nargs="+", help="only these links; all unless told")
    arguments = parser.parse_args()
    known = {link.name: link for link in links()}
    chosen = [known[name] for name in arguments.links or known]
    names, cases = CHOSEN_RADIOS, [lite0(), video_mae()]
    if arguments.smoke:
        chosen, names, cases = chosen[-1:], CHOSEN_RADIOS[:2], cases[:1]
    cells = [(case, link, RADIOS[name]) for link in chosen for case in cases for name in names]
    frames = 50 if arguments.smoke else FRAMES
    rows: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    for cell in track(cells, description="cells"):
        rows.append(measure(*cell, frames))
        totals = [
            {"half": half, **summary(part, arm)}
            for half, part in (
                ("held out", [row for row in rows if not row["tuned_on"]]),
                ("tuned on", [row for row in rows if row["tuned_on"]]),
            )
            for arm in ("without_signal", "with_signal")
            if part
        ]
        if not arguments.smoke:
            settings = {"tuned_on": TUNED_ON, "frames": FRAMES, "cells_of": len(cells), "signal": "modelled"}
            result.write("no_harm", rows, summaries=totals, profile="modelled", energy="modelled", **settings)
    show(rows, totals)


if __name__ == "__main__":
    main()
