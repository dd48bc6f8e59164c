"""The ranges of activations on samples, gathered one sample at a time.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from adaedge.levels.precision.agreement import Sample, session

Extremes = dict[str, npt.NDArray[Any]]  # value → (samples, 2): the least and the greatest entry in each sample


def extremes(model: ir.Model, samples: Sequence[Sample]) -> Extremes:
    """The least and the greatest entry of each floating-point activation in each sample.

    ONNX Runtime reduces the activations itself, so that two numbers per value and sample are all that is kept.
    """
    probe = model.clone()
    graph = probe.graph
    names = [str(value.name) for value in _activations(graph)]
    values = ir.convenience.create_value_mapping(graph)
    graph.outputs.clear()
    for name in names:
        for operator in ("ReduceMin", "ReduceMax"):
            node = ir.Node("", operator, [values[name]], {"keepdims": ir.AttrInt64("keepdims", 0)}, num_outputs=1)
            graph.append(node)
            node.outputs[0].name = f"{name}:{operator}"
            node.outputs[0].dtype = values[name].dtype
            node.outputs[0].shape = ir.Shape([])
            graph.outputs.append(node.outputs[0])
    runtime = session(probe)
    rows = np.array([runtime.run(None, dict(sample)) for sample in samples], np.float32)
    return {name: rows[:, 2 * index : 2 * index + 2] for index, name in enumerate(names)}


def _activations(graph: ir.Graph) -> list[ir.Value]:
    made = [value for node in graph for value in node.outputs]
    return [value for value in (*graph.inputs, *made) if value.dtype == ir.DataType.FLOAT and value.uses()] + [
        value for value in graph.outputs if value.dtype == ir.DataType.FLOAT and not value.uses()
    ]


def whole_range(rows: npt.NDArray[Any]) -> tuple[Any, Any]:
    """From the least entry of any sample to the greatest of any."""
    return rows[:, 0].min(), rows[:, 1].max()


def typical_range(rows: npt.NDArray[Any]) -> tuple[Any, Any]:
    """From the mean of the samples' least entries to the mean of their greatest: outliers are clipped."""
    return rows[:, 0].mean(), rows[:, 1].mean()
