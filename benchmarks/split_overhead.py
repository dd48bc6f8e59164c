"""What does it cost to run head and tail instead of the whole model?

Three models, three split points each, batch 1, one thread, in PyTorch (against the eager model) and in ONNX Runtime
(against the same bundle's whole graph). Every round runs every arm of a model once, in random order, so that a machine
whose speed drifts slows all arms alike. Times are CPU seconds of the one thread that runs everything, so that other
processes do not count; `wall_ratio` is by the clock on the wall. Bar: head + tail take at most 1.02 times the whole.
The interval is a bootstrap's over rounds, 95 %.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import torch
from rich.progress import track

from adaedge.builder import Space, build
from adaedge.graph import Splittable
from adaedge.models import Model, load
from benchmarks import result
from benchmarks.timing import Arms, spread, timed

POINTS = {
    "timm:resnet18": ("layer1", "layer2", "layer3"),
    "timm:mobilenetv2_100": ("blocks.1", "blocks.3", "blocks.5"),
    "timm:vit_tiny_patch16_224": ("blocks.2", "blocks.5", "blocks.8"),
}
BAR = 1.02


def torch_arms(model: Model, points: tuple[str, ...]) -> Arms:
    """The eager model, and its halves."""
    split = Splittable(model.module, model.args, model.kwargs)
    arms: Arms = {"whole": lambda: model.module(*model.args)}
    for name in points:
        head, tail = split.at(name)
        arms[name] = lambda head=head, tail=tail: tail(*head(*model.args))
    return arms


def onnx_arms(model: Model, points: tuple[str, ...]) -> Arms:
    """The whole graph of a bundle, and its halves."""
    bundle = build(model.module, model.args, Space(splits=points), name=model.name, trained=False)
    inputs = tuple(arg.numpy() for arg in model.args)
    whole = bundle.head("output")
    arms: Arms = {"whole": lambda: whole.run(inputs)}
    for name in points:
        head, tail = bundle.head(name), bundle.tail(name)
        arms[name] = lambda head=head, tail=tail: tail.run(head.run(inputs))
    return arms


def row(model: str, engine: str, name: str, halves: np.ndarray, whole: np.ndarray) -> dict[str, Any]:
    """One split point: medians, spread, and the ratio with its interval."""
    wall_ratio = float(np.median(halves[1]) / np.median(whole[1]))
    halves, whole = halves[0], whole[0]
    rounds = np.random.default_rng(0).integers(0, len(whole), (2000, len(whole)))
    ratios = np.median(halves[rounds], axis=1) / np.median(whole[rounds], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    ratio = float(np.median(halves) / np.median(whole))
    return {
        "model": model,
        "engine": engine,
        "split": name,
        "whole_s": spread(whole),
        "halves_s": spread(halves),
        "ratio": round(ratio, 4),
        "ratio_low": round(float(low), 4),
        "ratio_high": round(float(high), 4),
        "wall_ratio": round(wall_ratio, 4),
        "within_bar": ratio <= BAR,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--engines", default="torch,onnx")
    parser.add_argument("--smoke", action="store_true", help="few rounds of one model, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = 3 if options.smoke else options.rounds
    names = list(POINTS)[1:2] if options.smoke else list(POINTS)
    makers = {"torch": torch_arms, "onnx": onnx_arms}
    engines = options.engines.split(",")
    rows = []
    for name, engine in track([(name, engine) for name in names for engine in engines], "models × engines"):
        torch.manual_seed(0)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds = timed(makers[engine](load(name, pretrained=False), POINTS[name]), rounds)
        rows += [row(name, engine, split, seconds[split], seconds["whole"]) for split in POINTS[name]]
        for entry in rows[-3:]:
            print(
                entry["model"],
                engine,
                entry["split"],
                entry["ratio"],
                [entry["ratio_low"], entry["ratio_high"]],
                flush=True,
            )
    within = sum(entry["within_bar"] for entry in rows)
    print(f"{within} of {len(rows)} within {BAR}; worst {max(entry['ratio'] for entry in rows)}")
    if not options.smoke:
        result.write("split_overhead", rows, bar=BAR, rounds=rounds, threads=1, batch=1, within_bar=within)


if __name__ == "__main__":
    main()
