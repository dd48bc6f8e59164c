"""The ranges of activations on samples, gathered one sample at a time.

May import: of this part ``agreement``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from adaedge.levels.precision.agreement import Sample, session

Range = tuple[Any, Any]
Extremes = dict[str, npt.NDArray[Any]]


def extremes(model: ir.Model, samples: Iterable[Sample]) -> Extremes:
    """The least and the greatest entry of each floating-point activation in each sample.

    ONNX Runtime reduces the activations itself, so two numbers per value and sample are all that is kept.

    Returns:
        Name of the value → array (samples, 2).
    """
    probe = model.clone()
    graph = probe.graph
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    watched = [value for value in values if value.dtype == ir.DataType.FLOAT]
    graph.outputs.clear()
    for value in watched:
        for operator in ("ReduceMin", "ReduceMax"):
            node = ir.node(operator, [value], {"keepdims": 0})
            node.outputs[0].name = f"{value.name}:{operator}"
            node.outputs[0].type, node.outputs[0].shape = value.type, ir.Shape([])
            graph.append(node)
            graph.outputs.append(node.outputs[0])
    runtime = session(probe)
    rows = np.array([runtime.run(None, dict(sample)) for sample in samples], np.float32)
    return {str(value.name): rows[:, 2 * index : 2 * index + 2] for index, value in enumerate(watched)}


def whole_range(rows: npt.NDArray[Any]) -> Range:
    """The range from the least entry of any sample to the greatest of any."""
    return rows[:, 0].min(), rows[:, 1].max()


def typical_range(rows: npt.NDArray[Any]) -> Range:
    """The range from the mean of the samples' least entries to the mean of their greatest: outliers are clipped."""
    return rows[:, 0].mean(), rows[:, 1].mean()
