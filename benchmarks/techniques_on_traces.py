"""What do levels and the bottleneck save on recorded links, together and alone, on the same profile and floor?

A bundle of EfficientNet-Lite0 is built and profiled here, its terminal slowed to a Raspberry Pi 4 as in the demo;
then the demo's trace and every recorded one is replayed with four offers: neither, levels, the bottleneck, both; and,
beside the adaptive scheduler, the one point of each offer that is best in hindsight. Half of the photographs calibrate
int8 and fit the bottleneck, the other half measure how often each point agrees with the full network; only points that
do on 95 % of them are chosen. Joules are modelled. Bars: levels use less than neither; both use 20 % less than the best
point without the bottleneck. ``free`` is what a bottleneck would take that cost no time, sent one byte, was always
right and used for every frame: resizing the frame, and the radio.

    python -m benchmarks.techniques_on_traces [--smoke] [--bundle FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from adaedge.builder import Space, build
from adaedge.builder.evaluation import Evaluate, Evaluation, answers
from adaedge.bundle import Bundle
from adaedge.cli import show
from adaedge.clip import Frame
from adaedge.demo import film, material
from adaedge.demo import show as demo
from adaedge.demo.policies import without
from adaedge.demo.policy_run import DEADLINE_S, PERIOD_S
from adaedge.demo.show import slowdown_of
from adaedge.energy import NR_LOW_BAND, RASPBERRY_PI_4, EnergyModel
from adaedge.metrics import Agreement
from adaedge.operating_point import INPUT, OUTPUT, OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.report import Frontier, PolicySummary, summarize
from adaedge.report.formatting import percent
from adaedge.report.table import frames_by_level
from adaedge.runtime import FrameRecord, frames
from adaedge.scheduling import Fixed, Limits
from adaedge.simulation import Scenario, best_static, clairvoyant
from benchmarks import result
from benchmarks.policies_on_traces import DATA, TRACE_S, Link, recorded

STATELESS = tuple(codec for codec in demo.SPACE.codecs if codec != "delta" and not codec.startswith("h264@"))
SPACE = replace(demo.SPACE, codecs=STATELESS)
OFFERS = {"neither": (False, False), "levels": (True, False), "bottleneck": (False, True), "both": (True, True)}
"""Name → whether levels, and whether the bottleneck may be chosen."""
BAR = 0.20
ACCURACY_FLOOR = 0.95
"""Of agreement with the full network."""
LIMITS = Limits.of(DEADLINE_S, ACCURACY_FLOOR, PERIOD_S)
SAVINGS = ("levels_save", "bottleneck_saves", "less_than_best_point_without", "free_less_than_best_point_without")
NOTICEABLE = 0.005
"""A saving below this fraction is none: the powers are not known better."""


def samples(smoke: bool) -> tuple[list[Frame], list[Frame]]:
    """What int8 is calibrated on, and what agreement is measured on: photographs, or frames of two clips."""
    if smoke:
        return [scene.frames[0] for scene in film.scenes(1, half=0)] * 3, _shown(3)
    photographs = list(frames(DATA / "images")) if (DATA / "images").is_dir() else _shown(40)
    return photographs[::2], photographs[1::2]


def _shown(each: int) -> list[Frame]:
    return [frame for scene in film.scenes(each, half=1) for frame in scene.frames]


def built(smoke: bool) -> Bundle:
    """The bundle of the demo's space, scored on samples that calibrated nothing."""
    model = material.network()
    calibrating, testing = samples(smoke)
    about: dict[str, Any] = {"preprocessing": model.preprocessing, "labels": model.labels, "name": model.name}
    space = (
        Space(["blocks.2"], precisions=("fp32", "int8"), codecs=("u5+zstd", "jpeg@95", "bottleneck"))
        if smoke
        else SPACE
    )
    with show.progress() as progress:
        reference = build(model.module, model.args, Space(), **about)
        evaluate = agreement(reference, testing)
        return build(
            model.module, model.args, space, calibrate=calibrating, evaluate=evaluate, progress=progress, **about
        )


def agreement(reference: Bundle, testing: list[Frame]) -> Evaluate:
    """How often a point answers as the full network does on the frames."""
    inputs = [(reference.preprocess(frame),) for frame in testing]
    expected = answers(Agreement(), lambda one: reference.run(OperatingPoint(OUTPUT), one), inputs)
    return Evaluation(Agreement(), inputs, expected)


