"""Decision: what a scheduler chose for one frame.

May import: nothing of adaedge but ``operating_point.point``.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaedge.operating_point.point import OperatingPoint


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduler chose for one frame, what it predicted, and why.

    Attributes:
        point: the operating point to run.
        latency_s: predicted seconds from the frame to the answer.
        energy_j: predicted joules of the terminal for this frame.
        accuracy: measured accuracy of the point.
        rate_bps: the link rate that the prediction assumed; ``None`` where nothing was known.
        reasons: why this point and not another, for people.
    """

    point: OperatingPoint
    latency_s: float
    energy_j: float
    accuracy: float = 1.0
    rate_bps: float | None = None
    reasons: tuple[str, ...] = ()
