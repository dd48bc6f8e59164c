"""Which scheme, and which layers stay in fp32: decided by measured agreement.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from adaedge.errors import LevelError
from adaedge.levels.precision.agreement import Metric, Sample, agreement, first_outputs, metric_for
from adaedge.levels.precision.calibrating import extremes, typical_range, whole_range
from adaedge.levels.precision.preparing import prepared
from adaedge.levels.precision.quantised import Quantised
from adaedge.levels.precision.quantisers import dynamic, static


def quantise(
    model: ir.Model, samples: Sequence[Sample], *, wanted: float = 0.97, metric: Metric | None = None
) -> Quantised:
    """A whole network in int8, where that agrees with fp32.

    Args:
        model: the exported fp32 graph, its weights inside; left as it is. The tensors that will cross cuts are among
            its outputs; what the network returns comes first.
        samples: about 300 inputs, name → array. They are read one at a time, several times.
        wanted: agreement with the fp32 graph's first output on the samples.
        metric: agreement of two outputs, in [0, 1]; by default `same_class` for (N, classes), else `cosine`.

    Raises:
        LevelError: if there are no samples.
    """
    if not len(samples):
        raise LevelError("int8 is calibrated on samples, and there are none; give about 300 inputs")
    graph = prepared(model)
    metric = metric or metric_for(graph.graph.outputs[0])
    expected = list(first_outputs(graph, samples))
    found = []
    if any(node.op_type == "Conv" for node in graph.graph):
        rows = extremes(graph, samples)
        for span in (whole_range, typical_range):
            candidate = static(graph, {name: span(values) for name, values in rows.items()})
            found.append(Quantised(candidate, "static", agreement(candidate, samples, expected, metric)))
    candidate = dynamic(graph)
    found.append(Quantised(candidate, "dynamic", agreement(candidate, samples, expected, metric)))
    return next((one for one in found if one.agreement >= wanted), max(found, key=lambda one: one.agreement))
