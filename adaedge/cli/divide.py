"""Command ``divide``: one band and one edge server among many terminals. Needs no torch.

May import, inside the command: ``operating_point``, ``scheduling``, ``fleet``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from adaedge.cli import checks, show
from adaedge.cli.limits import Json, energy_model
from adaedge.errors import ScheduleError

if TYPE_CHECKING:
    from adaedge.fleet import Demand, Division

_KEYS: dict[str, Any] = {
    "name": "", "profile": "", "rate": 0.0, "compute": "raspberry-pi-4", "radio": "nr-low-band", "deadline": 0.2,
    "accuracy_floor": 0.0, "period": 0.2, "battery": 1.0, "count": 1,
}  # fmt: skip


def divide(
    fleet: Annotated[Path, typer.Argument(help="JSON: a list of terminals, each an object; see the reference.")],
    slots: Annotated[float, typer.Option(help="Payloads that the edge server computes at the same time.")] = 1.0,
    objective: Annotated[
        str, typer.Option(help="Whose joules shall be least: terminals, everywhere, worst.")
    ] = "terminals",
    as_json: Json = False,
) -> None:
    """Divide a band and an edge server among many terminals; say who shall send, and who shall stay local.

    Example: `adaedge divide fleet.json --slots 2`
    """
    from adaedge.fleet import divide as divided

    found = divided([one for row in _rows(fleet) for one in _demands(fleet, row)], slots=slots, objective=objective)  # type: ignore[arg-type]
    if as_json:
        show.document(json.dumps(_document(found), indent=1))
        return
    show.console.print(_table(found))
    refused = f"; {len(found.refused)} would send if there were room" if found.refused else ""
    show.console.print(f"{found.power_w:.3f} W of {len(found.shares)} terminals{refused}.", highlight=False)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ScheduleError(f"{path} is not JSON: {error}") from error
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        raise ScheduleError(f"{path} is a list of terminals, each an object with at least name, profile and rate")
    for row in rows:
        odd = ", ".join(sorted(set(row) - set(_KEYS)))
        missing = ", ".join(key for key in ("name", "profile", "rate") if key not in row)
        wrong = next((key for key, value in row.items() if not _fits(value, _KEYS.get(key))), "")
        if odd or missing or wrong:
            what = f"has {odd}" if odd else f"lacks {missing}" if missing else f"has {wrong} = {row[wrong]!r}"
            raise ScheduleError(f"a terminal of {path} {what}; it has {', '.join(_KEYS)}")
    return rows


def _fits(value: Any, like: Any) -> bool:
    if isinstance(like, str):
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > -1


def _demands(path: Path, row: dict[str, Any]) -> list[Demand]:
    from adaedge.fleet import Demand
    from adaedge.operating_point import Profile
    from adaedge.scheduling import Limits

    said = _KEYS | row
    checks.limits(said["deadline"], said["accuracy_floor"], said["period"])
    profile = Profile.load(path.parent / said["profile"])
    limits = Limits.of(said["deadline"], said["accuracy_floor"], said["period"])
    energy, count = energy_model(said["compute"], said["radio"]), int(said["count"])
    names = [said["name"]] if count == 1 else [f"{said['name']} {number + 1}" for number in range(count)]
    return [
        Demand.of(name, profile, energy, limits, 1e6 * said["rate"], battery_j=3600 * said["battery"]) for name in names
    ]


def _document(found: Division) -> dict[str, Any]:
    shares = [
        {
            "name": share.name,
            "point": str(share.way.point),
            "band": share.band,
            "slots": share.slots,
            "latency_s": share.latency_s,
            "energy_j": share.energy_j,
            "local_j": share.local_j,
            "refused": share.refused,
            "late": share.late,
        }
        for share in found.shares
    ]
    about = {"objective": found.objective, "found": found.found, "bound": found.bound, "beyond_w": found.beyond_w}
    return {"power_w": found.power_w, **about, "refused": list(found.refused), "shares": shares}


def _table(found: Division) -> Table:
    table = show.table("modelled")
    table.add_column("terminal")
    table.add_column("point", overflow="fold")
    for name in ("band", "slots", "ms", "mJ", "mJ local"):
        table.add_column(name, justify="right", no_wrap=True)
    for share in found.shares:
        how = " (no room)" if share.refused else ""
        parts = (f"{share.band:.1%}", f"{share.slots:.2f}") if share.way.sends else ("", "")
        joules = f"{1e3 * share.energy_j:.1f}", f"{1e3 * share.local_j:.1f}"
        table.add_row(share.name, f"{share.way.point}{how}", *parts, f"{1e3 * share.latency_s:.0f}", *joules)
    return table
