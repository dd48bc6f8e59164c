"""A tail that takes a bottleneck's coefficients instead of features.

May import: ``payload.latent``.

A decoder is linear: features = back · (maps along the sides · coefficients) + mean. Where the tail begins with one
linear operator f, f(features) = f(back · …) + f(mean): an operator of as many input channels as there are components,
and a constant. So the decoder's largest product is one with the tail's first, and its others run in the same graph.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from adaedge.arrays import Array
from adaedge.payload.latent import Layout, TransformCode

NAME = "coefficients"


def fold(graph: ir.Graph, latents: TransformCode, batch: int) -> int | None:
    """Change a tail so that it takes coefficients (batch, positions, components), as `Latents.dequantise` gives them.

    Args:
        graph: the tail, its weights inside; left as it is where nothing can be folded.
        latents: the bottleneck before it.
        batch: how many samples the graph takes.

    Returns:
        How many multiply-accumulates it takes more (fewer, if negative) than before; ``None`` where its first operator
        is not a linear one, or not the only one that the features go into.
    """
    operator = _first_operator(graph, latents.layout)
    if operator is None:
        return None
    weight = _array(operator.inputs[1])
    coefficients = ir.Value(
        name=_free(graph, NAME), shape=ir.Shape((batch, *latents.spread.shape)), type=ir.TensorType(ir.DataType.FLOAT)
    )
    rows = _Rows(graph, operator, coefficients)
    rows.turn(latents, batch)
    rows.reshape((batch, *latents.layout.grid, len(latents.back)))
    if operator.op_type == "Conv":
        rows.then("Transpose", perm=[0, 3, 1, 2])
        folded = np.einsum("ochw,kc->okhw", weight, latents.decoder())
    else:
        folded = latents.decoder() @ weight
    _add_constant(graph, operator, _of_mean(operator, weight, latents))
    operator.replace_input_with(0, rows.value)
    operator.replace_input_with(1, _constant(graph, "folded weight", folded))
    graph.inputs[:] = [coefficients]
    outputs = math.prod(_shape(operator.outputs[0]))
    more: int = (
        rows.macs + outputs * (folded.size - weight.size) // weight.shape[0 if operator.op_type == "Conv" else 1]
    )
    return more


def _first_operator(graph: ir.Graph, layout: Layout) -> ir.Node | None:
    """The convolution or matrix product that alone takes the features; ``None`` where there is no such."""
    (plane, *others) = layout.planes
    if others or layout.prefix or layout.grid != plane.sides or plane.dtype != "float32" or len(graph.inputs) != 1:
        return None
    uses = list(graph.inputs[0].uses())
    if len(uses) != 1 or uses[0].idx != 0 or graph.inputs[0].is_graph_output():
        return None
    node = uses[0].node
    constant = all(value is None or value.const_value is not None for value in node.inputs[1:])
    if not constant or not _shape(node.outputs[0]):
        return None
    if node.op_type == "Conv" and len(plane.shape) == 3 and plane.axis == 0 and _plain(node):
        return node
    if node.op_type == "MatMul" and plane.axis == len(plane.shape) - 1 and _array(node.inputs[1]).ndim == 2:
        return node
    return None


def _plain(node: ir.Node) -> bool:
    """Whether a convolution mixes all channels, and says what it pads."""
    return node.attributes.get_int("group", 1) == 1 and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


def _array(value: ir.Value | None) -> Array:
    """What an initializer holds; an empty array for none."""
    return np.zeros(0) if value is None or value.const_value is None else value.const_value.numpy()


def _shape(value: ir.Value) -> tuple[int, ...]:
    """A value's shape; empty where it is not known."""
    return tuple(map(int, value.shape.numpy())) if value.shape is not None and value.shape.is_static() else ()


class _Rows:
    """Coefficients on their way through new nodes, in front of an operator."""

    def __init__(self, graph: ir.Graph, before: ir.Node, value: ir.Value) -> None:
        self._graph, self._before, self.value, self.macs = graph, before, value, 0

    def then(self, kind: str, *inputs: ir.Value, last: bool = False, **attributes: Any) -> None:
        """Through one more node, as its first or its last input."""
        order = [*inputs, self.value] if last else [self.value, *inputs]
        node = ir.node(kind, order, attributes)
        self._graph.insert_before(self._before, node)
        self.value = node.outputs[0]

    def reshape(self, shape: tuple[int, ...]) -> None:
        self.then("Reshape", _constant(self._graph, "shape", np.array(shape, np.int64)))

    def turn(self, latents: TransformCode, batch: int) -> None:
        """Through the decoder's map along each side of the grid."""
        sides, values = latents.layout.sides, batch * latents.spread.size
        for axis, along in enumerate(latents.maps(latents.back_places)):
            outer = batch * math.prod(sides[:axis])
            self.reshape((outer, sides[axis], values // outer // sides[axis]))
            self.then("MatMul", _constant(self._graph, f"along {axis}", along), last=True)
            self.macs += values * sides[axis]


def _of_mean(operator: ir.Node, weight: Array, latents: TransformCode) -> Array:
    """What the operator makes of the features' mean, its bias included."""
    layout = latents.layout
    mean = np.broadcast_to(latents.offset, (layout.positions, layout.width)).reshape(1, *layout.grid, -1)
    if operator.op_type == "MatMul":
        product: Array = mean @ weight
        return product
    top, left, bottom, right = operator.attributes.get_ints("pads", (0, 0, 0, 0))
    bias = _array(operator.inputs[2]) if len(operator.inputs) > 2 and operator.inputs[2] is not None else None
    found = torch.nn.functional.conv2d(
        torch.nn.functional.pad(torch.from_numpy(np.moveaxis(mean, -1, 1).copy()), (left, right, top, bottom)),
        torch.from_numpy(weight.copy()),
        None if bias is None else torch.from_numpy(bias.copy()),
        stride=tuple(operator.attributes.get_ints("strides", (1, 1))),
        dilation=tuple(operator.attributes.get_ints("dilations", (1, 1))),
    )
    result: Array = found.numpy()
    return result


def _add_constant(graph: ir.Graph, operator: ir.Node, constant: Array) -> None:
    """Add what the operator makes of the mean: as its bias where it is the same at all positions, or behind it."""
    if operator.op_type == "Conv" and np.ptp(constant, axis=(2, 3)).max() <= 1e-6 * np.abs(constant).max():
        operator.resize_inputs(3)
        operator.replace_input_with(2, _constant(graph, "folded bias", constant[0, :, 0, 0]))
        return
    if operator.op_type == "Conv":
        operator.resize_inputs(2)
    plain = operator.outputs[0]
    added = ir.node("Add", [plain, _constant(graph, "folded mean", constant)])
    added.outputs[0].shape, added.outputs[0].type = plain.shape, plain.type
    added.outputs[0].name, plain.name = plain.name, f"{plain.name} less mean"
    uses = list(plain.uses())
    graph.insert_after(operator, added)
    for node, at in uses:
        if node is not added:
            node.replace_input_with(at, added.outputs[0])
    graph.outputs[:] = [added.outputs[0] if value is plain else value for value in graph.outputs]


def _constant(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """A new initializer of a name that is free."""
    name = _free(graph, name)
    kind = array if array.dtype == np.int64 else array.astype(np.float32)
    tensor = ir.tensor(np.ascontiguousarray(kind), name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _free(graph: ir.Graph, name: str) -> str:
    """A name like this that nothing in the graph has."""
    taken = {value.name for value in ir.convenience.create_value_mapping(graph).values()} | {*graph.initializers}
    while name in taken:
        name += "'"
    return name
