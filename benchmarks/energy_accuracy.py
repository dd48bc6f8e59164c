"""Which mode and technique takes the least joules at equal accuracy, on which network, clip, terminal and radio?

Eight networks, the clips of ``video_clips``, three terminals, three radios, a recorded link and two of 3GPP TR 38.901.
Everything is chosen on a clip's first half, by whoever chooses: the point of local, JPEG, H.264 and partial always is
the cheapest that keeps the floor there (the lower end of its 95 % interval), and the scheduler sees the same costs.
What is reported is the second half: its own bytes, its own answers. The floor is an IoU of 0.95, a cosine of 0.95, or
0.1 nats.

Bytes and accuracy are measured by really running the bundle on every frame. Seconds of a part are measured here, then
scaled by what the terminal computes in a second; joules are modelled from these seconds and from the radio's states.
VideoMAE-base, SlowFast-R50, I3D-R50 and r3d_18 have random weights here: they count for their cost only, and what they
send at their split point is not what trained features would be.

What was built and measured is kept in a folder, a file for each network and clip: a run that was stopped goes on.

    python -m benchmarks.energy_accuracy [--smoke] [--networks NAME ...] [--folder build/energy_accuracy] [--page FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from adaedge.channel import read_trace
from adaedge.cli import show
from adaedge.clip import Clip
from adaedge.energy import RADIOS
from adaedge.matrix import TERMINALS, Network, PlayedClip, Row, cells, link_named, measure_network, play, scenario_named
from adaedge.matrix import verdicts as judged
from adaedge.matrix.page import write_page
from adaedge.matrix.verdicts import cells_of
from adaedge.operating_point import FP32, OperatingPoint, Profile
from benchmarks import result
from benchmarks.matrix_networks import CASES, Case, built, first_half, floor_of, kept_curve, metric_of
from benchmarks.policies_on_traces import DATA

CHOSEN_TERMINALS = ("raspberry-pi-4", "jetson-orin", "phone-npu")
CHOSEN_RADIOS = ("nr-low-band", "nr-drx", "nr-drx-fast-release")
RECORDED = ("mahimahi-ATT-LTE-driving-2016.up",)
SYNTHESISED = ("umi-walk", "umi-blocked")
FOLDER = Path("build") / "energy_accuracy"
STILL = ("one-by-one-person-detection", "bottle-detection", "indoor-1080p")
"""Clips of a camera that stands still; the others move."""
BARS = {"still": 0.55, "moving, median": 0.10, "moving, worst": -0.01, "partial by": 0.10, "window": 0.95}
FRAMES = 150
PROFILED = 12


def links() -> dict[str, Any]:
    """A recorded uplink, and two that are synthesised after 3GPP TR 38.901."""
    recorded = {Path(name).stem: read_trace(DATA / "traces" / name) for name in RECORDED}
    return recorded | {name: link_named(name) for name in SYNTHESISED}


def worth_playing(points: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """Without int8 in front of a cut, which hardly is quicker there than fp32."""
    return [point for point in points if point.is_local or point.precision == FP32]


def network_of(name: str, case: Case, folder: Path) -> Network:
    """A network as it was timed here; once, then kept."""
    path = folder / f"{_file(name)}.timed.json"
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        profile = Profile.from_json(json.dumps(known.pop("profile")))
        return Network(name, profile, **known, metric=case.metric, floor=floor_of(case))
    bundle = built(name, folder)
    clip = first_half(case.clips[0], 2 if case.metric is None else PROFILED, 0.2)
    repetitions = 2 if case.metric is None else 10
    found = measure_network(bundle, clip, name=name, metric=case.metric, floor=floor_of(case), repetitions=repetitions)
    known = {"macs": found.macs, "pixels": found.pixels, "profile": json.loads(found.profile.to_json())}
    path.write_text(json.dumps(known), encoding="utf-8")
    return found


def played_of(name: str, case: Case, clip: Path, folder: Path) -> PlayedClip:
    """A clip, played through a network's points; once, then kept."""
    path = folder / f"{_file(name)}-{clip.stem}.npz"
    if path.exists():
        return PlayedClip.load(path)
    bundle, metric = built(name, folder), metric_of(case, clip)
    points = worth_playing(bundle.points)
    period_s = scenario_named(case.scenario).period_s
    told = {"period_s": period_s, "most": case.most, "judged": metric is not None, "points": points}
    found = play(bundle, Clip.read(clip), clip.stem, **told)
    found = replace(found, kept=None if metric is None else kept_curve(bundle, clip, metric))
    found.save(path)
    return found


