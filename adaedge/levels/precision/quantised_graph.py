"""Quantised: a graph in int8 and what is known of it; where the tensors that cross a cut are found in it.

May import: ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from adaedge.errors import LevelError

_DEQUANTISED = "_DequantizeLinear_Output"  # how ONNX Runtime's quantiser names what it dequantises


@dataclass(frozen=True, slots=True)
class Quantised:
    """A graph whose arithmetic is int8 where that is good enough.

    Attributes:
        model: takes and returns what the fp32 graph does, by the same names, in the same types and shapes.
        scheme: ``static`` (activations have fixed ranges) or ``dynamic`` (ranges are found in every run).
        agreement: with the fp32 graph on the samples, in [0, 1]; see `quantise`.
        kept_fp32: names of the layers that stay in fp32.
    """

    model: ir.Model
    scheme: str
    agreement: float
    kept_fp32: tuple[str, ...] = ()


def crossing(graph: ir.Graph, name: str) -> ir.Value:
    """The value of a quantised graph that carries, in float, what ``name`` carries in the fp32 graph.

    A head that ends there ends with a quantised operator, a QuantizeLinear and a DequantizeLinear, so that ONNX Runtime
    runs its last layer in int8.

    Args:
        graph: of a `Quantised` model.
        name: of a value of the fp32 graph.

    Raises:
        LevelError: if quantising has led the computation around this value.
    """
    values = ir.convenience.create_value_mapping(graph)
    for candidate in (name + _DEQUANTISED, name):
        if candidate in values and (values[candidate].producer() is not None or values[candidate].is_graph_input()):
            return values[candidate]
    raise LevelError(
        f"the quantised graph has no value {name!r}: it was fused with its neighbours. Make the tensors that cross"
        " outputs of the fp32 graph before it is quantised."
    )
