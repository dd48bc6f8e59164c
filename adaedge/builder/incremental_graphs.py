"""The segments of an incremental plan as ONNX graphs that take parts of any height and width.

May import: ``engine``, ``levels``, ``stream``, ``incremental``; of this part ``subgraphs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer
from torch import nn

from adaedge.arrays import Array
from adaedge.builder.subgraphs import export, part, source
from adaedge.engine import OnnxEngine
from adaedge.incremental.planner import Planned, parts_fit, values_of
from adaedge.incremental.slide import Slid
from adaedge.incremental.tokens import Staged
from adaedge.levels.precision import quantise
from adaedge.stream.incremental import IncrementalRunner, Kind, Plan, Segment, Tolerance
from adaedge.stream.incremental.plan import Held
from adaedge.stream.incremental.slides import SlidingRunner
from adaedge.stream.incremental.tokens import Choice, Engines, TokenRunner


@dataclass(frozen=True, slots=True, eq=False)
class SegmentModels:
    """The graphs of a plan, and engines that were made of them.

    Attributes:
        plan: segments whose parts ONNX Runtime computes otherwise run as a whole in it.
        segments: of each segment its graph.
        whole: takes the network's inputs and returns all other held tensors.
        plain: takes the network's inputs and returns its outputs.
        engines: of ``segments``.
        whole_engine: of ``whole``.
    """

    plan: Plan
    segments: tuple[ir.Model, ...]
    whole: ir.Model
    plain: ir.Model
    engines: tuple[OnnxEngine, ...]
    whole_engine: OnnxEngine


def segment_models(
    found: Planned, *, threads: int = 1, samples: Sequence[Sequence[Array]] | None = None
) -> SegmentModels:
    """A plan's segments as ONNX graphs, the parts of each compared with its whole in ONNX Runtime.

    Args:
        found: the plan, with its graphs in PyTorch.
        threads: inside an operator.
        samples: inputs that calibrate int8 arithmetic; without them it is fp32.

    Raises:
        CaptureError: if the network cannot be exported.
    """
    plan, segments, engines, models = found.plan, list(found.plan.segments), [], []
    exported = _whole(found, samples)
    values = values_of(found)
    if samples is not None:
        values = dict(zip(plan.inputs, samples[0], strict=True))
    whole = part(exported, exported.graph.inputs, exported.graph.outputs)
    engine = OnnxEngine(_bytes(whole), {}, threads)
    inputs = [values[place] for place in plan.inputs]
    values |= dict(zip(_made(found), engine.run(inputs), strict=True))
    names = _names(found, exported)
    for index, segment in enumerate(plan.segments):
        model = part(exported, *([names[place] for place in some] for some in (segment.inputs, segment.outputs)))
        if segment.kind is Kind.PART:
            _free_lengths(model, plan.held, segment)
        models.append(model)
        engines.append(OnnxEngine(_bytes(model), {}, threads))
        if segment.kind is Kind.PART and not parts_fit(plan, segment, engines[-1], values):
            segments[index] = Segment(Kind.WHOLE, segment.inputs, segment.outputs, macs=segment.macs, work=segment.work)
    plain = part(exported, [names[place] for place in plan.inputs], [names[place] for place in plan.outputs])
    fitting = replace(plan, segments=tuple(segments))
    return SegmentModels(fitting, tuple(models), whole, plain, tuple(engines), engine)


def onnx_runner(
    found: Planned,
    tolerance: Tolerance | None = None,
    *,
    threads: int = 1,
    samples: Sequence[Sequence[Array]] | None = None,
) -> IncrementalRunner:
    """A plan whose segments run in ONNX Runtime; arguments and errors as of `segment_models`.

    Args:
        found: see there.
        tolerance: see `Tolerance`.
        threads: see there.
        samples: see there.
    """
    made = segment_models(found, threads=threads, samples=samples)
    plain = OnnxEngine(_bytes(made.plain), {}, threads)
    return IncrementalRunner(made.plan, made.engines, made.whole_engine, tolerance, plain=plain)


def onnx_slide(found: Slid, *, threads: int = 1) -> SlidingRunner:
    """A network of clips whose window slides, in ONNX Runtime.

    Args:
        found: its two graphs in PyTorch.
        threads: inside an operator.

    Raises:
        CaptureError: if one of them cannot be exported.
    """
    plan = found.plan
    clip = torch.zeros(plan.clip.shape, dtype=getattr(torch, plan.clip.dtype))
    held = [torch.zeros(one.shape, dtype=getattr(torch, one.dtype)) for one in plan.held]
    new = clip.narrow(plan.axis, 0, plan.step).contiguous()
    whole, slide = (
        _engine(export(graph, given), threads) for graph, given in ((found.whole, [clip]), (found.slide, [new, *held]))
    )
    return SlidingRunner(plan, whole, slide)


def dense_engines(
    net: nn.Module, tensors: Sequence[torch.Tensor], samples: Sequence[Sequence[Array]] = (), threads: int = 1
) -> dict[str, OnnxEngine]:
    """A network that takes and returns flat tensors as one graph in fp32, and in int8 where samples calibrate it."""
    model = export(net, tensors)
    models = {"fp32": _optimised(model.clone())} | ({"int8": _quantised(model, samples)} if samples else {})
    return {name: OnnxEngine(_bytes(one), {}, threads) for name, one in models.items()}


def onnx_token_runner(
    found: Staged, tolerance: Tolerance, choice: Choice | None = None, *, threads: int = 1
) -> TokenRunner:
    """A transformer whose stages run in ONNX Runtime.

    Args:
        found: the stages, with their graphs in PyTorch.
        tolerance: see `Tolerance`.
        choice: see `Choice`.
        threads: inside an operator.

    Raises:
        CaptureError: if a stage cannot be exported.
    """
    plan = found.plan
    inputs = [torch.zeros(held.shape, dtype=getattr(torch, held.dtype)) for held in plan.inputs]
    with torch.no_grad():
        values = dict(zip(plan.kept, found.whole(*inputs), strict=False))
        constants = dict(zip(plan.constants, found.constants(), strict=True))
        rows = {name: _some(values[name], plan.axes[name]) for name in (plan.first,)}
        rows |= {name: _some(value, plan.axes[name]) for name, value in constants.items()}
        engines = []
        for stage, graph in zip(plan.stages, found.stages, strict=True):
            given = [values[name] if name in stage.whole else rows[name] for name in stage.order]
            free = [() if name in stage.whole else (plan.axes[name],) for name in stage.order]
            engines.append(_engine(export(graph, given, free), threads))
            rows |= dict(zip(stage.outputs, graph(*given), strict=True))
    return TokenRunner(
        plan,
        Engines(
            _engine(export(found.front, inputs), threads),
            tuple(engines),
            _engine(export(found.finish, [values[plan.last]]), threads),
            _engine(export(found.whole, inputs), threads),
            {name: value.numpy() for name, value in constants.items()},
        ),
        tolerance,
        choice,
    )


def _some(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """A number of rows that no other dimension has."""
    return tensor.narrow(axis, 0, tensor.shape[axis] // 2 + 1).contiguous()


def _engine(model: ir.Model, threads: int) -> OnnxEngine:
    return OnnxEngine(_bytes(_optimised(model)), {}, threads)


def _whole(found: Planned, samples: Sequence[Sequence[Array]] | None) -> ir.Model:
    plan = found.plan
    model = export(
        found.whole, [torch.from_numpy(np.zeros(plan.held[p].shape, plan.held[p].dtype)) for p in plan.inputs]
    )
    passes.OutputFixPass()(model)  # each output once, so that each has a name of its own
    return model if samples is None else _quantised(model, samples)


def _quantised(model: ir.Model, samples: Sequence[Sequence[Array]]) -> ir.Model:
    names = [str(value.name) for value in model.graph.inputs]
    return quantise(model, [dict(zip(names, sample, strict=True)) for sample in samples], wanted=0.0).model


def _made(found: Planned) -> list[int]:
    return [place for place in range(len(found.plan.held)) if place not in found.plan.inputs]


def _names(found: Planned, whole: ir.Model) -> dict[int, ir.Value]:
    """Held tensor → where it is in the whole graph."""
    places = dict(zip(found.plan.inputs, whole.graph.inputs, strict=True))
    return places | dict(zip(_made(found), [source(value) for value in whole.graph.outputs], strict=True))


def _optimised(model: ir.Model) -> ir.Model:
    passes.OutputFixPass()(model)  # an output that is an input, or comes twice, needs an Identity
    optimizer.optimize(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    return model


def _free_lengths(model: ir.Model, held: Sequence[Held], segment: Segment) -> None:
    """Write names in the place of lengths along the axes, and forget what follows from them."""
    ends: set[int] = set()
    for at, (value, place) in enumerate(zip(model.graph.inputs, segment.inputs, strict=True)):
        ends.add(id(value))
        if segment.source_units(at):
            value.shape = _free(held[place], f"in{at}")
    for at, (value, place) in enumerate(zip(model.graph.outputs, segment.outputs, strict=True)):
        ends.add(id(value))
        value.shape = _free(held[place], f"out{at}")
    for node in model.graph:
        for value in node.outputs:
            if id(value) not in ends:
                value.shape = None


def _free(held: Held, name: str) -> ir.Shape:
    return ir.Shape([f"{name}_{axis}" if axis in held.axes else size for axis, size in enumerate(held.shape)])


def _bytes(model: ir.Model) -> bytes:
    found: bytes = ir.to_proto(model).SerializeToString()
    return found
