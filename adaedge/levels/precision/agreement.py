"""How well graphs agree with the fp32 graph on samples, and how fast they are.

May import: nothing of adaedge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir
import onnxruntime

from adaedge.arrays import Array, cosine

Sample = Mapping[str, Array]
Metric = Callable[[Array, Array], float]

_FATAL_ONLY = 4
_ROUNDS = 12


def same_class(expected: Array, found: Array) -> float:
    """The fraction of rows whose largest entry is at the same place.

    Example:
        >>> same_class(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
        0.5
    """
    return float((expected.argmax(-1) == found.argmax(-1)).mean())


def relative_error(expected: Array, found: Array) -> float:
    """The mean square of the difference, relative to the variance of what is expected.

    Example:
        >>> relative_error(np.array([1.0, -1.0]), np.array([1.0, 0.0]))
        0.5
    """
    return float(np.mean((found - expected) ** 2) / max(float(np.var(expected)), 1e-30))


def metric_for(output: ir.Value) -> Metric:
    """`same_class` where an output has the shape of class scores (N, classes), else `cosine`."""
    shape = output.shape
    return same_class if shape is not None and len(shape) == 2 and shape[1] != 1 else cosine


def session(model: ir.Model) -> onnxruntime.InferenceSession:
    """The graph in ONNX Runtime, on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def first_outputs(model: ir.Model, samples: Iterable[Sample]) -> Iterator[Array]:
    """The graph's first output for each sample, one after another."""
    runtime = session(model)
    names = [str(model.graph.outputs[0].name)]
    for sample in samples:
        yield runtime.run(names, dict(sample))[0]


def agreements(fp32: ir.Model, models: Sequence[ir.Model], samples: Sequence[Sample], metric: Metric) -> list[float]:
    """The mean of the metric over the samples, for each of the models; nothing but its values is kept."""
    runs = [first_outputs(model, samples) for model in (fp32, *models)]
    values = [[metric(expected, one) for one in found] for expected, *found in zip(*runs, strict=True)]
    return [float(value) for value in np.mean(values, 0)]


def fastest(models: Sequence[ir.Model], sample: Sample) -> int:
    """Which of the models runs in the least time on this machine: the smallest of rounds that take turns."""
    runtimes = [session(model) for model in models]
    names = [[str(model.graph.outputs[0].name)] for model in models]
    seconds = np.full((_ROUNDS, len(models)), np.inf)
    for turn in range(_ROUNDS):
        for index, runtime in enumerate(runtimes):
            start = time.perf_counter()
            runtime.run(names[index], dict(sample))
            seconds[turn, index] = time.perf_counter() - start
    return int(seconds.min(0).argmin())
