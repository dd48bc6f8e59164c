"""Result: the answer to one frame, what was chosen for it, and what happened.

May import: ``operating_point``, ``engine``; of this part ``record``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adaedge.engine import Arrays
from adaedge.operating_point import Decision
from adaedge.runtime.record import Measurement


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one frame.

    Attributes:
        output: the answer, nested as the model nests its outputs: a tuple of arrays where it returns a tensor or a
            tuple of tensors, a dictionary of the same names where it returns one, or a dataclass, or an output of
            transformers. `AnswerFormat.nested` says what becomes of it where the answer codec changes their number.
        decision: what was chosen and predicted.
        measurement: what happened.
        answer: the same arrays in a row.
    """

    output: Any
    decision: Decision
    measurement: Measurement
    answer: Arrays = ()
