"""The model's split points as cuts of one ONNX graph: files, weights and what the manifest says of them.

May import: ``errors``, ``operating_point``, ``graph``; of ``bundle`` the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir
import torch

from adaedge.builder.frames import PREFIX
from adaedge.builder.halves import cut, export, source
from adaedge.builder.weight_file import WeightFile
from adaedge.bundle.manifest import Cut, Half, TensorSpec
from adaedge.errors import CaptureError, SplitError
from adaedge.graph import CrossingTensor, SplitPoint, Splittable
from adaedge.operating_point import INPUT, OUTPUT


@dataclass(slots=True)
class Parts:
    """What a bundle is made of.

    Attributes:
        inputs: the model's.
        outputs: the model's, flattened.
        cuts: in execution order, from ``input`` to ``output``.
        graphs: path → bytes.
        weights: the tensors that the graphs share.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    cuts: list[Cut] = field(default_factory=list)
    graphs: dict[str, bytes] = field(default_factory=dict)
    weights: WeightFile = field(default_factory=WeightFile)


def find_points(splittable: Splittable, names: Sequence[str], *, wrapped: bool) -> list[SplitPoint]:
    """The split points of these names and both ends, each once, in execution order.

    Args:
        splittable: the captured model.
        names: as the user's model has them.
        wrapped: whether the user's model is inside a `Preprocessed`.

    Raises:
        SplitError: if there is no such split point.
    """
    wanted = {_find(splittable, name, wrapped) for name in (INPUT, *names, OUTPUT)}
    return [point for point in splittable.points if point in wanted]


def _find(splittable: Splittable, name: str, wrapped: bool) -> SplitPoint:
    if not wrapped or name in (INPUT, OUTPUT):
        return splittable.point(name)
    try:
        # An operator of the model itself is `:add`, inside a wrapper `net:add`.
        return splittable.point(PREFIX.rstrip(".") + name if name.startswith(":") else PREFIX + name)
    except SplitError as error:
        raise SplitError(re.sub(rf"(?<![\w.]){re.escape(PREFIX)}", "", str(error))) from error


def outer_name(name: str, wrapped: bool) -> str:
    """A name as the user's model has it."""
    return re.sub(r"^net(\.|(?=:))", "", name) if wrapped else name


def make_parts(
    splittable: Splittable, points: Sequence[SplitPoint], tensors: Sequence[torch.Tensor], *, wrapped: bool
) -> Parts:
    """Export once, cut at every point.

    Args:
        splittable: the captured model.
        points: where to cut; the ends among them.
        tensors: the example's tensors, flattened.
        wrapped: whether the user's model is inside a `Preprocessed`.

    Raises:
        CaptureError: if the model cannot be exported to ONNX.
    """
    inner = [point for point in points if point.name not in (INPUT, OUTPUT)]
    # The tap's own graph takes and returns flat tensors, whatever the model's call looks like.
    tap: Any = splittable.tap([point.name for point in inner])
    model = export(tap.graph, tensors)
    if wrapped:
        _give_outer_names(model.graph)
    values = [source(value) for value in model.graph.outputs]
    count = len(values) - sum(len(point.crossing) for point in inner)
    outputs, crossing = values[:count], values[count:]
    inputs = list(model.graph.inputs)
    parts = Parts(tuple(map(_spec, inputs)), tuple(map(_spec, outputs)))

    def half(path: str, start: _Place, end: _Place, macs: int) -> Half:
        parts.graphs[path], names = cut(model, start.values, end.values, parts.weights)
        return Half(path, start.specs, end.specs, macs, names)

    first, last = _Place(inputs, parts.inputs), _Place(outputs, parts.outputs)
    whole = half("graphs/whole.onnx", first, last, points[-1].head_macs)
    for point in points:
        name = outer_name(point.name, wrapped)
        if point.name == INPUT:
            head, tail = None, whole
        elif point.name == OUTPUT:
            head, tail = whole, None
        else:
            here = [crossing.pop(0) for _ in point.crossing]
            place = _Place(here, tuple(map(_crossing_spec, here, point.crossing)))
            path = f"graphs/{len(parts.cuts)}-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}"
            head = half(f"{path}-head.onnx", first, place, point.head_macs)
            tail = half(f"{path}-tail.onnx", place, last, point.tail_macs)
        aliases = tuple(outer_name(alias, wrapped) for alias in point.aliases if not (wrapped and alias == "net"))
        parts.cuts.append(Cut(name, 1.0, "fp32", head, tail, point.payload_bytes, aliases))
    return parts


def _give_outer_names(graph: ir.Graph) -> None:
    """Name the weights as the user's model does, where no other value has that name."""
    taken = set(ir.convenience.create_value_mapping(graph))
    names = {name: name.removeprefix(PREFIX) for name in graph.initializers if name.startswith(PREFIX)}
    free = {name: outer for name, outer in names.items() if outer not in taken}
    ir.convenience.rename_values([graph.initializers[name] for name in free], list(free.values()))


@dataclass(frozen=True, slots=True)
class _Place:
    values: Sequence[ir.Value]
    specs: tuple[TensorSpec, ...]


def _spec(value: ir.Value) -> TensorSpec:
    if value.dtype is None or value.shape is None or not value.shape.is_static():
        raise CaptureError(
            f"the model's {value.name!r} has no fixed type and shape, which a bundle needs. Build it from an example"
            " whose outputs have the same shape for every input."
        )
    return TensorSpec(str(value.name), value.dtype.numpy().name, tuple(map(int, value.shape.numpy())))


def _crossing_spec(value: ir.Value, tensor: CrossingTensor) -> TensorSpec:
    return TensorSpec(str(value.name), tensor.dtype, tensor.shape, tensor.axis)
