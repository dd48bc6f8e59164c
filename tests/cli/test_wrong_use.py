"""What goes wrong at the hands of a newcomer: each is found within 2 s, said in a few lines, with the way out."""

from __future__ import annotations

import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import adaedge
from adaedge import cli
from adaedge.builder import top1
from adaedge.energy import RASPBERRY_PI_4, WIFI_2012, EnergyModel
from adaedge.errors import AdaedgeError
from adaedge.models import load
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials
from benchmarks.tiny_bundle import tiny_bundle

LONGEST_S = 2.0  # of the processor's time: other tests may run beside these
WAITED_S = 20.0
MOST_CHARACTERS = 700

RUN = "run tiny.bundle --source photos --profile profile.json"
BUILD = "build timm:test_resnet -o new.bundle --random-weights"
COMMANDS = {
    "inspect resnet18": "a model is named timm:NAME, torchvision:NAME",
    "inspect timm:resnet81": "no model 'resnet81' in timm; nearest: resnet",
    "inspect mine:net": "the module must be importable from here",
    "inspect timm:test_resnet --model-args classes=3": "--model-args takes a JSON object",
    "inspect": "Missing argument",
    "build timm:test_resnet": "Missing option '--out'",
    f"{BUILD} --images missing": "there is no missing. Name a video file, a folder of images",
    f"{BUILD} --images empty": "empty holds no images (",
    f"{BUILD} --images noise.jpgs": "is not an image that decodes",
    f"{BUILD} --clips missing.mp4": "there is no file missing.mp4. Name a video file",
    f"{BUILD} --weights missing.safetensors": "there is no file of weights missing.safetensors",
    f"{BUILD} --widths half": "--widths takes fractions of channels, such as 1,0.5",
    f"{BUILD} --widths 1,2": "width is the fraction of channels kept, in (0, 1]; got 2.0",
    f'{BUILD} --preprocessing {{"siz":1}}': "--preprocessing takes size, crop",
    f"{BUILD} --network student": "--network takes NAME=MODEL",
    f"{BUILD} --codecs zip": "no codec 'zip'",
    f"{BUILD} --splits layer22": "no split point 'layer22'; nearest: layer2",
    f"{BUILD} --precisions fp16": "no precision 'fp16'; there are fp32 and int8",
    f"{BUILD} --precisions int8": "Give about 300 as `calibrate` (`--images FOLDER`), or leave int8 out",
    "build timm:test_resnet -o far/new.bundle": "cannot read or write far/new.bundle: No such file or directory",
    "build timm:test_resnet -o photos": "photos exists and is not a bundle; it was left as it is. Choose another name",
    "profile missing.bundle": "missing.bundle",
    "profile tiny.bundle --edge rate.csv": "this is not a profile",
    "profile tiny.bundle --repetitions 0": "'--repetitions': 0 is not in the range",
    "profile tiny.bundle --images missing": "there is no missing",
    "serve photos": "photos is not a bundle: its manifest.json cannot be read",
    "serve tiny.bundle --listen nowhere": "an address is HOST:PORT, with a port from 0 to 65535; got 'nowhere'",
    "run tiny.bundle": "Missing option '--source'",
    "run tiny.bundle --source missing.mp4": "there is no missing.mp4",
    f"{RUN} --edge edge.local": "an address is HOST:PORT, with a port from 1 to 65535; got 'edge.local'",
    f"{RUN} --edge edge.local:1 --link rate.csv": "--link simulates the edge server that --edge names",
    f"{RUN} --link missing.csv": "cannot read the trace missing.csv",
    f"{RUN} --insecure --token rate.csv --edge edge.local:1": "--insecure sends everything in plain text",
    f"{RUN} --edge edge.local:1 --state empty": "cannot read the token empty/token",
    f"{RUN} --edge edge.local:1 --certificate rate.csv --token rate.csv": "certificate",
    f"{RUN} --deadline 200": "--deadline is in seconds; 200 is more than a minute. If milliseconds are meant, give 0.2",
    f"{RUN} --period 0": "--period is a number of seconds above 0; got 0",
    f"{RUN} --accuracy-floor 90": "--accuracy-floor is a fraction in [0, 1]; got 90. If per cent are meant, give 0.9",
    f"{RUN} --accuracy-floor 0.9": "Build the bundle with `calibrate` (`--images FOLDER`), or set no floor",
    f"{RUN} --radio lte-1999": "no radio preset 'lte-1999'; there are: ",
    f"{RUN} --compute much": "no computing preset 'much'; there are: ",
    f"{RUN} --radio photos:radio": "no object photos:radio (",
    f"{RUN} --radio math:pi": "math:pi is float, and an instance of Radio is needed",
    f"{RUN} --compute math:tau": "math:tau is float, and an instance of ComputePower is needed",
    f"{RUN} --battery 0": "--battery is a number of watt-hours above 0; got 0",
    f"{RUN} --record far/run.jsonl": "cannot read or write far/run.jsonl",
    "run tiny.bundle --source photos --profile other.json": "Profile this one on both machines with `adaedge profile`",
    "simulate rate.csv --trace rate.csv": "this is not a profile",
    "simulate profile.json --trace missing.csv": "cannot read the trace missing.csv",
    "simulate profile.json --trace stamps.csv": "Name the columns seconds and mbps",
    "simulate profile.json --trace rate.csv --policy best": "adaptive, local, static, clairvoyant, ExpectedEnergy",
    "simulate profile.json --trace rate.csv --policy math:pi": "math:pi is float, and a callable is needed",
    "simulate profile.json --trace rate.csv --frames 0": "'--frames': 0 is not in the range",
    "report missing.jsonl": "cannot read the records missing.jsonl",
    "report rate.csv": "is not the record of a frame",
    "estimate profile.json --rate 0": "--rate is a number of Mbit/s above 0; got 0",
    "estimate profile.json --rate 5 --plot window.txt": "a picture is .svg, .png or .pdf; got window.txt",
    "estimate timm:test_resnet --rate 5 --compute 4": "macs_per_s is not known",
    "doctor --jsn": "No such option",
    "benchmrk": "No such command 'benchmrk'",
}


