"""The command that says what would pay before anything is built: ``estimate``. Torch is needed for a model's name only.

May import, inside the command: ``forecast``, ``operating_point``, ``bundle``, ``energy``, ``models``, ``graph``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from adaedge.cli import checks, show
from adaedge.cli.limits import AccuracyFloor, Compute, Json, PeriodS, Radio, energy_model
from adaedge.errors import ScheduleError

if TYPE_CHECKING:
    from adaedge.energy import ComputePower, EnergyModel
    from adaedge.forecast import Forecast, Workload
    from adaedge.graph import SplitPoint, Splittable

BITS_PER_PIXEL, BITS_PER_VALUE = 2.0, 1.2
"""Of a JPEG and of a learned bottleneck, where neither was built: EfficientNet-Lite0 at 92 % agreement, measured."""
_CUTS, _REPETITIONS = 8, 3


def estimate(
    model: Annotated[str, typer.Argument(help="A bundle, a profile (.json), or a model's name as `inspect` takes it.")],
    rate: Annotated[float, typer.Option(help="The uplink, in Mbit/s.")],
    compute: Compute = "raspberry-pi-4",
    macs_per_s: Annotated[
        float | None, typer.Option(help="What the terminal computes in a second, where --compute is in watts.")
    ] = None,
    radio: Radio = "nr-drx",
    period: PeriodS = 0.2,
    deadline: Annotated[float, typer.Option(help="Seconds that an answer may take; none unless told.")] = math.inf,
    accuracy_floor: AccuracyFloor = 0.0,
    full_bytes: Annotated[float | None, typer.Option(help="Bytes of a whole frame, where you know better.")] = None,
    partial_bytes: Annotated[float | None, typer.Option(help="Bytes of what crosses a split point, likewise.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw rate against joules: .svg, .png or .pdf.")] = None,
    as_json: Json = False,
) -> None:
    """Say which of local, full and partial offload pays, before anything is built.

    A profile's times are measured; from a bundle or a model's name they follow from its MACs.

    Example: `adaedge estimate timm:efficientnet_lite0 --compute jetson-orin --radio nr-drx --rate 10`
    """
    from adaedge.forecast import Forecast

    if not rate > 0:
        raise ScheduleError(f"--rate is a number of Mbit/s above 0; got {rate:g}")
    checks.limits(deadline, accuracy_floor, period)
    checks.writable(plot)
    _check_picture(plot)
    energy = energy_model(compute, radio)
    if macs_per_s is not None:
        energy = replace(energy, compute=replace(energy.compute, macs_per_s=macs_per_s))
    workload = _sized(_workload(model, energy.compute, accuracy_floor), full_bytes, partial_bytes)
    found = Forecast.of(workload, energy, 1e6 * rate, period_s=period, deadline_s=deadline)
    if plot is not None:
        _draw(plot, workload, energy, 1e6 * rate, period)
    if as_json:
        about = {"model": model, "compute": compute, "radio": radio, "rate_bps": 1e6 * rate, "period_s": period}
        known = {"provenance": energy.provenance, "assumptions": workload.assumptions}
        show.document(json.dumps(about | found.as_dict() | known, indent=1))
    else:
        show.console.print(_table(found, workload))
        show.console.print(found.advice, style="bold", highlight=False)


def _workload(model: str, compute: ComputePower, accuracy_floor: float) -> Workload:
    from adaedge.bundle import Bundle
    from adaedge.forecast import of_bundle, of_profile
    from adaedge.operating_point import Profile

    if model.endswith(".json"):
        return of_profile(Profile.load(model), accuracy_floor)
    if Path(model).is_dir() and (Path(model) / "manifest.json").exists():
        return of_bundle(Bundle.load(model), compute, accuracy_floor)
    return _of_model(model, compute)


def _of_model(name: str, compute: ComputePower) -> Workload:
    """Shares of the heads as this machine computes them; bytes by the bits of a pixel and of a value."""
    from adaedge.forecast import Offer, Workload
    from adaedge.graph import Splittable
    from adaedge.models import load

    compute.seconds(1)  # refuses a processor whose throughput nobody said, before a model is loaded
    loaded = load(name, pretrained=False)
    net, args, kwargs = loaded.for_capture()
    split = Splittable(net, args, kwargs)
    macs, whole_s = split.points[-1].head_macs, _seconds(lambda: split(*args, **kwargs))
    entering = split.points[0].crossing
    pixels = sum(math.prod(one.shape) / (one.shape[one.axis] if one.axis is not None else 3) for one in entering)
    partial = []
    for point in _candidates(split):
        head = split.at(point.name)[0]
        share = min(1.0, _seconds(lambda head=head: head(*args, **kwargs)) / whole_s)  # type: ignore[misc]
        values = sum(math.prod(one.shape) for one in point.crossing)
        partial.append(Offer(f"{point.name}, a bottleneck", values * BITS_PER_VALUE / 8, share))
    full = Offer("input, a JPEG", pixels * BITS_PER_PIXEL / 8)
    told = (
        f"a JPEG takes {BITS_PER_PIXEL:g} bits a pixel and a bottleneck {BITS_PER_VALUE:g} bits a value",
        "heads take their share of this machine's time; the edge server, coding and the answer take nothing",
    )
    return Workload(compute.seconds(macs), (full,), tuple(partial), macs, told)


def _candidates(split: Splittable) -> list[SplitPoint]:
    """Between modules, of each eighth of the MACs the place that the fewest bytes cross."""
    macs = max(1, split.points[-1].head_macs)
    fewest: dict[int, SplitPoint] = {}
    for point in split.points:
        place = _CUTS * point.head_macs // macs
        inside = 0 < point.head_macs < macs and ":" not in point.name
        if inside and (place not in fewest or point.payload_bytes < fewest[place].payload_bytes):
            fewest[place] = point
    return list(fewest.values())


def _seconds(call: Callable[[], Any]) -> float:
    import torch

    with torch.inference_mode():
        call()
        spent = []
        for _ in range(_REPETITIONS):
            begun = time.perf_counter()
            call()
            spent.append(time.perf_counter() - begun)
    return min(spent)


def _sized(workload: Workload, full_bytes: float | None, partial_bytes: float | None) -> Workload:
    """With the user's own bytes."""
    full, partial = (
        offers if size is None else tuple(replace(offer, payload_bytes=size) for offer in offers)
        for offers, size in ((workload.full, full_bytes), (workload.partial, partial_bytes))
    )
    return replace(workload, full=full, partial=partial)


