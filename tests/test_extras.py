"""What is missing says which extra brings it: from Python, and from the command line.

A package is made missing in a process of its own: ``sys.modules[name] = None`` is how Python says that it is not there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adaedge.energy import EnergySplit
from adaedge.errors import AdaedgeError, MissingExtraError
from adaedge.extras import EXTRAS, explained, load, require
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.runtime import FrameRecord, write_records
from adaedge.runtime.record import Measurement

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def record(tmp_path):
    """A run of three local frames, as `adaedge run --record` writes it."""
    decision = Decision(OperatingPoint("output"), 0.02, 0.1, 0.96)
    measurement = Measurement(0.02, energy=EnergySplit(compute_j=0.1), compute_s=0.01)
    path = tmp_path / "run.jsonl"
    write_records([FrameRecord(index, 0.1 * index, 0.1, decision, measurement) for index in range(3)], path)
    return path


def without(packages, program, *arguments):
    banned = f"import sys\nfor name in {list(packages)!r}: sys.modules[name] = None\n"
    command = [sys.executable, "-c", banned + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def command_without(packages, *arguments):
    """The words of a command that fails where the packages are missing."""
    done = without(packages, "from adaedge.cli import main\nmain()", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


IMPORTED = {"grpcio_health_checking": "grpc_health"}


def names(requirements):
    """Of packages, as they are imported: without the bounds of their versions."""
    found = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in requirements}
    return {IMPORTED.get(name, name) for name in found}


def test_the_table_is_that_of_the_project():
    extras = ("prepare", "report", "metrics", "openvino", "hub", "ray")
    listed = {package: extra for extra in extras for package in names(_extra(extra))}
    assert listed == EXTRAS
    assert not names(PYPROJECT["dependencies"]) & set(EXTRAS)


def test_an_extra_holds_those_that_it_needs():
    assert "adaedge[prepare,report]" in _extra("demo")
    assert "adaedge[demo]" in _extra("benchmarks")
    assert {"adaedge[demo]", "adaedge[metrics]", "adaedge[openvino]", "adaedge[hub]"} <= {*_extra("dev")}


def _extra(name):
    return PYPROJECT["optional-dependencies"][name]


@pytest.mark.parametrize("name", ["AnalogBottleneck", "Bottleneck", "Elastic", "Space", "Splittable", "build"])
def test_a_public_name_says_what_it_needs(name):
    program = f"""
import adaedge
from adaedge.errors import MissingExtraError
try:
    from adaedge import {name}
except ImportError as error:
    assert isinstance(error, MissingExtraError)
    print(error.name, error, sep=": ")
"""
    done = without(["torch"], program)
    assert done.stdout == (
        f"torch: adaedge.{name} needs torch, which is not installed here."
        " Install it with `pip install 'adaedge[prepare]'`.\n"
    )


def test_a_name_without_its_extra_is_not_listed():
    program = """
import inspect, adaedge
assert "Splittable" in adaedge.__all__ and "Splittable" not in dir(adaedge)
assert {"Bundle", "Terminal", "profile"} <= {name for name, _ in inspect.getmembers(adaedge)}
assert not hasattr(adaedge, "Splitable")
"""
    done = without(["torch"], program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", ["models", "graph", "levels", "bottleneck", "distillation", "builder"])
def test_a_part_below_the_line_says_what_it_needs(part):
    done = without(["torch"], f"import adaedge.{part}")
    assert done.stderr.endswith(
        "MissingExtraError: what prepares models needs torch, which is not installed here."
        " Install it with `pip install 'adaedge[prepare]'`.\n"
    )


@pytest.mark.parametrize("package", ["torch", "timm", "matplotlib"])
def test_the_demo_names_the_extra_that_brings_all_of_it(package):
    text = f"the demo needs {package}, which is not installed here. Install it with `pip install 'adaedge[demo]'`.\n"
    assert without([package], "import adaedge.demo").stderr.endswith(text)
    assert command_without([package], "demo") == f"error: {text}"


def test_the_demo_asks_for_nothing_that_its_extra_does_not_bring():
    """An engine, a hub or a cluster that is not installed keeps nobody from the demo."""
    (own,) = [line for line in PYPROJECT["optional-dependencies"]["demo"] if line.startswith("adaedge[")]
    brought = own.removeprefix("adaedge[").removesuffix("]").split(",")
    others = [package for package, extra in EXTRAS.items() if extra not in brought]
    assert others
    assert without(others, "import adaedge.demo").returncode == 0


def test_a_command_that_prepares_models_says_what_it_needs(tmp_path):
    text = "needs {}, which is not installed here. Install it with `pip install 'adaedge[prepare]'`.\n"
    inspect = ("inspect", "timm:resnet10t")
    build = ("build", "timm:resnet10t", "-o", tmp_path / "a.bundle")
    assert command_without(["torch"], *inspect) == "error: what prepares models " + text.format("torch")
    assert command_without(["timm"], *inspect) == "error: timm:resnet10t " + text.format("timm")
    assert command_without(["torch"], *build) == "error: what prepares models " + text.format("torch")
    assert command_without(["onnx"], *build) == "error: this command " + text.format("onnx")


def test_a_report_says_what_it_needs(tmp_path, record):
    page = tmp_path / "report.html"
    said = command_without(["matplotlib"], "report", record, "-o", page)
    assert said == (
        "error: a report needs matplotlib, which is not installed here. Install it with"
        " `pip install 'adaedge[report]'`.\n"
    )
    assert not page.exists()


def test_a_report_needs_nothing_that_prepares_models(tmp_path, record):
    page = tmp_path / "report.html"
    packages = [package for package, extra in EXTRAS.items() if extra == "prepare"]
    done = without(packages, "from adaedge.cli import main\nmain()", "report", record, "-o", page)
    assert done.returncode == 0, done.stderr
    assert "<svg" in page.read_text(encoding="utf-8")


def test_what_no_extra_brings_stays_as_it_is():
    foreign = ModuleNotFoundError("No module named 'nothing'", name="nothing")
    assert explained(foreign, "adaedge.build") is foreign
    # An old torch is there, and a part of it is not: to install it would not help.
    old = ModuleNotFoundError("No module named 'torch.export'", name="torch.export")
    assert explained(old, "adaedge.build") is old
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'adaedge\.nothing'$") as caught:
        load("adaedge.nothing", "this")
    assert not isinstance(caught.value, MissingExtraError)


def test_a_package_that_is_installed_is_not_required_again():
    require("torch", "this")
    assert "torch" in EXTRAS
    assert issubclass(MissingExtraError, AdaedgeError)
