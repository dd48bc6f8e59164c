"""How much faster is a frame of a clip where only what changed is computed, and what does that cost in accuracy?

End to end, change detection included, one thread: dense in ONNX Runtime, fp32 and int8, and incremental, on the same
frames, interleaved in random order; CPU seconds of this thread. On three stretches of the first half of a clip the
largest tolerance is chosen that holds the bars (`chosen_on`), on three of the second half it is measured; where one
stretch follows another the scene is cut. Speed-ups are sums of dense seconds over sums of incremental ones.

`moving_cosine`: of the outputs' vectors at cells where the picture moved (mean absolute difference to the frame before
above 4 grey levels), mean over all such cells; `hold4_cosine` is that of an answer held for four frames, the baseline.
`iou`: of the clip's class, person or bottle, at labels four times as fine as the logits; against dense fp32.
`bytes`: what the cache takes. `shares`: mean share of multiply-accumulates.

With ``--dirt 0.02``: a part of that share of the picture is replaced at a random place on each frame, at tolerance 0;
`error` is the largest difference from dense, relative to the largest value.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from adaedge.arrays import cosine
from adaedge.builder.incremental_graphs import dense_engines, onnx_runner
from adaedge.clip import as_clip
from adaedge.errors import MetricError
from adaedge.graph.signature import Signature
from adaedge.incremental.planner import planned
from adaedge.metrics import LabelIoU
from adaedge.metrics.features import cosines
from adaedge.stream.incremental import IncrementalRunner, Tolerance
from adaedge.stream.incremental.segment_costs import measure_segments
from benchmarks import deeplabv3
from benchmarks.result import write
from benchmarks.video_clips import CLIPS, class_of, count

Array = npt.NDArray[Any]
Row = dict[str, Any]
TOLERANCES = (0.24, 0.17, 0.12, 0.08, 0.05, 0.03, 0.0)
MOVED_LEVELS = 4.0
HOLD = 4
BARS = {"iou": 0.95, "moving_cosine": 0.98}


class Pictured(nn.Module):
    """A segmenter that takes a uint8 picture (1, H, W, 3), as a bundle's input does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = deeplabv3.load()

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor]:
        """Logits."""
        return (self.net((picture.float() / 255 - 0.5).permute(0, 3, 1, 2) / 0.5),)


@dataclass(frozen=True)
class Network:
    """A network, and the size of its pictures.

    Attributes:
        make: the module.
        size: height and width; of a height alone, the width follows from the clip's.
    """

    make: Callable[[], nn.Module]
    size: tuple[int, int | None]

    def prepare(self, frame: Array) -> Array:
        """A frame as the network takes it."""
        height, width = self.size
        width = width or round(frame.shape[1] * height / frame.shape[0])
        if frame.shape[:2] == (height, width):
            return frame[None]
        return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))[None]


NETWORKS = {
    "deeplabv3": Network(Pictured, (513, 513)),
    "deeplabv3-720": Network(Pictured, (720, None)),
    "deeplabv3-1080": Network(Pictured, (1080, None)),
}


