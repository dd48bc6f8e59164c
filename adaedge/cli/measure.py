"""Commands that measure, replay and report: ``profile``, ``simulate``, ``report``. None needs torch.

May import, inside the commands: every part above the line.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from adaedge.cli import checks, show
from adaedge.cli.limits import AccuracyFloor, Compute, DeadlineS, Json, PeriodS, Radio, energy_model
from adaedge.energy import Provenance
from adaedge.operating_point import Profile

if TYPE_CHECKING:
    from adaedge.bundle import Bundle
    from adaedge.report import Origin
    from adaedge.runtime import FrameRecord
    from adaedge.scheduling import Limits
    from adaedge.simulation import Scenario

FASTEST = "fastest"


def profile(
    bundle: Annotated[Path, typer.Argument(help="The folder that `adaedge build` wrote.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the profile.")] = None,
    edge: Annotated[
        Path | None, typer.Option(help="The edge server's own profile: joined to this one, which is the terminal's.")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Times that each part is run.")] = 30,
    threads: Annotated[int, typer.Option(min=1, help="Threads inside an operator.")] = 1,
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of images, or a video, as the camera gives them: resizing then counts."),
    ] = None,
    cautious: Annotated[
        bool,
        typer.Option(
            "--cautious", help="Take the lower end of an accuracy's 95 % interval, so that a floor holds elsewhere too."
        ),
    ] = False,
    engine: Annotated[
        str, typer.Option(help="What runs the graphs: onnxruntime, openvino, or the fastest of those installed.")
    ] = FASTEST,
    as_json: Json = False,
) -> None:
    """Time the parts of a bundle on this machine, in the engine that runs it faster here.

    Example: `adaedge profile lite0.bundle -o terminal.json --edge edge.json`
    """
    from adaedge.bundle import Bundle
    from adaedge.engine import check_engine
    from adaedge.profiling import profile as measure
    from adaedge.runtime import frames

    if engine != FASTEST:
        check_engine(engine)
    other = None if edge is None else Profile.load(edge)  # before the work, not after it
    checks.writable(out)
    if images is not None:
        checks.readable(images)
    loaded = Bundle.load(bundle, threads=threads)
    loaded = loaded.with_engine(_fastest(loaded) if engine == FASTEST else engine)
    with show.progress() as report:
        found = measure(
            loaded,
            repetitions=repetitions,
            frames=frames(images) if images else None,
            threads=threads,
            cautious=cautious,
            progress=report,
        )
    if other is not None:
        found = Profile.join(found, other)
    if out is not None:
        found.save(out)
    if as_json:
        show.document(found.to_json())
    else:
        show.console.print(_profile_table(found))


def _fastest(bundle: Bundle) -> str:
    """The engine that runs the bundle fastest here; says what was found where there is a choice."""
    from adaedge.engine import ENGINES
    from adaedge.profiling import race_engines

    race = race_engines(bundle, threads=bundle.threads)
    for name, why in race.refused.items():
        show.warn(f"{ENGINES[name]} is not used: {why}")
    if len(race.seconds) > 1:
        times = ", ".join(f"{ENGINES[name]} {1e3 * seconds:.2f} ms" for name, seconds in race.seconds.items())
        show.warn(f"all graphs once take {times}: profiled with {ENGINES[race.fastest]} (--engine {race.fastest}).")
    return race.fastest


def _profile_table(found: Profile) -> Table:
    from adaedge.report.formatting import short

    table = show.table("Medians, measured")
    labels = [f"* {label}" for label in sorted({*found.labels.values()})]
    table.caption = "\n".join([*labels, f"terminal: {found.terminal}", f"edge server: {found.edge}"])
    headings = (
        "head\nms",
        "encode\nms",
        "sent\nKB",
        "decode\nms",
        "tail\nms",
        "finish\nms",
        "accuracy",
    )
    table.add_column("operating point", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for point, cost in found.items():
        times = [
            f"{1e3 * value:.2f}" for value in (cost.head_s, cost.encode_s, cost.decode_s, cost.tail_s, cost.finish_s)
        ]
        accuracy = "–" if cost.accuracy is None else f"{cost.accuracy:.3f}"
        times.insert(2, f"{cost.payload_bytes / 1e3:.1f}")
        table.add_row(short(point) + ("*" if point in found.labels else ""), *times, accuracy)
    return table


def simulate(
    profile: Annotated[Path, typer.Argument(help="A profile that `adaedge profile` wrote.")],
    trace: Annotated[Path, typer.Option(help="A rate trace: mahimahi, `seconds Mbit/s`, or CSV.")],
    policy: Annotated[
        str,
        typer.Option(
            help="adaptive, local, static (the best in hindsight), clairvoyant, a policy of adaedge.scheduling such as"
            " ExpectedEnergy, an operating point, or package.module:NAME."
        ),
    ] = "adaptive",
    clip: Annotated[
        Path | None,
        typer.Option(help="A video: codecs with a state cost what its frames change; without one, all are refreshes."),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Number of frames.")] = 500,
    deadline: DeadlineS = 0.2,
    accuracy_floor: AccuracyFloor = 0.0,
    period: PeriodS = 0.2,
    compute: Compute = "raspberry-pi-4",
    radio: Radio = "nr-low-band",
    record: Annotated[Path | None, typer.Option(help="Where to write the record of every frame.")] = None,
    as_json: Json = False,
) -> None:
    """Replay a rate trace through a policy, without running the model.

    Example: `adaedge simulate profile.json --trace walk.csv --clip street.mp4 --policy adaptive --deadline 0.1`
    """
    from adaedge.channel import read_trace
    from adaedge.report import Frontier, comparison_table, summarize
    from adaedge.runtime import write_records
    from adaedge.scheduling import Limits
    from adaedge.simulation import Outcome, Scenario, clairvoyant

    checks.limits(deadline, accuracy_floor, period)
    checks.writable(record)
    costs, energy = Profile.load(profile), energy_model(compute, radio)
    if policy not in ("local", "static", "clairvoyant"):
        checks.say_floor(costs, accuracy_floor)
    limits = Limits.of(deadline, accuracy_floor, period)
    scenario = Scenario(costs, energy, read_trace(trace), limits, frames)
    scenario = scenario if clip is None else scenario.showing(clip)
    records = _replay(scenario, policy)
    if record is not None:
        write_records(records, record)
    summary = summarize(records)
    if as_json:
        frontier = Frontier(costs, energy, limits).as_dict(records)
        named = {"policy": policy, "trace": str(trace), "radio": radio} | ({"clip": str(clip)} if clip else {})
        outcome, best = Outcome.of(records), Outcome.of(clairvoyant(scenario))
        judged = {"miss_fraction": outcome.miss_fraction, "regret": outcome.regret(best)} | _everywhere(records)
        show.document(json.dumps(named | summary.as_dict() | judged | {"frontier": frontier}, indent=1))
    else:
        show.console.print(comparison_table({policy: summary}, _simulated(compute, radio)))
        if policy == "adaptive":
            verdict = scenario.scheduler().verdict
            show.console.print(f"{verdict[0].upper()}{verdict[1:]}.", highlight=False)


def _replay(scenario: Scenario, policy: str) -> list[FrameRecord]:
    from adaedge.cli.policy_names import policy_of
    from adaedge.simulation import best_static, clairvoyant

    if policy == "static":
        return best_static(scenario)[1]
    if policy == "clairvoyant":
        return clairvoyant(scenario)
    return scenario.run(policy_of(policy, next(iter(scenario.costs))))


def _everywhere(records: Sequence[FrameRecord]) -> dict[str, float]:
    """Joules beyond the terminal's, which are assumed, and the sum beside them."""
    from adaedge.report import energy_everywhere

    found = energy_everywhere(records)
    return {
        "base_station_j_per_frame": found.base_station_j,
        "edge_server_j_per_frame": found.edge_server_j,
        "global_j_per_frame": found.global_j,
    }