def measured(bundle: Bundle, smoke: bool) -> Profile:
    """The bundle's profile here, the terminal as slow as a Raspberry Pi 4."""
    with show.progress() as progress:
        clip = _shown(2)
        here = profile(bundle, frames=clip, repetitions=3 if smoke else 30, progress=progress)
    return here.slowed(slowdown_of(bundle, here))


def links() -> Iterator[Link]:
    """The demo's link, and the recorded ones."""
    yield Link("demo", "synthesised (38.901 UMi)", material.fading_link(50.0, seed=0), NR_LOW_BAND)
    yield from recorded()


def offered(costs: Profile, *, levels: bool, bottleneck: bool) -> Profile:
    """The part of a profile that an offer may choose from."""
    part = costs if levels else without(costs, "levels")
    if bottleneck:
        return part
    return replace(part, costs={point: cost for point, cost in part.items() if not _is_bottleneck(point)})


def _is_bottleneck(point: OperatingPoint) -> bool:
    return point.codec.startswith("bottleneck@")


def replay(costs: Profile, link: Link, frame_count: int) -> dict[str, Any]:
    """One link with every offer, and what perfect foresight makes of it."""
    energy = EnergyModel(RASPBERRY_PI_4, link.radio)
    row: dict[str, Any] = {"trace": link.name, "origin": link.origin, "radio": link.radio.name}
    for name, (levels, bottleneck) in OFFERS.items():
        offer = offered(costs, levels=levels, bottleneck=bottleneck)
        scenario = Scenario(offer, energy, link.trace, LIMITS, frame_count)
        records = scenario.run()
        point, static = best_static(scenario)
        foreseen = summarize(clairvoyant(scenario))
        row[name] = figures(summarize(records), records)
        row[name] |= {"static": str(point), "static_j_per_frame": summarize(static).energy_j_per_frame}
        row[name] |= {"clairvoyant_j_per_frame": foreseen.energy_j_per_frame, "clairvoyant_shares": shares(foreseen)}
    row["free_j_per_frame"] = free(costs, energy, link, frame_count)
    row["never_worth_choosing"] = Frontier(costs, energy, LIMITS).in_run(records).as_dict()
    row["levels_save"] = saving(row["levels"], row["neither"])
    row["levels_save_beside_bottleneck"] = saving(row["both"], row["bottleneck"])
    row["bottleneck_saves"] = saving(row["both"], row["levels"])
    row["less_than_best_point_without"] = 1 - row["both"]["energy_j_per_frame"] / row["levels"]["static_j_per_frame"]
    row["free_less_than_best_point_without"] = 1 - row["free_j_per_frame"] / row["levels"]["static_j_per_frame"]
    row["levels_foresight"] = saving(row["levels"], row["neither"], "clairvoyant_j_per_frame")
    row["bottleneck_foresight"] = saving(row["both"], row["levels"], "clairvoyant_j_per_frame")
    row["within_bar"] = {
        "levels": row["levels_save"] > NOTICEABLE,
        "bottleneck": row["less_than_best_point_without"] >= BAR,
    }
    return row | {"why_not_levels": why(row)}


def free(costs: Profile, energy: EnergyModel, link: Link, frame_count: int) -> float:
    """Joules per frame of a bottleneck that cost nothing, used for every frame."""
    whole = costs[OperatingPoint(INPUT)]
    point = OperatingPoint(INPUT, codec="bottleneck@0")
    cost = replace(whole, encode_s=0.0, decode_s=0.0, tail_s=0.0, payload_bytes=1.0, answer_bytes=1.0, accuracy=1.0)
    scenario = Scenario({point: cost}, energy, link.trace, LIMITS, frame_count)
    return summarize(scenario.run(Fixed(point))).energy_j_per_frame


def saving(offer: dict[str, Any], other: dict[str, Any], figure: str = "energy_j_per_frame") -> float:
    """Fraction of the joules that one offer saves against another; negative where it costs."""
    return float(1 - offer[figure] / other[figure])


def figures(summary: PolicySummary, records: list[FrameRecord]) -> dict[str, Any]:
    """What a run comes to; its agreement is the mean of what was measured for the points that answered."""
    return {
        "energy_j_per_frame": summary.energy_j_per_frame,
        "miss_fraction": summary.deadline_miss_fraction,
        "agreement": sum(record.decision.accuracy for record in records) / len(records),
        "compute_share": summary.energy.compute_j / summary.energy_j_per_frame,
        "frames_by_level": shares(summary),
        "points_used": summary.as_dict()["points_used"],
    }