@dataclass
class Seen:
    """What one run over frames gave."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    dense: list[Array] = field(default_factory=list)
    given: list[Array] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)
    paths: Counter[str] = field(default_factory=Counter)
    cache_bytes: int = 0


def run(
    runner: IncrementalRunner, engines: dict[str, Any], frames: Sequence[Array], dense: Sequence[Array] | None = None
) -> Seen:
    """Each frame by each arm once, in random order; where dense outputs are given, by the incremental one only."""
    seen, cache, draw = Seen(), None, random.Random(0)
    names = ["incremental", *([] if dense is not None else engines)]
    for at, frame in enumerate(frames):
        for name in draw.sample(names, len(names)):
            started = time.thread_time()
            if name == "incremental":
                (answer,), cache = runner.run([frame], cache)
            else:
                (made,) = engines[name].run([frame])
            seen.seconds.setdefault(name, []).append(time.thread_time() - started)
            if name == "fp32":
                seen.dense.append(made)
        seen.given.append(answer)
        assert cache is not None
        seen.shares.append(cache.stats.macs_share)
        seen.changed.append(cache.stats.changed)
        seen.paths[cache.stats.path] += 1
        seen.cache_bytes = cache.length_bytes
        if dense is not None:
            seen.dense.append(dense[at])
    return seen


def labels(logits: Array) -> Array:
    """(N, C, h, w) → (N, 4 h, 4 w)."""
    fine = nn.functional.interpolate(torch.from_numpy(logits), scale_factor=4, mode="bilinear")
    return np.asarray(fine.argmax(1).numpy())


def moving_cells(frames: Sequence[Array], at: int, shape: tuple[int, ...]) -> Array:
    """(h, w): where the picture moved since the frame before."""
    apart = np.abs(frames[at][0].astype(np.int16) - frames[at - 1][0]).mean(2, dtype=np.float32)
    tensor = nn.functional.adaptive_avg_pool2d(torch.from_numpy(apart)[None, None], shape)
    return np.asarray(tensor[0, 0].numpy() > MOVED_LEVELS)


def accuracy(seen: Seen, frames: Sequence[Array], shown: int | None) -> Row:
    """Against dense fp32."""
    moving, held = [], []
    for at in range(1, len(frames)):
        cells = moving_cells(frames, at, seen.dense[at].shape[2:])
        expected = seen.dense[at][0][:, cells]
        moving.append(cosines((seen.given[at][0][:, cells].T,), (expected.T,)))
        held.append(cosines((seen.dense[at - at % HOLD][0][:, cells].T,), (expected.T,)))
    row: Row = {
        "moving_cosine": round(float(np.concatenate(moving).mean()), 4) if sum(map(len, moving)) else None,
        "hold4_cosine": round(float(np.concatenate(held).mean()), 4) if sum(map(len, held)) else None,
        "cosine": round(min(map(cosine, seen.given, seen.dense)), 4),
    }
    metric = LabelIoU() if shown is None else LabelIoU((shown,))
    maps = [[(labels(logits),) for logits in some] for some in (seen.dense, seen.given)]
    try:
        return row | {"iou": round(metric.score(*maps).value, 4)}
    except MetricError:  # nobody is to be seen
        return row | {"iou": None}


def speed(seen: Seen, skip: int = 1) -> Row:
    """Sums over all frames but the first, which is a refresh."""
    total = {name: sum(values[skip:]) for name, values in seen.seconds.items()}
    row: Row = {f"{name}_ms": round(1e3 * total[name] / (len(seen.given) - skip), 2) for name in total}
    dense = [name for name in total if name != "incremental"]
    return row | {f"against_{name}": round(total[name] / total["incremental"], 3) for name in dense}


def described(seen: Seen) -> Row:
    """Shares, paths, bytes."""
    return {
        "frames": len(seen.given),
        "changed": round(float(np.mean(seen.changed[1:])), 4),
        "macs_share": round(float(np.mean(seen.shares[1:])), 4),
        "paths": dict(seen.paths),
        "bytes": seen.cache_bytes,
    }


def good(row: Row, iou: float) -> bool:
    """Whether the bars hold."""
    bars = BARS | {"iou": iou}
    return all(row[name] is None or row[name] >= bar for name, bar in bars.items())


def stretches(clip: Path, begin: int, length: int, most: int) -> list[Array]:
    """Three stretches of so many frames in all, at even distances over ``length`` frames; all, if they are few."""
    each = most // 3
    if length <= most:
        return list(islice(as_clip(str(clip)), begin, begin + length))
    starts = [begin + (2 * part + 1) * length // 6 - each // 2 for part in range(3)]
    wanted = {start + at for start in starts for at in range(each)}
    return [frame for at, frame in enumerate(islice(as_clip(str(clip)), max(wanted) + 1)) if at in wanted]


def clip_row(name: str, clip: Path, most: int, precision: str | None, tolerance: float | None, iou: float) -> Row:
    """One network on one clip."""
    network = NETWORKS[name]
    total = count(clip)
    first, second = (
        [network.prepare(frame) for frame in stretches(clip, half * (total // 2), total // 2, most)] for half in (0, 1)
    )
    runner, engines = made(network, first[:: max(1, len(first) // 8)], precision)
    shown, chosen = class_of(clip.stem), tolerance
    if "indoor" in clip.stem:
        shown = deeplabv3.CLASSES["person"]
    tried = {}
    if chosen is None:
        dense = [engines["fp32"].run([frame])[0] for frame in first]
        for chosen in TOLERANCES:
            runner.tolerance = Tolerance(chosen)
            tried[chosen] = accuracy(run(runner, engines, first, dense), first, shown)
            if good(tried[chosen], iou):
                break
    assert chosen is not None
    runner.tolerance = Tolerance(chosen)
    seen = run(runner, engines, second)
    row = {"clip": clip.stem, "model": name, "precision": precision or "fp32", "tolerance": chosen, "chosen_on": tried}
    return row | speed(seen) | accuracy(seen, second, shown) | described(seen)


def made(network: Network, samples: Sequence[Array], precision: str | None) -> tuple[IncrementalRunner, dict[str, Any]]:
    """The incremental runner with measured costs, and the dense engines; without a precision, those of fp32 only."""
    module, example = network.make().eval(), torch.from_numpy(samples[0].copy())
    found = planned(module, Signature.of((example,), {}))
    calibration = [(sample,) for sample in samples]
    runner = onnx_runner(found, samples=calibration if precision == "int8" else None)
    runner.costs = measure_segments(runner, [samples[0]])
    return runner, dense_engines(module, (example,), calibration if precision else ())


def dirt_rows(name: str, clip: Path, dirts: Sequence[float], frames: int) -> list[Row]:
    """Known change, exact."""
    network = NETWORKS[name]
    still = np.ascontiguousarray(network.prepare(next(iter(as_clip(str(clip))))))
    runner, engines = made(network, [still], None)
    rows, rng = [], np.random.default_rng(0)
    height, width = still.shape[1:3]
    for dirt in dirts:
        dirty, rows_high = [], round(height * dirt**0.5)
        columns = round(width * dirt**0.5)
        for _ in range(frames):
            still = still.copy()
            top, left = (int(rng.integers(0, more + 1)) for more in (height - rows_high, width - columns))
            patch = rng.integers(0, 256, (1, rows_high, columns, 3), np.uint8)
            still[:, top : top + rows_high, left : left + columns] = patch
            dirty.append(still)
        seen = run(runner, engines, dirty)
        errors = [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(seen.given, seen.dense, strict=True)]
        row = {"clip": clip.stem, "model": name, "dirt": dirt, "error": max(errors)}
        rows.append(row | speed(seen) | described(seen))
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="this clip only; nothing is written")
    parser.add_argument("--model", choices=NETWORKS, default="deeplabv3")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="of the incremental network")
    parser.add_argument("--fp32", action="store_true", help="leave dense int8 out")
    parser.add_argument("--tolerance", type=float, help="without it, chosen on the first half")
    parser.add_argument("--iou", type=float, default=BARS["iou"], help="wanted where the tolerance is chosen")
    parser.add_argument("--dirt", help="shares of the picture that are replaced on each frame: 0.02,0.1")
    parser.add_argument("--frames", type=int, default=60, help="at most, of each half")
    parser.add_argument("--json", action="store_true", help="print a list")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    precision = None if options.fp32 else options.precision
    for clip in [options.clip] if options.clip else CLIPS:
        if options.dirt:
            rows += dirt_rows(options.model, clip, [float(dirt) for dirt in options.dirt.split(",")], options.frames)
        else:
            rows.append(clip_row(options.model, clip, options.frames, precision, options.tolerance, options.iou))
        if not options.json:
            print(json.dumps(rows[-1], indent=1), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))
    if not options.clip:
        write("incremental", rows, bars=BARS, moved_levels=MOVED_LEVELS, hold=HOLD)


if __name__ == "__main__":
    main()
