"""What a terminal does not need is not imported before it is used."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from benchmarks.tiny_bundle import tiny_bundle

LAZY = ["adaedge.channel", "adaedge.energy", "adaedge.payload", "adaedge.runtime", "adaedge.scheduling"]
THIRD_PARTY = [
    "torch",
    "onnx",
    "cryptography",
    "av",
    "safetensors",
    "threadpoolctl",
    "rich",
    "typer",
    "tempfile",
    "grpc",
]
THIRD_PARTY += ["PIL.JpegImagePlugin", "PIL.WebPImagePlugin", "PIL.AvifImagePlugin"]
OURS = [
    "stream.incremental",
    "scheduling.bandit",
    "scheduling.robust_mpc",
    "profiling",
    "metrics",
    "simulation",
    "report",
    "cli",
    "energy.calibration",
    "energy.presets",
]
OURS += [f"payload.{name}" for name in ("jpeg", "latent", "image_codecs", "range_coder", "video")]
OURS += [f"runtime.{name}" for name in ("edge_session", "server", "session", "emulated_links", "sources")]
OURS += [f"channel.{name}" for name in ("allocation", "propagation", "synthesis", "trace_files", "trace")]

# A frame is answered locally by way of a terminal whose edge server does not answer.
TERMINAL = """
import sys
import numpy as np
from adaedge import Bundle, Cost, GrpcLink, OperatingPoint, Profile, Scheduler, Terminal
from adaedge.energy import ComputePower, EnergyModel, RadioPower
bundle, local = Bundle.load(sys.argv[1]), OperatingPoint("output")
offload = OperatingPoint("relu", codec="u8")
costs = {local: Cost(0.01), offload: Cost(0.01, payload_bytes=100, finish_s=0.01)}
energy = EnergyModel(ComputePower(1), RadioPower(""))
scheduler = Scheduler(Profile(costs, bundle.digest, "", ""), energy, deadline_s=10)
with Terminal(bundle, scheduler, GrpcLink("localhost:1", token="none", insecure=True), preload=True) as terminal:
    result = terminal.infer(np.zeros((48, 64, 3), np.uint8))
assert result.decision.point == local and result.output[0].shape == (1, 10), result
print(*sys.modules)
"""


def test_a_terminal_answers_without_what_it_does_not_need(tmp_path):
    tiny_bundle().save(tmp_path / "tiny.bundle")
    command = [sys.executable, "-W", "ignore", "-c", TERMINAL, tmp_path / "tiny.bundle"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"adaedge.bundle.bundle", "adaedge.runtime.terminal", "numpy", "onnxruntime"} <= loaded
    assert not loaded & {*THIRD_PARTY, *(f"adaedge.{name}" for name in OURS)}


def test_what_must_come_late_exists():
    for name in [*THIRD_PARTY, *(f"adaedge.{name}" for name in OURS)]:
        assert importlib.util.find_spec(name), f"{name} is gone: nothing is said by its absence"


@pytest.mark.parametrize("package", LAZY)
def test_each_name_is_found_and_listed(package):
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is vars(module)[name]


@pytest.mark.parametrize("package", LAZY)
def test_a_name_that_is_not_there_is_refused(package):
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=rf"^{package} has no 'Trase'; it has: ") as caught:
        module.Trase  # noqa: B018
    listed = str(caught.value).partition("it has: ")[2].split(", ")
    assert listed == sorted(module.__all__)


def test_a_module_is_imported_when_its_name_is_first_used():
    program = """
import sys, adaedge.runtime
assert "adaedge.runtime.server" not in sys.modules and "server" not in vars(adaedge.runtime)
from adaedge.runtime import EdgeServer, server
assert server.EdgeServer is EdgeServer is vars(adaedge.runtime)["EdgeServer"]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
