"""Commands that prepare a model: ``inspect``, ``build``, ``demo``. They need torch.

May import, inside the commands: ``models``, ``graph``, ``builder``, ``demo``, ``bundle``, ``clip``, ``report``,
``runtime``, ``operating_point``, ``energy``, ``incremental``.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from adaedge.cli import checks, show
from adaedge.cli.arguments import (
    check_same_pixels,
    fractions,
    json_object,
    names,
    networks_by_name,
    preprocessing_of,
)
from adaedge.cli.limits import Json, radio_named
from adaedge.energy import RADIOS
from adaedge.errors import CaptureError

if TYPE_CHECKING:
    from adaedge.bundle import Bundle
    from adaedge.graph import Splittable
    from adaedge.incremental.memory import Memory

ModelName = Annotated[
    str,
    typer.Argument(help="timm:NAME, torchvision:NAME, transformers:NAME_OR_FOLDER or package.module:callable"),
]
ModelArgs = Annotated[str, typer.Option(help="Arguments of the model's constructor, as a JSON object.")]
Weights = Annotated[Path | None, typer.Option(help="A safetensors file with the model's own parameter names.")]


def inspect(
    model: ModelName,
    model_args: ModelArgs = "{}",
    operators: Annotated[bool, typer.Option("--operators", help="Show the points inside modules too.")] = False,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Show too what computing only what changed holds between frames.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the split points of a model: what crosses there, and what runs before.

    Needs neither weights nor network.

    Example: `adaedge inspect timm:efficientnet_lite0 --json`
    """
    from adaedge.graph import Splittable
    from adaedge.models import load

    loaded = load(model, pretrained=False, model_args=json_object(model_args, "--model-args"))
    split = Splittable(*loaded.for_capture())
    memory = _memory(*loaded.for_capture()) if incremental else None
    if as_json:
        about = {"model": model, "macs": split.points[-1].head_macs}
        rows = {"split_points": [asdict(point) for point in split.points]}
        show.document(json.dumps(about | rows | ({"incremental": asdict(memory)} if memory else {}), indent=1))
        return
    found = _points_table(model, split, operators)
    if memory is not None:
        found.caption = (
            f"Incremental: {100 * memory.partial_macs / max(1, memory.macs):.0f} % of the MACs can be computed in part;"
            f" a stream holds {memory.cache_bytes / 1e6:,.1f} MB, {memory.ratio:.2f} times what is alive at once."
        )
    show.console.print(found)


def _memory(net: Any, args: Any, kwargs: Any) -> Memory | None:
    from adaedge.graph.signature import Signature
    from adaedge.incremental.memory import Memory

    try:
        return Memory.of(net, Signature.of(args, kwargs))
    except CaptureError:  # a split table says why
        return None


def _points_table(model: str, split: Splittable, operators: bool) -> Table:
    total = split.points[-1].head_macs
    table = show.table(f"{model}: {total / 1e6:,.0f} million MACs")
    for heading in ("split point", "crosses, KB", "tensors", "before it, % of MACs"):
        name = heading == "split point"
        table.add_column(heading, justify="left" if name else "right", overflow="fold")
    for point in split.points:
        if operators or ":" not in point.name:
            share = 100 * point.head_macs / max(total, 1)
            table.add_row(point.name, f"{point.payload_bytes / 1e3:,.1f}", str(len(point.crossing)), f"{share:.1f}")
    return table


