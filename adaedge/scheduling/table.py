"""Table: a profile as NumPy columns, with what follows from the limits alone. Limits: what the user asks for.

May import: ``errors``, ``operating_point``. Built once, so that a decision among hundreds of points takes microseconds:
what a decision weighs lies in one array, so that one product weighs all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from adaedge.errors import ScheduleError
from adaedge.operating_point import KEPT, NOT_FASTER, Cost, OperatingPoint, Profile, not_faster
from adaedge.scheduling.deadlines import can_finish_locally, default_margin_s, offload_timeout_s
from adaedge.scheduling.knots import Column, Knots, Named
from adaedge.scheduling.two_answers import TwoAnswers

TERMINAL_S, EDGE_S, PAYLOAD_BYTES, ANSWER_BYTES, REMOTE, TIMEOUT_S, FINISH_S = range(7)
"""The columns of a table that a decision weighs; the first three follow how much a frame changed."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """The limits that the user sets.

    Attributes:
        deadline_s: seconds from a frame to its answer.
        accuracy_floor: least accuracy of a point, in [0, 1].
        period_s: seconds from a frame to the next.
        margin_s: seconds kept in reserve for a local finish.
        horizon_s: seconds that the link is taken to stay as it is; waking the radio, and its last tail, are spread
            over the frames in them.
    """

    deadline_s: float
    accuracy_floor: float = 0.0
    period_s: float = math.inf
    margin_s: float = 0.01
    horizon_s: float = 20.0

    def __post_init__(self) -> None:
        for name in ("deadline_s", "period_s", "horizon_s"):
            if not getattr(self, name) > 0:
                raise ScheduleError(f"{name} is a number of seconds above 0; got {getattr(self, name)}")
        for name in ("deadline_s", "horizon_s"):
            if math.isinf(getattr(self, name)):
                raise ScheduleError(f"{name} is finite; got inf")
        if not 0 <= self.margin_s < self.deadline_s:
            raise ScheduleError(f"margin_s is at least 0 and below deadline_s={self.deadline_s}; got {self.margin_s}")
        if not 0 <= self.accuracy_floor <= 1:
            raise ScheduleError(f"accuracy_floor is a fraction in [0, 1]; got {self.accuracy_floor}")

    @classmethod
    def of(
        cls,
        deadline_s: float,
        accuracy_floor: float = 0.0,
        period_s: float | None = None,
        margin_s: float | None = None,
        horizon_s: float = 20.0,
    ) -> Limits:
        """Limits of which only the deadline has to be named: a frame comes every deadline, the margin is the usual one.

        Example:
            >>> Limits.of(0.1)
            Limits(deadline_s=0.1, accuracy_floor=0.0, period_s=0.1, margin_s=0.01, horizon_s=20.0)
        """
        period_s = deadline_s if period_s is None else period_s
        margin_s = default_margin_s(deadline_s) if margin_s is None else margin_s
        return cls(deadline_s, accuracy_floor, period_s, margin_s, horizon_s)

    @cached_property
    def horizon_frames(self) -> float:
        """Frames over which a change of the radio's state is spread; at least one."""
        return max(1.0, self.horizon_s / self.period_s)

    @cached_property
    def text(self) -> str:
        """What a point has to meet, for people; it says too where no accuracy is asked for."""
        floor = f" and {self.accuracy_floor:.4g}" if self.accuracy_floor else ", at any accuracy"
        return f"{self.deadline_s:.3f} s{floor}"


