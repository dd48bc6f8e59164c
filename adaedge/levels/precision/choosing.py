"""Which scheme, and which layers stay in fp32: decided by measured agreement, then by measured speed.

May import: ``errors``; of this part all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from adaedge.errors import LevelError
from adaedge.levels.precision.agreement import (
    Metric,
    Sample,
    agreements,
    fastest,
    first_outputs,
    metric_for,
    relative_error,
)
from adaedge.levels.precision.calibrating import extremes, typical_range, whole_range
from adaedge.levels.precision.preparing import layers, prepared, weight_of
from adaedge.levels.precision.quantised import Quantised
from adaedge.levels.precision.quantisers import dynamic, overrides, static, static_nodes

# A layer's contribution shows on a few samples: it is a mean over all entries of the output.
_RANKING_SAMPLES = 8
Maker = Callable[[Sequence[str]], ir.Model]  # names of the layers in int8 → the graph


def quantise(
    model: ir.Model, samples: Sequence[Sample], *, wanted: float = 0.97, metric: Metric | None = None
) -> Quantised:
    """A whole network in int8, as far as that agrees with fp32.

    Static graphs are made where there are convolutions, dynamic ones where there are matrix products, both where there
    are both. Where one falls short of the agreement, its layers are quantised one at a time, and those that change the
    output most stay in fp32: 1, 2, 4, 8, … of them, up to half. Of what holds, the fastest on this machine is returned;
    where nothing does, what agrees best.

    Args:
        model: the exported fp32 graph, its weights inside; left as it is. The tensors that will cross cuts are among
            its outputs; what the network returns comes first.
        samples: about 300 inputs, name → array. They are read one at a time, several times.
        wanted: agreement with the fp32 graph's first output, as a mean over the samples.
        metric: agreement of two outputs, in [0, 1]; by default `same_class` for (N, classes), else `cosine`.

    Raises:
        LevelError: if there are no samples, or there is no layer with a weight.
    """
    if not len(samples):
        raise LevelError("int8 is calibrated on samples, and there are none. Give about 300 inputs, or leave int8 out.")
    fp32 = prepared(model)
    metric = metric or metric_for(fp32.graph.outputs[0])
    makers = _makers(fp32, samples)
    if not makers:
        raise LevelError("the network has no convolution and no matrix product with a weight; leave int8 out.")
    everything = [make(list(layers(fp32.graph))) for _, make in makers]
    found = [
        Quantised(graph, scheme, agreement)
        for (scheme, _), graph, agreement in zip(
            makers, everything, agreements(fp32, everything, samples, metric), strict=True
        )
    ]
    enough = [one for one in found if one.agreement >= wanted]
    if not enough:
        best = int(np.argmax([one.agreement for one in found]))
        found.append(_with_layers_kept(fp32, makers[best], found[best], samples, wanted, metric))
        enough = [one for one in found if one.agreement >= wanted]
    if len(enough) < 2:
        return max(found, key=lambda one: one.agreement) if not enough else enough[0]
    return enough[fastest([one.model for one in enough], samples[0])]


def _makers(fp32: ir.Model, samples: Sequence[Sample]) -> list[tuple[str, Maker]]:
    """Scheme and function of each way to quantise this graph."""
    weights, parts = overrides(fp32), layers(fp32.graph)
    kinds = [node.op_type for node in fp32.graph if weight_of(node) is not None]
    between = [name for name in static_nodes(fp32.graph) if not any(name in part for part in parts.values())]
    makers: list[tuple[str, Maker]] = []
    if kinds.count("Conv") > 1:  # the one convolution of a transformer only makes its tokens
        rows = extremes(fp32, samples)
        for span in (whole_range, typical_range):
            found = {name: span(values) for name, values in rows.items()}
            makers.append(
                (
                    "static",
                    lambda names, found=found: static(
                        fp32,
                        found,
                        weights,
                        [
                            *(node for name in names for node in parts[name]),
                            *(between if len(names) > 1 else ()),
                        ],
                    ),
                )
            )
    if kinds.count("MatMul") > 1 or (not makers and kinds):
        makers.append(("dynamic", lambda names: dynamic(fp32, weights, names)))
    return makers


def _with_layers_kept(
    fp32: ir.Model,
    maker: tuple[str, Maker],
    start: Quantised,
    samples: Sequence[Sample],
    wanted: float,
    metric: Metric,
) -> Quantised:
    """The graph with as few layers in fp32 as it takes, of those that were tried; else the best of them."""
    scheme, make = maker
    names = list(layers(fp32.graph))
    few = samples[:_RANKING_SAMPLES]
    expected = list(first_outputs(fp32, few))
    errors = {}
    for name in names:
        outputs = first_outputs(make([name]), few)
        errors[name] = np.mean([relative_error(one, other) for one, other in zip(expected, outputs, strict=True)])
    ranked = sorted(names, key=lambda name: -errors[name])
    best, count = start, 1
    while best.agreement < wanted and count <= len(names) // 2:
        kept = ranked[:count]
        graph = make([name for name in names if name not in kept])
        one = Quantised(graph, scheme, agreements(fp32, [graph], samples, metric)[0], tuple(kept))
        best, count = max(best, one, key=lambda each: each.agreement), 2 * count
    return best