def shares(summary: PolicySummary) -> dict[str, float]:
    """Fraction of frames that were sent whole, and at each level of the others."""
    return {word: count / summary.frames for word, count in frames_by_level(summary).most_common()}


def why(row: dict[str, Any]) -> str:
    """Why levels alone save nothing here, in words made of figures; empty where they save."""
    if row["within_bar"]["levels"]:
        return ""
    plain, levels, foresight = row["neither"], row["levels"], percent(row["levels_foresight"], 1)
    words = (
        f"without levels {percent(plain['frames_by_level'].get('frame sent', 0.0))} of the frames are sent whole, where"
        f" a level of the network saves nothing; computing is {percent(plain['compute_share'])} of the energy; with"
        f" every rate known levels would save {foresight}"
    )
    if row["levels_foresight"] <= NOTICEABLE:
        return words
    gain_j = levels["energy_j_per_frame"] - levels["clairvoyant_j_per_frame"]
    foreseen = ", ".join(f"{word} {percent(share)}" for word, share in levels["clairvoyant_shares"].items())
    return (
        f"{words} ({foreseen}), {1e3 * gain_j:.0f} mJ per frame less than the scheduler: who knows the rates needs no"
        " probes, and wakes the radio, or lets it sleep, without waiting to be sure"
    )


def table(rows: list[dict[str, Any]]) -> Table:
    """One row for each trace."""
    drawn = Table(title=f"J/frame (modelled) at agreement ≥ {percent(ACCURACY_FLOOR)}, answers within {DEADLINE_S} s")
    headings = (
        "trace",
        *OFFERS,
        "best point without",
        "levels save",
        "bottleneck saves",
        "less than that point",
        "free",
    )
    for heading in (*headings, "agreement", "missed"):
        drawn.add_column(heading, justify="left" if heading == "trace" else "right")
    for row in rows:
        drawn.add_row(
            row["trace"] + (" *" if "downlink" in row["origin"] else ""),
            *(f"{row[offer]['energy_j_per_frame']:.4f}" for offer in OFFERS),
            f"{row['levels']['static_j_per_frame']:.4f}",
            *(percent(row[what], 1) for what in SAVINGS),
            f"{row['both']['agreement']:.3f}",
            ", ".join(percent(row[offer]["miss_fraction"], 1) for offer in OFFERS),
        )
    drawn.caption = (
        "* downlink used as uplink. Free: what a bottleneck at no cost would take less. Missed: with each offer."
    )
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a small bundle, two traces, few frames, nothing written")
    parser.add_argument("--bundle", type=Path, help="keep the bundle in this folder, and take it from there next time")
    arguments = parser.parse_args()
    if arguments.bundle is not None and arguments.bundle.exists():
        bundle = Bundle.load(arguments.bundle)
    else:
        bundle = built(arguments.smoke)
        if arguments.bundle is not None:
            bundle.save(arguments.bundle)
    costs = measured(bundle, arguments.smoke)
    chosen = list(links())[: 2 if arguments.smoke else None]
    frame_count = 50 if arguments.smoke else round(TRACE_S / PERIOD_S)
    rows = [replay(costs, link, frame_count) for link in track(chosen, description="traces")]
    Console(width=160).print(table(rows))
    for row in rows:
        if row["why_not_levels"]:
            Console().print(f"{row['trace']}: {row['why_not_levels']}.", highlight=False)
    if not arguments.smoke:
        settings = {"bar": BAR, "frames": frame_count, "deadline_s": DEADLINE_S, "accuracy_floor": ACCURACY_FLOOR}
        points = {str(entry.point): entry.accuracy for entry in bundle.manifest.points}
        result.write(
            "techniques_on_traces",
            rows,
            **settings,
            terminal=costs.terminal,
            labels={str(point): label for point, label in costs.labels.items()},
            points={
                str(point): {"terminal_s": cost.terminal_s, "payload_bytes": cost.payload_bytes}
                | {"agreement": cost.accuracy, "samples": points[str(point)].samples if points[str(point)] else 0}
                for point, cost in costs.items()
            },
        )


if __name__ == "__main__":
    main()
