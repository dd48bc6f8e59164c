"""The demo from beginning to end: build, serve, profile, run every policy under three radios, compare.

May import everything but ``cli``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from adaedge.builder import Space, build
from adaedge.bundle import Bundle
from adaedge.demo import film, material, policies, tables
from adaedge.demo.edge import edge_server
from adaedge.demo.policies import ADAPTIVE, LOCAL, STATIC
from adaedge.demo.policy_run import ACCURACY_FLOOR, DEADLINE_S, METRIC, PERIOD_S, Run, Stage, answers_of, play
from adaedge.energy import RADIOS, RASPBERRY_PI_4, EnergyModel
from adaedge.operating_point import OUTPUT, OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.report import Comparison, Context, Frontier, Origin, PolicySummary, Rules, summarize, write_html
from adaedge.runtime import write_records
from adaedge.scheduling import Fixed, Limits, Policy
from adaedge.simulation import ClipChanges, Scenario
from adaedge.stream import BlockChange

Progress = Callable[[str, int, int], None]

SPACE = Space(
    splits=("blocks.2", "blocks.3"),
    precisions=("fp32", "int8"),
    codecs=("u4+zstd", "bottleneck", "delta", "jpeg@75", "jpeg@85", "jpeg@95", "h264@18", "h264@23", "h264@28"),
)
FRAMES_A_SCENE = 20
LOOPBACK_S = 0.002  # an empty message to a process on this machine and back, with TLS
# What a Raspberry Pi 4 sustains in fp32: 9–11 GMAC/s in int8 were measured (MobileNetV2 at 36 frames/s in TensorFlow
# Lite, at 30 in PyTorch), and fp32 is assumed to be 2.5 times slower.
RASPBERRY_PI_4_MACS_PER_S = 4e9
RULES = Rules(ACCURACY_FLOOR)


@dataclass(frozen=True, slots=True)
class Shown:
    """The result of the demo.

    Attributes:
        table: every policy under every radio.
        headlines: a sentence for each radio, then one for each of the scene in which the camera stands still.
    """

    table: Table
    headlines: tuple[str, ...]


def run(
    out: Path, *, frames: int | None, seed: int, progress: Progress, radios: Sequence[str] = material.RADIOS
) -> Shown:
    """Run the demo and leave ``summary.json``, a report for each radio, the bundle, the profile and the records.

    Args:
        out: folder to write; made where it is missing.
        frames: of each scene at most so many.
        seed: of the synthesised trace.
        progress: called as ``progress(what, done, total)``.
        radios: names of radios, as the command line takes them.
    """
    out.mkdir(parents=True, exist_ok=True)
    each = FRAMES_A_SCENE if frames is None else min(frames, FRAMES_A_SCENE)
    bundle = _bundle(out / "lite0.bundle", each, progress)
    here = profile(bundle, cautious=True, progress=progress)
    here.save(out / "profile.json")
    slowdown = slowdown_of(bundle, here)
    scenes = film.scenes(each, half=1)
    trace = material.fading_link(sum(len(scene.frames) for scene in scenes) * PERIOD_S, seed)
    with edge_server(out / "lite0.bundle", out / "edge") as edge:
        stage = Stage(
            bundle=bundle,
            energy=_energy(radios[0]),
            trace=trace,
            scenes=scenes,
            expected=answers_of(bundle, scenes),
            address=edge["address"],
            certificate=Path(edge["certificate"]).read_bytes(),
            token=Path(edge["token"]).read_text(encoding="utf-8").strip(),
        )
        runs = _play_all(stage, here.slowed(slowdown), progress, radios)
    return _conclude(out, stage, here.slowed(slowdown), runs, {"terminal_slowdown": slowdown, "seed": seed})


def _bundle(path: Path, each: int, progress: Progress) -> Bundle:
    model = material.network()
    bundle = build(
        model.module,
        model.args,
        SPACE,
        calibrate=film.calibration(each),
        evaluate=METRIC,
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


def _energy(radio: str) -> EnergyModel:
    return EnergyModel(RASPBERRY_PI_4, RADIOS[radio])


def _play_all(stage: Stage, costs: Profile, progress: Progress, radios: Sequence[str]) -> dict[str, dict[str, Run]]:
    """Radio → policy → its run. What never sends is the same under each radio, and runs once."""
    fixed = policies.always(costs, ACCURACY_FLOOR)
    local = play(stage, *policies.fixed(costs, fixed.pop(LOCAL)), LOCAL, progress)
    found = {}
    for radio in radios:
        its = replace(stage, energy=_energy(radio))
        static = policies.best_static(_scenario(its, costs), costs)
        arms: dict[str, tuple[Profile, Policy]] = {
            **{name: policies.fixed(costs, point) for name, point in fixed.items()},
            STATIC: (costs, Fixed(static)),
            **policies.adaptive(costs),
        }
        runs = {name: play(its, *arm, f"{radio}: {name}", progress) for name, arm in arms.items()}
        found[radio] = {LOCAL: local, **runs}
    return found


def _scenario(stage: Stage, costs: Profile) -> Scenario:
    """This very film over this very trace, as the simulation sees it."""
    changes = ClipChanges(map(BlockChange().look, stage.frames))
    limits = Limits.of(DEADLINE_S, ACCURACY_FLOOR, PERIOD_S)
    return Scenario(costs, stage.energy, stage.trace, limits, len(changes), round_trip_s=LOOPBACK_S, changes=changes)


def _conclude(
    out: Path, stage: Stage, costs: Profile, runs: dict[str, dict[str, Run]], settings: dict[str, float]
) -> Shown:
    known = {
        "model": material.MODEL,
        "scenes": ", ".join(f"{scene.name}: {len(scene.frames)} frames" for scene in stage.scenes),
        "standing still": f"{film.STANDING_CLIP}, one frame held, noise of {film.NOISE_LEVELS} levels, a piece passes",
        "chosen on": "the first half of each clip; shown is the second",
        "deadline_s": DEADLINE_S,
        "period_s": PERIOD_S,
        "accuracy_floor": ACCURACY_FLOOR,
        "metric": METRIC.name,
        "bundle": stage.bundle.digest,
        **settings,
    }
    radios: dict[str, Any] = {}
    summaries: dict[str, Mapping[str, PolicySummary]] = {}
    headlines: list[str] = []
    for radio, its in runs.items():
        verdict, summaries[radio], radios[radio] = _under(out, radio, stage, costs, its, known)
        headlines.append(f"{radio}: {verdict.headline}")
    document = {"settings": known, "radios": radios}
    (out / "summary.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    standing = [f"Camera standing still, {line}" for line in tables.standing_still(runs)]
    return Shown(tables.table(summaries, RULES), (*headlines, *standing))


def _under(
    out: Path, radio: str, stage: Stage, costs: Profile, runs: Mapping[str, Run], settings: dict[str, Any]
) -> tuple[Comparison, Mapping[str, PolicySummary], dict[str, Any]]:
    """One radio's report, records and summary."""
    energy = _energy(radio)
    reference = [int(answer[0].argmax()) for answer in stage.expected]
    scores = {name: (METRIC.name, run.score) for name, run in runs.items()}
    summaries = {name: summarize(run.records, reference, scores[name]) for name, run in runs.items()}
    origin = Origin(
        energy=energy,
        reference="the full network in fp32 on the frame as it came",
        note=f"the terminal's computing is paced {settings['terminal_slowdown']:.1f} times slower than this machine, to"
        " stand for a Raspberry Pi 4 (assumed: 4 GMAC/s in fp32, and int8 as much faster than fp32 as here)",
    )
    limits = Limits.of(DEADLINE_S, ACCURACY_FLOOR, PERIOD_S)
    frontier = Frontier(costs, energy, limits, round_trip_s=LOOPBACK_S)
    context = Context(f"adaedge demo, {radio}", origin, RULES, settings, trace=stage.trace, frontier=frontier)
    records = {name: run.records for name, run in runs.items()}
    verdict = write_html(
        out / f"report-{radio}.html",
        records,
        reference_answers=reference,
        scores=scores,
        focus=ADAPTIVE,
        context=context,
    )
    for name, run in records.items():
        write_records(run, out / f"{radio}-{name.replace(' ', '-')}.jsonl")
    scenes = {
        name: {scene: {"energy_j_per_frame": joules, "score": score} for scene, (joules, score) in run.scenes.items()}
        for name, run in runs.items()
    }
    found = {name: summary.as_dict() | {"scenes": scenes[name]} for name, summary in summaries.items()}
    document = {"verdict": asdict(verdict), "energy": origin.caption(), "policies": found}
    return verdict, summaries, document | {"frontier": frontier.as_dict(records[ADAPTIVE])}
