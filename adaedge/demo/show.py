"""The demo from beginning to end: build, serve, profile, run six policies, compare.

May import everything but ``cli``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table

from adaedge.builder import Space, build
from adaedge.bundle import Bundle
from adaedge.demo import material, policies
from adaedge.demo.edge import edge_server
from adaedge.demo.policies import ACCURACY_FLOOR, ADAPTIVE, DEADLINE_S, LOOPBACK_S, PERIOD_S, Stage
from adaedge.energy import NR_LOW_BAND, RASPBERRY_PI_4, EnergyModel
from adaedge.operating_point import OUTPUT, OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.report import Context, Frontier, Origin, Rules, comparison_table, summarize, write_html
from adaedge.runtime import FrameRecord, write_records
from adaedge.scheduling import Limits

Progress = Callable[[str, int, int], None]

SPACE = Space(
    splits=("blocks.1", "blocks.2", "blocks.3", "blocks.4"),
    precisions=("fp32", "int8"),
    codecs=(
        *("raw+zstd", "u8+zstd", "u6+zstd", "u5+zstd", "u4+zstd", "bottleneck"),
        *("jpeg@75", "jpeg@85", "jpeg@90", "jpeg@95"),
    ),
)
# What a Raspberry Pi 4 sustains in fp32: 9–11 GMAC/s in int8 were measured (MobileNetV2 at 36 frames/s in TensorFlow
# Lite, at 30 in PyTorch), and fp32 is assumed to be 2.5 times slower.
RASPBERRY_PI_4_MACS_PER_S = 4e9
ENERGY = EnergyModel(RASPBERRY_PI_4, NR_LOW_BAND)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the demo has to say: the table, and the sentence above it."""

    table: Table
    headline: str


def run(out: Path, *, frames: int | None, seed: int, progress: Progress) -> Shown:
    """Run the demo and leave ``summary.json``, ``report.html``, the bundle, the profile and the records in ``out``.

    Args:
        out: folder to write; made where it is missing.
        frames: stop after so many frames of the clip.
        seed: of the synthesised trace.
        progress: called as ``progress(what, done, total)``.
    """
    out.mkdir(parents=True, exist_ok=True)
    bundle = _bundle(out / "lite0.bundle", progress)
    clip = list(islice(material.clip(), frames))
    # Frames of another clip than those of the calibration: the floor has to hold there, too.
    here = profile(bundle, frames=clip, cautious=True, progress=progress)
    here.save(out / "profile.json")
    slowdown = slowdown_of(bundle, here)
    trace = material.fading_link(len(clip) * PERIOD_S, seed)
    with edge_server(out / "lite0.bundle", out / "edge") as edge:
        stage = Stage(
            bundle=bundle,
            profile=here.slowed(slowdown),
            energy=ENERGY,
            trace=trace,
            frames=clip,
            address=edge["address"],
            certificate=Path(edge["certificate"]).read_bytes(),
            token=Path(edge["token"]).read_text(encoding="utf-8").strip(),
        )
        records = policies.play_all(stage, progress)
    return _conclude(out, stage, records, {"terminal_slowdown": slowdown, "seed": seed})


def _bundle(path: Path, progress: Progress) -> Bundle:
    model = material.network()
    bundle = build(
        model.module,
        model.args,
        SPACE,
        calibrate=material.calibration(),
        preprocessing=model.preprocessing,
        labels=model.labels,
        name=model.name,
        progress=progress,
    )
    bundle.save(path)
    return Bundle.load(path)


def slowdown_of(bundle: Bundle, here: Profile) -> float:
    """Times by which a Raspberry Pi 4 is slower than this machine was measured to be; never faster."""
    cut = bundle.manifest.cut(OUTPUT)
    macs = cut.head.macs if cut.head else 0
    return max(1.0, macs / RASPBERRY_PI_4_MACS_PER_S / here[OperatingPoint(OUTPUT)].head_s)


def _conclude(out: Path, stage: Stage, records: dict[str, list[FrameRecord]], settings: dict[str, float]) -> Shown:
    reference = [record.answer for record in records["local"]]
    summaries = {name: summarize(run, reference) for name, run in records.items()}
    origin = Origin(
        energy=stage.energy,
        reference="the full network in fp32 on the terminal",
        note=f"the terminal's computing is paced {settings['terminal_slowdown']:.1f} times slower than this machine, to"
        " stand for a Raspberry Pi 4 (assumed: 4 GMAC/s in fp32, and int8 as much faster than fp32 as here)",
    )
    known = {
        "model": material.MODEL,
        "clip": material.CLIP,
        "frames": len(stage.frames),
        "deadline_s": DEADLINE_S,
        "period_s": PERIOD_S,
        "accuracy_floor": ACCURACY_FLOOR,
        "bundle": stage.bundle.digest,
        **settings,
    }
    limits = Limits.of(DEADLINE_S, ACCURACY_FLOOR, PERIOD_S)
    frontier = Frontier(stage.profile, stage.energy, limits, round_trip_s=LOOPBACK_S)
    context = Context(
        title="adaedge demo",
        origin=origin,
        rules=Rules(ACCURACY_FLOOR),
        settings=known,
        trace=stage.trace,
        frontier=frontier,
    )
    verdict = write_html(out / "report.html", records, reference_answers=reference, focus=ADAPTIVE, context=context)
    for name, run_records in records.items():
        write_records(run_records, out / f"{name.replace(' ', '-')}.jsonl")
    document: dict[str, Any] = {
        "settings": known,
        "verdict": asdict(verdict),
        "energy": origin.caption(),
        "policies": {name: summary.as_dict() for name, summary in summaries.items()},
        "frontier": frontier.as_dict(records[ADAPTIVE]),
    }
    (out / "summary.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return Shown(comparison_table(summaries, origin), verdict.headline)