def _simulated(compute: str, radio: str) -> Origin:
    from adaedge.report import Origin

    return Origin(energy_model(compute, radio), time=Provenance.MODELLED)


def report(
    record: Annotated[Path, typer.Argument(help="The record that `adaedge run` or `adaedge simulate` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    profile: Annotated[
        Path | None,
        typer.Option(help="The profile that the run chose by: adds the Pareto front, and what never was on it."),
    ] = None,
    compute: Compute = "raspberry-pi-4",
    radio: Radio = "nr-low-band",
    otlp: Annotated[
        Path | None, typer.Option(help="Where to write the frames as OpenTelemetry spans too, in OTLP's JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a run. `--compute` and `--radio` are those of the run, for `--profile`.

    Example: `adaedge report run.jsonl --profile profile.json -o report.html`
    """
    from adaedge.report import Context, Frontier, Origin, open_telemetry, summarize, write_html
    from adaedge.runtime import read_records

    checks.writable(out)
    checks.writable(otlp)
    records = list(read_records(record))
    summary, frontier = summarize(records).as_dict(), None
    if otlp is not None:
        last = records[-1]  # a record has no date; its file was written when the last frame was answered
        begin_s = record.stat().st_mtime - last.time_s - last.measurement.latency_s
        otlp.write_text(open_telemetry(records, begin_s=begin_s), encoding="utf-8")
    if profile is not None:
        frontier = Frontier(Profile.load(profile), energy_model(compute, radio), _limits(records))
    # A record does not say whether it was run or simulated, nor on what machine, so neither does the page.
    context = Context(title=f"adaedge: {record.name}", origin=Origin(time=None), environment={}, frontier=frontier)
    verdict = write_html(out, {record.stem: records}, context=context)
    if as_json:
        more = {"frontier": frontier.as_dict(records)} if frontier else {}
        show.document(json.dumps(summary | more, indent=1))
    else:
        show.console.print(f"{verdict.headline}\nThe report is {out}.", highlight=False)


def _limits(records: list[FrameRecord]) -> Limits:
    """The limits of a run, as its records show them: the usual deadline, and the usual time between two frames."""
    from adaedge.scheduling import Limits

    gaps_s = [after.time_s - before.time_s for before, after in pairwise(records)]
    period_s = statistics.median(gaps_s) if gaps_s else 0.0
    deadline_s = statistics.median(record.deadline_s for record in records)
    return Limits.of(deadline_s, period_s=period_s if period_s > 0 else None)
