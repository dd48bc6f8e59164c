"""How many bytes does a frame take at how good an answer, by every picture and video codec?

Each codec runs through a real bundle, frame after frame: the terminal's end encodes, the edge server's end decodes and
runs the network. Classifiers are scored by the mean divergence of the prediction from that of the full fp32 network on
the frame as it came, in nats; the segmenter by the intersection over union of the clip's class (person, bottle), over
all frames together, at 129 by 129 labels, from the frame of the half on at which the network sees most of it. Bytes are
``len(payload)``, header included; a half of a clip begins with a refresh, and frames are encoded at the network's own
geometry.

Which video codec, and which kind of JPEG, is chosen on a clip's first half: the one that takes the fewest bytes at the
target. Its bytes on the second half count. Between two measured qualities they are interpolated (the logarithm of the
bytes by the score), beyond them never; qualities are tried from the fewest bytes on, until one reaches the target.
``…, camera`` is the same codec on the frame as the camera gives it, resized after decoding: it says at which geometry
frames should cross.

Bar: at 0.10 nats and at an IoU of .90, video takes at most 0.30 times the bytes of JPEG, as geometric mean over the
clips; a clip on which the video does not reach the target counts 1.0.

With ``--clip`` and ``--model``: that clip's second half alone, as a table or, with ``--json``, as a list of
``{codec, split, bytes_per_frame, body_bytes_per_frame, score, metric, encode_ms}``, the body without the message's
header. There ``--splits`` adds ``bottleneck@…`` at each of these
split points, fitted on the first half: each frame by itself, where a video codec builds on the one before. Of
EfficientNet-Lite0 there are also rows ``bottleneck@…`` and ``delta@…``, fitted on the clip's first half as in
``delta_bytes``.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import track

from adaedge import OperatingPoint
from adaedge.clip import decode
from adaedge.operating_point import OUTPUT
from adaedge.payload import BOTTLENECK
from adaedge.payload.video import available
from benchmarks.result import write
from benchmarks.video_clips import CLIPS, class_of, count
from benchmarks.video_networks import IOU, NATS, NETWORKS, Network, with_bottlenecks
from benchmarks.video_playing import CAMERA, Row, features_at, play, play_camera

PICTURES = {"jpeg": (10, 30, 55, 80, 92, 98), "jpeg444": (10, 30, 55, 80, 92, 98)}
CRFS = {"h264": (42, 36, 30, 24, 18, 12, 6), "hevc": (42, 36, 30, 24, 18, 12, 6), "av1": (58, 48, 37, 26, 15, 6)}
BAR = 0.30
AT = " at "
_LOOK_EVERY = 10
_PROGRESS = Console(stderr=True)
FRAMES = 40


def at_camera(families: dict[str, list[str]]) -> dict[str, list[str]]:
    """H.264 at the camera's geometry, beside the others."""
    return families | {family + CAMERA: [name + CAMERA for name in families[family]] for family in ("h264", "h264-444")}


def codecs() -> dict[str, list[str]]:
    """Family → codecs, the fewest bytes first; those families that can be encoded here."""
    pictures = {family: [f"{family}@{quality}" for quality in each] for family, each in PICTURES.items()}
    here = [each.codec for each in available() if each.encoder and each.decoder]
    return pictures | {family: [f"{family}@{crf}" for crf in CRFS[family.removesuffix("-444")]] for family in here}


def bottlenecks(network: Network, splits: Sequence[str]) -> dict[str, list[str]]:
    """Split point → its rates, the fewest bytes first."""
    points = [point for point in network.bundle.points if point.split in splits]
    return {
        f"{BOTTLENECK}{AT}{split}": [f"{point.codec}{AT}{split}" for point in points if point.split == split]
        for split in splits
    }