def _check_picture(path: Path | None) -> None:
    if path is not None and path.suffix not in (".svg", ".png", ".pdf"):
        raise ScheduleError(f"a picture is .svg, .png or .pdf; got {path}")


def _draw(path: Path, workload: Workload, energy: EnergyModel, rate_bps: float, period_s: float) -> None:
    from adaedge.energy import COMPUTE
    from adaedge.forecast.picture import draw_window

    others = {name: one.j_per_mac for name, one in COMPUTE.items()} if workload.macs else None
    draw_window(path, workload, energy, rate_bps, period_s=period_s, others=others)


def _table(found: Forecast, workload: Workload) -> Table:
    table = show.table("modelled, terminal only")
    table.add_column("mode")
    table.add_column("mJ a frame", justify="right", no_wrap=True)
    table.add_column("how", overflow="fold")
    for mode, spent, how in (
        ("local", found.local_j, f"{1e3 * workload.local_s:.1f} ms"),
        ("full", found.full_j, found.full),
        ("partial", found.partial_j, found.partial),
    ):
        table.add_row(mode, "not in time" if spent is None else f"{1e3 * spent:.2f}", how)
    window = found.window
    if window is not None:
        least, most = 1e3 * window.above_j, 1e3 * window.below_j
        ends = f"a local run of {least:.1f} to {most:.1f} mJ" if window.open else "no local run, however dear"
        table.caption = f"Partial is the best for {ends} ({window.offer})."
    if workload.assumptions:
        table.caption = f"{table.caption or ''} Assumed: {'; '.join(workload.assumptions)}."
    return table
