"""An emulated ARM terminal computes what the host does: equal bytes, equal features, the same answers.

``make test-arm`` starts it under the emulator, and names a bundle in ``ADAEDGE_BUNDLE`` and the host's Python, which
has adaedge too, in ``ADAEDGE_HOST_PYTHON``: an emulated process may start one of the host's.

Two machines' networks differ in their last digits, and near the border between two levels the last digit decides. So
bytes are compared for the same features, the host's.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from adaedge import Bundle, GrpcLink, Scheduler, Terminal
from adaedge.energy import LTE_2021, RASPBERRY_PI_4, EnergyModel
from adaedge.operating_point import Cost, Profile
from adaedge.payload import is_progressive
from adaedge.scheduling import Fixed

BUNDLE = Bundle.load(os.environ["ADAEDGE_BUNDLE"])
HOST_PYTHON = os.environ["ADAEDGE_HOST_PYTHON"]
REMOTE = [point for point in BUNDLE.points if not point.is_local]
# What crosses as it is: no level that the last digit could change.
EXACT = [point for point in BUNDLE.points if point.codec == "raw" or point.split == "input"]
TOLERANCE = 1e-5
PATIENCE_S = 60.0


class Host:
    """What ``host.py`` has written, by operating point."""

    def __init__(self, path):
        self.arrays = safetensors.numpy.load_file(path)
        self.frame = self.arrays["frame"]

    def payload(self, point):
        return self.arrays[f"{point} payload"].tobytes()

    def tensors(self, point, name):
        beginning = f"{point} {name}."
        count = sum(key.startswith(beginning) for key in self.arrays)
        return tuple(self.arrays[f"{beginning}{index}"] for index in range(count))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    path = tmp_path_factory.mktemp("host") / "computed.safetensors"
    script = Path(__file__).with_name("host.py")
    subprocess.run([HOST_PYTHON, script, os.environ["ADAEDGE_BUNDLE"], path], check=True)
    return Host(path)


@contextmanager
def edge_server(state):
    """An edge server on the host: the line that it prints once it listens."""
    arguments = ["serve", os.environ["ADAEDGE_BUNDLE"], "--listen", "127.0.0.1:0", "--state", state]
    process = subprocess.Popen([HOST_PYTHON, "-m", "adaedge", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def assert_near(found, expected):
    for array, other in zip(found, expected, strict=True):
        assert np.abs(array - other).max() <= TOLERANCE * np.abs(other).max()


def test_this_is_another_machine_than_the_host():
    asked = [HOST_PYTHON, "-c", "import platform; print(platform.machine())"]
    host = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert (platform.machine(), host) == ("aarch64", "x86_64")


def test_the_bundle_holds_every_kind_of_codec():
    kinds = {point.codec.partition("@")[0] for point in REMOTE}
    assert kinds >= {"raw", "u8", "u4", "u4+zstd", "u4+range", "jpeg", "webp", "bottleneck"}


def test_the_same_picture_is_the_same_frame(host):
    np.testing.assert_array_equal(BUNDLE.preprocess(host.arrays["picture"]), host.frame)


@pytest.mark.parametrize("point", REMOTE, ids=str)
def test_the_same_features_are_the_same_bytes(point, host):
    assert BUNDLE.encode(point, host.tensors(point, "features")) == host.payload(point)


@pytest.mark.parametrize("point", REMOTE, ids=str)
def test_the_same_bytes_are_the_same_features(point, host):
    message, decoded = BUNDLE.decode(host.payload(point))
    if is_progressive(point.codec):
        found = BUNDLE.codec(point).coefficients(message.segments, batch=1)
        np.testing.assert_array_equal(found, host.tensors(point, "coefficients")[0])
        # A matrix product makes features of these; its order of summation is the machine's.
        assert_near(decoded, host.tensors(point, "decoded"))
    else:
        for array, expected in zip(decoded, host.tensors(point, "decoded"), strict=True):
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("point", REMOTE, ids=str)
def test_the_same_bytes_are_the_same_answer(point, host):
    assert_near(BUNDLE.answer(host.payload(point))[1], host.tensors(point, "answer"))


@pytest.mark.parametrize("point", EXACT, ids=str)
def test_the_same_frame_is_the_same_answer(point, host):
    assert_near(BUNDLE.run(point, (host.frame,)), host.tensors(point, "answer"))


def test_the_host_answers_a_frame_at_every_point(host, tmp_path):
    energy = EnergyModel(RASPBERRY_PI_4, LTE_2021)
    profile = Profile({point: Cost(head_s=0.01) for point in BUNDLE.points}, BUNDLE.digest, "terminal", "edge")
    scheduler = Scheduler(profile, energy, deadline_s=PATIENCE_S)
    with edge_server(tmp_path) as edge:
        certificate = Path(edge["certificate"]).read_bytes()
        token = Path(edge["token"]).read_text().strip()
        link = GrpcLink(edge["address"], certificate=certificate, token=token)
        with Terminal(BUNDLE, scheduler, link, preload=False, handshake_timeout_s=PATIENCE_S) as terminal:
            for point in BUNDLE.points:
                scheduler.policy = Fixed(point)
                result = terminal.infer((host.frame,))
                by = "terminal" if point.is_local else "edge"
                assert result.decision.point == point
                assert result.measurement.answered_by == by, result.measurement.failure
                if point in EXACT:
                    assert_near(result.output, host.tensors(point, "answer"))
