"""How many bytes does a segmenter's bottleneck take beside pictures, each frame by itself?

DeepLabV3 with real weights on the person clip, through a real bundle: the terminal's end runs the head and encodes, the
edge server's end decodes and runs the tail. Bottlenecks at split points before a quarter of the network's
multiply-accumulates are fitted on 64 frames at even distances over the clip's first half; with ``--refined`` they learn
from more of them. Scored is the intersection over union of the clip's class at 129 by 129 labels against the full fp32
network's answer, over all frames together; bytes are ``len(payload)``.

Frames lie at even distances over a half. Split point and kind of picture are chosen on the first half, by their bytes
at an IoU of .92; counted are their bytes on the second, interpolated between two measured settings (the logarithm of
the bytes by the score), never beyond them.

Bar: at an IoU of .92, the bottleneck takes at most a fifth of the bytes of the best of JPEG, WebP and AVIF.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from adaedge import OperatingPoint
from adaedge.clip import decode
from adaedge.operating_point import INPUT, OUTPUT
from benchmarks import deeplabv3
from benchmarks.result import write
from benchmarks.video_bytes import bytes_at
from benchmarks.video_clips import count
from benchmarks.video_networks import EPOCHS, FITTED, Network, segmenter, with_bottlenecks
from benchmarks.video_playing import Inputs, Row, play

SPLITS = ("blocks.2", "blocks.3.0")
PICTURES = {
    "jpeg": (10, 30, 55, 75, 85, 90, 95, 98),
    "webp": (10, 30, 50, 75, 85, 92, 97),
    "avif": (20, 35, 50, 65, 75, 85, 92),
}
TARGET, BAR, FRAMES = 0.92, 5.0, 25


def spread(network: Network, clip: Path, second: bool, frames: int) -> list[Inputs]:
    """Frames at even distances over a half of the clip, prepared."""
    half = count(clip) // 2
    begin = half if second else 0
    at = {begin + round(index * (half - 1) / max(frames - 1, 1)) for index in range(frames)}
    pictures = islice(enumerate(decode(str(clip))), max(at) + 1)
    return [(network.prepare(picture),) for index, picture in pictures if index in at]


def settings(network: Network, splits: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Family → split point and codec, the fewest bytes first."""
    pictures = {family: [(INPUT, f"{family}@{each}") for each in qualities] for family, qualities in PICTURES.items()}
    points = network.bundle.points
    return pictures | {split: [(split, one.codec) for one in points if one.split == split] for split in splits}


def measured(network: Network, clip: Path, second: bool, frames: int, splits: Sequence[str]) -> list[Row]:
    """Every setting on one half."""
    inputs = spread(network, clip, second, frames)
    expected = [network.reduce(network.bundle.run(OperatingPoint(OUTPUT), one)) for one in inputs]
    rows = []
    for family, each in settings(network, splits).items():
        for split, codec in each:
            row = play(network, clip.stem, inputs, expected, codec, split)
            rows.append({"half": "second" if second else "first", "family": family} | row)
            print(*(f"{value:.4g}" if isinstance(value, float) else value for value in rows[-1].values()), flush=True)
    return rows


def at_target(rows: Sequence[Row], network: Network) -> dict[str, float | None]:
    """Family → bytes at the target; ``None`` where it is not reached."""
    families = dict.fromkeys(row["family"] for row in rows)
    own = {family: [row for row in rows if row["family"] == family] for family in families}
    return {family: bytes_at(each, [row["codec"] for row in each], network) for family, each in own.items()}


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", nargs="*", default=SPLITS)
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each half")
    parser.add_argument("--refined", type=int, default=0, help="frames to refine on; 0: not at all")
    parser.add_argument("--kept", type=Path, help="a folder: bottlenecks are kept here, and not fitted again")
    parser.add_argument("--smoke", action="store_true", help="a bottleneck of two frames, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    splits, clip = options.splits, deeplabv3.CLIPS["person"]
    fitted, refined = (2, 0) if options.smoke else (FITTED, options.refined)
    network = with_bottlenecks(segmenter(), clip, splits, fitted, refined=refined, kept=options.kept)
    network = replace(network, target=TARGET)
    halves = [
        measured(network, clip, second, 3 if options.smoke else options.frames, splits) for second in (False, True)
    ]
    first, second = (at_target(rows, network) for rows in halves)
    chosen = [min(names, key=lambda name: first[name] or math.inf) for names in (PICTURES, splits)]
    picture, bottleneck = (second[name] for name in chosen)
    times = picture / bottleneck if picture and bottleneck else float(np.nan)
    print(f"{chosen}: {picture} and {bottleneck} bytes, {times:.2f} times fewer; bar {BAR}")
    if not options.smoke:
        about = {"frames_per_half": options.frames, "refined_frames": options.refined, "refined_epochs": EPOCHS}
        about |= {"first": first, "second": second, "chosen_on_first_half": chosen, "times_fewer": times}
        write("still_bytes_refined" if refined else "still_bytes", halves[0] + halves[1], iou=TARGET, bar=BAR, **about)


if __name__ == "__main__":
    main()