def build(
    model: ModelName,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    splits: Annotated[str | None, typer.Option(help="Split points, comma-separated.")] = None,
    widths: Annotated[str | None, typer.Option(help="Fractions of channels, comma-separated: 1,0.75,0.5.")] = None,
    multiple: Annotated[
        int, typer.Option(help="Keep channels in multiples of this; 16 makes convolutions of narrower widths faster.")
    ] = 1,
    precisions: Annotated[
        str | None, typer.Option(help="Of the terminal's arithmetic: fp32,int8. The latter needs --images or --clips.")
    ] = None,
    codecs: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: raw, u1 to u8, +zstd or +range; jpeg@QUALITY, jpeg444@, webp@, avif@; h264@CRF,"
            " hevc@, av1@; bottleneck, which needs --images or --clips."
        ),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(
            help="What crosses back: raw, f16, either with +zstd, u8+zstd, best@K, boxes, labels, labels@HxW,"
            " labels-aligned@HxW. Chosen by the outputs unless told."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images, or a video: what int8 is calibrated and a bottleneck fitted on, accuracy and"
            " bytes measured."
        ),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            help="A video of the camera that will be used; may be given more than once. As --images, and its frames are"
            " taken in order: what a video codec sends is measured on it."
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="A further network in the bundle, such as a student: NAME=MODEL. It takes the model's frames and has"
            " its classes; it is built at width 1, and at those of --splits that it has. May be given more than once."
        ),
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Local points that compute only what changed, too; give --clips.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(help="Of --incremental: what may be left as it was, a share of a tensor's own spread.")
    ] = 0.0,
    weights: Weights = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Do not look for trained weights.")] = False,
    model_args: ModelArgs = "{}",
    preprocessing: Annotated[
        str,
        typer.Option(
            help="How a picture becomes the model's input, as a JSON object such as '{\"size\": [224, 224]}', instead"
            " of the model's own: size (height, width), crop, interpolation, mean, std; frames and stride of a window."
        ),
    ] = "{}",
    as_json: Json = False,
) -> None:
    """Build a bundle: the folder that a terminal and an edge server run without PyTorch.

    What of splits, widths, precisions and codecs is not given is chosen, and points that could be best nowhere are left
    out. A build that was stopped goes on where it was when it is started again.

    Example: `adaedge build timm:efficientnet_lite0 -o lite0.bundle --widths 1,0.75 --images photos/`
    """
    from adaedge.builder import Space
    from adaedge.builder import build as build_bundle
    from adaedge.bundle.folder import check_free
    from adaedge.clip import Clip
    from adaedge.models import load
    from adaedge.runtime import frames

    check_free(out)  # before the work, not after it
    checks.writable(out)
    named, kept, arguments = networks_by_name(network or ()), fractions(widths), json_object(model_args, "--model-args")
    preprocessing_of(None, preprocessing)
    checks.samples(images, clips, weights)
    loaded = load(model, weights=weights, pretrained=not random_weights, model_args=arguments)
    geometry = preprocessing_of(loaded.preprocessing, preprocessing)
    others = {name: load(one, pretrained=not random_weights) for name, one in named.items()}
    for name, other in others.items():
        check_same_pixels(name, other.preprocessing, geometry)
    networks = {name: other.module for name, other in others.items()}
    forms = (False, True) if incremental else (False,)
    dimensions = names(splits), kept, names(precisions), names(codecs), multiple
    space = Space(*dimensions, networks=networks, incremental=forms, tolerance=tolerance)
    scratch = out.absolute().parent / f".{out.name}.unfinished"
    with show.progress() as report:
        bundle = build_bundle(
            loaded.module,
            loaded.args,
            space,
            kwargs=loaded.kwargs,
            calibrate=[*(frames(images) if images else ()), *map(Clip.read, clips or ())] or None,
            preprocessing=geometry,
            labels=loaded.labels,
            name=model,
            trained=loaded.trained and all(other.trained for other in others.values()),
            answer=answer,
            scratch=scratch,
            progress=report,
        )
    bundle.save(out)
    shutil.rmtree(scratch, ignore_errors=True)
    if as_json:
        entries = [asdict(entry) for entry in bundle.manifest.points]
        rows = [entry.pop("point") | entry for entry in entries]
        manifest = bundle.manifest
        about = {
            "bundle": str(out),
            "digest": bundle.digest,
            "answer": manifest.answer,
            "points": rows,
            "kept": manifest.kept and asdict(manifest.kept),
            "not_kept": manifest.not_kept,
        }
        show.document(json.dumps(about, indent=1))
    else:
        show.console.print(_bundle_table(out, bundle))


def _bundle_table(out: Path, bundle: Bundle) -> Table:
    from adaedge.operating_point import KEPT
    from adaedge.report.formatting import short

    about = f"{len(bundle.points)} operating points of {bundle.manifest.model}, which answers {bundle.manifest.answer}"
    table = show.table(f"{out}: {about}")
    table.add_column("operating point", overflow="fold")
    table.add_column("sent, KB\n(mean)", justify="right", no_wrap=True)
    table.add_column("accuracy, measured", overflow="fold")
    for entry in bundle.manifest.points:
        accuracy = "–"
        if entry.accuracy:
            found = entry.accuracy
            accuracy = f"{found.metric} {found.value:.3f} ({found.low:.3f} to {found.high:.3f}, n = {found.samples})"
        sizes = (entry.payload_bytes, *entry.next_bytes[:1])
        table.add_row(short(entry.point), ", ".join(f"{size / 1e3:.1f}" for size in sizes), accuracy)
    kept, why = bundle.manifest.kept, bundle.manifest.not_kept
    if kept:
        table.add_row(short(KEPT), "0.0", f"{kept.metric} {kept.knots[0].low:.3f} at least, by what changed")
    notes = [f"No answer is kept: {why}."] if why else []
    if any(entry.accuracy is None for entry in bundle.manifest.points):
        notes.append("Accuracy was not measured: give --images or --clips.")
    if any(entry.next_bytes for entry in bundle.manifest.points):
        notes.append("Of a video codec: the mean of a refresh, and of a frame that changes least.")
    table.caption = "\n".join(notes) or None
    return table


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for summary, report and records.")] = Path(
        "demo"
    ),
    frames: Annotated[int | None, typer.Option(min=1, help="Show so many frames of each scene.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthesised trace.")] = 0,
    radio: Annotated[
        list[str] | None, typer.Option(help=f"A radio, once for each: {', '.join(RADIOS)}. Three unless told.")
    ] = None,
) -> None:
    """A robot watches: real clips, a real network, two processes, a fading link, three radios, every technique.

    Example: `adaedge demo --frames 16 -o demo`
    """
    import logging

    checks.writable(out)
    from adaedge.demo import material, run

    radios = tuple(radio or material.RADIOS)
    for name in radios:
        radio_named(name)
    logging.getLogger("adaedge").setLevel(logging.ERROR)  # that a link is down is part of the film; reports count it
    with show.progress() as report:
        result = run(out, frames=frames, seed=seed, progress=report, radios=radios)
    show.console.print(result.table)
    for headline in result.headlines:
        show.console.print(headline, style="bold")
    show.console.print(f"The reports are {out / 'report-*.html'}, the figures are {out / 'summary.json'}.")
