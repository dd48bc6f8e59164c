"""Compute only what changed of a frame: plans, caches, and what runs them. No torch.

May import: ``errors``, ``engine``.
"""

from adaedge.stream.incremental.cache import Cache
from adaedge.stream.incremental.costs import Costs
from adaedge.stream.incremental.plan import FrameStats, Held, Kind, Plan, Segment, Way
from adaedge.stream.incremental.reach import Box, Reach
from adaedge.stream.incremental.runner import IncrementalRunner, Tolerance

__all__ = [
    "Box",
    "Cache",
    "Costs",
    "FrameStats",
    "Held",
    "IncrementalRunner",
    "Kind",
    "Plan",
    "Reach",
    "Segment",
    "Tolerance",
    "Way",
]
