"""What does it cost to run head and tail instead of the whole model?

Three models, three split points each, batch 1, one thread, in PyTorch (against the eager model) and in ONNX Runtime
(against the same bundle's whole graph). Every round runs every arm of a model once, in random order, so that a machine
whose speed drifts slows all arms alike. Times are CPU seconds of the one thread that runs everything, so that other
processes do not count; `wall_ratio` is by the clock on the wall. Where a process happens to put weights and buffers in
memory moves a ratio by one or two per cent for as long as it lives, however many rounds are run (Mytkowicz et al.,
"Producing Wrong Data Without Doing Anything Obviously Wrong", ASPLOS 2009), so every model is measured in several fresh
processes, and the median of their ratios counts. Bar: head + tail take at most 1.02 times the whole.
"""

from __future__ import annotations

import argparse
import random
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
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
CPU, WALL = 0, 1
"""The clocks that `timed` reads."""
Seconds = dict[str, np.ndarray]


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


def measure(model: str, engine: str, rounds: int) -> Seconds:
    """The seconds of every arm of one model in one engine, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arms = {"torch": torch_arms, "onnx": onnx_arms}[engine](load(model, pretrained=False), POINTS[model])
        return timed(arms, rounds)


def row(model: str, engine: str, name: str, processes: list[Seconds]) -> dict[str, Any]:
    """One split point: medians and spread of all rounds, the ratio's median over the processes, and its range."""
    ratios, wall_ratios = (
        [float(np.median(seconds[name][clock]) / np.median(seconds["whole"][clock])) for seconds in processes]
        for clock in (CPU, WALL)
    )
    ratio = float(np.median(ratios))
    return {
        "model": model,
        "engine": engine,
        "split": name,
        "whole_s": spread(np.concatenate([seconds["whole"][CPU] for seconds in processes])),
        "halves_s": spread(np.concatenate([seconds[name][CPU] for seconds in processes])),
        "ratio": round(ratio, 4),
        "ratio_of_each_process": [round(one, 4) for one in sorted(ratios)],
        "wall_ratio": round(float(np.median(wall_ratios)), 4),
        "within_bar": ratio <= BAR,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=100, help="in each process")
    parser.add_argument("--engines", default="torch,onnx")
    parser.add_argument("--smoke", action="store_true", help="few rounds of one model, nothing written")
    options = parser.parse_args()
    processes, rounds = (2, 3) if options.smoke else (options.processes, options.rounds)
    names = list(POINTS)[1:2] if options.smoke else list(POINTS)
    pairs = [(name, engine) for name in names for engine in options.engines.split(",")]
    found: dict[tuple[str, str], list[Seconds]] = {pair: [] for pair in pairs}
    order = random.Random(0).sample(pairs * processes, len(pairs) * processes)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for pair in track(order, "models × engines × processes"):
            found[pair].append(pool.submit(measure, *pair, rounds).result())
    rows = [row(*pair, split, found[pair]) for pair in pairs for split in POINTS[pair[0]]]
    for entry in rows:
        print(entry["model"], entry["engine"], entry["split"], entry["ratio"], entry["ratio_of_each_process"])
    within = sum(entry["within_bar"] for entry in rows)
    print(f"{within} of {len(rows)} within {BAR}; worst {max(entry['ratio'] for entry in rows)}")
    if not options.smoke:
        settings = {"bar": BAR, "processes": processes, "rounds": rounds, "threads": 1, "batch": 1}
        result.write("split_overhead", rows, **settings, within_bar=within)


if __name__ == "__main__":
    main()