def half(
    network: Network,
    clip: Path,
    second: bool,
    limit: int | None,
    families: dict[str, list[str]],
    *,
    whole: bool = False,
    scored: int = 1,
) -> list[Row]:
    """Every codec on one half of a clip.

    Args:
        network: what answers.
        clip: the clip.
        second: which half.
        limit: so many frames from where the half begins; without it, all of it.
        families: of each its codecs, the fewest bytes first.
        whole: all of a family; else those up to the target.
        scored: every frame is sent, the first of each so many scored.
    """
    total = count(clip)
    begin, end = (total // 2, total) if second else (0, total // 2)
    if limit is not None:
        begin = shown_from(network, clip, begin, end, limit)
        end = min(begin + limit, end)
    pictures = list(islice(decode(str(clip)), begin, end))
    frames = [(network.prepare(picture),) for picture in pictures]
    local, features = OperatingPoint(OUTPUT), dict[str, Any]()
    expected = [network.reduce(network.bundle.run(local, inputs)) for inputs in frames[::scored]]
    rows = []
    for each in track(families.values(), f"{clip.stem}, {'second' if second else 'first'} half", console=_PROGRESS):
        for codec in each:
            if AT in codec:
                name, _, split = codec.partition(AT)
                if split not in features:
                    features[split] = features_at(network, frames, split)
                about = {"scored": scored, "features": features[split]}
                row = play(network, clip.stem, frames, expected, name, split, **about)
            elif codec.endswith(CAMERA):
                row = play_camera(network, clip.stem, pictures, expected, codec.removesuffix(CAMERA))
            else:
                row = play(network, clip.stem, frames, expected, codec, scored=scored)
            rows.append(row)
            if network.good(row["score"]) and not whole:
                break
    return rows


def shown_from(network: Network, clip: Path, begin: int, end: int, limit: int) -> int:
    """Where a half's frames begin: at its beginning, or for a segmenter where the clip's class is seen most."""
    wanted = class_of(clip.stem) if network.metric == "iou" else None
    if wanted is None:
        return begin
    local, pixels = OperatingPoint(OUTPUT), {}
    for at, picture in enumerate(islice(decode(str(clip)), begin, max(begin + 1, end - limit), _LOOK_EVERY)):
        (labels,) = network.reduce(network.bundle.run(local, (network.prepare(picture),)))
        pixels[begin + at * _LOOK_EVERY] = int((labels == wanted).sum())
    return max(pixels, key=lambda start: pixels[start])


class Judge(Protocol):
    """What says whether a score is good enough: a network, or a target alone."""

    @property
    def target(self) -> float:
        """The score that is to be reached."""
        ...

    def good(self, score: float) -> bool:
        """Whether a score reaches it."""
        ...


def bytes_at(rows: Sequence[Row], codecs: Sequence[str], network: Judge) -> float | None:
    """Bytes at the target by one family; ``None`` where none of its qualities reaches it."""
    curve = sorted((row for row in rows if row["codec"] in codecs), key=lambda row: row["bytes_per_frame"])
    if network.good(curve[0]["score"]):
        return float(curve[0]["bytes_per_frame"])
    for below, above in pairwise(curve):
        if network.good(above["score"]) and not network.good(below["score"]):
            share = (network.target - below["score"]) / (above["score"] - below["score"])
            ends = math.log(below["bytes_per_frame"]), math.log(above["bytes_per_frame"])
            return math.exp((1 - share) * ends[0] + share * ends[1])
    return None


def compared(model: str, network: Network, clip: Path, limit: int) -> tuple[list[Row], Row]:
    """Both halves of a clip, and what the choice on the first comes to on the second."""
    families = at_camera(codecs())
    halves = [half(network, clip, second, limit, families) for second in (False, True)]
    found = [{name: bytes_at(rows, each, network) for name, each in families.items()} for rows in halves]
    chosen = [
        min(names, key=lambda name: found[0][name] or math.inf)
        for names in (PICTURES, sorted(name for name in families if name not in PICTURES and CAMERA not in name))
    ]
    jpeg, video = (found[1][name] for name in chosen)
    rows = [
        {"model": model, "clip": clip.name, "half": name} | row
        for name, each in zip(("first", "second"), halves, strict=True)
        for row in each
    ]
    summary = {
        "model": model,
        "clip": clip.name,
        "target": network.target,
        "metric": network.metric,
        "chosen_on_first_half": chosen,
        "bytes_at_target": found[1],
        "jpeg_bytes": jpeg,
        "video_bytes": video,
        "ratio": video / jpeg if video and jpeg else 1.0,
        "named": "" if video and jpeg else "the target is not reached",
    }
    return rows, summary


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="this clip only, its second half")
    parser.add_argument("--model", choices=NETWORKS, help="this network only")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each half, from its beginning")
    parser.add_argument(
        "--splits", nargs="*", default=(), help="with --clip: bottlenecks here, fitted on the first half"
    )
    parser.add_argument("--json", action="store_true", help="with --clip: print a list")
    parser.add_argument("--smoke", action="store_true", help="two frames, one network, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.clip:
        network = NETWORKS[options.model or "efficientnet_lite0"]()
        families = codecs()
        if options.splits:
            network = with_bottlenecks(network, options.clip, options.splits)
            families |= bottlenecks(network, options.splits)
        rows = half(network, options.clip, True, options.frames, families, whole=True)
        if options.model in (None, "efficientnet_lite0"):
            from benchmarks.delta_bytes import latent_rows  # late: it compares by what is here

            rows += latent_rows(options.clip, options.frames)
        shown(rows, as_json=options.json)
        return
    rows, summaries = [], []
    for model in [options.model] if options.model else NETWORKS:
        if options.smoke and model != "efficientnet_lite0":
            continue
        network = NETWORKS[model]()
        for clip in clips(network)[: 1 if options.smoke else None]:
            found, summary = compared(model, network, clip, 2 if options.smoke else options.frames)
            rows += found
            summaries.append(summary)
            print(
                f"{model}, {clip.name}: {summary['ratio']:.3f} of JPEG's bytes",
                flush=True,
            )
    ratios = {
        metric: statistics.geometric_mean([one["ratio"] for one in summaries if one["metric"] == metric])
        for metric in sorted({one["metric"] for one in summaries})
    }
    print(f"geometric means: {ratios}; bar {BAR}: {'met' if max(ratios.values()) <= BAR else 'MISSED'}")
    if not options.smoke:
        settings = {"frames_per_half": options.frames, "nats": NATS, "iou": IOU, "bar": BAR}
        name = f"video_bytes_{options.model}" if options.model else "video_bytes"
        write(name, rows, summary=summaries, ratios=ratios, **settings)


def clips(network: Network) -> list[Path]:
    """The clips that a network is scored on: a segmenter on those with its classes."""
    return [clip for clip in CLIPS if network.metric == "divergence" or class_of(clip.stem) is not None]


def shown(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print them."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print("  ".join(f"{value:.4g}" if isinstance(value, float) else f"{value:12}" for value in row.values()))


if __name__ == "__main__":
    main()
