"""Reasons: a choice as a decision, with what it predicts and why, in short sentences.

May import: ``operating_point``; of this part ``cached_heads``, ``policy``, ``prediction``, ``table``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adaedge.operating_point import KEPT, NOT_FASTER, REFRESH, Decision, OperatingPoint
from adaedge.scheduling.cached_heads import CachedHeads
from adaedge.scheduling.policy import Choice
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import PAYLOAD_BYTES, Table


def decision_of(
    table: Table,
    predictions: Predictions,
    choice: Choice,
    changes: Mapping[OperatingPoint, float],
    step: float | None = None,
) -> Decision:
    """The decision for a choice.

    Args:
        table: the points.
        predictions: what they would take.
        choice: the row.
        changes: of the frame, against what is held for each point.
        step: how much it changed against the one before.
    """
    row, estimate, knots = choice.row, predictions.estimate, table.knots
    point = table.points[row]
    by_change = point is KEPT or (knots is not None and point in knots.rows)
    reasons = [choice.reason]
    if estimate is None:
        reasons.append("the link is unknown or down: only local points count")
    elif late := len(table.points) - int(np.count_nonzero(predictions.on_time)):
        rate_bps = estimate.rate_bps if table.has_local_fallback else estimate.low_bps
        reasons.append(f"{_points(late, 'misses', 'miss')} the deadline at {rate_bps / 1e6:.3g} Mbit/s")
    if not table.local[row] and estimate is not None and predictions.risk[row] >= 0.005:
        reasons.append(f"the edge server answers in time with a chance of {100 * (1 - predictions.risk[row]):.0f} %")
    if table.below_floor:
        reasons.append(f"{_points(table.below_floor, 'is', 'are')} below the accuracy floor")
    if table.not_faster:
        reasons.append(f"{_points(len(table.not_faster), 'is', 'are')} left out: {NOT_FASTER} than fp32")
    if by_change and point.incremental:
        reasons.append(CachedHeads.reason(point, changes, step))
    return Decision(
        point,
        predictions.latency_s.item(row),
        predictions.energy_j.item(row),
        table.accuracy.item(row) if table.measured[row] else None,
        None if estimate is None else estimate.rate_bps,
        tuple(reasons),
        table.columns.item(PAYLOAD_BYTES, row),
        changes.get(point, REFRESH) if by_change else REFRESH,
    )


def _points(count: int, one: str, many: str) -> str:
    return f"1 point {one}" if count == 1 else f"{count} points {many}"
