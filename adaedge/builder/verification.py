"""Compare the graphs that were cut with the model that they come from.

May import: ``errors``, ``payload``, ``bundle``, ``engine``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.bundle import Bundle, Cut
from adaedge.engine import Arrays
from adaedge.errors import CaptureError
from adaedge.payload import uses_bottleneck

# ONNX Runtime and PyTorch add in different orders; wrong graphs are off by far more.
TOLERANCE = 1e-3


def verify(bundle: Bundle, cuts: Iterable[Cut], inputs: Arrays, expected: Sequence[Array]) -> None:
    """Compare every pair of fp32 graphs with the captured model.

    Args:
        bundle: holds them.
        cuts: which.
        inputs: the example's.
        expected: the model's outputs for them.

    Raises:
        CaptureError: if one of them computes something else.
    """
    for cut in cuts:
        features = bundle.head(cut.split, cut.level).run(inputs)
        found = bundle.tail(cut.split, cut.level).run(features)
        error = max(map(relative_error, found, expected), default=0.0)
        if not error <= TOLERANCE:
            raise CaptureError(
                f"the ONNX graphs cut at {cut.split!r} differ from the model by {error:.1e}, relative to the largest"
                f" output, at {cut.level}; at most {TOLERANCE:g} is expected. Leave this split point out."
            )


def verify_folded(bundle: Bundle, inputs: Arrays) -> None:
    """Compare every tail that a decoder was folded into with decoder and tail, at its bottleneck's finest rate.

    Args:
        bundle: holds them, and names its points.
        inputs: the example's.

    Raises:
        CaptureError: if one of them computes something else.
    """
    folded = {point: bundle.route(point).edge_half for point in bundle.points if uses_bottleneck(point.codec)}
    finest = {half.graph: point for point, half in folded.items() if half is not None}
    for point in finest.values():
        payload = bundle.encode(point, bundle.head(point.split, point.level).run(inputs))
        expected = bundle.tail(point.split, point.level).run(bundle.decode(payload)[1])
        engine, carried, _ = bundle.receive(bundle.read(payload))
        error = max(map(relative_error, engine.run(carried), expected), default=0.0)
        if not error <= TOLERANCE:
            raise CaptureError(
                f"the tail at {point.split!r} that a bottleneck's decoder was folded into differs from both by"
                f" {error:.1e}, relative to the largest output; at most {TOLERANCE:g} is expected. Leave the codec"
                " bottleneck or this split point out."
            )


def relative_error(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest difference, relative to the largest expected value; infinite where types or shapes differ."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    if not expected.size or np.array_equal(found, expected, equal_nan=found.dtype.kind == "f"):
        return 0.0
    wide, reference = found.astype(np.float64), expected.astype(np.float64)
    return float(np.abs(wide - reference).max() / max(np.abs(reference).max(), 1e-30))
