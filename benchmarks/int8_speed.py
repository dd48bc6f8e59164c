"""What does int8 bring: how much faster, how much smaller, how true to fp32?

ResNet-18 (random weights, for its time), MobileNetV2, EfficientNet-Lite0 and ViT-S/14 at 518² (real weights). Of the
photographs, sorted by name, those at even places calibrate and those at odd places test: agreement is that of the class
with fp32's, and for the ViT, which has no classes, the mean cosine of the features. Batch 1, one thread. Every round
runs eager PyTorch, channels_last, ONNX Runtime fp32 and int8 once, in random order; times are CPU seconds of the one
thread that runs everything, `wall_ratio` is by the clock. Bars: a geometric mean over the three convolutional networks
of at least 3.0 × eager and 1.4 × ONNX Runtime fp32, agreement of the real ones at least 0.95; for the ViT 1.25 × ONNX
Runtime fp32 and a cosine of at least 0.99, or it is labelled `smaller, not faster`.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from PIL import Image
from rich.progress import track

from adaedge.builder.subgraphs import export
from adaedge.bundle.frames import prepare
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.engine import OnnxEngine
from adaedge.levels.precision import Metric, Quantised, cosine, quantise, same_class
from adaedge.levels.precision.preparation import prepared
from adaedge.models import Model, load
from benchmarks import result
from benchmarks.timing import Arms, spread, timed

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
BARS = {"eager": 3.0, "onnxruntime_fp32": 1.4, "agreement": 0.95, "vit": 1.25, "cosine": 0.99}
SMALLER = "smaller, not faster"
ARMS = ("eager", "channels_last", "onnxruntime_fp32", "onnxruntime_int8")


@dataclass(frozen=True)
class Case:
    """A network, and how it is judged."""

    name: str
    weights: str | None = None
    model_args: dict[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    metric: Metric | None = same_class
    photographs: int = 500
    rounds: int = 150


CASES = (
    Case("timm:resnet18", metric=None, photographs=16),
    Case(
        "timm:mobilenetv2_100",
        "mobilenetv2_100-imagenet-qat.safetensors",
        {"pad_type": "same"},
        Preprocessing(interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3),
    ),
    Case("timm:efficientnet_lite0"),
    Case(
        "timm:vit_small_patch14_dinov2",
        "vit_small_patch14_dinov2-fp16.safetensors",
        {"img_size": 518, "num_classes": 0},
        Preprocessing(size=(518, 518), crop=1.0),
        metric=cosine,
        photographs=48,
        rounds=20,
    ),
)


class Photographs(Sequence[dict[str, np.ndarray]]):
    """Photographs as the model's input, read when they are asked for."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing, name: str) -> None:
        self._paths, self._preprocessing, self._name = paths, preprocessing, name
        self._mean, self._std = (np.array(one, np.float32) for one in (preprocessing.mean, preprocessing.std))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Photographs(self._paths[index], self._preprocessing, self._name)
        with Image.open(self._paths[index]) as image:
            frame = prepare(np.array(image.convert("RGB")), self._preprocessing)
        normal = (frame.astype(np.float32) / 255 - self._mean) / self._std
        return {self._name: np.ascontiguousarray(normal.transpose(0, 3, 1, 2))}


def loaded(case: Case) -> Model:
    weights = DATA / "weights" / case.weights if case.weights else None
    model = load(case.name, weights=weights, model_args=case.model_args, pretrained=case.metric is not None)
    return replace(model, preprocessing=case.preprocessing or model.preprocessing)


def engine(model: ir.Model) -> OnnxEngine:
    """A whole graph, its weights inside, in ONNX Runtime."""
    return OnnxEngine(ir.to_proto(model).SerializeToString(), {}, threads=1)


def agreed(case: Case, fp32: OnnxEngine, int8: OnnxEngine, test: Sequence[Any]) -> dict[str, Any]:
    """Agreement on photographs that did not calibrate."""
    if case.metric is None:
        return {"metric": None, "agreement": None, "tested": 0}
    values = [
        case.metric(*(one.run(list(sample.values()))[0] for one in (fp32, int8)))
        for sample in track(test, f"{case.name}: agreement")
    ]
    return {
        "metric": case.metric.__name__,
        "agreement": round(float(np.mean(values)), 5),
        "tested": len(values),
    } | ({"worst": round(min(values), 5)} if case.metric is cosine else {})


