"""The segments of an incremental plan as ONNX graphs that take parts of any height and width.

May import: ``engine``, ``stream``, ``incremental``; of this part ``halves``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer
from torch import fx, nn

from adaedge.builder.halves import export
from adaedge.engine import OnnxEngine
from adaedge.errors import CaptureError
from adaedge.incremental.planning import Planned, parts_fit, values_of
from adaedge.stream.incremental import IncrementalRunner, Kind, Segment, Tolerance
from adaedge.stream.incremental.plan import Held

Array = npt.NDArray[Any]


def onnx_runner(found: Planned, tolerance: Tolerance | None = None, threads: int = 1) -> IncrementalRunner:
    """A plan whose segments run in ONNX Runtime. Those whose parts ONNX Runtime computes otherwise run as a whole.

    Args:
        found: the plan, with its graphs in PyTorch.
        tolerance: see `Tolerance`.
        threads: inside an operator.

    Raises:
        CaptureError: if a segment cannot be exported.
    """
    plan, segments, engines = found.plan, list(found.plan.segments), []
    values = values_of(found)
    for index, (segment, graph) in enumerate(zip(plan.segments, found.graphs, strict=True)):
        given = [plan.held[place] for place in segment.inputs]
        taken = [bool(segment.units) and bool(segment.source_units(at)) for at in range(len(given))]
        made = [plan.held[place] for place in segment.outputs]
        model = _exported(graph, given)
        if segment.kind is Kind.PART:
            _free_lengths(model, given, taken, made)
        engine = OnnxEngine(_bytes(model), {}, threads)
        if segment.kind is Kind.PART and not parts_fit(plan, segment, engine, values):
            segments[index] = Segment(Kind.WHOLE, segment.inputs, segment.outputs, macs=segment.macs, work=segment.work)
        engines.append(engine)
    whole = _exported(found.whole, [plan.held[place] for place in plan.inputs])
    plan = replace(plan, segments=tuple(segments))
    return IncrementalRunner(plan, engines, OnnxEngine(_bytes(whole), {}, threads), tolerance)


def dense_engine(net: nn.Module, tensors: Sequence[torch.Tensor], threads: int = 1) -> OnnxEngine:
    """A network that takes flat tensors and returns them, as one graph: what incremental inference is held against."""
    model = export(net, tensors)
    return OnnxEngine(_bytes(_optimised(model)), {}, threads)


def _exported(graph: fx.GraphModule, given: Sequence[Held]) -> ir.Model:
    return _optimised(export(graph, [torch.from_numpy(example_of(held)) for held in given]))


def example_of(held: Held) -> Array:
    """Zeros of a held tensor's type."""
    return np.zeros(held.shape, held.dtype)


def _optimised(model: ir.Model) -> ir.Model:
    optimizer.optimize(model)
    passes.OutputFixPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    return model


def _free_lengths(model: ir.Model, given: Sequence[Held], taken: Sequence[bool], made: Sequence[Held]) -> None:
    """Write names in the place of lengths along the axes, and forget what follows from them."""
    if len(model.graph.inputs) != len(given):
        raise CaptureError("an input of a segment is used by nothing")
    ends: set[int] = set()
    for at, (value, held) in enumerate(zip(model.graph.inputs, given, strict=True)):
        ends.add(id(value))
        if taken[at]:
            value.shape = _free(held, f"in{at}")
    for at, (value, held) in enumerate(zip(model.graph.outputs, made, strict=True)):
        ends.add(id(value))
        value.shape = _free(held, f"out{at}")
    for node in model.graph:
        for value in node.outputs:
            if id(value) not in ends:
                value.shape = None


def _free(held: Held, name: str) -> ir.Shape:
    return ir.Shape([f"{name}_{axis}" if axis in held.axes else size for axis, size in enumerate(held.shape)])


def _bytes(model: ir.Model) -> bytes:
    found: bytes = ir.to_proto(model).SerializeToString()
    return found
