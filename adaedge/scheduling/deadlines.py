"""When the terminal stops waiting for the edge server, so that it still has an answer in time.

May import: ``operating_point``. The scheduler, the terminal and the simulation share this one rule.
"""

from __future__ import annotations

from adaedge.operating_point import Cost


def default_margin_s(deadline_s: float) -> float:
    """Seconds kept in reserve for a local finish, by default: a tenth of the deadline, at most 10 ms."""
    return min(0.01, 0.1 * deadline_s)


def can_finish_locally(cost: Cost, deadline_s: float, margin_s: float) -> bool:
    """Whether the terminal could still answer alone by the deadline, had its offload failed."""
    return cost.terminal_s + cost.finish_s + margin_s <= deadline_s


def offload_timeout_s(cost: Cost, deadline_s: float, margin_s: float) -> float:
    """Seconds after the frame arrived at which the terminal gives up waiting and finishes the frame itself.

    It is ``deadline_s - finish_s - margin_s``: what is left is enough for the local finish. Where a local finish cannot
    be in time anyway, giving up early gains nothing, and the whole deadline is the edge server's.

    Args:
        cost: what the chosen point costs.
        deadline_s: seconds that the answer has.
        margin_s: seconds kept in reserve, because a finish takes its median time only half of the time.

    Example:
        >>> round(offload_timeout_s(Cost(head_s=0.01, finish_s=0.03), deadline_s=0.1, margin_s=0.01), 3)
        0.06
        >>> offload_timeout_s(Cost(head_s=0.01, finish_s=0.2), deadline_s=0.1, margin_s=0.01)
        0.1
    """
    if can_finish_locally(cost, deadline_s, margin_s):
        return deadline_s - cost.finish_s - margin_s
    return deadline_s