@pytest.fixture(scope="module")
def tiny():
    return tiny_bundle()


@pytest.fixture(scope="module", autouse=True)
def newcomer(tmp_path_factory, tiny):
    """A folder with what a newcomer has, and what they mistake for it; the libraries are loaded."""
    load("timm:test_resnet", pretrained=False)
    adaedge.Splittable(NET, (IMAGE,))
    folder = tmp_path_factory.mktemp("newcomer")
    tiny.save(folder / "tiny.bundle")
    found = adaedge.profile(tiny, repetitions=1)
    found.save(folder / "profile.json")
    (folder / "other.json").write_text(found.to_json().replace(tiny.digest, "ab" * 32))
    for name in ("photos", "empty", "noise.jpgs"):
        (folder / name).mkdir()
    Image.fromarray(np.zeros((80, 90, 3), np.uint8)).save(folder / "photos/0.png")
    (folder / "noise.jpgs/0.jpg").write_bytes(b"noise")
    (folder / "rate.csv").write_text("seconds,mbps\n0,20\n10,0.2\n")
    (folder / "stamps.csv").write_text("timestamp,mbps\n0,20\n")
    return folder


@pytest.mark.parametrize("line", COMMANDS)
def test_a_wrong_command_says_the_way_out(line, newcomer, monkeypatch, capsys):
    monkeypatch.chdir(newcomer)
    monkeypatch.setattr(sys, "argv", ["adaedge", *line.split()])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("COLUMNS", "200")
    begun_s, computed_s = time.perf_counter(), time.process_time()
    warnings.simplefilter("ignore", UserWarning)  # pytest puts the filters back
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    computed_s, waited_s = time.process_time() - computed_s, time.perf_counter() - begun_s
    said = capsys.readouterr()
    words = " ".join(re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", said.err).split())
    assert COMMANDS[line] in words
    assert stopped.value.code == 2
    assert not said.out
    assert "Traceback" not in words
    assert "tensor(" not in words
    assert len(words) < MOST_CHARACTERS
    assert computed_s < LONGEST_S
    assert waited_s < WAITED_S
    assert not (newcomer / "new.bundle").exists()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, image):
        return self.head(self.layer(image).mean((2, 3)))


