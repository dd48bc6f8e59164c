"""One ONNX export, cut into heads and tails by the tensors that cross.

May import: ``errors``; of ``bundle`` the manifest.

Exporting takes seconds, cutting milliseconds. The export is not optimised: that would fold batch-norm into the
convolutions, and the weights would no longer be the model's own. Each half is cut first and has its constants folded
then, because folding may lead a computation around a tensor that crosses.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer
from torch import nn

from adaedge.builder.operator_registry import operators_read_once
from adaedge.builder.weight_file import Weights
from adaedge.bundle.manifest import WEIGHTS
from adaedge.errors import CaptureError, first_line

# ONNX Runtime reads small tensors while it infers shapes, so they stay in the graph.
_EXTERNAL_BYTES = 128


def export(net: nn.Module, tensors: Sequence[torch.Tensor], free: Sequence[Collection[int]] | None = None) -> ir.Model:
    """A module as an ONNX graph of its own operators, at the example's shapes.

    Args:
        net: takes flat tensors and returns a flat tuple of them.
        tensors: the example.
        free: of each tensor, the dimensions that may have other lengths.

    Raises:
        CaptureError: if it cannot be exported.
    """
    try:
        with _quiet(), operators_read_once():
            shapes = None if free is None else tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in free)
            program = torch.onnx.export(
                net, tuple(tensors), dynamo=True, optimize=False, verbose=False, dynamic_shapes=shapes
            )
    except Exception as error:  # the exporter raises whatever the model's own code raised under it
        raise CaptureError(
            f"the model cannot be exported to ONNX: {first_line(error)}. A bundle needs ONNX; `Splittable` runs the"
            " model in PyTorch without it."
        ) from error
    if program is None:
        raise CaptureError("the model cannot be exported to ONNX: the exporter returned nothing")
    model = program.model
    passes.InlinePass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    _name_transposed_weights(model.graph)
    return model


def cut(
    model: ir.Model, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], weights: Weights
) -> tuple[bytes, tuple[str, ...]]:
    """The part of a graph between ``inputs`` and ``outputs``.

    Args:
        model: the exported graph; left as it is.
        inputs: values that the part takes; one may come twice, or be used by nothing.
        outputs: values that the part returns; one may come twice, or be an input.
        weights: takes the part's large tensors.

    Returns:
        The bytes of an ONNX model, and the names of the tensors in ``weights`` that it takes.

    Raises:
        ValueError: if the outputs depend on more than the inputs.
    """
    return serialize(part(model, inputs, outputs), weights)


def part(model: ir.Model, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]) -> ir.Model:
    """The part of a graph between ``inputs`` and ``outputs``, with its weights, its constants folded; see `cut`."""
    unique = list(dict.fromkeys(inputs))
    graph = ir.convenience.extract(model.graph, unique, outputs)
    _repeat_inputs(graph, [unique.index(value) for value in inputs])
    found = ir.Model(graph, ir_version=model.ir_version)
    passes.OutputFixPass()(found)  # an output that is an input, or comes twice, needs an Identity
    with _quiet():
        optimizer.fold_constants(found, should_fold=lambda node: True if _transposes_weight(node) else None)
    _drop_zero_biases(graph)
    return found


def serialize(found: ir.Model, weights: Weights) -> tuple[bytes, tuple[str, ...]]:
    """A part's bytes and the names of its weights, which are handed over; see `cut`."""
    passes.RemoveUnusedNodesPass()(found)
    for value in ir.convenience.create_value_mapping(found.graph).values():
        value.metadata_props.clear()  # the exporter's notes: three quarters of the bytes
    passes.ClearMetadataAndDocStringPass()(found)
    names = _move_weights(found.graph, weights)
    return ir.to_proto(found).SerializeToString(), names


def source(value: ir.Value) -> ir.Value:
    """The value that ``value`` is a plain copy of: itself, where no Identity made it."""
    node = value.producer()
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _repeat_inputs(graph: ir.Graph, order: Sequence[int]) -> None:
    """Give the graph one input for each entry of ``order``; those that come again are used by nothing."""
    unique = list(graph.inputs)
    repeated = [
        unique[index] if index not in order[:place] else _like(unique[index], f"{unique[index].name}_again_{place}")
        for place, index in enumerate(order)
    ]
    graph.inputs[:] = repeated


def _like(value: ir.Value, name: str) -> ir.Value:
    return ir.Value(name=name, shape=value.shape, type=value.type)


def _transposes_weight(node: ir.Node) -> bool:
    given = node.inputs[0] if node.op_type == "Transpose" else None
    return given is not None and given.is_initializer()


def _name_transposed_weights(graph: ir.Graph) -> None:
    """Name each transposed weight after the weight: it is what folding leaves of it."""
    for node in graph:
        if _transposes_weight(node) and node.inputs[0] is not None:
            node.outputs[0].name = f"{node.inputs[0].name}.T"


def _drop_zero_biases(graph: ir.Graph) -> None:
    """Drop convolutions' zero biases: the exporter writes one where there is none, in 3-D of a wrong shape.

    (onnxscript 0.7.2, ``aten_conv3d``: shape (channels, 2), which ONNX Runtime refuses.)
    """
    for node in graph:
        if node.op_type == "Conv" and len(node.inputs) == 3 and node.inputs[2] is not None:
            bias = node.inputs[2].const_value
            if bias is not None and not bias.numpy().any():
                node.resize_inputs(2)


def _move_weights(graph: ir.Graph, weights: Weights) -> tuple[str, ...]:
    """Move the graph's large tensors to where weights are stored, under the names that they have there."""
    values = sorted(graph.initializers.values(), key=lambda value: str(value.name))
    graph.initializers.clear()
    large = {id(value) for value in values if _is_large(value.const_value)}
    stored: dict[str, ir.Value] = {}
    for value in values:  # in the order of their names, so that building again gives the same bytes
        tensor = value.const_value
        if id(value) not in large or tensor is None:
            continue
        name = weights.add(str(value.name), tensor.numpy())
        if name in stored:
            ir.convenience.replace_all_uses_with(value, stored[name])
            continue
        stored[name] = value
        value.const_value = ir.ExternalTensor(
            WEIGHTS, 0, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.numpy().shape), name=name
        )
    small = [value for value in values if id(value) not in large]
    _make_way(stored, [*small, *graph.inputs, *(value for node in graph for value in node.outputs)])
    for name, value in stored.items():
        value.name = name
    for value in (*stored.values(), *small):
        graph.register_initializer(value)
    return tuple(stored)


def _is_large(tensor: ir.TensorProtocol | None) -> bool:
    return tensor is not None and tensor.nbytes >= _EXTERNAL_BYTES and tensor.dtype in _STORED


def _make_way(stored: Collection[str], others: Sequence[ir.Value]) -> None:
    """Rename what has the name of a stored weight; a weight of another graph, of the same content, may be called so."""
    taken = {*stored, *(str(value.name) for value in others)}
    for value in others:
        name = str(value.name)
        if name in stored:
            while name in taken:
                name += "'"
            taken.add(name)
            value.name = name


_STORED = {
    ir.DataType.FLOAT,
    ir.DataType.FLOAT16,
    ir.DataType.DOUBLE,
    ir.DataType.INT64,
    ir.DataType.INT32,
    ir.DataType.INT8,
    ir.DataType.UINT8,
    ir.DataType.BOOL,
}


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints and warns of its own insides; what matters raises, or is found when graphs are verified."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        heard = StringIO()  # every graph that it gives up on
        with warnings.catch_warnings(), redirect_stdout(heard), redirect_stderr(heard), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
