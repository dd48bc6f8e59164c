"""Decision: what a scheduler chose for one frame.

May import: nothing of adaedge but ``operating_point.point``.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaedge.operating_point.point import OperatingPoint


@dataclass(frozen=True, slots=True)
class Decision:
    """A scheduler's choice for one frame, with its prediction and its reasons.

    Attributes:
        point: the operating point to run.
        latency_s: predicted seconds from the frame to the answer.
        energy_j: predicted joules of the terminal for this frame.
        accuracy: measured accuracy of the point; ``None`` where it was not measured.
        rate_bps: the link rate that the prediction assumed; ``None`` where nothing was known.
        reasons: why this point and not another, for people.
        payload_bytes: predicted bytes on the link, header included; 0 where the point is local.
        change: the frame's change against what both ends held, which the prediction assumed; 1 is a refresh.

    Example:
        >>> decision = Decision(OperatingPoint("output"), latency_s=0.03, energy_j=0.11)
        >>> str(decision.point), decision.rate_bps is None, decision.change
        ('output/w1/fp32/raw', True, 1.0)
    """

    point: OperatingPoint
    latency_s: float
    energy_j: float
    accuracy: float | None = 1.0
    rate_bps: float | None = None
    reasons: tuple[str, ...] = ()
    payload_bytes: float = 0.0
    change: float = 1.0
