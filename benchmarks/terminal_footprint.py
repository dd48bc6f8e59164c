"""What does a terminal need: how much memory, and how long until its first answer?

A bundle of EfficientNet-Lite0 is built in one process. Then a fresh one, as a terminal would start it, loads the bundle
with the whole model and one head, imports the runtime with gRPC while the whole model is opened, as `adaedge run` does,
and answers a frame. Bars, medians: after the
first answer at most 160 MB resident, that answer at most 0.4 s after the process was started; no torch imported.
``--python`` names the interpreter of an environment that the project is installed in as on a terminal (`make
test-terminal` makes one): the editable install of a developer looks for every module in one more place.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.progress import track

from benchmarks.result import write

RESIDENT_BAR_BYTES = 160e6
FIRST_ANSWER_BAR_S = 0.4
SPLIT = "blocks.3"
CODEC = "u4+zstd"

BUILD = f"""
import sys, warnings
import torch
from adaedge.builder import Space, build
from adaedge.models import load
warnings.simplefilter("ignore")
torch.set_num_threads(1)
model = load("timm:efficientnet_lite0")
space = Space(splits=["{SPLIT}"], codecs=["{CODEC}", "jpeg@90"])
build(model.module, model.args, space, preprocessing=model.preprocessing, name=model.name).save(sys.argv[1])
"""

# Everything that a terminal uses, in the order in which it does: each step's memory and time are told apart.
TERMINAL = f"""
import json, sys, time
start_s = float(sys.argv[2])
steps = {{}}

def step(name):
    values = dict(line.split(":", 1) for line in open("/proc/self/status"))
    kilobytes = {{key: int(values[key].split()[0]) for key in ("VmRSS", "VmHWM")}}
    steps[name] = [time.time() - start_s, 1024 * kilobytes["VmRSS"], 1024 * kilobytes["VmHWM"]]

step("interpreter")
import numpy as np
from adaedge.bundle import Bundle, open_aside
from adaedge.operating_point import OperatingPoint
step("imports of the bundle")
bundle = Bundle.load(sys.argv[1])
open_aside(bundle, [OperatingPoint("output")])
step("load and verify")
from adaedge import GrpcLink, Scheduler, Terminal
import grpc
step("imports of the runtime")
head, whole = bundle.head("{SPLIT}"), bundle.head("output")
step("engines")
frame = np.zeros((480, 640, 3), np.uint8)
inputs = (bundle.preprocess(frame),)
(answer,) = bundle.run(OperatingPoint("output"), inputs)
step("first answer")
payload = bundle.encode(OperatingPoint("{SPLIT}", codec="{CODEC}"), head.run(inputs))
for _ in range(20):
    whole.run(inputs), head.run(inputs)
step("20 more frames")
assert answer.shape == (1, 1000)
print(json.dumps({{"steps": steps, "torch": "torch" in sys.modules, "modules": len(sys.modules)}}))
"""


def main() -> None:
    """Build, start terminals one after another, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one process only, nothing written")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--bundle", type=Path, help="a bundle of EfficientNet-Lite0 with that split point")
    parser.add_argument("--python", default=sys.executable, help="the terminals' interpreter; this one unless told")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = options.bundle or Path(scratch) / "lite0.bundle"
        if options.bundle is None:
            subprocess.run([sys.executable, "-c", BUILD, str(bundle)], check=True)
        start(bundle, options.python)  # warms the disk's cache and writes byte code, as an installed package has it
        runs = [
            start(bundle, options.python)
            for _ in track(range(1 if options.smoke else options.repetitions), "terminals")
        ]
    rows = [summary(name, [run["steps"][name] for run in runs]) for name in runs[0]["steps"]]
    for row in rows:
        print(
            f"{row['step']:16} {row['since_start_s']:.3f} s  {row['resident_bytes'] / 1e6:6.1f} MB resident"
            f"  {row['peak_bytes'] / 1e6:6.1f} MB peak"
        )
    answered = next(row for row in rows if row["step"] == "first answer")
    met = answered["since_start_s"] <= FIRST_ANSWER_BAR_S and answered["resident_bytes"] <= RESIDENT_BAR_BYTES
    torch_free = not any(run["torch"] for run in runs)
    print(f"no torch imported: {torch_free}; bars: {'met' if met and torch_free else 'MISSED'}")
    if not options.smoke:
        bars = {"resident_bar_bytes": RESIDENT_BAR_BYTES, "first_answer_bar_s": FIRST_ANSWER_BAR_S}
        settings = {"repetitions": options.repetitions, "threads": 1, "split": SPLIT, "codec": CODEC}
        write("terminal_footprint", rows, **settings, **bars, met=met, torch_free=torch_free)


def start(bundle: Path, python: str) -> dict:
    """One terminal: what it measured of itself."""
    command = [python, "-c", TERMINAL, str(bundle), str(time.time())]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def summary(name: str, values: list[list[float]]) -> dict:
    """Medians of one step over all processes, and the spread of its time."""
    seconds, resident, peak = (sorted(column) for column in zip(*values, strict=True))
    return {
        "step": name,
        "since_start_s": statistics.median(seconds),
        "since_start_min_s": seconds[0],
        "since_start_max_s": seconds[-1],
        "resident_bytes": statistics.median(resident),
        "peak_bytes": statistics.median(peak),
    }


if __name__ == "__main__":
    main()