def rows_of(name: str, case: Case, clip: Path, folder: Path) -> Iterator[list[Row]]:
    """The rows of each cell of a network on a clip; read where they were replayed before."""
    path = folder / f"{_file(name)}-{clip.stem}.rows.json"
    if path.exists():
        yield [Row.of(row) for row in json.loads(path.read_text(encoding="utf-8"))]
        return
    network = replace(network_of(name, case, folder), metric=metric_of(case, clip))
    played, found = played_of(name, case, clip, folder), []
    terminals = [TERMINALS[one] for one in CHOSEN_TERMINALS]
    radios = {one: RADIOS[one] for one in CHOSEN_RADIOS}
    scenario = scenario_named(case.scenario)
    for cell in cells(network, played, scenario, terminals, radios, links(), frames=FRAMES):
        found += cell.rows()
        yield []
    path.write_text(json.dumps([row.as_dict() for row in found]), encoding="utf-8")
    yield found


def _file(name: str) -> str:
    return name.lower().replace("/", "-")


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """What the bars ask."""
    judged_rows = [row for row in rows if row.accuracy is not None]
    found = judged.savings(judged_rows)
    still = [one for one in found if one.cell[1] in STILL]
    moving = [one for one in found if one.cell[1] not in STILL]
    window, partial = judged.window(rows), judged.partial_cells(rows)
    heavy = [row for row in rows if row.network not in LIGHT]
    answered = judged.window(judged_rows)
    return {
        "cells": len(cells_of(rows)),
        "still": _savings(still, BARS["still"]),
        "still_by_place": _by_place(still),
        "moving": _savings(moving, BARS["moving, median"]),
        "moving_more_than_1_percent_above": sum(one.fraction < BARS["moving, worst"] for one in moving),
        "partial_best_by_10_percent": [{"cell": list(name), "by": ahead} for name, ahead in partial],
        "partial_share_of_heavy": len(judged.partial_cells(heavy)) / max(1, len(cells_of(heavy))),
        "window": {"cells": window.cells, "right": window.right, "near": window.near, "wrong": len(window.wrong)},
        "window_of_judged": {"cells": answered.cells, "right": answered.right, "near": answered.near},
        "window_wrong": [list(name) for name in window.wrong],
        "flips": [{"cell": list(name), "best": best} for name, best in judged.flips(rows)],
    }


LIGHT = ("EfficientNet-Lite0", "MobileNetV2", "DeepLabV3", "ViT-S/14")
"""Those below 10 GMAC."""


def _savings(found: Sequence[judged.Saving], bar: float) -> dict[str, Any]:
    kept = [one for one in found if one.keeps_floor]
    return {
        "cells": len(found),
        "median": judged.median_saving(found),
        "worst": min((one.fraction for one in found), default=None),
        "floor_kept": len(kept),
        "median_where_floor_kept": judged.median_saving(kept),
        "at_the_bar_and_floor_kept": sum(one.fraction >= bar for one in kept),
    }


def _by_place(found: Sequence[judged.Saving]) -> dict[str, float | None]:
    """Of each network, clip, terminal and radio, the median over links."""
    places: dict[str, list[judged.Saving]] = {}
    for one in found:
        network, clip, _, terminal, radio, _ = one.cell
        places.setdefault(f"{network}, {clip}, {terminal}, {radio}", []).append(one)
    return {place: judged.median_saving(each) for place, each in places.items()}


def show_rows(rows: Sequence[Row]) -> None:
    """A line for each network, terminal and radio: medians over clips and links, where nothing is gained too."""
    table = Table(
        title="Joules a frame (modelled), medians over clips and links, as shares of the best of local, JPEG, H.264"
    )
    names = list(dict.fromkeys(row.mode_or_technique for row in rows))
    for heading in ("network", "terminal", "radio", *names):
        table.add_column(heading)
    groups: dict[tuple[str, str, str], list[dict[str, Row]]] = {}
    for name, cell in cells_of(rows).items():
        groups.setdefault((name[0], name[3], name[4]), []).append(dict(cell))
    for group, found in groups.items():
        table.add_row(*group, *(_share(found, name) for name in names))
    Console(width=200).print(table)


