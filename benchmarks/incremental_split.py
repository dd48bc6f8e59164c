"""Where a segmenter is split, what do incremental halves save on the terminal and on the edge server?

DeepLabV3 (513 by 513, real weights, fp32) is cut at a split point, and ``delta`` carries what changed of its latents.
The bottleneck, its tables of changes, the split point, the rate and the tolerance are of a clip's first half: the
largest tolerance tried at which the intersection over union is within .01 of ``dense``'s on frames of it. Rows are of
frames of its second half, in order. Two arms see each frame, in random order: ``dense`` computes head and tail as a
whole, the decoder folded into the tail; ``incremental`` computes of both what changed, by `CachedHead` and
`CachedTail`, looking for changes included. Seconds are CPU seconds of the thread: ``terminal`` is the head and the
payload, ``edge`` the payload's features and the tail; the answer's codec takes the same in both and is left out.
``iou`` of each arm is against the answers of the whole network to the same frames, of the clip's class, and
``between`` is the one arm's against the other's.

Bar: at least 30 % less terminal time and 25 % less edge time, at the same IoU. Goal: 50 %.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from adaedge import Bottleneck, Bundle, Space, Splittable, build
from adaedge.clip import decode
from adaedge.errors import MetricError
from adaedge.metrics import LabelIoU
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.stream import CachedHead, CachedTail, Playback, Runners
from adaedge.stream.incremental import Tolerance
from benchmarks.delta_bytes import CASES, in_order
from benchmarks.result import write
from benchmarks.video_clips import CLIPS, class_of, count
from benchmarks.video_networks import Network, bottleneck_of, segmenter

Row = dict[str, Any]
ARMS = ("dense", "incremental")
TOLERANCES = (0.06, 0.1, 0.17)
AS_GOOD = 0.01
BAR = {"terminal": 0.30, "edge": 0.25}


def network_of(clip: Path, split: str, folder: Path) -> Network:
    """DeepLabV3 in a bundle with both halves in both forms; what is fitted and built is kept in a folder."""
    plain = segmenter()
    name = f"{clip.stem}-{split}"
    bundled = folder / f"{name}.bundle"
    if not bundled.exists():
        cut, fitted = Splittable(plain.module, plain.example), folder / f"{name}.changes"
        if fitted.exists():
            own = Bottleneck.load(fitted, cut)
        else:
            still = bottleneck_of(plain, clip, cut, split, kept=folder)
            own = still.fit_changes(in_order(plain, clip, replace(CASES["deeplabv3"], split=split)))
            own.save(fitted)
        space = Space([split], codecs=[own, "delta"], incremental=(False, True), kept=False)
        build(plain.module, plain.example, space, preprocessing=plain.geometry).save(bundled)
    return replace(plain, bundle=Bundle.load(bundled))


def frames_of(network: Network, clip: Path, begin: int, most: int, step: int = 1) -> list[Any]:
    """So many frames from one on, as the network takes them."""
    pictures = islice(decode(str(clip)), begin, begin + most * step, step)
    return [(network.prepare(picture),) for picture in pictures]


class Arm:
    """Both ends of one form, frame after frame."""

    def __init__(self, bundle: Bundle, point: OperatingPoint, runners: Runners) -> None:
        self._route = bundle.route(point)
        self._head = CachedHead(bundle, runners) if point.incremental else None
        self._near, self._far = Playback(bundle, point), Playback(bundle, point, runners)
        self.terminal_s = self.edge_s = 0.0
        self.sizes: list[int] = []
        self.ways: Counter[str] = Counter()

    def answer(self, inputs: Any) -> Any:
        """The outputs for the next frame."""
        started = time.thread_time()
        features = self._head.run(self._route, inputs, None, 0) if self._head else self._route.head.run(inputs)
        payload = self._near.encode(features)
        sent = time.thread_time()
        engine, carried = self._far.receive(payload)
        outputs = engine.run(carried)
        self.terminal_s += sent - started
        self.edge_s += time.thread_time() - sent
        self.sizes.append(len(payload))
        if self._head and self._head.stats and isinstance(engine, CachedTail) and engine.stats:
            self.ways[f"head {self._head.stats.path}"] += 1
            self.ways[f"tail {engine.stats.path}"] += 1
        return outputs


def play(network: Network, clip: Path, split: str, codec: str, tolerance: float, frames: Sequence[Any]) -> Row:
    """Both arms on frames in order."""
    bundle, draw = network.bundle, random.Random(0)
    point = OperatingPoint(split, codec=codec, incremental=True)
    runners, route = Runners(bundle), bundle.route(point)
    runners.measure(route, frames[0])
    runners.measure_tail(route, route.head.run(frames[0]))
    for runner in (runners.of(route), runners.tail_of(route)):
        runner.tolerance = Tolerance(tolerance)
    arms = {name: Arm(bundle, replace(point, incremental=name == "incremental"), runners) for name in ARMS}
    answers: dict[str, list[Any]] = {name: [] for name in (*ARMS, "whole")}
    whole = bundle.head(OUTPUT)
    for arm in arms.values():
        arm.answer(frames[0])  # loads engines
        arm.terminal_s = arm.edge_s = 0.0
    for inputs in frames[1:]:
        for name in draw.sample(ARMS, len(ARMS)):
            answers[name].append(network.reduce(arms[name].answer(inputs)))
        answers["whole"].append(network.reduce(whole.run(inputs)))
    shown = class_of(clip.stem)
    metric = LabelIoU(() if shown is None else (shown,))
    row: Row = {"clip": clip.stem, "split": split, "codec": codec, "tolerance": tolerance, "frames": len(frames) - 1}
    for name, arm in arms.items():
        row[name] = {
            "terminal_ms": round(1e3 * arm.terminal_s / row["frames"], 2),
            "edge_ms": round(1e3 * arm.edge_s / row["frames"], 2),
            "bytes": round(sum(arm.sizes[1:]) / row["frames"], 1),
            "iou": _iou(metric, answers["whole"], answers[name]),
        }
    row["between"] = _iou(metric, answers["dense"], answers["incremental"])
    row["ways"] = dict(arms["incremental"].ways)
    for side in BAR:
        own, other = (row[name][f"{side}_ms"] for name in ("incremental", "dense"))
        row[f"{side}_less"] = round(1 - own / other, 3)
    return row


def _iou(metric: LabelIoU, expected: Sequence[Any], given: Sequence[Any]) -> float | None:
    try:
        return round(metric.score(expected, given).value, 4)
    except MetricError:  # nobody is to be seen
        return None


def chosen(network: Network, clip: Path, split: str, codec: str, tolerances: Sequence[float], most: int) -> list[Row]:
    """Rows of a clip's first half, from the largest tolerance on to the first at which the answers are as good."""
    frames, rows = frames_of(network, clip, count(clip) // 5, most + 1), []
    for tolerance in sorted(tolerances, reverse=True):
        rows.append(play(network, clip, split, codec, tolerance, frames))
        print(json.dumps(rows[-1]), flush=True)
        ious = [rows[-1][name]["iou"] for name in ARMS]
        if None not in ious and ious[1] >= ious[0] - AS_GOOD:
            break
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="blocks.2")
    parser.add_argument("--rate", type=int, default=6, help="of delta")
    parser.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--clip", action="append", help="stems of clips; person and bottle unless told")
    parser.add_argument(
        "--first", type=int, default=40, help="frames of the first half that the tolerance is chosen on"
    )
    parser.add_argument("--frames", type=int, default=150, help="of the second half")
    parser.add_argument("--folder", type=Path, required=True, help="keeps what is fitted and built")
    options = parser.parse_args()
    rows, codec = [], f"delta@{options.rate}"
    for clip in CLIPS:
        if clip.stem not in options.clip if options.clip else class_of(clip.stem) is None:
            continue
        network = network_of(clip, options.split, options.folder)
        first = chosen(network, clip, options.split, codec, options.tolerances, options.first)
        frames = frames_of(network, clip, count(clip) // 2, options.frames + 1)
        rows.append(play(network, clip, options.split, codec, first[-1]["tolerance"], frames) | {"first_half": first})
        print(json.dumps(rows[-1]), flush=True)
    write("incremental_split", rows, as_good=AS_GOOD)


if __name__ == "__main__":
    main()
