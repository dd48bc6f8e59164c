"""One small image model, built once, in each engine; where torch is not installed, the tests of it are skipped."""

from __future__ import annotations

import numpy as np
import pytest

from adaedge.bundle import Preprocessing
from adaedge.engine import ENGINES, available

PREPROCESSING = Preprocessing(size=(32, 32), crop=0.875, interpolation="bilinear")


@pytest.fixture(scope="session")
def net():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.left = nn.Conv2d(8, 8, 1)
            self.right = nn.Conv2d(8, 8, 3, padding=1)
            self.head = nn.Linear(8, 5)

        def forward(self, image):
            stem = self.stem(image)
            left = self.left(stem)
            return self.head((left * self.right(stem)).mean((2, 3)))

    torch.manual_seed(0)
    net = Net()
    for _ in range(3):
        net(torch.randn(8, 3, 32, 32) * 2 + 1)  # running statistics other than 0 and 1
    return net.eval()


@pytest.fixture(scope="session")
def frames():
    values = np.random.default_rng(0)
    return [values.integers(256, size=(40, 48, 3), dtype=np.uint8) for _ in range(6)]


@pytest.fixture(scope="session")
def built(net, frames):
    import torch

    from adaedge.builder import Space, build

    return build(
        net,
        (torch.zeros(1, 3, 32, 32),),
        Space(splits=["stem", "left"], codecs=["raw", "u8", "u2+zstd", "jpeg@90"]),
        calibrate=frames,
        preprocessing=PREPROCESSING,
        labels=["a", "b", "c", "d", "e"],
        name="tests:net",
        trained=False,
    )


@pytest.fixture(scope="session", params=ENGINES)
def bundle(built, request):
    if request.param not in available():
        pytest.skip(f"{request.param} is not installed")
    return built.with_engine(request.param)
