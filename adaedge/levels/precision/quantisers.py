"""ONNX Runtime's quantiser, static and dynamic, on a prepared graph.

May import: of this part ``preparation``, ``weights``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode, add_infer_metadata

from adaedge.levels.precision.weights import weight_ranges

# Operators between layers that ONNX Runtime has int8 kernels for, so that activations stay in int8 there.
_BETWEEN = {
    *("Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat"),
    *("Pad", "Resize", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split"),
}
_LAYERS = {"Conv", "Gemm", "MatMul"}
_PER_CHANNEL = True
# For weights that `weight_ranges` knows nothing of; its own say that they need no 7 bits.
_REDUCED = True
Overrides = dict[str, list[dict[str, Any]]]


def overrides(model: ir.Model) -> Overrides:
    """The weights' ranges as ONNX Runtime's quantiser takes them."""
    return {
        name: [{"axis": axis, "reduce_range": False, "rmin": -span, "rmax": span} for span in spans]
        for name, (axis, spans) in weight_ranges(model.graph).items()
    }


def static(
    model: ir.Model, ranges: Mapping[str, tuple[Any, Any]], weights: Overrides, nodes: Collection[str]
) -> ir.Model:
    """Weights in int8, activations in uint8 of fixed ranges, as pairs of QuantizeLinear and DequantizeLinear.

    Args:
        model: a prepared graph; left as it is.
        ranges: the range of each activation.
        weights: the ranges of the weights.
        nodes: names of the nodes to quantise.
    """
    options = {
        # Class scores in 8 bits would tie: the sums of a matrix product leave in float.
        "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
        "TensorQuantOverrides": weights,
    }
    data = TensorsData(CalibrationMethod.MinMax, dict(ranges))
    quantiser = QDQQuantizer(
        *(_proto(model), _PER_CHANNEL, _REDUCED, QuantType.QInt8, QuantType.QUInt8),
        *(data, list(nodes), [], sorted(_LAYERS | _BETWEEN), options),
    )
    return _model(quantiser.quantize_model())


def static_nodes(graph: ir.Graph) -> tuple[str, ...]:
    """Names of the nodes that `static` has int8 kernels for. Arithmetic with constants is not worth quantising."""
    names = []
    for node in graph:
        constant = any(value is not None and value.is_initializer() for value in node.inputs[:2])
        if node.op_type in _LAYERS or (node.op_type in _BETWEEN and not (constant and node.op_type in ("Add", "Mul"))):
            names.append(str(node.name))
    return tuple(names)


def dynamic(model: ir.Model, weights: Overrides, nodes: Collection[str]) -> ir.Model:
    """Weights in int8, activations quantised to the range that they have in each run.

    Args:
        model: a prepared graph; left as it is.
        weights: the ranges of the weights.
        nodes: names of the matrix products to quantise; those of two activations stay in fp32.
    """
    names = [*nodes, *(f"{name}_MatMul" for name in nodes)]  # what the quantiser makes of a Gemm is named so
    quantiser = ONNXQuantizer(
        *(_proto(model), _PER_CHANNEL, _REDUCED, QuantizationMode.IntegerOps, False),
        *(QuantType.QInt8, QuantType.QUInt8, None, names, [], ["MatMul"]),
        {"TensorQuantOverrides": weights},
    )
    return _model(quantiser.quantize_model())


def _proto(model: ir.Model) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    add_infer_metadata(proto)  # types and shapes are known: no detour through a file
    return proto


def _model(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    passes.TopologicalSortPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.RemoveUnusedOpsetsPass()(model)
    passes.ShapeInferencePass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    return model
