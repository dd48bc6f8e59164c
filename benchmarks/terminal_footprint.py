"""What does a terminal need: how much memory, and how long until its first answer?

A bundle of EfficientNet-Lite0 is built and profiled in one process, and an edge server answers from it in this one.
Then a fresh process, as a terminal would start it, loads the bundle, makes a `Terminal` with its scheduler and its link
(TLS, a token) and answers a frame: at home, for the edge server is reached beside it. Once it is, 20 more frames are
offloaded. Bars, medians: at most 160 MB resident after those; the first answer at most 0.4 s after the process was
started; no torch imported.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import track

from adaedge import Bundle, EdgeServer
from adaedge.runtime import Credentials
from adaedge.runtime.credentials import CERTIFICATE
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
from adaedge.profiling import profile
warnings.simplefilter("ignore")
torch.set_num_threads(1)
model = load("timm:efficientnet_lite0")
space = Space(splits=["{SPLIT}"], codecs=["{CODEC}", "jpeg@90"])
bundle = build(model.module, model.args, space, preprocessing=model.preprocessing, name=model.name)
bundle.save(sys.argv[1])
profile(bundle, repetitions=5).save(sys.argv[1] + ".json")
"""

# Everything that a terminal uses, in the order in which it does: each step's memory and time are told apart.
TERMINAL = f"""
import json, sys, time
start_s, address, certificate, token = float(sys.argv[2]), *sys.argv[3:6]
steps = {{}}

def step(name):
    values = dict(line.split(":", 1) for line in open("/proc/self/status"))
    kilobytes = {{key: int(values[key].split()[0]) for key in ("VmRSS", "VmHWM")}}
    steps[name] = [time.time() - start_s, 1024 * kilobytes["VmRSS"], 1024 * kilobytes["VmHWM"]]

step("interpreter")
import numpy as np
from adaedge.bundle import Bundle, load_in_background
from adaedge.operating_point import OperatingPoint
step("imports of the bundle")
bundle = Bundle.load(sys.argv[1])
load_in_background(bundle, [OperatingPoint("output")])
step("load and verify")
from adaedge import GrpcLink, Profile, Scheduler, Terminal
from adaedge.energy import JETSON_ORIN, NR_DRX, EnergyModel
from adaedge.scheduling import Fixed, LeastEnergy
step("imports of the runtime")
costs = Profile.load(sys.argv[1] + ".json")
least, offload = LeastEnergy(), Fixed(OperatingPoint("{SPLIT}", codec="{CODEC}"))
policy = lambda *frame: (offload if terminal.offloads else least)(*frame)
scheduler = Scheduler(costs, EnergyModel(JETSON_ORIN, NR_DRX), policy=policy, deadline_s=1.0)
terminal = Terminal(bundle, scheduler, GrpcLink(address, certificate=certificate, token=token), preload=False)
step("terminal")
frame = np.zeros((480, 640, 3), np.uint8)
first = terminal.infer(frame)
step("first answer")
while not terminal.offloads:
    time.sleep(0.01)
step("edge server reached")
by = [terminal.infer(frame).measurement.answered_by for _ in range(20)]
step("20 more frames")
assert first.measurement.answered_by == "terminal" and set(by) == {{"edge"}}, (first.measurement, by)
terminal.close()
print(json.dumps({{"steps": steps, "torch": "torch" in sys.modules, "modules": len(sys.modules)}}))
"""


def main() -> None:
    """Build, start terminals one after another, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one process only, nothing written")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--bundle", type=Path, help="a bundle made so, with its profile beside it")
    parser.add_argument("--python", default=sys.executable, help="the terminals' interpreter; this one unless told")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = options.bundle or Path(scratch) / "lite0.bundle"
        if options.bundle is None:
            subprocess.run([sys.executable, "-c", BUILD, str(bundle)], check=True)
        count = 1 if options.smoke else options.repetitions
        with edge_server(bundle, Path(scratch)) as terminal:
            start(
                options.python, *terminal
            )  # warms the disk's cache and writes byte code, as an installed package has it
            runs = [start(options.python, *terminal) for _ in track(range(count), "terminals")]
    rows = [summary(name, [run["steps"][name] for run in runs]) for name in runs[0]["steps"]]
    for row in rows:
        print(
            f"{row['step']:16} {row['since_start_s']:.3f} s  {row['resident_bytes'] / 1e6:6.1f} MB resident"
            f"  {row['peak_bytes'] / 1e6:6.1f} MB peak"
        )
    answered = next(row for row in rows if row["step"] == "first answer")
    met = answered["since_start_s"] <= FIRST_ANSWER_BAR_S and rows[-1]["resident_bytes"] <= RESIDENT_BAR_BYTES
    torch_free = not any(run["torch"] for run in runs)
    print(f"no torch imported: {torch_free}; bars: {'met' if met and torch_free else 'MISSED'}")
    if not options.smoke:
        bars = {"resident_bar_bytes": RESIDENT_BAR_BYTES, "first_answer_bar_s": FIRST_ANSWER_BAR_S}
        settings = {"repetitions": options.repetitions, "threads": 1, "split": SPLIT, "codec": CODEC}
        write("terminal_footprint", rows, **settings, **bars, met=met, torch_free=torch_free)


@contextmanager
def edge_server(bundle: Path, scratch: Path) -> Iterator[tuple[str, ...]]:
    """An edge server of this process; gives what a terminal has to be told: bundle, address, certificate, token."""
    credentials = Credentials.create()
    certificate = scratch / CERTIFICATE
    certificate.write_bytes(credentials.certificate)
    with EdgeServer(Bundle.load(bundle), credentials=credentials) as server:
        server.preload()
        yield str(bundle), server.address, str(certificate), credentials.token


def start(python: str, bundle: str, *edge: str) -> dict:
    """One terminal: what it measured of itself."""
    command = [python, "-c", TERMINAL, bundle, str(time.time()), *edge]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
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
