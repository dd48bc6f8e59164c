"""Rows of a table for cascades: the first, local answer is given where it is sure; else a second point answers.

May import: ``errors``, ``operating_point``; of this part ``deadlines``, ``knots``, ``table``, ``two_answers``.

A row holds what a frame takes **in the mean**: all of the first point, t₁, and of the second, t₂, the share s of the
frames that go on: ``t₁ + s·t₂``. What is linear in the columns is then the mean as well. What a frame that goes on must
meet is scaled the same way, so that comparing means compares it: it is on time at a limit L where ``t₁ + t₂ ≤ L``,
which is ``t₁ + s·t₂ ≤ t₁ + s·(L − t₁)``. So no frame that goes on misses a deadline for the sake of a mean. Only the
radio's falling asleep is no such sum, see `pauses`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from adaedge.errors import ScheduleError
from adaedge.operating_point import Cost, OperatingPoint
from adaedge.scheduling.deadlines import can_finish_locally, offload_timeout_s
from adaedge.scheduling.knots import Column
from adaedge.scheduling.table import Table
from adaedge.scheduling.two_answers import TwoAnswers


def with_cascades(table: Table, profile: Mapping[OperatingPoint, Cost], cascades: Sequence[TwoAnswers]) -> Table:
    """The table with a row more for each cascade whose second point is in it, and which meets the accuracy floor.

    Args:
        table: of the points themselves.
        profile: what every point costs; the first point may lie below the floor.
        cascades: of the profile's points.

    Raises:
        ScheduleError: if the profile lacks one of a cascade's points, or holds its name, or two have one name.
    """
    _check(cascades, profile)
    for cascade in cascades:
        cost = mean_cost(cascade, profile)
        if cascade.then not in table.rows:
            continue  # below the floor itself, or smaller and not faster
        if cost.meets(table.limits.accuracy_floor):
            table = _with_row(table, cascade, cost, profile)
        else:
            table = replace(table, below_floor=table.below_floor + 1)
    return table


def _check(cascades: Sequence[TwoAnswers], profile: Mapping[OperatingPoint, Cost]) -> None:
    names = [cascade.point for cascade in cascades]
    for cascade in cascades:
        missing = [str(point) for point in (cascade.first, cascade.then) if point not in profile]
        if missing:
            raise ScheduleError(
                f"the cascade {cascade.point} is of {missing[0]}, which the profile does not hold. Profile the bundle"
                " that the cascade was fitted on."
            )
        if names.count(cascade.point) > 1 or cascade.point in profile:
            raise ScheduleError(
                f"two points are called {cascade.point}. Give a scheduler one cascade for each pair of networks and"
                " each second point."
            )


def mean_cost(cascade: TwoAnswers, profile: Mapping[OperatingPoint, Cost]) -> Cost:
    """The mean cost of a frame, and the least accuracy of its answer.

    The floor is of the answers against the full network's. Where the second point is itself measured below 1, as
    against labels, what it falls short by is taken off as well.

    Example:
        >>> class Half:
        ...     first, then = OperatingPoint("output", network="small"), OperatingPoint("output")
        ...     share, floor = 0.5, 0.97
        >>> cost = mean_cost(Half(), {Half.first: Cost(0.001), Half.then: Cost(0.01, accuracy=0.9)})
        >>> cost.head_s, round(cost.accuracy, 3)
        (0.006, 0.87)
    """
    then = profile[cascade.then]
    known = None if then.accuracy is None else max(0.0, then.accuracy - (1 - cascade.floor))
    return profile[cascade.first].followed_by(then, 1 - cascade.share, known)


def _with_row(table: Table, cascade: TwoAnswers, cost: Cost, profile: Mapping[OperatingPoint, Cost]) -> Table:
    local, point = cascade.then.is_local, cascade.point
    timeout_s, limit_s = _scaled(cascade, profile, table)
    sent = 0.0 if local else 1 - cascade.share
    edge = (cost.edge_s, cost.payload_bytes, cost.answer_bytes)
    column = [cost.terminal_s, *((0.0, 0.0, 0.0) if local else edge), sent, timeout_s, cost.finish_s]
    longer = table.with_row(point, column, local=local, limit_s=limit_s, accuracy=cost.accuracy)
    return replace(longer, cascades={**table.cascades, point: (cascade, profile[cascade.first].terminal_s)})


def _scaled(cascade: TwoAnswers, profile: Mapping[OperatingPoint, Cost], table: Table) -> tuple[float, float]:
    """When a frame that goes on is given up, and its limit, both as the mean of the row is compared with them."""
    limits, goes_on = table.limits, 1 - cascade.share
    first_s, then = profile[cascade.first].terminal_s, profile[cascade.then]
    after = replace(then, head_s=first_s + then.head_s)  # a frame that goes on, from when it came
    if cascade.then.is_local:
        return limits.deadline_s, limits.deadline_s if after.terminal_s <= limits.deadline_s else -math.inf
    timeout_s = offload_timeout_s(after, limits.deadline_s, limits.margin_s)
    scaled_s = first_s + goes_on * (timeout_s - first_s)
    in_vain = table.has_local_fallback and not can_finish_locally(after, limits.deadline_s, limits.margin_s)
    return scaled_s, -math.inf if in_vain else scaled_s


def pauses(gap_s: Column, goes_on: Column, period_s: float) -> Column:
    """Seconds from an answer of the edge server's to the next upload, where only a share of the frames goes on.

    They are spread evenly, which draws most: the longer an idle radio waits, the less it draws.

    Args:
        gap_s: of rows, in the mean of a frame: so many times the share.
        goes_on: that share: 1 where every frame is sent, 0 where none is.
        period_s: from a frame to the next.

    Example:
        >>> pauses(np.array([0.09, 0.018, 0.0]), np.array([1.0, 0.2, 0.0]), period_s=0.1).round(3).tolist()
        [0.09, 0.49, 0.0]
    """
    some = goes_on > 0
    share = np.where(some, goes_on, 1.0)
    return np.asarray(np.where(some, gap_s / share + period_s * (1 / share - 1), gap_s))
