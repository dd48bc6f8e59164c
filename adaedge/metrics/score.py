"""Metric: what compares answers. Score: what it finds.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from adaedge.arrays import Array
from adaedge.errors import MetricError

Answer = Sequence[Array]
"""A model's outputs on one frame or a batch, reduced by the answer codec or not."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good answers were found to be.

    Attributes:
        value: in [0, 1]; higher is better.
        samples: how many were compared.
        low: lower end of the 95 % interval.
        high: upper end of it.

    Raises:
        MetricError: unless 0 <= low <= value <= high <= 1, of one sample or more.

    Example:
        >>> Score(0.9, samples=500, low=0.87, high=0.92).value
        0.9
    """

    value: float
    samples: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high <= 1:
            raise MetricError(
                f"a score lies in its interval, both in [0, 1]; got {self.value} in [{self.low}, {self.high}]."
                " Map what you measure to [0, 1], higher is better."
            )
        if self.samples < 1:
            raise MetricError(f"a score is of one sample or more; got {self.samples}")


@runtime_checkable
class Metric(Protocol):
    """Compares answers with those that were expected."""

    @property
    def name(self) -> str:
        """What a manifest and a report call it."""
        ...

    def score(self, expected: Sequence[Answer], given: Sequence[Answer]) -> Score:
        """How good the given answers are.

        Args:
            expected: the answer to each frame, or batch of frames, of whoever is right; usually the full network.
            given: the answer to the same.

        Raises:
            MetricError: if such answers cannot be compared by this metric.
        """
        ...


def pairs(expected: Sequence[Answer], given: Sequence[Answer]) -> list[tuple[Answer, Answer]]:
    """Each expected answer with the given one.

    Raises:
        MetricError: if there are none, or not as many.
    """
    if len(expected) != len(given) or not expected:
        raise MetricError(
            f"as many answers are given as expected, at least one; got {len(given)} for {len(expected)}."
            " Pass the answers to the same frames, in the same order."
        )
    return list(zip(expected, given, strict=True))


def shapes(answer: Answer) -> str:
    """The types and shapes of an answer, for a message."""
    return ", ".join(f"{one.dtype} {one.shape}" for one in answer) or "nothing"
