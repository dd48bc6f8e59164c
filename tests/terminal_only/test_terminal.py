"""What runs on a terminal and an edge server, in an environment that has no torch.

``make test-terminal`` makes the environment, builds a bundle elsewhere and names it in ``ADAEDGE_BUNDLE``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import adaedge
from adaedge.errors import MissingExtraError, PayloadError
from adaedge.extras import EXTRAS

BUNDLE = Path(os.environ["ADAEDGE_BUNDLE"]).resolve()
INSTALL = {extra: f"Install it with `pip install 'adaedge[{extra}]'`." for extra in ("prepare", "report", "demo")}


def command(*arguments):
    done = subprocess.run([sys.executable, "-m", "adaedge", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def failing_command(*arguments):
    done = subprocess.run([sys.executable, "-m", "adaedge", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 2, done.stdout
    return done.stderr


@contextmanager
def edge_server(state):
    arguments = ["serve", str(BUNDLE), "--listen", "127.0.0.1:0", "--state", str(state)]
    process = subprocess.Popen([sys.executable, "-m", "adaedge", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    command("profile", BUNDLE, "--repetitions", 3, "-o", folder / "edge.json")
    command("profile", BUNDLE, "--repetitions", 3, "-o", folder / "joined.json", "--edge", folder / "edge.json")
    return folder / "joined.json"


def test_nothing_is_here_that_an_extra_brings():
    for name in EXTRAS:
        assert importlib.util.find_spec(name) is None


def test_the_public_names_of_the_upper_half_are_here():
    from adaedge import Bundle, EdgeServer, GrpcLink, Profile, Scheduler, Terminal, profile

    for found in (Bundle, EdgeServer, GrpcLink, Profile, Scheduler, Terminal, profile):
        assert found.__module__.startswith("adaedge.")
    assert "site-packages" in adaedge.__file__


def test_a_public_name_of_the_lower_half_says_what_it_needs():
    for name in sorted(set(adaedge.__all__) - set(dir(adaedge))):
        said = f"adaedge.{name} needs torch, which is not installed here. {INSTALL['prepare']}"
        with pytest.raises(MissingExtraError, match=f"^{re.escape(said)}$"):
            getattr(adaedge, name)
    with pytest.raises(ImportError, match=r"^adaedge\.Splittable needs torch"):
        from adaedge import Splittable  # noqa: F401
    with pytest.raises(ImportError, match=r"^what prepares models needs torch"):
        importlib.import_module("adaedge.builder")


@pytest.mark.parametrize(
    ("arguments", "what", "extra"),
    [
        (("inspect", "timm:resnet18"), "what prepares models", "prepare"),
        (("build", "timm:resnet18", "-o", "a.bundle"), "what prepares models", "prepare"),
        (("demo",), "the demo", "demo"),
    ],
)
def test_a_command_says_what_it_needs(arguments, what, extra):
    said = failing_command(*arguments)
    assert said == f"error: {what} needs torch, which is not installed here. {INSTALL[extra]}\n"


def test_payloads_go_there_and_back():
    program = Path(__file__).with_name("round_trip.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_bundle_runs_at_every_point():
    bundle = adaedge.Bundle.load(BUNDLE)
    frame = np.random.default_rng(1).integers(0, 256, (1, *bundle.manifest.inputs[0].shape[1:]), dtype=np.uint8)
    assert {point.width for point in bundle.points} == {1.0, 0.5}
    for point in bundle.points:
        local = bundle.run(adaedge.OperatingPoint("output", point.width), (frame,))[0]
        output = bundle.run(point, (frame,))[0]
        assert output.shape == local.shape
        if point.codec.startswith("raw"):
            np.testing.assert_allclose(output, local, rtol=1e-4, atol=1e-5)


def test_a_bottleneck_decodes_what_arrives_of_it():
    bundle = adaedge.Bundle.load(BUNDLE)
    frame = np.random.default_rng(1).integers(0, 256, (1, *bundle.manifest.inputs[0].shape[1:]), dtype=np.uint8)
    rates = [point for point in bundle.points if point.codec.startswith("bottleneck@")]
    assert {(point.split, point.width) for point in rates} == {(s, w) for s in ("layer1", "layer2") for w in (1.0, 0.5)}
    for point in rates:
        data = bundle.encode(point, bundle.head(point.split, point.level).run((frame,)))
        whole, features = bundle.decode(data)
        assert whole.lost_segments == 0
        if len(whole.segments) > 1:
            less, fewer = bundle.decode(data[:-1])
            assert less.lost_segments == 1
            assert [array.shape for array in fewer] == [array.shape for array in features]
    with pytest.raises(PayloadError):
        bundle.decode(data[:100])


def test_two_processes_answer_a_folder_of_frames(tmp_path, photographs, profile):
    record = tmp_path / "run.jsonl"
    with edge_server(tmp_path / "edge") as edge:
        found = json.loads(
            command(
                *("run", BUNDLE, "--source", photographs, "--edge", edge["address"], "--profile", profile),
                *("--certificate", edge["certificate"], "--token", edge["token"], "--record", record),
                *("--period", 0.05, "--deadline", 1.0, "--json"),
            )
        )
    assert found["deadline_miss_fraction"] == 0
    assert len(record.read_text().splitlines()) == 6
    said = failing_command("report", record, "-o", tmp_path / "report.html")
    assert said == f"error: a report needs matplotlib, which is not installed here. {INSTALL['report']}\n"
    assert not (tmp_path / "report.html").exists()


def test_a_trace_is_replayed(tmp_path, profile):
    trace = tmp_path / "rate.csv"
    trace.write_text("seconds,mbps\n0,20\n10,0.2\n20,20\n")
    found = json.loads(command("simulate", profile, "--trace", trace, "--frames", 50, "--json"))
    assert found["deadline_miss_fraction"] <= 1
    assert found["energy_j_per_frame"] > 0
