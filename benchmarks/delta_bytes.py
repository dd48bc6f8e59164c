"""How many bytes does a frame take where only what changed of a bottleneck's latents crosses, beside video codecs?

EfficientNet-Lite0 with real weights, after blocks.3, on the clips of ``video_bytes``. Bottleneck and tables of changes
are fitted on a clip's first half: 64 frames at even distances, and the first 50 in order. Each rate and each video
codec runs over the first frames of both halves, in order, a refresh first; what the edge server's end decodes is what
the network's tail, or the network, answers. Scored is the mean divergence from the answer to the frame as it came. Of
the video codecs, ``chosen`` is the one that takes the fewest bytes at the target on the first half. Bytes are those of
the second half at the target, interpolated between two measured settings. ``body`` is without the message's header,
which is the same for all frames of a codec; below 100 bytes a frame it is what counts. Every video codec takes part,
however long it takes to encode.

Bar: the geometric mean is at least 2.5 times fewer bytes than the best video codec, where that reaches the target, and
each clip at least 1.2 times. Goal: 4 and 1.5.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaedge import Bottleneck, OperatingPoint, Space, build
from adaedge.clip import decode
from adaedge.graph import Splittable
from adaedge.operating_point import INPUT, OUTPUT
from adaedge.stream import Playback
from benchmarks.rate_accuracy import CASES, loaded
from benchmarks.result import write
from benchmarks.video_bytes import CRFS, NATS, Network, bytes_at, codecs
from benchmarks.video_clips import CLIPS, count

SPLIT = "blocks.3"
FAMILIES = ("bottleneck", "delta")
FITTED, IN_ORDER, FRAMES = 64, 50, 40
SMALL_BYTES = 100
BAR, EACH = 2.5, 1.2
Row = dict[str, Any]
Frames = Sequence[np.ndarray[Any, Any]]


def network_of(clip: Path, frames: int = FITTED, in_order: int = IN_ORDER) -> Network:
    """The network in a bundle with a bottleneck and its deltas, fitted on a clip's first half."""
    model, half = loaded(CASES["lite0"]), count(clip) // 2
    plain = build(model.module, model.args, Space(), preprocessing=model.preprocessing)
    apart = sorted({round(at * (half - 1) / (frames - 1)) for at in range(frames)})
    wanted = {*apart, *range(min(in_order, half))}
    shown = {
        at: plain.preprocess(picture) for at, picture in enumerate(islice(decode(str(clip)), half)) if at in wanted
    }
    mean, std = (np.array(one, np.float32) for one in (model.preprocessing.mean, model.preprocessing.std))
    tensors = {
        at: torch.from_numpy(((pixels.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2))
        for at, pixels in shown.items()
    }
    images = [tensors[at] for at in apart]
    own = Bottleneck.fit(Splittable(model.module, model.args), (), split=SPLIT, images=images)
    own = own.fit_changes([[tensors[at] for at in range(min(in_order, half))]])
    space = Space([SPLIT], codecs=[own, "delta"])
    bundle = build(model.module, model.args, space, preprocessing=model.preprocessing)
    return Network(bundle, bundle.preprocess, lambda outputs: outputs, "divergence", NATS)


def play(network: Network, frames: Frames, expected: Sequence[Any], point: OperatingPoint) -> Row:
    """One operating point on some frames in order."""
    playback, head = Playback(network.bundle, point), None
    if point.split != INPUT:
        head = network.bundle.head(point.split)
    sizes, bodies, seconds, given = [], [], [], []
    for pixels in frames:
        features = (pixels,) if head is None else head.run((pixels,))
        start_s = time.perf_counter()
        payload = playback.encode(features)
        seconds.append(time.perf_counter() - start_s)
        engine, carried = playback.receive(payload)
        sizes.append(len(payload))
        bodies.append(sum(map(len, network.bundle.read(payload).segments)))
        given.append(network.reduce(engine.run(carried)))
    return {
        "codec": point.codec,
        "split": point.split,
        "bytes_per_frame": statistics.fmean(sizes),
        "body_bytes_per_frame": statistics.fmean(bodies),
        "score": network.score(expected, given, ""),
        "metric": network.metric,
        "encode_ms": 1e3 * statistics.median(seconds),
    }


def points_of(network: Network) -> dict[str, list[OperatingPoint]]:
    """Family → its operating points, the fewest bytes first."""
    inner = [point for point in network.bundle.points if point.split == SPLIT]
    latents = {name: [point for point in inner if point.codec.startswith(f"{name}@")] for name in FAMILIES}
    videos = {name: each for name, each in codecs().items() if name.removesuffix("-444") in CRFS}
    return latents | {name: [OperatingPoint(INPUT, codec=codec) for codec in each] for name, each in videos.items()}


def latent_rows(clip: Path, limit: int) -> list[Row]:
    """Every rate of ``bottleneck@`` and ``delta@`` on the beginning of a clip's second half."""
    network = network_of(clip)
    return half(network, clip, True, limit, {name: points_of(network)[name] for name in FAMILIES}, whole=True)


def half(
    network: Network,
    clip: Path,
    second: bool,
    limit: int,
    families: dict[str, list[OperatingPoint]],
    *,
    whole: bool = False,
) -> list[Row]:
    """Families on the beginning of one half of a clip, each up to the target, or the whole of it."""
    total = count(clip)
    begin, end = (total // 2, total) if second else (0, total // 2)
    shown = islice(decode(str(clip)), begin, min(begin + limit, end))
    frames = [network.prepare(picture) for picture in shown]
    expected = [network.reduce(network.bundle.run(OperatingPoint(OUTPUT), (pixels,))) for pixels in frames]
    rows = []
    for family, points in families.items():
        for point in points:
            row = play(network, frames, expected, point)
            rows.append({"clip": clip.name, "half": "second" if second else "first", "family": family} | row)
            if network.good(row["score"]) and not whole:
                break
    return rows


def at_target(rows: Sequence[Row], network: Network, *, body: bool) -> dict[str, float | None]:
    """Family → bytes at the target, with the header or without; ``None`` where it is not reached."""
    name = "body_bytes_per_frame" if body else "bytes_per_frame"
    own = {family: [row | {"bytes_per_frame": row[name]} for row in rows if row["family"] == family]
           for family in dict.fromkeys(row["family"] for row in rows)}  # fmt: skip
    return {family: bytes_at(each, [row["codec"] for row in each], network) for family, each in own.items()}


def compared(clip: Path, limit: int) -> tuple[list[Row], Row]:
    """Both halves of a clip, and what is chosen on the first."""
    network = network_of(clip)
    halves = [half(network, clip, second, limit, points_of(network)) for second in (False, True)]
    first = at_target(halves[0], network, body=False)
    videos = [name for name in first if name not in FAMILIES]
    chosen = min(videos, key=lambda name: first[name] or math.inf)
    whole, bodies = (at_target(halves[1], network, body=body) for body in (False, True))
    # Where what is sent is this small, the header would be most of it: bodies are compared.
    small = (bodies["delta"] or math.inf) < SMALL_BYTES
    judged = bodies if small else whole
    ratio = judged[chosen] / judged["delta"] if judged[chosen] and judged["delta"] else None
    about = {"clip": clip.name, "chosen": chosen, "judged_on": "body" if small else "payload", "times_fewer": ratio}
    return [*halves[0], *halves[1]], about | {"payload_bytes": whole, "body_bytes": bodies}


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="this clip only; nothing written")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each half, from its beginning")
    parser.add_argument("--smoke", action="store_true", help="six frames of one clip, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    every = [clip for clip in CLIPS if "indoor" not in clip.stem]
    wanted = [options.clip] if options.clip else every[:1] if options.smoke else every
    rows, summaries = [], []
    for clip in wanted:
        found, summary = compared(clip, 6 if options.smoke else options.frames)
        rows += found
        summaries.append(summary)
        print(summary, flush=True)
    ratios = [one["times_fewer"] for one in summaries if one["times_fewer"]]
    mean = statistics.geometric_mean(ratios) if ratios else math.nan
    held = mean >= BAR and min(ratios, default=0) >= EACH
    print(f"geometric mean {mean:.2f} over {len(ratios)} clips; bar {BAR}, {EACH} each: {'met' if held else 'MISSED'}")
    if not options.smoke and not options.clip:
        write("delta_bytes", rows, summary=summaries, geometric_mean=mean, frames_per_half=options.frames, nats=NATS)


if __name__ == "__main__":
    main()
