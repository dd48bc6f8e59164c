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
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from adaedge import Bottleneck, Space, Splittable, build
from adaedge.clip import decode
from benchmarks.result import write
from benchmarks.video_bytes import AT, CRFS, bytes_at, codecs, half
from benchmarks.video_clips import CLIPS, count
from benchmarks.video_networks import FITTED, NATS, NETWORKS, Network, tensor_of
from benchmarks.video_playing import Row

SPLIT = "blocks.3"
FAMILIES = ("bottleneck", "delta")
IN_ORDER, FRAMES = 50, 40
SMALL_BYTES = 100
BAR, EACH = 2.5, 1.2


def network_of(clip: Path, frames: int = FITTED, in_order: int = IN_ORDER) -> Network:
    """The network in a bundle with a bottleneck and its deltas, fitted on a clip's first half."""
    plain, half = NETWORKS["efficientnet_lite0"](), count(clip) // 2
    apart = sorted({round(at * (half - 1) / (frames - 1)) for at in range(frames)})
    ordered = range(min(in_order, half))
    shown = {
        at: tensor_of(plain, plain.prepare(picture))
        for at, picture in enumerate(islice(decode(str(clip)), half))
        if at in {*apart, *ordered}
    }
    own = Bottleneck.fit(Splittable(plain.module, plain.example), (), split=SPLIT, images=[shown[at] for at in apart])
    own = own.fit_changes([[shown[at] for at in ordered]])
    space = Space([SPLIT], codecs=[own, "delta"])
    return replace(plain, bundle=build(plain.module, plain.example, space, preprocessing=plain.geometry))


def families_of(network: Network) -> dict[str, list[str]]:
    """Family → its codecs, the fewest bytes first, as ``half`` takes them."""
    inner = [point.codec for point in network.bundle.points if point.split == SPLIT]
    latents = {name: [f"{codec}{AT}{SPLIT}" for codec in inner if family(codec) == name] for name in FAMILIES}
    return latents | {name: each for name, each in codecs().items() if name.removesuffix("-444") in CRFS}


def family(codec: str) -> str:
    """What a codec is called without its rate."""
    return codec.partition("@")[0]


def latent_rows(clip: Path, limit: int) -> list[Row]:
    """Every rate of ``bottleneck@`` and ``delta@`` on the beginning of a clip's second half."""
    network = network_of(clip)
    families = families_of(network)
    return half(network, clip, True, limit, {name: families[name] for name in FAMILIES}, whole=True)


def at_target(rows: Sequence[Row], network: Network, *, body: bool) -> dict[str, float | None]:
    """Family → bytes at the target, with the header or without; ``None`` where it is not reached."""
    name = "body_bytes_per_frame" if body else "bytes_per_frame"
    judged = [row | {"bytes_per_frame": row[name]} for row in rows]
    names = dict.fromkeys(family(row["codec"]) for row in rows)
    own = {name: [row["codec"] for row in rows if family(row["codec"]) == name] for name in names}
    return {name: bytes_at(judged, each, network) for name, each in own.items()}


def compared(clip: Path, limit: int) -> tuple[list[Row], Row]:
    """Both halves of a clip, and what is chosen on the first."""
    network = network_of(clip)
    halves = [half(network, clip, second, limit, families_of(network)) for second in (False, True)]
    first = at_target(halves[0], network, body=False)
    videos = [name for name in first if name not in FAMILIES]
    chosen = min(videos, key=lambda name: first[name] or math.inf)
    whole, bodies = (at_target(halves[1], network, body=body) for body in (False, True))
    # Where what is sent is this small, the header would be most of it: bodies are compared.
    small = (bodies["delta"] or math.inf) < SMALL_BYTES
    judged = bodies if small else whole
    ratio = judged[chosen] / judged["delta"] if judged[chosen] and judged["delta"] else None
    about = {"clip": clip.name, "chosen": chosen, "judged_on": "body" if small else "payload", "times_fewer": ratio}
    rows = [
        {"clip": clip.name, "half": name, "family": family(row["codec"])} | row
        for name, each in zip(("first", "second"), halves, strict=True)
        for row in each
    ]
    return rows, about | {"payload_bytes": whole, "body_bytes": bodies}


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
