"""Compute only what changed: from a network to a plan of segments, run by `adaedge.stream.incremental`.

May import: ``errors``, ``engine``, ``graph``, ``stream``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.incremental.slide import Sliding
from adaedge.incremental.wrapper import Incremental

__all__ = ["Incremental", "Sliding"]
