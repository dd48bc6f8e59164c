"""Fleet: many terminals, one cell, one edge server.

May import: ``errors``, ``operating_point``, ``energy``, ``scheduling``. Pure NumPy.
"""

from adaedge.fleet.demand import Demand, Way
from adaedge.fleet.division import OBJECTIVES, Division, Objective, Share, divide

__all__ = ["OBJECTIVES", "Demand", "Division", "Objective", "Share", "Way", "divide"]
