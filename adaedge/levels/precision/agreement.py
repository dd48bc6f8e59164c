"""How well a graph agrees with the fp32 graph on samples, and how it is run for that.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime

Array = npt.NDArray[Any]
Sample = Mapping[str, Array]
Metric = Callable[[Array, Array], float]

_FATAL_ONLY = 4


def same_class(expected: Array, found: Array) -> float:
    """The fraction of rows whose largest entry is at the same place.

    Example:
        >>> same_class(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
        0.5
    """
    return float((expected.argmax(-1) == found.argmax(-1)).mean())


def cosine(expected: Array, found: Array) -> float:
    """The cosine of the angle between two arrays, taken as vectors.

    Example:
        >>> cosine(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
        0.96
    """
    one, other = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else float(one.tolist() == other.tolist())


def metric_for(output: ir.Value) -> Metric:
    """`same_class` where an output has the shape of class scores (N, classes), else `cosine`."""
    shape = output.shape
    return same_class if shape is not None and len(shape) == 2 and shape[1] != 1 else cosine


def session(model: ir.Model) -> onnxruntime.InferenceSession:
    """The graph in ONNX Runtime, on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    return onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def first_outputs(model: ir.Model, samples: Sequence[Sample]) -> Iterator[Array]:
    """The graph's first output for each sample, one after another."""
    runtime = session(model)
    first = [runtime.get_outputs()[0].name]
    for sample in samples:
        yield runtime.run(first, dict(sample))[0]


def agreement(model: ir.Model, samples: Sequence[Sample], expected: Sequence[Array], metric: Metric) -> float:
    """The mean of the metric over the samples."""
    found = first_outputs(model, samples)
    return float(np.mean([metric(one, other) for one, other in zip(expected, found, strict=True)]))
