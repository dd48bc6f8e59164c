"""The semantic bottleneck: the features at a split point, in the fewest bytes that keep the network's prediction.

May import: ``errors``, ``channel``, ``payload``, ``detection``, ``metrics``, ``graph``, ``levels``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.bottleneck.analog import AnalogBottleneck
from adaedge.bottleneck.bottleneck import Bottleneck
from adaedge.bottleneck.losses import box_loss, class_loss, dense_loss, direction_loss, map_loss
from adaedge.bottleneck.radio_channels import AnySnr, Awgn, RadioChannel, Rayleigh, Received

__all__ = [
    "AnalogBottleneck",
    "AnySnr",
    "Awgn",
    "Bottleneck",
    "RadioChannel",
    "Rayleigh",
    "Received",
    "box_loss",
    "class_loss",
    "dense_loss",
    "direction_loss",
    "map_loss",
]
