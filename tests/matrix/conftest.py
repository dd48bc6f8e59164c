import sys
from pathlib import Path

import numpy as np
import pytest

from adaedge.clip import Clip
from adaedge.matrix import measured, play
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


@pytest.fixture(scope="session")
def network(bundle, clip):
    return measured(bundle, clip, name="tiny", metric=Divergence(), floor=0.5, repetitions=2)


@pytest.fixture(scope="session")
def played(bundle, clip):
    return play(bundle, clip, "made", period_s=0.2)
