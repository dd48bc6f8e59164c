"""Which scheme, and which layers stay in fp32: decided by measured agreement, then by measured speed.

May import: ``errors``; of this part all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from adaedge.errors import LevelError
from adaedge.levels.precision.activation_ranges import extremes, typical_range, whole_range
from adaedge.levels.precision.agreement import (
    Metric,
    Sample,
    agreements,
    fastest,
    first_outputs,
    metric_for,
    relative_error,
)
from adaedge.levels.precision.preparation import layers, prepared, weight_of
from adaedge.levels.precision.quantised_graph import Quantised
from adaedge.levels.precision.quantisers import dynamic, overrides, static, static_nodes

# A layer's contribution shows on a few samples: it is a mean over all entries of the output.
_RANKING_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One way to quantise a graph.

    Attributes:
        name: ``static`` or ``dynamic``.
        nodes: names of all nodes that it can quantise.
        make: names of the nodes to quantise → the graph.
    """

    name: str
    nodes: tuple[str, ...]
    make: Callable[[Collection[str]], ir.Model]


def quantise(
    model: ir.Model, samples: Sequence[Sample], *, wanted: float = 0.97, metric: Metric | None = None
) -> Quantised:
    """A whole network in int8, as far as that agrees with fp32.

    Static graphs are made where there are convolutions, dynamic ones where there are matrix products, both where there
    are both. Where none holds the agreement, the layers of the best are quantised one at a time, and those that change
    the output most stay in fp32: 1, 2, 4, 8, … of them, up to half. Of what holds, the fastest on this machine is
    returned; where nothing does, what agrees best.

    Args:
        model: the exported fp32 graph, its weights inside; left as it is. The tensors that will cross cuts are among
            its outputs; what the network returns comes first.
        samples: about 300 inputs, name → array. They are read one at a time, several times.
        wanted: agreement with the fp32 graph's first output, as a mean over the samples.
        metric: agreement of two outputs, in [0, 1]; by default `same_class` for (N, classes), else `cosine`.

    Raises:
        LevelError: if there are no samples, or no layers to quantise.
    """
    if not len(samples):
        raise LevelError("int8 is calibrated on samples, and there are none. Give about 300 inputs, or leave int8 out.")
    fp32 = prepared(model)
    metric = metric or metric_for(fp32.graph.outputs[0])
    schemes = _schemes(fp32, samples)
    if not schemes:
        raise LevelError("the network has no convolution and no matrix product with a weight in fp32; leave int8 out.")
    models = [scheme.make(scheme.nodes) for scheme in schemes]
    values = agreements(fp32, models, samples, metric)
    whole = [Quantised(graph, scheme.name, value) for graph, scheme, value in zip(models, schemes, values, strict=True)]
    best = int(np.argmax(values))
    if values[best] < wanted:
        return _with_layers_kept(fp32, schemes[best], whole[best], samples, wanted, metric)
    # One of each scheme, the better one: their speed differs, that of two static graphs does not.
    of_each = {one.scheme: one for one in sorted(whole, key=lambda one: one.agreement)}
    enough = [one for one in of_each.values() if one.agreement >= wanted]
    return enough[fastest([one.model for one in enough], samples[0])]


def _schemes(fp32: ir.Model, samples: Sequence[Sample]) -> list[_Scheme]:
    """The ways to quantise this graph: they differ in the activations' ranges."""
    weights = overrides(fp32)
    kinds = [node.op_type for node in fp32.graph if weight_of(node) is not None]
    schemes = []
    if kinds.count("Conv") > 1:  # the one convolution of a transformer only makes its tokens
        seen, nodes = extremes(fp32, samples), static_nodes(fp32.graph)
        for span in (whole_range, typical_range):
            ranges = {name: span(rows) for name, rows in seen.items()}
            schemes.append(_Scheme("static", nodes, partial(static, fp32, ranges, weights)))
    if kinds.count("MatMul") > 1 or (kinds and not schemes):
        nodes = tuple(str(node.name) for node in fp32.graph if weight_of(node) is not None and node.op_type != "Conv")
        schemes.append(_Scheme("dynamic", nodes, partial(dynamic, fp32, weights)))
    return schemes


def _with_layers_kept(
    fp32: ir.Model, scheme: _Scheme, whole: Quantised, samples: Sequence[Sample], wanted: float, metric: Metric
) -> Quantised:
    """The graph with as few layers in fp32 as it takes, of the numbers tried; the best of them where none suffices."""
    parts = {name: nodes for name, nodes in layers(fp32.graph).items() if name in scheme.nodes}
    ranked = _ranked(fp32, scheme, parts, samples[:_RANKING_SAMPLES])
    best, count = whole, 1
    while best.agreement < wanted and count <= len(ranked) // 2:
        kept = ranked[:count]
        left = {node for name in kept for node in parts[name]}
        graph = scheme.make([node for node in scheme.nodes if node not in left])
        one = Quantised(graph, scheme.name, agreements(fp32, [graph], samples, metric)[0], tuple(kept))
        best, count = max(best, one, key=lambda each: each.agreement), 2 * count
    return best


def _ranked(fp32: ir.Model, scheme: _Scheme, parts: dict[str, tuple[str, ...]], samples: Sequence[Sample]) -> list[str]:
    """The layers, first the one that changes the output most when it alone is quantised."""
    expected = list(first_outputs(fp32, samples))

    def error(name: str) -> float:
        found = first_outputs(scheme.make(parts[name]), samples)
        return float(np.mean([relative_error(one, other) for one, other in zip(expected, found, strict=True)]))

    return sorted(parts, key=error, reverse=True)
