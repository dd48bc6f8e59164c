"""The oracle: the best static point in hindsight, and the best point of every frame.

May import: ``operating_point``, ``scheduling``, ``runtime.record``; of this part ``changes``, ``optimal_plan``,
``references``, ``replay``, ``scenario``.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaedge.operating_point import OperatingPoint
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Fixed, Table
from adaedge.simulation.changes import as_changes
from adaedge.simulation.optimal_plan import Foresight, cheapest_plan
from adaedge.simulation.references import HeldFrames
from adaedge.simulation.replay import Outcome, Replay
from adaedge.simulation.scenario import Scenario

MISSES_ALLOWED = 0.02
"""Fraction of deadlines that a point may miss and still count as meeting them."""


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
    """Replay what would be chosen if every future rate and change were known: what is left for a scheduler to gain.

    Dynamic programming over the frames; its state is how long ago the last payload was sent, in frames, and which
    family of codecs both ends hold its reference in, so that a tail and a refresh are paid only where they are worth it
    (``optimal_plan`` says what is exact and what is not). It sends no probes, keeps the runtime's time-outs, and
    takes every latency to be within the period; the plan is then replayed, so its joules are counted like everybody
    else's. It computes every frame: where answers are kept, a scheduler may take less than it.

    Raises:
        ScheduleError: if no point has the accuracy.
        SourceError: if the changes are fewer than the frames, or one is no number in [0, 1].
    """
    limits, changes = scenario.limits, as_changes(scenario.changes, scenario.frames)
    decisions = cheapest_plan(Foresight(scenario, Table.build(scenario.costs, limits), changes))
    held = HeldFrames(scenario.costs, changes)
    replay = Replay(scenario.costs, scenario.energy, scenario.trace, limits, scenario.round_trip_s, None, held)
    return replay.run(lambda index, _: decisions[index], range(scenario.frames), limits.period_s, scenario.start_s)
