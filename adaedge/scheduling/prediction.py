"""Predict: what every point of a table would take, in seconds and joules, if the link stays as it is estimated.

May import: ``operating_point``, ``energy``, ``channel``.

**Latency** of an offload at rate R:
``head + encode + promotion (radio asleep) + round trip + 8·payload/R + decode + tail + 8·answer/downlink``.
The deadline is judged at ``estimate.low_bps``, energy at ``estimate.rate_bps``.

**Energy** of a frame has to look further than the frame, because a radio remembers: after the last packet it stays
awake for ``tail_s`` (10 s in cellular networks) at ``tail_w``. Take the link to stay as it is for N frames
(``horizon_s``), and compare doing the same thing for all of them, which is best while nothing changes:

- offloading N frames: N·(compute + transfer + wait + tail_w·min(tail_s, gap)), where *gap* is the time from an answer
  to the next upload; plus the promotion if the radio sleeps now; plus what is left of the tail after the last frame,
  tail_w·(tail_s − min(tail_s, gap));
- answering N frames locally: N·compute, plus what is left of the tail now, tail_w·residual.

Divided by N, these are the two columns. While offloading, the two leftovers cancel, so the tail neither holds the
scheduler at offloading nor drives it away; from sleep, an offload must earn its promotion and one whole tail within the
horizon. A single frame would have to earn a whole tail at once (stuck local), and a rule that ignores the tail would
wake the radio for every small gain. Where the gap is longer than the tail, every frame pays its promotion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adaedge.channel import RateEstimate
from adaedge.energy import EnergyModel
from adaedge.scheduling.table import Column, Mask, Table

DOWN_BPS = 1.0
"""A link below one bit per second is down."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """One row per point of the table.

    Attributes:
        latency_s: seconds from the frame to the answer, at the expected rate.
        late_s: the same at the low rate, which the deadline is judged by.
        energy_j: joules of the terminal per frame, state changes of the radio spread over the horizon.
        on_time: whether the point meets the deadline, even if the edge server never answers.
        estimate: the link that was assumed; ``None`` where it is unknown or down, then only local points are on time.
    """

    latency_s: Column
    late_s: Column
    energy_j: Column
    on_time: Mask
    estimate: RateEstimate | None


def predict(
    table: Table,
    energy: EnergyModel,
    estimate: RateEstimate | None,
    *,
    residual_s: float = 0.0,
    downlink_bps: float | None = None,
) -> Predictions:
    """What every point would take.

    Args:
        table: the points.
        energy: the terminal's energy model.
        estimate: the link; ``None`` where it is unknown or down.
        residual_s: seconds that the radio stays awake after its last packet, from now; 0 where it sleeps.
        downlink_bps: rate of the answer; that of the uplink where it is ``None``.
    """
    if estimate is None or not estimate.rate_bps >= DOWN_BPS:
        return _without_link(table, energy, residual_s)
    radio, limits = energy.radio, table.limits
    asleep = residual_s <= 0
    latency_s = _latency_s(table, estimate.round_trip_s, estimate.rate_bps, downlink_bps)
    gap_s = np.maximum(0.0, limits.period_s - latency_s + table.terminal_s)
    steady = energy.offload(
        table.terminal_s,
        table.payload_bytes,
        estimate.rate_bps,
        wait_s=estimate.round_trip_s + table.edge_s,
        answer_bytes=table.answer_bytes,
        downlink_bps=downlink_bps,
        gap_s=gap_s,
    )
    leftover_j = radio.tail_w * np.maximum(0.0, radio.tail_s - gap_s)
    spread = 1.0 / limits.horizon_frames
    promotions = np.where(gap_s < radio.tail_s, asleep * spread, 1.0)
    offload_j = steady.total_j + promotions * radio.promotion_w * radio.promotion_s + leftover_j * spread
    local_j = energy.local(table.terminal_s).total_j + radio.tail_w * max(0.0, residual_s) * spread
    wake_s = radio.promotion_s if asleep else 0.0
    low_bps = min(max(estimate.low_bps, DOWN_BPS), estimate.rate_bps)
    late_s = np.where(
        table.local, table.terminal_s, wake_s + _latency_s(table, estimate.round_trip_s, low_bps, downlink_bps)
    )
    return Predictions(
        np.where(table.local, table.terminal_s, wake_s + latency_s),
        late_s,
        np.where(table.local, local_j, offload_j),
        late_s <= table.limit_s,
        estimate,
    )


def _latency_s(table: Table, round_trip_s: float, rate_bps: float, downlink_bps: float | None) -> Column:
    answer_s = table.answer_bytes * (8.0 / (downlink_bps or rate_bps))
    return table.terminal_s + table.payload_bytes * (8.0 / rate_bps) + round_trip_s + table.edge_s + answer_s


def _without_link(table: Table, energy: EnergyModel, residual_s: float) -> Predictions:
    # An offload would be given up and finished locally: finite numbers, but no reason to try one.
    latency_s = np.where(table.local, table.terminal_s, table.timeout_s + table.finish_s)
    tail_j = energy.radio.tail_w * max(0.0, residual_s) / table.limits.horizon_frames
    compute_s = table.terminal_s + np.where(table.local, 0.0, table.finish_s)
    energy_j = np.asarray(energy.local(compute_s).total_j + tail_j)
    on_time = table.local & (latency_s <= table.limit_s)
    return Predictions(latency_s, latency_s, energy_j, on_time, None)


def residual_tail_s(tail_s: float, active_s: float, now_s: float) -> float:
    """Seconds that the radio stays awake, from now, when its last packet was at ``active_s`` (``-inf``: never).

    Example:
        >>> residual_tail_s(10.0, active_s=3.0, now_s=5.0)
        8.0
    """
    return max(0.0, active_s + tail_s - now_s) if math.isfinite(active_s) else 0.0