def _share(found: Sequence[dict[str, Row]], name: str) -> str:
    shares = []
    for cell in found:
        rivals = [row.energy_j for row in judged.by_word({k: v for k, v in cell.items() if k != "partial"}).values()]
        if name in cell and rivals and min(rivals) > 0:
            shares.append(cell[name].energy_j / min(rivals))
    shares.sort()
    return f"{shares[len(shares) // 2]:.2f}" if shares else ""


COLUMNS = (
    "network", "clip", "terminal", "radio", "link", "mode_or_technique", "energy_j", "compute_j", "accuracy", "metric",
    "misses", "chosen_to_keep_floor", "keeps_floor", "point", "bytes_per_frame", "computed", "predicted_j",
)  # fmt: skip


def compact(row: Row) -> list[Any]:
    """A row without names, four digits each."""
    values = row.as_dict()
    return [float(f"{values[name]:.4g}") if isinstance(values[name], float) else values[name] for name in COLUMNS]


def smoke() -> None:
    """A tiny network on made frames, one terminal, one radio, one link: that all parts fit together."""
    from adaedge.matrix import Terminal
    from benchmarks.tiny_bundle import tiny_bundle

    bundle = tiny_bundle(codecs=["h264@28"], macs=100_000_000)
    clip = Clip(list(islice(made_frames(), 12)), 5.0)
    network = measure_network(bundle, clip, name="tiny", repetitions=1)
    asked, terminal = scenario_named("robot-video"), [Terminal.named("raspberry-pi-4")]
    played = play(bundle, clip, "made", period_s=asked.period_s, judged=network.metric is not None)
    radios = {"nr-drx": RADIOS["nr-drx"]}
    found = [
        row
        for cell in cells(network, played, asked, terminal, radios, {"umi-walk": link_named("umi-walk")}, frames=30)
        for row in cell.rows()
    ]
    show_rows(found)


def made_frames() -> Iterator[Any]:
    from adaedge.demo.film import still_scene

    generator = torch.Generator().manual_seed(0)
    still = torch.randint(60, 190, (64, 64, 3), generator=generator, dtype=torch.uint8).numpy()
    return iter(still_scene(still, 12, seed=0))


def wanted(name: str, clip: Path, arguments: argparse.Namespace) -> bool:
    """Whether a network is to be shown a clip."""
    asked = name in arguments.networks and (not arguments.clips or clip.stem in arguments.clips)
    there = (arguments.folder / f"{_file(name)}-{clip.stem}.rows.json").exists()
    return asked and (there or not arguments.measured)


def main() -> None:
    """Measure, replay, print, write the result and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a tiny network on made frames; nothing written")
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES), help="these only")
    parser.add_argument("--clips", nargs="+", help="these only, each by its file's name without an ending")
    parser.add_argument("--measured", action="store_true", help="only what the folder holds already")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="what was built and measured is kept here")
    parser.add_argument("--page", type=Path, help="write the report of it, one page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.smoke:
        smoke()
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    begun_s, rows = time.perf_counter(), []
    every = [(name, clip) for name, case in CASES.items() for clip in case.clips]
    pairs = [pair for pair in every if wanted(*pair, arguments)]
    per = len(CHOSEN_TERMINALS) * len(CHOSEN_RADIOS) * (len(RECORDED) + len(SYNTHESISED))
    with show.progress() as report:
        for at, (name, clip) in enumerate(pairs):
            report("networks and clips", at, len(pairs))
            for done, found in enumerate(rows_of(name, CASES[name], clip, arguments.folder)):
                rows += found
                report(name, done, per)
        report("networks and clips", len(pairs), len(pairs))
    show_rows(rows)
    told = summary(rows)
    Console().print_json(json.dumps({name: value for name, value in told.items() if name != "window_wrong"}))
    if arguments.page:
        write_page(arguments.page, rows, title="Energy and accuracy")
    if pairs == every or arguments.measured:
        settings = {"terminals": CHOSEN_TERMINALS, "radios": CHOSEN_RADIOS, "frames": FRAMES, "bars": BARS}
        asked = {name: scenario_named(case.scenario).clause for name, case in CASES.items()}
        took = time.perf_counter() - begun_s
        left = [f"{name}, {clip.stem}" for name, clip in every if (name, clip) not in pairs]
        table = {"columns": COLUMNS, "rows": [compact(row) for row in rows]}
        result.write(
            "energy_accuracy",
            table,
            summary=told,
            scenarios=asked,
            energy="modelled",
            took_s=took,
            not_run=left,
            **settings,
        )


if __name__ == "__main__":
    main()
