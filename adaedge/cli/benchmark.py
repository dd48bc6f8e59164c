"""The command that says which mode and technique pays where: ``benchmark``. It needs no torch.

May import, inside the command: ``bundle``, ``clip``, ``channel``, ``energy``, ``matrix``, ``report``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from adaedge.cli import show
from adaedge.cli.limits import Json, radio_named
from adaedge.energy import RADIOS
from adaedge.errors import SourceError

if TYPE_CHECKING:
    from adaedge.bundle import Bundle
    from adaedge.matrix import Network, PlayedClip, Row

_ANY = "Comma-separated"


def benchmark(
    bundle: Annotated[Path, typer.Argument(help="The folder that `adaedge build` wrote.")],
    clips: Annotated[list[Path], typer.Option(help="A video; may be given more than once.")],
    terminals: Annotated[
        str,
        typer.Option(help=f"{_ANY}: raspberry-pi-4, raspberry-pi-5, jetson-nano, jetson-orin, phone-npu."),
    ] = "raspberry-pi-4, jetson-orin, phone-npu",
    radios: Annotated[
        str, typer.Option(help=f"{_ANY}: {', '.join(RADIOS)}.")
    ] = "nr-drx, nr-drx-fast-release, lte-2021",
    links: Annotated[
        str,
        typer.Option(help=f"{_ANY}: paths of rate traces, umi-walk, umi-drive, umi-blocked, or a rate such as 4mbps."),
    ] = "umi-walk, umi-blocked",
    scenario: Annotated[
        str, typer.Option(help="robot-video, media-recognition, image-recognition, video-clip or query.")
    ] = "robot-video",
    accuracy_floor: Annotated[
        float | None, typer.Option(help="Least accuracy of every arm; 0.95, or 0.1 nats of divergence, unless told.")
    ] = None,
    frames: Annotated[int, typer.Option(min=10, help="Frames of each run.")] = 150,
    played: Annotated[int, typer.Option(min=2, help="Frames of each half of a clip that are really run.")] = 60,
    repetitions: Annotated[int, typer.Option(min=1, help="Times that each part is timed.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write one self-contained page about it.")] = None,
    as_json: Json = False,
) -> None:
    """Say which mode and which technique takes the least joules, at equal accuracy, where.

    Everything is chosen on a clip's first half; reported is the second. Bytes and accuracy are measured by running the
    bundle; a terminal's seconds and joules are modelled from what was measured here.

    Example: `adaedge benchmark lite0.bundle --clips street.mp4 --links walk.csv,umi-walk -o matrix.html`
    """
    from adaedge.bundle import Bundle
    from adaedge.matrix import Terminal, cells, link_named, scenario_named

    asked, chosen = scenario_named(scenario), [Terminal.named(name) for name in _names(terminals)]
    models = {name: radio_named(name) for name in _names(radios)}
    traces = {Path(name).stem if Path(name).suffix else name: link_named(name) for name in _names(links)}
    rows: list[Row] = []
    with show.progress() as report:
        loaded = Bundle.load(bundle)
        shown = _played(loaded, clips, bundle.stem, asked.period_s, accuracy_floor, played, repetitions, report)
        total = len(shown) * len(chosen) * len(models) * len(traces)
        for network, clip in shown:
            for cell in cells(network, clip, asked, chosen, models, traces, frames=frames):
                rows += cell.rows()
                report("cells", len({row.cell for row in rows}), total)
    if out is not None:
        from adaedge.matrix.page import write_page

        write_page(out, rows, title=f"{bundle.name}: which technique pays where")
    if as_json:
        show.document(json.dumps([row.as_dict() for row in rows], indent=1))
    else:
        for table in _tables(rows):
            show.console.print(table)
        show.console.print(BRACKETS, highlight=False)
        if out is not None:
            show.console.print(f"The page is {out}.", highlight=False)


def _played(
    bundle: Bundle,
    clips: Sequence[Path],
    name: str,
    period_s: float,
    floor: float | None,
    most: int,
    repetitions: int,
    report: show.Report,
) -> list[tuple[Network, PlayedClip]]:
    from adaedge.clip import Clip
    from adaedge.matrix import measure_network, play, worth_playing

    if not clips:
        raise SourceError("a benchmark shows clips: name at least one video with --clips")
    opened = {path.stem: Clip.read(path) for path in clips}
    first = next(iter(opened.values()))
    network = measure_network(bundle, first, name=name, floor=floor, repetitions=repetitions, progress=report)
    points, judged = worth_playing(bundle, network.floor), network.metric is not None
    return [
        (
            network,
            play(bundle, clip, stem, period_s=period_s, most=most, judged=judged, points=points, progress=report),
        )
        for stem, clip in opened.items()
    ]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _tables(rows: Sequence[Row]) -> Iterator[Table]:
    """One a cell."""
    from adaedge.matrix.verdicts import MISSES, cells_of

    for (_, clip, _, terminal, radio, link), cell in cells_of(rows).items():
        table = Table(title=f"{clip} on {terminal}, {radio}, {link}", box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("mode or technique", no_wrap=True)
        for heading in (
            "mJ a frame\nmodelled",
            "radio\nmodelled",
            "accuracy\nmeasured",
            "missed, %",
            "sent, B\nmeasured",
        ):
            table.add_column(heading, justify="right")
        for name, row in cell.items():
            spent = f"{1e3 * row.energy_j:.2f}"
            table.add_row(
                name,
                f"({spent})" if row.keeps_floor is False or row.misses > MISSES else spent,
                f"{1e3 * row.radio_j:.2f}",
                "not judged" if row.accuracy is None else f"{row.accuracy:.3f}",
                f"{100 * row.misses:.1f}",
                f"{row.bytes_per_frame:.0f}",
            )
        yield table


BRACKETS = "In brackets: answers below the floor, or more than 2 % of the deadlines missed; such joules do not count."
