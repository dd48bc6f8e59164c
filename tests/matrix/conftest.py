import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adaedge.clip import Clip
from adaedge.matrix import measure_network, play
from adaedge.metrics import Divergence
from adaedge.operating_point import KeptCurve, KeptKnot

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks.tiny_bundle import tiny_bundle

MACS = 50_000_000


@pytest.fixture(scope="session")
def frames():
    """Twelve frames that stand still but for a square that jumps in the second half."""
    draw = np.random.default_rng(3)
    still = draw.integers(60, 190, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    shown = [still.copy() for _ in range(12)]
    for at in range(8, 12):
        shown[at][:24, 8 * (at - 8) : 8 * (at - 8) + 24] = 255
    return shown


@pytest.fixture(scope="session")
def clip(frames):
    return Clip(frames, 5.0)


@pytest.fixture(scope="session")
def bundle():
    kept = KeptCurve("moved-blocks", "of blocks moved", "divergence", (KeptKnot(0.01, 0.999, 0.99, 50),))
    return tiny_bundle(codecs=["h264@20"], macs=MACS, trained=True, kept=kept)


HEADS_S = {"kept": 1e-4, "input": 3e-4, "relu": 0.002, "output": 0.010}


@pytest.fixture(scope="session")
def network(bundle, clip):
    """As it was measured, but for its seconds: these are the same whatever else the machine does."""
    found = measure_network(bundle, clip, name="tiny", metric=Divergence(), floor=0.5, repetitions=2)
    costs = {}
    for point, cost in found.profile.items():
        sent_s = 0.0 if point.is_local else 0.001
        told = {"head_s": HEADS_S[point.split], "encode_s": sent_s, "decode_s": sent_s, "tail_s": 2 * sent_s}
        costs[point] = replace(cost, finish_s=10 * sent_s, **told)
    return replace(found, profile=replace(found.profile, costs=costs, next_costs={}))


@pytest.fixture(scope="session")
def played(bundle, clip):
    return play(bundle, clip, "made", period_s=0.2)
