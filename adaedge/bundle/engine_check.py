"""Compares another engine's answers with those of ONNX Runtime, with which the bundle's accuracies were measured.

May import: ``errors``, ``operating_point``, ``engine``; of this part ``entries``, ``random_inputs``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaedge.arrays import Array
from adaedge.bundle.entries import Cut, Subgraph
from adaedge.bundle.random_inputs import random_inputs
from adaedge.engine import Engine
from adaedge.errors import BundleError
from adaedge.operating_point import FP32

TOLERANCE = 1e-3
"""Two engines add in different orders; one that computes something else is off by far more."""
QUANTISED_FACTOR = 1.5
"""How much farther from fp32 a quantised graph may be than it is in ONNX Runtime.

Where engines round, and which operators stay in fp32, differ: their int8 answers are apart as int8 is from fp32.
"""


def fp32_of(half: Subgraph, cuts: Sequence[Cut]) -> Subgraph | None:
    """The fp32 head at the same place as a quantised one; ``None`` for a graph that is fp32 itself, or has none.

    A tail is fp32 always.
    """
    own = next((cut for cut in cuts if cut.head == half and cut.level.precision != FP32), None)
    if own is None:
        return None
    level = own.level
    alike = (cut.head for cut in cuts if cut.split == own.split and cut.level.precision == FP32
             and (cut.level.network, cut.level.width) == (level.network, level.width))  # fmt: skip
    return next(alike, None)


def check_answers(half: Subgraph, made: Engine, onnx: Engine, fp32: Engine | None, name: str) -> None:
    """Compare a graph in another engine with the same graph in ONNX Runtime, on two random inputs.

    Args:
        half: the graph.
        made: it, in the other engine.
        onnx: it, in ONNX Runtime.
        fp32: the fp32 graph that it was quantised from, in ONNX Runtime; ``None`` where it is fp32 itself.
        name: of the other engine.

    Raises:
        BundleError: naming the graph, if it answers something else.
    """
    for inputs in random_inputs(half.inputs, seed=0):
        found, expected = made.run(inputs), onnx.run(inputs)
        plain = expected if fp32 is None else fp32.run(inputs)
        apart, allowed = distance(found, plain), TOLERANCE
        if fp32 is not None:
            allowed = max(TOLERANCE, QUANTISED_FACTOR * distance(expected, plain))
        if not apart <= allowed:
            what = "ONNX Runtime" if fp32 is None else "fp32"
            raise BundleError(
                f"the engine {name} runs {half.graph} wrongly: its answer differs from {what}'s by {apart:.1e} of its"
                f" norm, at most {allowed:.1e} is expected. Run the bundle with the engine onnxruntime."
            )


def distance(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """How far apart answers are: the norm of the difference, relative to the norm; the largest over the outputs.

    Of whole numbers and truth values it is the share that differs; infinite where types or shapes differ.

    Example:
        >>> distance([np.array([3.0, 4.4])], [np.array([3.0, 4.0])]).__round__(3)
        0.08
        >>> distance([np.array([1, 2])], [np.array([1, 3])])
        0.5
    """
    return max(map(_apart, found, expected), default=0.0)


def _apart(found: Array, expected: Array) -> float:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    if found.dtype.kind != "f":
        return float(np.mean(found != expected)) if found.size else 0.0
    if np.array_equal(found, expected, equal_nan=True):
        return 0.0
    wide = expected.astype(np.float64)
    return float(np.linalg.norm(found - wide) / max(float(np.linalg.norm(wide)), 1e-30))
