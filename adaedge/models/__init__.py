"""A name becomes a model: module, example inputs, preprocessing, labels.

May import: ``errors``, ``bundle.manifest``, ``detection``. Weights are read from safetensors or with
``weights_only=True``; nothing is unpickled.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.models.loader import load
from adaedge.models.model import Model
from adaedge.models.object_detectors import Detector, detector_of
from adaedge.models.two_rates import TwoRates

__all__ = ["Detector", "Model", "TwoRates", "detector_of", "load"]
