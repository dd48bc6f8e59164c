"""What do many widths cost in memory, on disk, and when one switches between them?

Each model in a fresh process: wrapped at 8 widths, the original deleted. Counted: the bytes of the distinct storages of
all levels' parameters against one model's parameters (bar 1.05), resident memory before and after, the time of setting
`width` (bar 1 ms, 99th percentile), and the first call after a switch against the steady call at that width (bar 1.5,
medians). A bundle with 4 fp32 widths is compared with one model's parameters plus 0.1 MB per graph (bar 1.10).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.progress import track

from benchmarks import result

MODELS = ("timm:resnet18", "timm:mobilenetv2_100", "timm:efficientnet_lite0", "timm:vit_tiny_patch16_224")
SPLITS = {"timm:resnet18": "layer2", "timm:vit_tiny_patch16_224": "blocks.5"}
WIDTHS = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)
GRAPH_BYTES = 0.1e6

CHILD = """
import gc, json, statistics, sys, time, warnings
import numpy as np, psutil, torch
from adaedge import Elastic
from adaedge.models import load
warnings.simplefilter("ignore")
torch.set_num_threads(1)
name, widths, rounds = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
resident = lambda: psutil.Process().memory_info().rss
found = {"resident_before_model": resident()}
model = load(name, pretrained=False)
net, args = model.module, model.args
one = sum(p.numel() * p.element_size() for p in net.parameters())
found |= {"parameter_bytes": one, "resident_with_model": resident()}
with torch.inference_mode():
    net(*args)
found["resident_after_a_run"] = resident()
elastic = Elastic(net, args, widths)
del net, model
gc.collect()
found["resident_with_8_widths"] = resident()
tensors = [p for w in widths for p in elastic.level(w).parameters()]
storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in tensors}
found["unique_parameter_bytes"] = sum(storages.values())
found["statistics_bytes"] = sum(b.numel() * b.element_size() for b in elastic._statistics.buffers())
switch, first, steady = [], {w: [] for w in widths}, {w: [] for w in widths}
order = np.random.default_rng(0)
with torch.inference_mode():
    for turn in range(rounds + 2):
        for width in order.permutation(widths):
            start = time.perf_counter()
            elastic.width = width
            switched = time.perf_counter()
            elastic(*args)
            ran = time.perf_counter()
            elastic(*args)
            again = time.perf_counter()
            if turn >= 2:
                switch.append(switched - start)
                first[width].append(ran - switched)
                steady[width].append(again - ran)
    found["resident_after_running_all"] = resident()
found["switch_s_p99"] = float(np.quantile(switch, 0.99))
found["first_to_steady"] = {str(w): statistics.median(first[w]) / statistics.median(steady[w]) for w in widths}
print(json.dumps(found))
"""

BUNDLE = """
import json, sys, warnings
import torch
from adaedge.builder import Space, build
from adaedge.models import load
warnings.simplefilter("ignore")
model = load(sys.argv[1], pretrained=False)
space = Space(splits=[sys.argv[2]], widths=(1.0, 0.75, 0.5, 0.25), codecs=("u4",))
build(model.module, model.args, space, preprocessing=model.preprocessing, name=model.name).save(sys.argv[3])
"""


def measure(name: str, rounds: int) -> dict[str, object]:
    """One model's row."""
    done = _python(CHILD, name, json.dumps(WIDTHS), str(rounds))
    row = {"model": name, **json.loads(done.splitlines()[-1])}
    row["storage_ratio"] = round(row["unique_parameter_bytes"] / row["parameter_bytes"], 4)
    row["first_to_steady"] = {width: round(ratio, 3) for width, ratio in row["first_to_steady"].items()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "widths.bundle"
        _python(BUNDLE, name, SPLITS.get(name, "blocks.3"), str(folder))
        sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    graphs = [path for path in sizes if path.suffix == ".onnx"]
    row |= {"bundle_bytes": sum(sizes.values()), "bundle_graphs": len(graphs)}
    row["bundle_ratio"] = round(row["bundle_bytes"] / (row["parameter_bytes"] + GRAPH_BYTES * len(graphs)), 4)
    row["within_bar"] = (
        row["storage_ratio"] <= 1.05
        and row["switch_s_p99"] <= 1e-3
        and max(row["first_to_steady"].values()) <= 1.5
        and row["bundle_ratio"] <= 1.10
    )
    return row


def _python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--smoke", action="store_true", help="one model, few rounds, nothing written")
    options = parser.parse_args()
    rows = []
    for name in track(MODELS[:1] if options.smoke else MODELS, "models"):
        rows.append(measure(name, 3 if options.smoke else options.rounds))
        print(rows[-1], flush=True)
    if not options.smoke:
        result.write("many_widths", rows, widths=WIDTHS, rounds=options.rounds, threads=1, batch=1)


if __name__ == "__main__":
    main()
