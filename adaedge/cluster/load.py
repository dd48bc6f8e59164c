"""Load: from how busy the replicas are to how many there should be. Ray calls it; it imports nothing.

May import: nothing of adaedge: Ray's controller is given this module by value.
"""

from __future__ import annotations

import math
from typing import Any

TARGET = 0.6
"""Of a replica's time, the share that is to be asked for: more, and payloads wait or are refused in every burst."""
BUSY = "busy"
"""The name under which a replica tells its load."""


def wanted_replicas(busy: list[float]) -> int:
    """How many replicas would be busy for `TARGET` of their time.

    Args:
        busy: of each replica, seconds of computing that are asked for per second and worker: above 1 where it has to
            refuse some.

    Example:
        >>> wanted_replicas([1.3, 1.1]), wanted_replicas([0.2, 0.1, 0.1]), wanted_replicas([])
        (4, 1, 1)
    """
    return max(1, math.ceil(sum(busy) / TARGET - 1e-9))


def by_load(context: Any) -> tuple[int, dict[str, Any]]:
    """An autoscaling policy of Ray Serve: replicas wanted, and nothing that is kept."""
    told = (context.aggregated_metrics or {}).get(BUSY) or {}
    if not told:  # the first replicas have not told anything yet
        return context.target_num_replicas, {}
    return wanted_replicas([float(value) for value in told.values()]), {}
