"""What the tests of an edge of many machines share."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials
from adaedge.scheduling import Fixed, Scheduler

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks.tiny_bundle import tiny_bundle

VIDEO, LOCAL = OperatingPoint("input", codec="h264@28"), OperatingPoint("output")


@pytest.fixture(scope="session")
def bundle():
    return tiny_bundle(codecs=[VIDEO.codec])


@pytest.fixture(scope="session")
def credentials():
    return Credentials.create()


@pytest.fixture(scope="session")
def inner():
    return Credentials.create()


@pytest.fixture
def scheduler(bundle):
    costs = {VIDEO: Cost(0.001, payload_bytes=900, answer_bytes=150, finish_s=0.001), LOCAL: Cost(0.05)}
    profile = Profile(costs, bundle.digest, "test", "test")
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    return Scheduler(profile, energy, deadline_s=20.0, policy=Fixed(VIDEO))


@pytest.fixture
def frames():
    still = np.random.default_rng(0).integers(90, 120, (64, 64, 3), dtype=np.uint8)
    seen = []
    for index in range(30):
        frame = still.copy()
        frame[20:30, index : index + 10] = 220
        seen.append(frame)
    return seen
