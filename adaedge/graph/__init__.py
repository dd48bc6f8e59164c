"""Capture a model with ``torch.export``, find its split points, and cut it into head and tail.

May import: ``errors``, ``operating_point``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.graph.efficiency import efficient
from adaedge.graph.split_points import CrossingTensor, SplitPoint
from adaedge.graph.splittable import Splittable

__all__ = ["CrossingTensor", "SplitPoint", "Splittable", "efficient"]
