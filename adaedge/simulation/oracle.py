"""What hindsight would have chosen: the best static point, and the best point of every frame.

May import: ``operating_point``, ``energy``, ``channel``, ``scheduling``, ``runtime.record``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaedge.energy import RadioPower
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Fixed, Table
from adaedge.simulation.replay import Outcome, Replay
from adaedge.simulation.scenario import Scenario

MISSES_ALLOWED = 0.02
"""Fraction of deadlines that a point may miss and still count as meeting them."""
_PENALTY_J = 1e9  # of a missed deadline: more than any energy

Floats = npt.NDArray[np.float64]


def best_static(scenario: Scenario) -> tuple[OperatingPoint, list[FrameRecord]]:
    """The point that, used for every frame, would have cost the least, and its run: hindsight that no terminal has.

    Raises:
        ScheduleError: if no point has the accuracy.
    """
    return next(iter(static_runs(scenario).items()))


def static_runs(scenario: Scenario) -> dict[OperatingPoint, list[FrameRecord]]:
    """Every point that may be chosen, used for every frame, the local fallback of its failed offloads included.

    The best point comes first: those that miss at most 2 % of the deadlines, by their energy; then the others, by what
    they miss.

    Raises:
        ScheduleError: if no point has the accuracy.
    """
    points = Table.build(scenario.costs, scenario.limits).points
    runs = {point: scenario.run(Fixed(point)) for point in points}
    return dict(sorted(runs.items(), key=lambda item: _rank(item[1])))


def _rank(records: Sequence[FrameRecord]) -> tuple[float, float]:
    outcome = Outcome.of(records)
    met = outcome.miss_fraction <= MISSES_ALLOWED
    return (0.0 if met else outcome.miss_fraction, outcome.energy_j_per_frame)


def clairvoyant(scenario: Scenario) -> list[FrameRecord]:
    """Replay what would be chosen if every future rate were known: what is left for a better scheduler to gain.

    Dynamic programming over the frames; its state is how long ago the radio was used, in frames, so that a tail is paid
    only where it is worth it. It sends no probes, keeps the same time-outs as the runtime, and takes every latency to
    be within the period; the plan is then replayed, so its joules are counted like everybody else's.

    Raises:
        ScheduleError: if no point has the accuracy.
    """
    limits, period_s = scenario.limits, scenario.limits.period_s
    table = Table.build(scenario.costs, limits)
    arrivals_s = scenario.start_s + period_s * np.arange(scenario.frames, dtype=np.float64)
    awake, asleep = (_options(table, scenario, arrivals_s, wake) for wake in (False, True))
    decisions = _cheapest_path(table, scenario.energy.radio, awake, asleep)
    replay = Replay(scenario.costs, scenario.energy, scenario.trace, limits, scenario.round_trip_s, None)
    return replay.run(lambda index, _: decisions[index], range(scenario.frames), period_s, scenario.start_s)


@dataclass(frozen=True, slots=True, eq=False)
class _Options:
    """Every frame (rows) at every point (columns), as it would really go.

    Attributes:
        energy_j: joules until the next upload; a penalty is added where the answer is late.
        latency_s: seconds from the frame to the answer.
    """

    energy_j: Floats
    latency_s: Floats


def _options(table: Table, scenario: Scenario, arrivals_s: Floats, wake: bool) -> _Options:
    limits, energy, radio = table.limits, scenario.energy, scenario.energy.radio
    payload_bytes = np.where(table.local, 1.0, table.payload_bytes)  # a local point has none; its column is replaced
    begin_s = table.terminal_s + (radio.promotion_s if wake else 0.0)
    transfer_s = np.maximum(1e-6, scenario.trace.transfer_s(payload_bytes, arrivals_s[:, None] + begin_s))
    rate_bps = 8 * payload_bytes / transfer_s
    wait_s = scenario.round_trip_s + table.edge_s
    latency_s = begin_s + transfer_s + wait_s + 8 * table.answer_bytes / rate_bps
    in_vain = latency_s > table.timeout_s
    # An offload in vain sends what fits, is finished locally, and has woken the radio.
    fits = np.clip((table.timeout_s - begin_s) / transfer_s, 1e-9, 1.0)
    offload_j = energy.offload(
        table.terminal_s + in_vain * table.finish_s,
        payload_bytes * np.where(in_vain, fits, 1.0),
        rate_bps,
        np.where(in_vain, 0.0, wait_s),
        answer_bytes=np.where(in_vain, 0.0, table.answer_bytes),
        gap_s=np.maximum(0.0, limits.period_s - np.minimum(latency_s, table.timeout_s) + begin_s),
        radio_idle=wake,
    ).total_j
    latency_s = np.where(in_vain, table.timeout_s + table.finish_s, latency_s)
    latency_s = np.where(table.local, table.terminal_s, latency_s)
    energy_j = np.where(table.local, energy.local(table.terminal_s).total_j, offload_j)
    return _Options(energy_j + _PENALTY_J * (latency_s > limits.deadline_s), latency_s)


def _cheapest_path(table: Table, radio: RadioPower, awake: _Options, asleep: _Options) -> list[Decision]:
    """The decisions of least energy. A state is the number of frames since the last offload; the last one is sleep."""
    period_s = table.limits.period_s
    ages = np.arange(1, int(radio.tail_s / period_s) + 2)
    residual_s = np.append(np.maximum(0.0, radio.tail_s - ages * period_s), 0.0)
    tail_j = radio.tail_w * np.minimum(residual_s, period_s)
    sleep = len(ages)
    older = np.minimum(np.arange(sleep + 1) + 1, sleep)
    local = _best(awake, table.local)
    offload = [_best(awake, ~table.local), _best(asleep, ~table.local)]
    asleep_now = residual_s <= 0
    frames = len(awake.energy_j)
    ahead_j = np.zeros(sleep + 1)
    offloads = np.zeros((frames, sleep + 1), dtype=bool)
    for frame in reversed(range(frames)):
        local_j = local[0][frame] + tail_j + ahead_j[older]
        offload_j = np.where(asleep_now, offload[1][0][frame], offload[0][0][frame]) + ahead_j[0]
        offloads[frame] = offload_j < local_j
        ahead_j = np.minimum(local_j, offload_j)
    decisions, state = [], sleep
    for frame in range(frames):
        options = asleep if asleep_now[state] else awake
        chosen = offload[int(asleep_now[state])] if offloads[frame, state] else local
        row = int(chosen[1][frame])
        decisions.append(_decision(table, options, frame, row))
        state = 0 if offloads[frame, state] else int(older[state])
    return decisions


def _best(options: _Options, columns: npt.NDArray[np.bool_]) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Per frame the least joules among some points, and which point that is."""
    if not columns.any():
        return np.full(len(options.energy_j), np.inf), np.zeros(len(options.energy_j), dtype=np.intp)
    energy_j = np.where(columns, options.energy_j, np.inf)
    rows = energy_j.argmin(axis=1)
    return energy_j[np.arange(len(rows)), rows], rows


def _decision(table: Table, options: _Options, frame: int, row: int) -> Decision:
    return Decision(
        table.points[row],
        float(options.latency_s[frame, row]),
        float(options.energy_j[frame, row] % _PENALTY_J),
        float(table.accuracy[row]) if table.measured[row] else None,
        None,
        ("every future rate was known",),
    )
