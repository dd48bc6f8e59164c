"""Fleet: many terminals, one cell, one edge server.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``, ``scheduling``.
"""

from adaedge.fleet.crowd import CrowdOutcome, simulate_crowd
from adaedge.fleet.demand import Demand, Way
from adaedge.fleet.division import OBJECTIVES, Division, Objective, Share, divide
from adaedge.fleet.edge_queue import EdgeQueue
from adaedge.fleet.member import Kind, Member

__all__ = [
    "OBJECTIVES",
    "CrowdOutcome",
    "Demand",
    "Division",
    "EdgeQueue",
    "Kind",
    "Member",
    "Objective",
    "Share",
    "Way",
    "divide",
    "simulate_crowd",
]
