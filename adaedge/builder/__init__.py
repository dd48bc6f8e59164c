"""Model + space of operating points → bundle.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``, ``graph``, ``levels``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.builder.bundle_build import build
from adaedge.builder.evaluation import Evaluate, Predict, top1
from adaedge.builder.space import Space

__all__ = ["Evaluate", "Predict", "Space", "build", "top1"]
