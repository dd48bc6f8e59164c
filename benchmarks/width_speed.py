"""How much faster is a narrower level, per halving of its MACs?

ResNet-18 and MobileNetV2 at widths 1, 0.75, 0.5 and 0.25; batch 1, one thread. Every round runs every level in every
engine once, in random order: eager PyTorch (the level as it stands in the shared memory), channels_last (extracted),
ONNX Runtime fp32 and int8 (calibrated on random images: for its time only). MobileNetV2 a second time with channels in
multiples of 16, and for comparison its own narrower versions, which were designed by hand in multiples of 8. Times are
CPU seconds of the one thread that runs everything. The speed-up per halving is
(t(1)/t(w))^(1/log2(MACs(1)/MACs(w))). Bars: at least 1.7 for resnet18 and 1.55 for mobilenetv2_100, in eager PyTorch
and in ONNX Runtime fp32.
"""

from __future__ import annotations

import argparse
import copy
import math
import warnings
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from rich.progress import track
from torch import nn

from adaedge import Elastic
from adaedge.builder.subgraphs import export
from adaedge.engine import OnnxEngine
from adaedge.levels.budget import count_macs
from adaedge.levels.precision import quantise
from adaedge.levels.precision.preparation import prepared
from adaedge.models import load
from benchmarks import result
from benchmarks.timing import Arms, spread, timed

BARS = {"timm:resnet18": 1.7, "timm:mobilenetv2_100": 1.55}
WIDTHS = (1.0, 0.75, 0.5, 0.25)
MULTIPLES = {"timm:mobilenetv2_100": (1, 16)}
DESIGNED = {"timm:mobilenetv2_100": ("timm:mobilenetv2_075", "timm:mobilenetv2_050", "timm:mobilenetv2_035")}
ENGINES = ("eager", "channels_last", "onnxruntime_fp32", "onnxruntime_int8")
JUDGED = ("eager", "onnxruntime_fp32")


def arms_of(name: str, level: nn.Module, extracted: nn.Module, image: torch.Tensor) -> Arms:
    """One network in every engine."""
    plain = copy.deepcopy(extracted).to(memory_format=torch.channels_last)
    last = image.to(memory_format=torch.channels_last)
    model = export(extracted, (image,))
    samples = [{str(model.graph.inputs[0].name): torch.rand(image.shape).numpy()} for _ in range(8)]
    fp32 = engine(prepared(model))  # batch-norms folded, as in a bundle's graph
    int8 = engine(quantise(model, samples, wanted=0.0).model)
    return {
        f"{name} eager": lambda: level(image),
        f"{name} channels_last": lambda: plain(last),
        f"{name} onnxruntime_fp32": lambda: fp32.run([image.numpy()]),
        f"{name} onnxruntime_int8": lambda: int8.run([image.numpy()]),
    }


def engine(model: ir.Model) -> OnnxEngine:
    """A whole graph, its weights inside, in ONNX Runtime."""
    return OnnxEngine(ir.to_proto(model).SerializeToString(), {}, threads=1)


def rows_of(name: str, rounds: int) -> list[dict[str, Any]]:
    """The levels of a network, and its designed versions, against its full width."""
    model = load(name, pretrained=False)
    image = model.args[0]
    arms: Arms = {}
    macs: dict[str, int] = {}
    for multiple in MULTIPLES.get(name, (1,)):
        elastic = Elastic(model.module, model.args, WIDTHS, multiple=multiple)
        for width in WIDTHS if multiple == 1 else WIDTHS[1:]:
            level = f"width {width:g}" + f", multiples of {multiple}" * (multiple > 1)
            arms |= arms_of(level, elastic.level(width), elastic.extract(width), image)
            macs[level] = elastic.macs(width)
    for designed in DESIGNED.get(name, ()):
        net = load(designed, pretrained=False).module
        arms |= arms_of(designed, net, net, image)
        macs[designed] = int(count_macs(net, model.args, {}))
    with torch.inference_mode():
        seconds = {arm: found[0] for arm, found in timed(arms, rounds).items()}
    return [row_of(name, level, macs, seconds) for level in macs]


def row_of(name: str, level: str, macs: dict[str, int], seconds: dict[str, np.ndarray]) -> dict[str, Any]:
    halvings = math.log2(macs["width 1"] / macs[level])
    row: dict[str, Any] = {"model": name, "level": level, "macs": macs[level], "halvings": round(halvings, 3)}
    for arm in ENGINES:
        found = spread(seconds[f"{level} {arm}"])
        row[f"{arm}_s"] = found
        if halvings:
            ratio = spread(seconds[f"width 1 {arm}"])["median"] / found["median"]
            row[f"{arm}_per_halving"] = round(ratio ** (1 / halvings), 3)
    if halvings:
        row["within_bar"] = all(row[f"{arm}_per_halving"] >= BARS[name] for arm in JUDGED)
    print({key: value for key, value in row.items() if not key.endswith("_s")}, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--smoke", action="store_true", help="two rounds of one model, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = list(BARS)[1:] if options.smoke else list(BARS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [row for name in track(names, "models") for row in rows_of(name, 2 if options.smoke else options.rounds)]
    if not options.smoke:
        result.write("width_speed", rows, bars=BARS, rounds=options.rounds, threads=1, batch=1)


if __name__ == "__main__":
    main()
