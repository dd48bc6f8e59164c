"""The point that keeps the last answer, and how good a kept answer is, by what changed since.

May import: ``errors``; of this part ``cost``, ``point``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from adaedge.errors import ProfileError
from adaedge.operating_point.point import OperatingPoint

KEPT = OperatingPoint("kept")
"""The last answer stands: nothing is computed, nothing is sent."""


@dataclass(frozen=True, slots=True)
class KeptKnot:
    """How good kept answers are up to an amount of change.

    Attributes:
        change: since the frame of the last computed answer; it holds from the knot before up to here, in [0, 1].
        expected: mean score of an answer that is kept over so much change, against the one that would have been
            computed, in [0, 1].
        low: what a stretch of ten seconds scores at least, in 19 of 20, where answers are kept up to this change;
            frames that are computed count as well.
        pairs: of frames, from which ``expected`` was measured.

    Raises:
        ProfileError: if a figure is no fraction.
    """

    change: float
    expected: float
    low: float
    pairs: int

    def __post_init__(self) -> None:
        fractions = self.change, self.expected, self.low
        if not all(math.isfinite(value) and 0 <= value <= 1 for value in fractions):
            raise ProfileError(f"change, expected and low of a knot are fractions in [0, 1]; got {fractions}")


@dataclass(frozen=True, slots=True)
class KeptCurve:
    """How good an answer is that is kept, by how much changed since the frame that it was computed for.

    Attributes:
        detector: name of what measured the change; whoever uses the curve measures with the same.
        unit: what a change of 1 is all of, for people: ``of blocks moved``.
        metric: name of what compared the answers.
        knots: ascending in change, from which neither figure rises; beyond the last one nothing was measured.
        clips: which samples it was fitted on, by their place among those that were given.

    Raises:
        ProfileError: if there are no knots, or they do not ascend, or a figure rises with the change.

    Example:
        >>> curve = KeptCurve("blocks", "of blocks moved", "iou", (KeptKnot(0.02, 0.99, 0.97, 300),))
        >>> curve.low(0.01), curve.low(0.05)
        (0.97, 0.0)
        >>> curve.largest_change(0.95), curve.largest_change(0.98)
        (0.02, None)
    """

    detector: str
    unit: str
    metric: str
    knots: tuple[KeptKnot, ...]
    clips: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        falls = all(
            a.change < b.change and a.expected >= b.expected and a.low >= b.low for a, b in pairwise(self.knots)
        )
        if not self.knots or not falls:
            raise ProfileError(
                "a curve of kept answers has knots that ascend in change, one or more, along which no accuracy rises;"
                f" got {len(self.knots)}"
            )

    def expected(self, change: float) -> float:
        """Mean score of an answer that is kept over so much change; 0 where nothing was measured."""
        knot = self._knot(change)
        return knot.expected if knot else 0.0

    def low(self, change: float) -> float:
        """What a floor is compared with where answers are kept up to a change; 0 where nothing was measured."""
        knot = self._knot(change)
        return knot.low if knot else 0.0

    def largest_change(self, floor: float) -> float | None:
        """The largest change over which an answer may be kept under an accuracy floor; ``None`` where there is none."""
        held = [knot.change for knot in self.knots if knot.low >= floor]
        return held[-1] if held else None

    def _knot(self, change: float) -> KeptKnot | None:
        at = bisect_left([knot.change for knot in self.knots], change)
        return self.knots[at] if at < len(self.knots) else None

    @classmethod
    def of(cls, document: dict[str, Any] | None) -> Self | None:
        """Read what ``asdict`` made of one, from JSON.

        Raises:
            ProfileError: if it is none.
        """
        if document is None:
            return None
        knots = tuple(KeptKnot(**knot) for knot in document["knots"])
        return cls(**document | {"clips": tuple(document["clips"]), "knots": knots})


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The answer that may be kept, as a scheduler sees it.

    Attributes:
        frame: number of the frame that it was computed for, from 0.
        point: where it was computed.
        correction: by how much a change counts more, since audits found kept answers worse than the curve says.
    """

    frame: int
    point: OperatingPoint
    correction: float = 0.0
