"""Policy: the protocol of what chooses among predictions, and the simplest ones.

May import: ``errors``, ``operating_point``; of this part ``prediction``, ``table``. Every policy is pure: what it has
to remember it returns with its choice, and finds in ``predictions.past`` at the next frame.

A policy of your own is any callable of this form:

    >>> def most_accurate(table, predictions, previous):
    ...     rows = np.flatnonzero(predictions.on_time)
    ...     if not len(rows):
    ...         return LeastLatency()(table, predictions, previous)
    ...     row = int(rows[np.argmax(table.accuracy[rows])])
    ...     return Choice(row, f"most accurate of {len(rows)} points on time")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, final

import numpy as np

from adaedge.errors import ScheduleError
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.scheduling.prediction import Predictions
from adaedge.scheduling.table import Table


class Choice(NamedTuple):
    """A row of the table, and why, in a short sentence.

    Attributes:
        row: of the table.
        reason: for people.
        memory: anything; it is returned as ``predictions.past.memory`` at the next frame.
    """

    row: int
    reason: str
    memory: object = None


class Policy(Protocol):
    """Chooses a row of the table. It keeps no state: what it chose, and remembers, is handed to it."""

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row to run, and why. ``previous`` is the row of the frame before, ``None`` at the first."""
        ...


class Guarded:
    """A policy of adaedge: what it may cost is bounded by the ledger, and the link is probed only where that can pay.

    Attributes:
        at_the_estimate: whether it takes the link to be as it is estimated, whatever the spread of the rates.
    """

    at_the_estimate: ClassVar[bool] = False


@final
@dataclass(frozen=True, slots=True)
class LeastLatency:
    """The smallest predicted latency at the low rate."""

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:  # noqa: ARG002
        """The fastest row."""
        row = int(predictions.pessimistic_latency_s.argmin())
        return Choice(
            row, f"smallest latency of {len(table.points)} points: {predictions.pessimistic_latency_s[row]:.3f} s"
        )


@final
@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same point: a baseline."""

    point: OperatingPoint

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:  # noqa: ARG002
        """The row of the point.

        Raises:
            ScheduleError: if the table does not hold it.
        """
        return Choice(table.row(self.point), "fixed")


@dataclass(frozen=True, slots=True)
class _Always:
    """One kind of point always: of those above the floor, the one that takes the least."""

    kind: ClassVar[str]
    codecs: ClassVar[tuple[str, ...]]

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:  # noqa: ARG002
        """The row of the least energy among its kind, as on a link without a fault.

        Raises:
            ScheduleError: if the table holds no such point.
        """
        rows = [row for row, point in enumerate(table.points) if self.holds(point)]
        if not rows:
            floor = table.limits.accuracy_floor
            raise ScheduleError(
                f"no point {self.kind} at or above the accuracy floor of {floor:.4g}. Build the bundle with such a"
                " codec, or lower the floor."
            )
        sent = [(float(table.payload_bytes[row]), float(table.terminal_s[row]), row) for row in rows]
        return Choice(min(sent)[2], f"always {self.kind}")

    def holds(self, point: OperatingPoint) -> bool:
        """Whether a point is of the kind."""
        return point.split == "input" and point.codec.partition("@")[0].partition("-")[0] in self.codecs


@final
@dataclass(frozen=True, slots=True)
class AlwaysLocal(_Always):
    """Every frame on the terminal, at its fastest point: a baseline."""

    kind: ClassVar[str] = "that is local"
    codecs: ClassVar[tuple[str, ...]] = ()

    def holds(self, point: OperatingPoint) -> bool:
        """Whether a point is local."""
        return point.split == OUTPUT


@final
@dataclass(frozen=True, slots=True)
class AlwaysPicture(_Always):
    """Every frame as a picture, the smallest above the floor: a baseline."""

    kind: ClassVar[str] = "that sends pictures"
    codecs: ClassVar[tuple[str, ...]] = ("jpeg", "jpeg444", "webp", "avif")


@final
@dataclass(frozen=True, slots=True)
class AlwaysVideo(_Always):
    """Every frame by a video codec, the smallest above the floor: a baseline."""

    kind: ClassVar[str] = "that sends video"
    codecs: ClassVar[tuple[str, ...]] = ("h264", "hevc", "av1")


@final
@dataclass(frozen=True, slots=True)
class Neurosurgeon(Guarded):
    """The least joules of computing and sending at the estimate, frame by frame: a baseline.

    It looks at no chance of a time-out, no state of the radio and no point that it is on already (Kang et al.,
    "Neurosurgeon: collaborative intelligence between the cloud and mobile edge", ASPLOS 2017).
    """

    at_the_estimate: ClassVar[bool] = True

    def __call__(self, table: Table, predictions: Predictions, previous: int | None) -> Choice:
        """The row of the least steady joules among those on time; the fastest where none is."""
        allowed_j = np.where(predictions.on_time, predictions.steady_j, np.inf)
        row = int(allowed_j.argmin())
        if not predictions.on_time[row]:
            return LeastLatency()(table, predictions, previous)
        return Choice(row, "least joules of computing and sending at the estimate")