def row_of(case: Case, paths: Sequence[Path], rounds: int) -> dict[str, Any]:
    model = loaded(case)
    image = model.args[0]
    exported = export(model.module, (image,))
    preprocessing = model.preprocessing or Preprocessing()
    spaced = paths[:: max(1, len(paths) // case.photographs)]
    everything = Photographs(spaced, preprocessing, str(exported.graph.inputs[0].name))
    calibrate, test = everything[::2], everything[1::2]
    wanted = 0.0 if case.metric is None else BARS["cosine"] if case.metric is cosine else 0.97
    int8 = quantise(exported, calibrate, wanted=wanted, metric=case.metric)
    # The fastest form of fp32 is what int8 has to beat: batch-norms and padding folded.
    fp32_engine, int8_engine = engine(prepared(exported)), engine(int8.model)
    seconds = raced(model.module, image, fp32_engine, int8_engine, rounds)
    row: dict[str, Any] = {
        "model": case.name,
        "trained": model.trained,
        "input": list(image.shape),
        **agreed(case, fp32_engine, int8_engine, test),
        **described(exported, int8, len(calibrate)),
        **{f"{arm}_s": spread(seconds[arm][0]) for arm in ARMS},
    }
    for arm in ARMS[:3]:
        ratios = [np.median(seconds[arm][clock]) / np.median(seconds["onnxruntime_int8"][clock]) for clock in (0, 1)]
        row[f"against_{arm}"], row[f"wall_ratio_{arm}"] = (round(float(ratio), 3) for ratio in ratios)
    row["label"] = "" if row["against_onnxruntime_fp32"] > 1 else SMALLER
    return row


def described(exported: ir.Model, int8: Quantised, calibrated: int) -> dict[str, Any]:
    fp32_bytes, int8_bytes = (len(ir.to_proto(one).SerializeToString()) for one in (exported, int8.model))
    return {
        "scheme": int8.scheme,
        "kept_fp32": list(int8.kept_fp32),
        "calibrated": calibrated,
        "fp32_bytes": fp32_bytes,
        "int8_bytes": int8_bytes,
    }


def raced(module: Any, image: torch.Tensor, fp32: OnnxEngine, int8: OnnxEngine, rounds: int) -> dict[str, np.ndarray]:
    """Every arm in one interleaved run."""
    array, last = image.numpy(), image.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(module).to(memory_format=torch.channels_last)
    arms: Arms = {
        "eager": lambda: module(image),
        "channels_last": lambda: plain(last),
        "onnxruntime_fp32": lambda: fp32.run([array]),
        "onnxruntime_int8": lambda: int8.run([array]),
    }
    with torch.inference_mode():
        return timed(arms, rounds, warm_up=min(10, rounds))


def verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The bars, each with what was found."""
    networks, (vit,) = rows[:-1], rows[-1:]
    means = {
        arm: round(math.exp(float(np.mean([math.log(row[f"against_{arm}"]) for row in networks]))), 3)
        for arm in ("eager", "onnxruntime_fp32")
    }
    agreements = [row["agreement"] for row in networks if row["agreement"] is not None]
    return {
        "geometric_mean": means,
        "fast_enough": all(means[arm] >= BARS[arm] for arm in means),
        "true_enough": min(agreements) >= BARS["agreement"],
        "vit": (vit["against_onnxruntime_fp32"] >= BARS["vit"] and vit["agreement"] >= BARS["cosine"])
        or vit["label"] == SMALLER,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="three rounds of one model, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    paths = sorted((DATA / "images").glob("*.JPEG"))
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES[:1] if options.smoke else CASES:
            rows.append(row_of(case, paths, 3 if options.smoke else case.rounds))
            print({key: value for key, value in rows[-1].items() if not key.endswith("_s")}, flush=True)
    if options.smoke:
        return
    found = verdict(rows)
    print(found)
    split = "sorted by name; even places calibrate, odd places test; for fewer than 500 every k-th is taken first"
    result.write("int8_speed", rows, bars=BARS, found=found, split=split, threads=1, batch=1)


if __name__ == "__main__":
    main()