@dataclass(frozen=True, eq=False)
class Table:
    """The points that may be chosen, one row each: at or above the accuracy floor, and not labelled `NOT_FASTER`.

    Keeping the last answer is none of them: whether it may be chosen is another question each frame, see ``kept_row``.

    Treat the arrays as read-only. A level that is smaller but not faster is left out even where its measured accuracy
    is higher: rounding adds no accuracy, so a difference in its favour is one of samples.

    Attributes:
        limits: what the user asks for.
        points: the points, in the order of the rows.
        names: the same, in writing.
        rows: point → row.
        local: whether the terminal answers alone.
        remote: whether it does not.
        local_rows: where it does.
        columns: (7, number of points): `TERMINAL_S` (from the frame to the payload, to the answer where local),
            `EDGE_S` (from the payload to the answer), `PAYLOAD_BYTES` on the uplink, `ANSWER_BYTES` on the downlink,
            `REMOTE` (1, and 0 where the terminal answers alone), `TIMEOUT_S` (when it gives up waiting, from the frame
            on), `FINISH_S` (from the features to the answer, when the edge server has not answered). Each but `REMOTE`
            is a property too, a view of it.
        limit_s: a point counts as on time when its predicted latency is at most this; ``-inf`` where a failed offload
            would miss a deadline that a local run meets.
        has_local_fallback: whether a local run fits the deadline: one then fits after any offload given up in time.
        accuracy: measured accuracy; 0 where it was not measured, which no accuracy floor lets pass.
        measured: whether it was.
        below_floor: number of points that the accuracy floor keeps out of the table.
        not_faster: points at or above the floor that their label keeps out of it.
        knots: what points with a stateful codec cost at other amounts of change; ``None`` where there are none.
        cascades: those among the points, each with the seconds of its first answer, see ``cascade_rows``.
    """

    limits: Limits
    points: tuple[OperatingPoint, ...]
    names: tuple[str, ...]
    rows: Mapping[OperatingPoint, int]
    local: Mask
    remote: Mask
    local_rows: tuple[int, ...]
    columns: Column
    limit_s: Column
    has_local_fallback: bool
    accuracy: Column
    measured: Mask
    below_floor: int
    not_faster: frozenset[OperatingPoint] = frozenset()
    knots: Knots | None = None
    cascades: Mapping[OperatingPoint, tuple[TwoAnswers, float]] = field(default_factory=dict)

    @classmethod
    def build(cls, profile: Profile | Mapping[OperatingPoint, Cost], limits: Limits) -> Table:
        """The table of a profile under given limits.

        Raises:
            ScheduleError: if no point has the accuracy.
        """
        if not profile:
            raise ScheduleError("the profile holds no operating point. Profile a bundle with `adaedge profile BUNDLE`.")
        slow = not_faster(profile)
        offered = {point: cost for point, cost in profile.items() if point not in slow and point != KEPT}
        held = {point: cost for point, cost in offered.items() if cost.meets(limits.accuracy_floor)}
        if not held:
            best, cost = max(offered.items(), key=lambda item: item[1].accuracy or 0.0)
            if cost.accuracy is None:
                raise ScheduleError(
                    f"an accuracy floor of {limits.accuracy_floor:.4g} needs measured accuracies, and no point of the"
                    " profile has one. Build the bundle with `calibrate` (`--images FOLDER`), or set no floor."
                )
            raise ScheduleError(
                f"no point has an accuracy of {limits.accuracy_floor:.4g}; the best is {best} with {cost.accuracy:.4g}."
                " Lower the accuracy floor, or build a bundle with better points."
            )
        costs = held.values()
        has_local_fallback = any(
            point.is_local and cost.terminal_s <= limits.deadline_s for point, cost in held.items()
        )
        return cls(
            limits,
            tuple(held),
            tuple(map(str, held)),
            {point: row for row, point in enumerate(held)},
            np.array([point.is_local for point in held]),
            np.array([not point.is_local for point in held]),
            tuple(row for row, point in enumerate(held) if point.is_local),
            np.array([_weighed(point, cost, limits) for point, cost in held.items()]).T.copy(),
            _column(_limit_s(point, cost, limits, has_local_fallback) for point, cost in held.items()),
            has_local_fallback,
            _column(cost.accuracy or 0.0 for cost in costs),
            np.array([cost.accuracy is not None for cost in costs]),
            len(offered) - len(held),
            frozenset(point for point in slow if profile[point].meets(limits.accuracy_floor)),
            Knots.of(profile, tuple(held)) if isinstance(profile, Profile) else None,
        )

    @property
    def terminal_s(self) -> Column:
        """Terminal: seconds from the frame to the payload; to the answer where local."""
        return np.asarray(self.columns[TERMINAL_S])

    @property
    def edge_s(self) -> Column:
        """Edge server: seconds from the payload to the answer."""
        return np.asarray(self.columns[EDGE_S])

    @property
    def payload_bytes(self) -> Column:
        """On the uplink."""
        return np.asarray(self.columns[PAYLOAD_BYTES])

    @property
    def answer_bytes(self) -> Column:
        """On the downlink."""
        return np.asarray(self.columns[ANSWER_BYTES])

    @property
    def timeout_s(self) -> Column:
        """When the terminal gives up waiting, from the frame on."""
        return np.asarray(self.columns[TIMEOUT_S])

    @property
    def finish_s(self) -> Column:
        """Terminal: seconds from the features to the answer, when the edge server has not answered."""
        return np.asarray(self.columns[FINISH_S])

    def at(
        self,
        changes: Mapping[OperatingPoint, float],
        sent_ratio: Mapping[OperatingPoint, float] | None = None,
        named: Named | None = None,
    ) -> Table:
        """The table for a frame that changed so much; when an offload is given up stays what a refresh asks for.

        Args:
            changes: the frame's change against what both ends hold, of the points that can build upon it.
            sent_ratio: of these, how many times the predicted bytes the stream has really sent.
            named: which points the changes name, where that is known already.
        """
        knots = self.knots
        if knots is None:
            return self
        columns = self.columns.copy()
        named = named or knots.named(changes)
        if named.places:
            for column, costs in enumerate(named.at(changes, sent_ratio or {})):
                columns[column][named.rows] = costs
        return self.with_(columns=columns)

    def with_(self, **columns: Column) -> Table:
        """The same table with other columns. It is asked for at every frame, so fields that stay are not looked at."""
        table = object.__new__(Table)
        table.__dict__.update(self.__dict__, **columns)
        return table

    def with_row(
        self, point: OperatingPoint, column: Sequence[float], *, local: bool, limit_s: float, accuracy: float | None
    ) -> Table:
        """The table with a last row more: ``column`` in the order of ``columns``, the rest as the attributes say."""
        return replace(
            self,
            points=(*self.points, point),
            names=(*self.names, str(point)),
            rows={**self.rows, point: len(self.points)},
            local=np.append(self.local, local),
            remote=np.append(self.remote, not local),
            local_rows=(*self.local_rows, len(self.points)) if local else self.local_rows,
            columns=np.hstack([self.columns, np.array(column)[:, None]]),
            limit_s=np.append(self.limit_s, limit_s),
            accuracy=np.append(self.accuracy, accuracy or 0.0),
            measured=np.append(self.measured, accuracy is not None),
        )

    def row(self, point: OperatingPoint) -> int:
        """The row of a point.

        Raises:
            ScheduleError: if the table does not hold it.
        """
        try:
            return self.rows[point]
        except KeyError:
            if point in self.not_faster:
                raise ScheduleError(
                    f"{point} is {NOT_FASTER}: fp32 at its split point and width takes no longer. It is never chosen."
                ) from None
            raise ScheduleError(
                f"no point {point} at or above the accuracy floor of {self.limits.accuracy_floor:.4g};"
                f" there are {len(self.points)}, such as {self.points[0]}. List them with `list(profile)`."
            ) from None


def _weighed(point: OperatingPoint, cost: Cost, limits: Limits) -> tuple[float, ...]:
    timeout_s = offload_timeout_s(cost, limits.deadline_s, limits.margin_s)
    if point.is_local:
        return cost.terminal_s, 0.0, 0.0, 0.0, 0.0, timeout_s, cost.finish_s
    return cost.terminal_s, cost.edge_s, cost.payload_bytes, cost.answer_bytes, 1.0, timeout_s, cost.finish_s


def _column(values: object) -> Column:
    return np.fromiter(values, dtype=np.float64)  # type: ignore[call-overload, no-any-return]


def _limit_s(point: OperatingPoint, cost: Cost, limits: Limits, has_local_fallback: bool) -> float:
    if point.is_local:
        return limits.deadline_s
    # Every offload leaves time to finish locally, wherever a local run can be in time at all.
    if has_local_fallback and not can_finish_locally(cost, limits.deadline_s, limits.margin_s):
        return -math.inf
    return offload_timeout_s(cost, limits.deadline_s, limits.margin_s)
