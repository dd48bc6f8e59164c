"""Predict: what every point of a table would take, in seconds and joules, if the link stays as it is estimated.

May import: ``operating_point``, ``energy``, ``channel``; of this part ``cascade_rows``, ``expectation``,
``knots``, ``past``, ``table``.

**Latency** of an offload at rate R:
``head + encode + ready(idle) + 8·payload/R + wait + hold(wait) + 8·answer/downlink``, where *ready* is what the radio
takes to wake so long after its last packet, *wait* is the round trip and the edge server's computing, and *hold* is how
long an answer that is ready then waits until the radio listens.

**Deadline.** Where a local run fits it, an offload that is given up is finished locally in time, so the deadline is met
whatever the link does. Such a point is judged at the expected rate, and what may go wrong is a matter of energy: *risk*
is the chance that the edge server does not answer in time, and a failure costs the local finish and a radio that sends
for nothing. ``low_bps`` is read as one standard deviation below ``rate_bps``, both on a logarithmic scale; the normal
distribution is approximated by the logistic one with the usual factor 1.702, so that
``risk = 1 - 1 / (1 + (needed / rate) ** (1.702 / ln(rate / low)))``, where *needed* is the rate at which the answer
comes just before the give-up. Where not even a local run fits, nothing catches a slow upload, and the deadline is
judged at ``low_bps``.

**Energy** of a frame has to look further than the frame, because a radio remembers: after the last packet it falls
asleep in steps, which take 10 s in cellular networks (``Radio.idle_j``). Take the link to stay as it is for N frames
(``horizon_s``), and compare doing the same thing for all of them, which is best while nothing changes:

- offloading N frames: N·(compute + transfer + wait + idle(0, gap) + wake(gap)), where *gap* is the time from an answer
  to the next upload; plus what waking the radio costs now beyond wake(gap); plus, where it sleeps now, what it draws
  after the last frame, idle(gap, ∞);
- answering N frames locally: N·compute, plus what the radio draws if it is left alone now, idle(since its last packet,
  ∞).

Divided by N, these are the two columns. From sleep, an offload must earn the waking and one whole falling asleep within
the horizon: a single frame would have to earn them at once (stuck local), and a rule that ignores them would wake the
radio for every small gain. While it is awake it falls asleep in any case: going local in a short fade saves nothing
of that, so the rest of it is charged to the local run; only over a longer horizon does staying local save power.
Between the two lies a band in which the scheduler goes on with what it does, as a cost of change asks for.

**Regret.** In that band a look ahead alone would keep an awake radio awake for ever, though every frame costs a little
more than a local one: what is left to draw is the same after an hour. So what the frames so far would have cost less
with the radio in its other state counts towards the change, as rent already paid counts towards buying (the work
function of Borodin, Linial and Saks, "An optimal on-line algorithm for metrical task system", Journal of the ACM 39(4),
1992, for two states): `next_regret_j`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np

from adaedge.channel import RateEstimate, RateSpread
from adaedge.energy import EnergyModel, Radio
from adaedge.scheduling.cascade_rows import pauses
from adaedge.scheduling.expectation import Known, expected
from adaedge.scheduling.knots import Column
from adaedge.scheduling.past import NOTHING, Past
from adaedge.scheduling.table import REMOTE, TERMINAL_S, Mask, Table

DOWN_BPS = 1.0
"""A link below one bit per second is down."""
_LOGISTIC = 1.702
_LEAST_SPREAD = 0.1  # no rate is known better than to a tenth
_RARE_S = 1e9  # a frame in thirty years is as rare as one in infinity, which times nothing is no number


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """One row per point of the table.

    Attributes:
        latency_s: seconds from the frame to the answer, at the expected rate.
        pessimistic_latency_s: the same at the low rate.
        risk: chance that the edge server does not answer before the terminal gives up, in [0, 1].
        energy_j: expected joules of the terminal per frame, state changes of the radio spread over the horizon.
        steady_j: the same without those that are not repeated frame by frame.
        on_time: whether the point meets the deadline.
        estimate: the link that was assumed; ``None`` where it is unknown or down, then only local points are on time.
        past: what happened since the last choice.
        again: the same for another link and another number of frames in a row, see `at`.
    """

    latency_s: Column
    pessimistic_latency_s: Column
    risk: Column
    energy_j: Column
    steady_j: Column
    on_time: Mask
    estimate: RateEstimate | None
    past: Past = NOTHING
    again: Callable[..., Predictions] | None = None

    @property
    def spread(self) -> RateSpread | None:
        """How likely each rate is, where that is known."""
        return None if self.estimate is None else self.estimate.spread

    @property
    def at_the_estimate(self) -> Predictions:
        """The same without a spread of the rates: at the estimate, with the error that its low rate implies."""
        if self.again is None or self.spread is None:
            return self
        assert self.estimate is not None  # else there is no spread
        return self.again(replace(self.estimate, spread=None))

    def at(self, rate_bps: float, *, frames: float | None = None) -> Predictions:
        """What every point would take at another rate, which is then certain.

        Args:
            rate_bps: of the uplink.
            frames: over how many frames a change of the radio's state is spread; those of the limits' horizon unless
                told.
        """
        if self.again is None or self.estimate is None:
            return self
        trip_s, time_s = self.estimate.round_trip_s, self.estimate.time_s
        return self.again(RateEstimate(rate_bps, rate_bps, trip_s, time_s), frames=frames)


def predict(
    table: Table,
    energy: EnergyModel,
    estimate: RateEstimate | None,
    *,
    idle_s: float = math.inf,
    regret_j: float = 0.0,
    downlink_bps: float | None = None,
    frames: float | None = None,
    past: Past = NOTHING,
) -> Predictions:
    """Predict the seconds and joules of every point.

    Args:
        table: the points.
        energy: the terminal's energy model.
        estimate: the link; ``None`` where it is unknown or down.
        idle_s: seconds since the radio's last packet; infinite where it sleeps.
        regret_j: what the frames so far would have cost less with the radio asleep; negative: with the radio awake.
        downlink_bps: rate of the answer; that of the uplink where it is ``None``.
        frames: that the link stays as it is; those of the limits' horizon where it is ``None``.
        past: what happened since the last choice; it is only handed on.
    """
    if estimate is None or estimate.rate_bps < DOWN_BPS:
        return _without_link(table, energy, idle_s, past)
    radio, frames = energy.radio, table.limits.horizon_frames if frames is None else frames
    left_j = radio.idle_j(idle_s, math.inf)
    link = _Link.of(estimate, downlink_bps, float(radio.ready_s(idle_s)))
    latency_s, pessimistic_latency_s, left_s, needed_s, gap_s, finish_j, wasted_j, steady_j = _weigh(
        table, energy, link, absolute=estimate.spread is not None
    )
    if radio.listen_s < math.inf:
        _hold(table, energy, link, (latency_s, pessimistic_latency_s), (gap_s, left_s), steady_j)
    np.maximum(gap_s, 0.0, out=gap_s)
    goes_on = table.columns[REMOTE]  # of the frames, the share that is sent: 1, or that of a cascade
    if table.cascades:
        gap_s = pauses(gap_s, goes_on, min(table.limits.period_s, _RARE_S))
    share = needed_s / np.maximum(left_s, 1e-9)
    if estimate.spread is None:
        risk = _risk(share, link)
        steady_j += risk * np.maximum(finish_j, wasted_j)
        on_time = (latency_s if table.has_local_fallback else pessimistic_latency_s) <= table.limit_s
    else:
        given_up_j = np.maximum(finish_j, wasted_j, out=wasted_j)
        known = Known(link.rate_bps, downlink_bps, share * link.rate_bps, steady_j, given_up_j)
        risk, steady_j = expected(table, energy.radio, estimate.spread, known)
        on_time = (risk < 1.0 if table.has_local_fallback else pessimistic_latency_s <= table.limit_s) & (
            table.columns[TERMINAL_S] <= table.limit_s
        )
    idle_j, again_j = radio.idle_j(0.0, gap_s), radio.ready_j(gap_s)
    steady_j += goes_on * (idle_j + again_j) if table.cascades else idle_j + again_j
    sleep_j = max(0.0, left_j - max(0.0, regret_j))
    wake_j = radio.ready_j(idle_s) - again_j
    if left_j <= 0:  # fast asleep
        wake_j += radio.idle_j(0.0, math.inf) - idle_j
    wake_j += min(0.0, regret_j)
    ever = 1.0 - (1.0 - goes_on) ** max(1.0, frames) if table.cascades else goes_on  # whether one of them is sent
    energy_j = ever * ((np.maximum(0.0, wake_j) - sleep_j) / frames)
    energy_j += steady_j
    energy_j += sleep_j / frames
    again = partial(predict, table, energy, idle_s=idle_s, regret_j=regret_j, downlink_bps=downlink_bps, past=past)
    return Predictions(latency_s, pessimistic_latency_s, risk, energy_j, steady_j, on_time, estimate, past, again)


def next_regret_j(predictions: Predictions, table: Table, radio: Radio, regret_j: float) -> float:
    """The regret after a frame: the best offload's joules less the best local point's are added.

    It is kept within what a change of the radio's state costs, so that it forgets what was before the last one.
    """
    if predictions.estimate is None:
        return regret_j
    steady_j, on_time = predictions.steady_j, predictions.on_time
    local_j = min([float(steady_j[row]) for row in table.local_rows if on_time[row]], default=math.inf)
    offloads_j = np.where(on_time & table.remote, steady_j, np.inf)
    offload_j = float(offloads_j[offloads_j.argmin()])
    if not (math.isfinite(local_j) and math.isfinite(offload_j)):
        return regret_j
    sleep_j = float(radio.idle_j(0.0, math.inf))
    return min(sleep_j, max(-radio.wake_j - sleep_j, regret_j + offload_j - local_j))


class _Link(NamedTuple):
    """The link as the formulas take it; ``low_bps`` lies between `DOWN_BPS` and the rate."""

    rate_bps: float
    low_bps: float
    round_trip_s: float
    wake_s: float
    downlink_bps: float | None

    @classmethod
    def of(cls, estimate: RateEstimate, downlink_bps: float | None, wake_s: float) -> _Link:
        low_bps = min(max(estimate.low_bps, DOWN_BPS), estimate.rate_bps)
        return cls(estimate.rate_bps, low_bps, estimate.round_trip_s, wake_s, downlink_bps)


def _weigh(table: Table, energy: EnergyModel, link: _Link, *, absolute: bool = False) -> Column:
    """What is linear in the columns of a table, all in one product.

    Returns:
        (8, number of points): seconds to the answer at the expected rate; the same at the low rate; seconds that the
        link has until the give-up (of the upload alone, where the downlink's rate is known); those that it needs;
        seconds from the answer to the next upload, below 0 where it waits; joules of a local finish; those and the
        joules of a radio that goes on sending until the give-up; joules of computing, transfer and waiting. Where
        ``absolute``, the joules of what is given up hold all of the computing and all of the sending; else they come on
        top of those of an answer.
    """
    price = energy.prices(link.rate_bps, link.downlink_bps)
    up, low_up, trip_s = 8.0 / link.rate_bps, 8.0 / link.low_bps, link.round_trip_s + link.wake_s
    known = link.downlink_bps is not None
    down, low_down = (8.0 / link.downlink_bps,) * 2 if link.downlink_bps else (up, low_up)
    gap_s = min(table.limits.period_s, _RARE_S) - link.round_trip_s
    compute_w, sending_w = price.compute_w, energy.radio.sending_j(0.0, 1.0)
    waiting_j, up_j, down_j = price.wait_w * link.round_trip_s, price.uplink_j_per_byte, price.downlink_j_per_byte
    if absolute:
        given_up = (compute_w - sending_w, 0.0, 0.0, 0.0, -sending_w * link.wake_s, sending_w, compute_w)
    else:
        given_up = (-sending_w, -sending_w, -sending_w * up, 0.0, -sending_w * trip_s, sending_w, compute_w)
    # A local point sends nothing and has no edge server, so most of its terms are 0 by themselves.
    weights = (  # TERMINAL_S, EDGE_S, PAYLOAD_BYTES, ANSWER_BYTES, REMOTE, TIMEOUT_S, FINISH_S
        (1.0, 1.0, up, down, trip_s, 0.0, 0.0),
        (1.0, 1.0, low_up, low_down, trip_s, 0.0, 0.0),
        (-1.0, -1.0, 0.0, -down if known else 0.0, -trip_s, 1.0, 0.0),
        (0.0, 0.0, up, 0.0 if known else down, 0.0, 0.0, 0.0),
        (0.0, -1.0, -up, -down, gap_s, 0.0, 0.0),
        (compute_w if absolute else 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, compute_w),
        given_up,
        (compute_w, price.wait_w, up_j, down_j, waiting_j, 0.0, 0.0),
    )
    flat = np.fromiter(chain.from_iterable(weights), np.float64)  # NumPy reads nested tuples at half the speed
    return np.asarray(flat.reshape(len(weights), -1).dot(table.columns))


def _risk(share: Column, link: _Link) -> Column:
    """Chance that payload and answer take longer than they have, at the expected rate so large a share of it."""
    steepness = _LOGISTIC / max(_LEAST_SPREAD, math.log(link.rate_bps / link.low_bps))
    odds = np.minimum(share, 1e3)
    odds **= steepness
    return np.asarray(odds / (odds + 1.0))


def _hold(
    table: Table,
    energy: EnergyModel,
    link: _Link,
    longer_s: tuple[Column, Column],
    shorter_s: tuple[Column, Column],
    steady_j: Column,
) -> None:
    """Where the radio pauses while it waits, late answers wait for it, and pauses save joules. Changes the columns."""
    radio, remote = energy.radio, table.columns[REMOTE]
    edge_s = table.edge_s / np.where(remote > 0, remote, 1.0) if table.cascades else table.edge_s
    wait_s = edge_s + link.round_trip_s
    if wait_s.max() < radio.listen_s:
        return
    hold_s = radio.hold_s(wait_s)
    paused_j = radio.wait_j(wait_s + hold_s) - radio.listen_w * wait_s
    hold_s = remote * hold_s
    for column in longer_s:
        column += hold_s
    for column in shorter_s:
        column -= hold_s
    steady_j += remote * paused_j + energy.compute.wait_w * hold_s


def _without_link(table: Table, energy: EnergyModel, idle_s: float, past: Past) -> Predictions:
    # An offload would be given up and finished locally: finite numbers, but no reason to try one.
    latency_s = np.where(table.local, table.terminal_s, table.timeout_s + table.finish_s)
    compute_s = table.terminal_s + np.where(table.local, 0.0, table.finish_s)
    left_j = energy.radio.idle_j(idle_s, math.inf) / table.limits.horizon_frames
    steady_j = np.asarray(energy.local(compute_s).total_j)
    on_time = table.local & (latency_s <= table.limit_s)
    return Predictions(
        latency_s, latency_s, np.where(table.local, 0.0, 1.0), steady_j + left_j, steady_j, on_time, None, past
    )
