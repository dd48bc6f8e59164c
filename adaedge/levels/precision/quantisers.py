"""ONNX Runtime's quantiser, static and dynamic, on a prepared graph.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode, add_infer_metadata

STATIC_OPERATORS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Pad", "Resize"),
    *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split"),
)
# Class scores in 8 bits would tie: the last layer's sums leave in float.
_FLOAT_OUTPUTS = ["Gemm", "MatMul"]


def static(
    model: ir.Model,
    ranges: Mapping[str, tuple[Any, Any]],
    kept_fp32: Iterable[str] = (),
    *,
    weights: QuantType = QuantType.QInt8,
    activations: QuantType = QuantType.QUInt8,
    reduce_range: bool = True,
    per_channel: bool = True,
) -> ir.Model:
    """Weights in int8 and activations in fixed ranges, as pairs of QuantizeLinear and DequantizeLinear.

    Args:
        model: a prepared graph; left as it is.
        ranges: the range of each activation.
        kept_fp32: names of nodes that stay as they are.
        weights: their type.
        activations: their type.
        reduce_range: whether weights have 7 bits: without VNNI, a product of an 8-bit activation and an 8-bit weight
            added to its neighbour saturates the 16 bits that AVX2 has for it.
        per_channel: whether each output channel's weights have a scale of their own.
    """
    quantiser = QDQQuantizer(
        _proto(model),
        per_channel,
        reduce_range,
        weights,
        activations,
        TensorsData(CalibrationMethod.MinMax, dict(ranges)),
        [],
        list(kept_fp32),
        list(STATIC_OPERATORS),
        {"OpTypesToExcludeOutputQuantization": _FLOAT_OUTPUTS},
    )
    return _model(quantiser.quantize_model())


def dynamic(
    model: ir.Model,
    kept_fp32: Iterable[str] = (),
    *,
    weights: QuantType = QuantType.QInt8,
    reduce_range: bool = True,
    per_channel: bool = True,
) -> ir.Model:
    """Weights in int8, activations quantised to the range they have in each run.

    Only products with a weight are quantised, not those of two activations.
    """
    quantiser = ONNXQuantizer(
        _proto(model),
        per_channel,
        reduce_range,
        QuantizationMode.IntegerOps,
        False,
        weights,
        QuantType.QUInt8,
        None,
        [],
        list(kept_fp32),
        ["MatMul"],
        {"MatMulConstBOnly": True},
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
    passes.ClearMetadataAndDocStringPass()(model)
    return model