NET, IMAGE = Net().eval(), torch.rand(1, 3, 16, 16)
LOCAL = OperatingPoint("output")
ENERGY = EnergyModel(RASPBERRY_PI_4, WIFI_2012)
PROFILE = Profile({LOCAL: Cost(head_s=0.01, accuracy=0.5)}, "00" * 32, "terminal", "edge")
CALLS = {
    "the example without its tuple": (lambda bundle: adaedge.Splittable(NET, IMAGE), "a tuple"),
    "a split point that is misspelt": (lambda bundle: adaedge.Splittable(NET, (IMAGE,)).at("layr"), "nearest: layer"),
    "a width above 1": (lambda bundle: adaedge.Elastic(NET, (IMAGE,), widths=(2.0,)), "fraction of channels kept"),
    "a point of a width above 1": (lambda bundle: OperatingPoint("layer", width=2.0), "in (0, 1]; got 2.0"),
    "a point that is no text of one": (lambda bundle: OperatingPoint.parse("layer"), "SPLIT/wWIDTH/PRECISION/CODEC"),
    "a bundle that is not there": (lambda bundle: adaedge.Bundle.load("missing.bundle"), "missing.bundle"),
    "a frame in place of inputs": (lambda bundle: bundle.run(LOCAL, np.zeros((64, 64, 3), np.uint8)), "preprocess"),
    "a frame without its batch": (
        lambda bundle: bundle.run(LOCAL, (np.zeros((48, 64, 3), np.uint8),)),
        "got uint8 (48, 64, 3). ",
    ),
    "labelled frames that are not prepared": (
        lambda bundle: top1([((np.zeros((48, 64, 3), np.uint8),), 1)])(lambda inputs: bundle.run(LOCAL, inputs)),
        "`bundle.preprocess(frame)`",
    ),
    "a point that the bundle lacks": (
        lambda bundle: bundle.run(OperatingPoint("layer9"), (np.zeros((1, 64, 64, 3), np.uint8),)),
        "layer9",
    ),
    "a floor that nothing reaches": (
        lambda bundle: adaedge.Scheduler(PROFILE, ENERGY, deadline_s=0.1, accuracy_floor=0.9),
        "the best is output/w1/fp32/raw with 0.5",
    ),
    "a deadline of nothing": (lambda bundle: adaedge.Scheduler(PROFILE, ENERGY, deadline_s=0.0), "above 0; got 0"),
    "a link without a certificate": (lambda bundle: adaedge.GrpcLink("edge.local:1"), "insecure=True"),
    "a token's file in place of the token": (
        lambda bundle: adaedge.GrpcLink("edge.local:1", certificate=Credentials.create().certificate, token=__file__),
        "read_text()",
    ),
    "the path of a token's file": (
        lambda bundle: adaedge.GrpcLink(
            "edge.local:1", certificate=Credentials.create().certificate, token=Path(__file__)
        ),
        "read_text()",
    ),
    "profiles of two bundles": (
        lambda bundle: Profile.join(PROFILE, Profile({LOCAL: Cost(0.1)}, "11" * 32, "a", "b")),
        "Copy the same bundle to both machines",
    ),
    "pictures of floats": (
        lambda bundle: adaedge.build(NET, (IMAGE,), adaedge.Space(), calibrate=[np.zeros((16, 16, 3))]),
        "float32 (1, 3, 16, 16)",
    ),
    "a clip of no time": (lambda bundle: adaedge.Clip([np.zeros((4, 4, 3), np.uint8)], fps=0), "more than 0 frames"),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_wrong_call_says_the_way_out(what, tiny):
    call, words = CALLS[what]
    begun_s = time.process_time()
    with pytest.raises(AdaedgeError) as raised:
        call(tiny)
    said = str(raised.value)
    assert words in said
    assert "tensor(" not in said
    assert len(said) < MOST_CHARACTERS
    assert time.process_time() - begun_s < LONGEST_S
