"""Cascades: a cheap local answer where it is sure, and a costlier one otherwise.

May import: ``errors``, ``operating_point``, ``metrics``, ``bundle``. NumPy only: a terminal runs it.
"""

from adaedge.cascade.cascade import Cascade, Judged, Told
from adaedge.cascade.risk import controlled_threshold
from adaedge.cascade.sureness import Sureness, fitted_temperature, top_probability

__all__ = ["Cascade", "Judged", "Sureness", "Told", "controlled_threshold", "fitted_temperature", "top_probability"]
