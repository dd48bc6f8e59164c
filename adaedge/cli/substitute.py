"""Command ``substitute``: how many bits buy how many multiply-accumulates. Needs no torch.

May import, inside the command: ``operating_point``, ``channel``, ``substitution``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from adaedge.cli import checks, show
from adaedge.cli.limits import AccuracyFloor, Compute, DeadlineS, Json, Radio, energy_model

if TYPE_CHECKING:
    from adaedge.substitution import Substitution


def substitute(
    profile: Annotated[Path, typer.Argument(help="A profile, written by `adaedge profile`.")],
    trace: Annotated[Path, typer.Option(help="Rates of the link, as `simulate` takes them.")],
    deadline: DeadlineS = 0.2,
    accuracy_floor: AccuracyFloor = 0.0,
    compute: Compute = "raspberry-pi-4",
    macs_per_s: Annotated[
        float | None, typer.Option(help="What the terminal computes in a second, where --compute is in watts.")
    ] = None,
    radio: Radio = "nr-awake",
    plot: Annotated[Path | None, typer.Option(help="Draw bits against MACs: .svg, .png or .pdf.")] = None,
    as_json: Json = False,
) -> None:
    """Say how many bits buy how many multiply-accumulates at equal accuracy and latency, and what they cost on a link.

    Example: `adaedge substitute profile.json --trace uplink.txt --plot isoquant.svg`
    """
    from adaedge.channel import read_trace
    from adaedge.operating_point import Profile
    from adaedge.substitution import substitute as found_for

    checks.limits(deadline, accuracy_floor, 1.0)
    checks.writable(plot)
    energy = energy_model(compute, radio)
    if macs_per_s is not None:
        energy = replace(energy, compute=replace(energy.compute, macs_per_s=macs_per_s))
    rates = read_trace(trace)
    at_s = (np.arange(2000) + 0.5) * rates.duration_s / 2000
    found = found_for(
        Profile.load(profile), energy, rates.rate_at(at_s), deadline_s=deadline, accuracy_floor=accuracy_floor
    )
    if plot is not None:
        from adaedge.substitution import draw_substitution

        draw_substitution(plot, found)
    if as_json:
        show.document(json.dumps(found.as_dict(), indent=1))
        return
    show.console.print(_table(found))
    price, relief = found.price, found.relief
    show.console.print(
        f"A bit costs as much as {price.median:.3g} MACs ({price.low:.3g} to {price.high:.3g} in 90 % of the time)."
        f" Adapting to the link takes {100 * found.gain:.1f} % less than the best single point.",
        highlight=False,
    )
    saves = f"{100 * relief.accuracy:.1f} %, {100 * relief.delay:.1f} %, {100 * relief.bits:.1f} %"
    show.console.print(
        f"A floor lower by 0.01, a deadline longer by a tenth, a link quicker by a tenth save {saves}.", highlight=False
    )


def _table(found: Substitution) -> Table:
    table = show.table("modelled, radio awake")
    table.add_column("point", overflow="fold")
    for name in ("kbit", "MMAC", "MACs a bit", "best"):
        table.add_column(name, justify="right", no_wrap=True)
    for vertex in found.isoquant:
        rate = "" if vertex.rate == float("inf") else f"{vertex.rate:.3g}"
        part = f"{found.chance.get(vertex.point, 0.0):.0%}"
        table.add_row(str(vertex.point), f"{vertex.bits / 1e3:.1f}", f"{vertex.macs / 1e6:.0f}", rate, part)
    return table
