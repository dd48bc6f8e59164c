"""The split points of a model's widths as cuts of one ONNX graph a level.

May import: ``errors``, ``operating_point``, ``graph``, ``payload``; of ``bundle`` the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import onnx_ir as ir

from adaedge.builder.bundle_writer import BundleWriter
from adaedge.builder.decoder_fold import fold
from adaedge.builder.frames import ExampleCall
from adaedge.builder.level_names import folder_of, mark_of, prefix_of
from adaedge.builder.outer_names import give_outer_names, outer
from adaedge.builder.subgraphs import cut, export, part, serialize, source
from adaedge.builder.weight_file import Index, LevelWeights, Weights
from adaedge.bundle import Subgraph, TensorSpec
from adaedge.errors import CaptureError
from adaedge.graph import CrossingTensor, SplitPoint, Splittable
from adaedge.operating_point import FP32, INPUT, OUTPUT, Level
from adaedge.payload.latent import TransformCode

ENDS = (INPUT, OUTPUT)


@dataclass(frozen=True, slots=True)
class Exported:
    """One width of a model as one graph, which also returns what crosses at each of its split points.

    Attributes:
        level: network and width, in fp32.
        model: the graph, its weights inside; its outputs are the model's, then what crosses at one point after another.
        points: the split points and both ends, in execution order, named as the user's model has them.
        index: name of a tensor → for each dimension the positions of the full one that this width keeps.
    """

    level: Level
    model: ir.Model
    points: tuple[SplitPoint, ...]
    index: Mapping[str, Index] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The model's inputs."""
        return tuple(map(_spec, self.model.graph.inputs))

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model's outputs, flattened."""
        return tuple(map(_spec, self.places(self.values)[OUTPUT]))

    @property
    def values(self) -> list[ir.Value]:
        """What the graph returns, or what that is a plain copy of."""
        return [source(value) for value in self.model.graph.outputs]

    def places(self, values: Sequence[ir.Value]) -> dict[str, list[ir.Value]]:
        """Name of each point but ``input`` → those of ``values`` that cross there; at ``output`` those returned there.

        Args:
            values: for each output of the graph, in their order.
        """
        inner = [point for point in self.points if point.name not in ENDS]
        returned = list(values)
        crossing = [returned.pop() for point in inner for _ in point.crossing][::-1]
        return {point.name: [crossing.pop(0) for _ in point.crossing] for point in inner} | {OUTPUT: returned}


def export_width(
    splittable: Splittable, points: Sequence[SplitPoint], call: ExampleCall, *, level: Level, index: Mapping[str, Index]
) -> Exported:
    """Export a captured width once, with all that crosses among its outputs.

    Args:
        splittable: the captured width.
        points: where it will be cut; the ends among them.
        call: how it is called.
        level: network and width, in fp32.
        index: see `Exported`.

    Raises:
        CaptureError: if the model cannot be exported to ONNX.
    """
    # The tap's own graph takes and returns flat tensors, whatever the model's call looks like.
    tap: Any = splittable.tap([point.name for point in points if point.name not in ENDS])
    model = export(tap.graph, call.tensors)
    if call.wrapped:
        give_outer_names(model.graph)
    return Exported(level, model, tuple(outer(point, call.wrapped) for point in points), index)


@final
class GraphPartitioner:
    """Cuts one level of a model into halves, each once.

    Args:
        parts: takes graphs and weights.
        exported: the width.
        precision: number format of the terminal's arithmetic.
        model: the width in that precision; without one, the exported graph itself.
        values: for each output of the exported graph, where it is in ``model``.

    Attributes:
        parts: see above.
        weights: takes the weights of this level.
    """

    def __init__(
        self,
        parts: BundleWriter,
        exported: Exported,
        precision: str = FP32,
        model: ir.Model | None = None,
        values: Sequence[ir.Value] | None = None,
    ) -> None:
        self.parts, self._model = parts, model or exported.model
        self._specs = {INPUT: exported.inputs, OUTPUT: exported.outputs}
        self._places = exported.places(exported.values if values is None else values)
        self._places[INPUT] = list(self._model.graph.inputs)
        self._points = {point.name: (at, point) for at, point in enumerate(exported.points)}
        self._halves: dict[str, Subgraph] = {}
        level = replace(exported.level, precision=precision)
        self._folder = folder_of(level, "graphs")
        self.weights: Weights = parts.weights
        if level != Level():
            self.weights = LevelWeights(parts.weights, mark_of(level), exported.index, prefix_of(level))

    def head(self, split: str) -> Subgraph | None:
        """What runs before a split point; ``None`` at ``input``."""
        return None if split == INPUT else self._half(INPUT, split)

    def tail(self, split: str) -> Subgraph | None:
        """What runs after a split point; ``None`` at ``output``."""
        return None if split == OUTPUT else self._half(split, OUTPUT)

    def folded_tail(self, split: str, latents: TransformCode) -> Subgraph | None:
        """What runs after a split point, from a bottleneck's coefficients; ``None`` where its decoder cannot fold."""
        tail = self.tail(split)
        if tail is None:
            return None
        (batch, *_) = tail.inputs[0].shape
        model = part(self._model, self._places[split], self._places[OUTPUT])
        more = fold(model.graph, latents, batch)
        if more is None:
            return None
        path = tail.graph.removesuffix("-tail.onnx") + "-folded.onnx"
        self.parts.graphs[path], names = serialize(model, self.weights)
        inputs = (TensorSpec(str(model.graph.inputs[0].name), "float32", (batch, *latents.spread.shape)),)
        return Subgraph(path, inputs, tail.outputs, tail.macs + more, names)

    def _half(self, start: str, end: str) -> Subgraph:
        path = self._path(start, end)
        if path not in self._halves:
            macs = self._points[end][1].head_macs - self._points[start][1].head_macs
            data, names = cut(self._model, self._places[start], self._places[end], self.weights)
            self.parts.graphs[path] = data
            self._halves[path] = Subgraph(path, self._specs_at(start), self._specs_at(end), macs, names)
        return self._halves[path]

    def _path(self, start: str, end: str) -> str:
        if (start, end) == ENDS:
            return f"{self._folder}whole.onnx"
        name, side = (end, "head") if start == INPUT else (start, "tail")
        return f"{self._folder}{self._points[name][0]}-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}-{side}.onnx"

    def _specs_at(self, name: str) -> tuple[TensorSpec, ...]:
        if name not in self._specs:
            self._specs[name] = tuple(map(_crossing_spec, self._places[name], self._points[name][1].crossing))
        return self._specs[name]


def _spec(value: ir.Value) -> TensorSpec:
    if value.dtype is None or value.shape is None or not value.shape.is_static():
        raise CaptureError(
            f"the model's {value.name!r} has no fixed type and shape, which a bundle needs. Build it from an example"
            " whose outputs have the same shape for every input."
        )
    return TensorSpec(str(value.name), value.dtype.numpy().name, tuple(map(int, value.shape.numpy())))


def _crossing_spec(value: ir.Value, tensor: CrossingTensor) -> TensorSpec:
    return TensorSpec(str(value.name), tensor.dtype, tensor.shape, tensor.axis)
