"""Where would a bottleneck save energy: over link rate, radio, terminal's efficiency and accuracy floor?

The profile of ``techniques_on_traces`` (EfficientNet-Lite0, a Raspberry Pi 4 as the demo has it), on links of one
constant rate. A terminal of efficiency n takes an n-th of the Raspberry Pi's time and energy for whatever it computes.
In each cell stands what the best point with bottlenecks saves against the best one without, both in hindsight, with
every frame offloaded or none, the radio's tail included: no scheduler, no fading, so nothing but costs. A frame every
0.2 s with as long a deadline. Joules are modelled from measured times and bytes.

    python -m benchmarks.bottleneck_gain --bundle FOLDER [--smoke]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from adaedge.bundle import Bundle
from adaedge.channel import Trace
from adaedge.demo.policies import DEADLINE_S, PERIOD_S
from adaedge.demo.show import ENERGY
from adaedge.energy import LTE_2021, NR_LOW_BAND, EnergyModel
from adaedge.operating_point import Profile
from adaedge.report.words import percent
from adaedge.scheduling import Limits
from adaedge.simulation import Scenario, best_static
from benchmarks import result
from benchmarks.techniques_on_traces import BAR, built, measured, offered

RATES_BPS = tuple(1e6 * 2.0**power for power in range(-2, 5))
EFFICIENCIES = (1, 2, 4, 8, 16, 32)
FLOORS = (0.95, 0.97, 0.98)
RADIOS = (LTE_2021, NR_LOW_BAND)
FRAMES = 60
PLOT = Path(__file__).parent / "results" / "bottleneck_gain.svg"


def cell(costs: Profile, radio: Any, rate_bps: float, efficiency: float, floor: float) -> dict[str, Any]:
    """The best points of one cell."""
    energy, limits = EnergyModel(ENERGY.compute, radio), Limits.of(DEADLINE_S, floor, PERIOD_S)
    row: dict[str, Any] = {"radio": radio.name, "rate_bps": rate_bps, "efficiency": efficiency, "floor": floor}
    for name, bottleneck in (("without", False), ("with", True)):
        offer = offered(costs, levels=True, bottleneck=bottleneck).slowed(1 / efficiency)
        point, records = best_static(Scenario(offer, energy, Trace([0.0], [rate_bps]), limits, FRAMES))
        # The first frame wakes the radio, which a stream does once.
        later = [record.measurement for record in records[FRAMES // 2 :]]
        row[name] = str(point)
        row[f"{name}_j_per_frame"] = float(np.mean([one.energy.total_j for one in later]))
        row[f"{name}_missed"] = float(np.mean([one.latency_s > DEADLINE_S for one in later]))
    return row | {"saves": 1 - row["with_j_per_frame"] / row["without_j_per_frame"]}


def tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """Savings, a table for each radio and floor."""
    drawn = []
    for radio, floor in dict.fromkeys((row["radio"], row["floor"]) for row in rows):
        mine = [row for row in rows if (row["radio"], row["floor"]) == (radio, floor)]
        table = Table("efficiency", *(f"{rate / 1e6:g}" for rate in dict.fromkeys(row["rate_bps"] for row in mine)))
        table.title = f"{radio}, floor {percent(floor)}: bottleneck saves, by link rate in Mbit/s"
        for efficiency in dict.fromkeys(row["efficiency"] for row in mine):
            cells = (percent(row["saves"], 1) for row in mine if row["efficiency"] == efficiency)
            table.add_row(str(efficiency), *cells)
        drawn.append(table)
    return drawn


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "adaedge"
    from matplotlib import pyplot as plt

    radios, floors = (list(dict.fromkeys(row[name] for row in rows)) for name in ("radio", "floor"))
    figure, axes = plt.subplots(
        len(radios), len(floors), figsize=(3.4 * len(floors), 2.8 * len(radios)), squeeze=False, layout="constrained"
    )
    for radio, line in zip(radios, axes, strict=True):
        for floor, one in zip(floors, line, strict=True):
            mine = [row for row in rows if (row["radio"], row["floor"]) == (radio, floor)]
            rates, efficiencies = (
                list(dict.fromkeys(row[name] for row in mine)) for name in ("rate_bps", "efficiency")
            )
            grid = 100 * np.array([row["saves"] for row in mine]).reshape(len(efficiencies), len(rates))
            one.imshow(grid, origin="lower", cmap="Greens", vmin=0, vmax=60, aspect="auto")
            for at, value in np.ndenumerate(grid):
                one.text(at[1], at[0], f"{value:.0f}", ha="center", va="center", fontsize=7)
            one.set_xticks(range(len(rates)), [f"{rate / 1e6:g}" for rate in rates], fontsize=7)
            one.set_yticks(range(len(efficiencies)), efficiencies, fontsize=7)
            one.set_title(f"{radio}, floor {percent(floor)}", fontsize=8)
    figure.supxlabel("link rate, Mbit/s", fontsize=8)
    figure.supylabel("terminal's efficiency, Raspberry Pi 4 = 1", fontsize=8)
    figure.suptitle("% less energy a frame with bottlenecks", fontsize=9)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a small bundle, a few cells, nothing written")
    parser.add_argument("--bundle", type=Path, help="take the bundle from this folder instead of building it")
    asked = parser.parse_args()
    costs = measured(Bundle.load(asked.bundle) if asked.bundle else built(asked.smoke), asked.smoke)
    cells = [
        (radio, rate, efficiency, floor)
        for radio in RADIOS
        for floor in FLOORS
        for efficiency in EFFICIENCIES
        for rate in RATES_BPS
    ]
    rows = [cell(costs, *one) for one in track(cells[:: 40 if asked.smoke else 1], description="cells")]
    for table in () if asked.smoke else tables(rows):
        Console(width=100).print(table)
    if not asked.smoke:
        reached = [row for row in rows if row["saves"] >= BAR]
        result.write(
            "bottleneck_gain",
            rows,
            terminal=costs.terminal,
            bar=BAR,
            deadline_s=DEADLINE_S,
            period_s=PERIOD_S,
            cells=len(rows),
            cells_at_bar=len(reached),
            most_saved=max(row["saves"] for row in rows),
        )
        plot(rows, PLOT)


if __name__ == "__main__":
    main()
