"""A cascade's first answer to a frame: it is given, or the second point answers.

May import: ``operating_point``, ``engine``, ``bundle``, ``scheduling``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from adaedge.bundle import Bundle
from adaedge.engine import Arrays
from adaedge.operating_point import REFRESH, Decision, OperatingPoint
from adaedge.scheduling import TwoAnswers


@dataclass(frozen=True, slots=True, eq=False)
class FirstAnswer:
    """A decision after the first answer, if its point is a cascade's.

    Attributes:
        decision: the one for the record, with the result of the first answer among its reasons.
        run: the one that is carried out: at the first point, or at the second.
        answer: the first, where it is given; ``None`` where the second is asked, and at any other point.
        took_s: seconds that the profile says of the first point; 0 at any other point.
    """

    decision: Decision
    run: Decision
    answer: Arrays | None = None
    took_s: float = 0.0

    @classmethod
    def of(
        cls,
        cascades: Mapping[OperatingPoint, tuple[TwoAnswers, float]],
        decision: Decision,
        bundle: Bundle,
        inputs: Arrays,
    ) -> FirstAnswer:
        """Ask for it."""
        found = cascades.get(decision.point)
        if found is None:
            return cls(decision, decision)
        cascade, took_s = found
        told = cascade.first_answer(bundle, inputs)
        word = "its answer stands" if told.stands else f"the frame went on to {cascade.then}"
        of = f"{told.sureness:.3f} of {cascade.threshold:.3f}"
        asked = replace(decision, reasons=(*decision.reasons, f"{cascade.first.network} was sure by {of}: {word}"))
        run = replace(decision, point=cascade.first if told.stands else cascade.then, change=REFRESH)
        return cls(asked, run, told.answer, took_s)
