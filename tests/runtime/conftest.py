"""What the runtime's tests share: a tiny bundle, credentials, and an edge server in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials, EdgeServer, GrpcLink

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks.tiny_bundle import tiny_bundle

FEATURES = OperatingPoint("relu", codec="u8")
LOCAL = OperatingPoint("output")


@pytest.fixture(scope="session")
def bundle():
    return tiny_bundle()


@pytest.fixture(scope="session")
def other_bundle():
    return tiny_bundle(seed=1)


@pytest.fixture(scope="session")
def credentials():
    return Credentials.create()


@pytest.fixture
def server(bundle, credentials):
    with EdgeServer(bundle, credentials=credentials) as running:
        yield running


@pytest.fixture
def link(server, credentials):
    opened = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
    yield opened
    opened.close()


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def profile(bundle):
    """Offloading looks cheap, local computing dear, so that the scheduler offloads while it can."""
    costs = {
        FEATURES: Cost(
            head_s=0.001, encode_s=0.001, payload_bytes=2300, tail_s=0.001, answer_bytes=150, finish_s=0.001
        ),
        LOCAL: Cost(head_s=0.05),
    }
    return Profile(costs, bundle.digest, "test", "test")
