"""Commands that run a bundle: ``serve`` on the edge server, ``run`` on the terminal, alone or not. Neither needs torch.

May import, inside the commands: ``energy``, ``bundle``, ``scheduling``, ``runtime``, ``report``, ``clip``, ``channel``,
``operating_point``, ``named_objects``, ``engine``, ``profiling``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaedge.cli import checks, many_machines, show
from adaedge.cli import way as ways
from adaedge.cli.limits import (
    AccuracyFloor,
    Compute,
    DeadlineS,
    EngineName,
    Insecure,
    Json,
    PeriodS,
    Radio,
    energy_model,
)
from adaedge.cli.modem import Signal, SignalBandwidth, SignalShare, watch
from adaedge.errors import ProfileError, ScheduleError
from adaedge.named_objects import own
from adaedge.operating_point import OUTPUT, OperatingPoint, Profile

if TYPE_CHECKING:
    from adaedge.bundle import Bundle
    from adaedge.clip import Frame
    from adaedge.runtime import FrameRecord, Terminal

BundlePath = Annotated[Path, typer.Argument(help="The folder that `adaedge build` wrote.")]


def serve(
    bundle: BundlePath,
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 takes a free one.")] = "127.0.0.1:50051",
    state: Annotated[
        Path | None, typer.Option(help="The folder of certificate, key and token; made on first use.")
    ] = None,
    name: Annotated[list[str] | None, typer.Option(help="A name or address that the certificate is for.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads inside an operator.")] = 1,
    engine: EngineName = None,
    metrics: Annotated[
        str | None, typer.Option(help="HOST:PORT of Prometheus metrics; with it gRPC's health checks are answered too.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="An edge of many machines: HOST:PORT of a Ray cluster, auto, or local to start one here."),
    ] = None,
    replicas: Annotated[
        str | None, typer.Option(help="With --ray: how many, or LEAST-MOST, which the load says.")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="With --ray: of each replica, frames at the same time.")
    ] = None,
    insecure: Insecure = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every payload.")] = False,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json", help="Log in JSON, a line each, with the frame that it is about; refusals are logged too."
        ),
    ] = False,
) -> None:
    """Answer terminals: gRPC with TLS and a bearer token. Stops on Ctrl-C or SIGTERM.

    Example: `adaedge serve lite0.bundle --listen 0.0.0.0:50051 --name edge.local`
    """
    many_machines.check(ray, replicas, cores, metrics)
    from adaedge.bundle import Bundle
    from adaedge.engine import ONNX_RUNTIME
    from adaedge.runtime import Credentials, EdgeServer, Prometheus, Tokens, default_folder, serve_forever
    from adaedge.runtime.credentials import CERTIFICATE, TOKEN

    _log_to_stderr(verbose=verbose, as_json=log_json)
    loaded = Bundle.load(bundle, threads=threads, engine=engine or ONNX_RUNTIME)
    folder = state or default_folder()
    credentials = None if insecure else Credentials.stored(folder, name or ())
    ready = {"bundle": loaded.digest}
    if credentials is not None:
        ready |= {"certificate": str(folder / CERTIFICATE), "token": str(folder / TOKEN)}
        ready |= {"fingerprint": credentials.fingerprint}
    if ray is not None:
        many_machines.serve(
            loaded,
            bundle,
            ray,
            replicas=replicas or "1",
            cores=cores or 1,
            listen=listen,
            credentials=credentials,
            state=folder,
            ready=ready,
        )
        return
    observer = None if metrics is None else Prometheus(metrics)
    server = EdgeServer(
        loaded,
        address=listen,
        credentials=credentials,
        insecure=insecure,
        tokens=None if insecure else Tokens(folder),
        observer=observer,
        health=observer is not None,
    )
    if observer is not None:
        observer.watch(server)
    server.preload()
    # One line of JSON, so that a program that starts an edge server learns where it listens.
    print(json.dumps({"address": server.address} | ready), flush=True)  # noqa: T201 -- this line is for programs
    serve_forever(server)


def _log_to_stderr(*, verbose: bool, as_json: bool) -> None:
    level = logging.DEBUG if verbose else logging.INFO if as_json else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s")
    if as_json:
        from adaedge.runtime.json_logs import JsonFormatter

        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())


def run(
    bundle: BundlePath,
    source: Annotated[str, typer.Option(help="A video file, a folder of images, or a camera by its number.")],
    edge: Annotated[
        str | None, typer.Option(help="HOST:PORT of the edge server. Without it every frame is computed here.")
    ] = None,
    link: Annotated[
        Path | None,
        typer.Option(help="A rate trace: the edge server is simulated here, behind a link of these rates."),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="The terminal's profile joined with the edge's; measured here if missing."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="The folder of the edge server's certificate and token, unless named.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="The edge server's certificate.")] = None,
    token: Annotated[Path | None, typer.Option(help="The file that holds the edge server's token.")] = None,
    deadline: DeadlineS = 0.2,
    accuracy_floor: AccuracyFloor = 0.0,
    period: PeriodS = 0.2,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    compute: Compute = "raspberry-pi-4",
    radio: Radio = "nr-low-band",
    policy: Annotated[
        str | None, typer.Option(help="A policy of your own, package.module:NAME, in place of least energy.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="At a bottleneck, send no frame whose latent moved by fewer nats; 0 sends all.")
    ] = 0.0,
    prior: Annotated[
        Path | None, typer.Option(help="The rates seen here in earlier runs; learned and written again.")
    ] = None,
    signal: Signal = None,
    signal_bandwidth: SignalBandwidth = 20e6,
    signal_share: SignalShare = 0.5,
    record: Annotated[Path, typer.Option(help="Where to write the record of every frame.")] = Path("run.jsonl"),
    live: Annotated[
        bool, typer.Option("--live", help="Show rate, chosen point, joules and battery while it runs.")
    ] = False,
    battery: Annotated[
        float | None, typer.Option(help="Watt-hours in the battery: --live shows what inference leaves of them.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads inside an operator.")] = 1,
    engine: EngineName = None,
    insecure: Insecure = False,
    as_json: Json = False,
) -> None:
    """Run the terminal on a video, a camera or a folder of images. Every frame is answered, with or without the edge.

    Without `--edge` it computes every frame here, or, with `--link`, answers over a simulated link: waiting for that
    takes no time, computing does.

    Example: `adaedge run lite0.bundle --edge edge.local:50051 --source clip.mp4 --profile profile.json
    --certificate certificate.pem --token token`
    """
    from itertools import islice

    from adaedge.bundle import Bundle, load_in_background
    from adaedge.channel import LinkPrior

    ways.check(edge, link, token, insecure=insecure)
    checks.limits(deadline, accuracy_floor, period)
    checks.readable(source)
    checks.writable(record)
    read = None if profile is None else Profile.load(profile)
    loaded = Bundle.load(bundle, threads=threads, engine=_engine(engine, read))
    load_in_background(loaded, [OperatingPoint(OUTPUT)])  # while gRPC and all the rest is imported
    from adaedge.cli.live import Totals, watched
    from adaedge.report import summarize
    from adaedge.runtime import Terminal, read_records
    from adaedge.runtime import frames as read_frames
    from adaedge.scheduling import Scheduler

    if edge is not None:
        way = ways.over_grpc(edge, state, certificate, token, insecure)
    else:
        way = ways.alone() if link is None else ways.simulated(link, loaded)
    seen = LinkPrior() if prior is None else LinkPrior.load(prior)
    costs = way.usable(_costs(profile, read, loaded))
    checks.say_floor(costs, accuracy_floor)
    scheduler = Scheduler(
        costs,
        energy_model(compute, radio),
        policy=None if policy is None else own(policy, None, ScheduleError),
        deadline_s=deadline,
        accuracy_floor=accuracy_floor,
        period_s=period,
        prior=seen,
    )
    totals = Totals(battery)
    with (
        watch(signal, signal_bandwidth, signal_share) as modem,
        Terminal(
            loaded, scheduler, way.link, clock=way.clock, plan=way.plan, tolerance=tolerance, signal=modem
        ) as terminal,
        watched(live, totals, frames) as heard,
    ):
        _answer(terminal, islice(read_frames(source), frames), record, heard)
    if prior is not None:
        scheduler.prior.save(prior)
    summary = summarize(read_records(record))
    if as_json:
        show.document(json.dumps(summary.as_dict() | {"answered_by": dict(totals.by)}, indent=1))
    else:
        joules = f"{1e3 * summary.energy_j_per_frame:.1f} mJ a frame, modelled"
        show.console.print(f"{totals.words}; {joules}.", highlight=False)
        show.console.print(way.told(scheduler, known=scheduler.prior != seen), highlight=False)
        show.console.print(f"The record is {record}; `adaedge report {record}` draws it.", highlight=False)


def _engine(wanted: str | None, costs: Profile | None) -> str:
    """The engine that is asked for; else the one that the profile was measured with."""
    from adaedge.engine import ONNX_RUNTIME

    profiled = ONNX_RUNTIME if costs is None else costs.terminal_engine
    if costs is not None and wanted not in (None, profiled):
        show.warn(f"--engine {wanted}, but the profile was measured with {profiled}: its times are those of that.")
    return wanted or profiled


def _costs(path: Path | None, costs: Profile | None, bundle: Bundle) -> Profile:
    """The profile of this bundle; measured here, for both machines, where none is named."""
    if costs is None:
        from adaedge.profiling import profile

        show.warn("no --profile: both machines are taken to be as quick as this one. Write one with `adaedge profile`.")
        with show.progress() as report:
            return profile(bundle, repetitions=10, threads=bundle.threads, progress=report)
    if costs.bundle != bundle.digest:
        raise ProfileError(
            f"{path} is of bundle {costs.bundle[:12]}, this one is {bundle.digest[:12]}. Profile this one on both"
            " machines with `adaedge profile`."
        )
    return costs


def _answer(terminal: Terminal, frames: Iterable[Frame], record: Path, heard: Callable[[FrameRecord], None]) -> None:
    """Write each record as it comes. However the run ends, the radio's last tail belongs to its last record."""
    from adaedge.runtime import session

    answered = session.run(terminal, frames)
    last, begin = next(answered), 0  # a source that holds nothing raises here: an older record stays
    with record.open("w", encoding="utf-8", buffering=1) as file:
        try:
            file.write(last.to_json() + "\n")
            heard(last)
            for last in answered:
                begin = file.tell()
                file.write(last.to_json() + "\n")
                heard(last)
        except KeyboardInterrupt:
            pass  # how a run on a camera ends
        finally:
            file.truncate(begin)
            file.seek(begin)
            file.write(last.plus(terminal.close()).to_json() + "\n")
