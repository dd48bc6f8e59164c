"""The fp32 graph as it is quantised: batch-norms and padding folded into convolutions, every value named and typed.

May import: nothing of adaedge.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript import optimizer


def prepared(model: ir.Model) -> ir.Model:
    """A copy that computes the same with fewer operators; the graph's outputs keep their names.

    Int8 weights are tensors of their own, so nothing is lost when batch-norms disappear in them.
    """
    copy = model.clone()
    optimizer.optimize(copy)
    _pool_by_pooling(copy.graph)
    passes.ClearMetadataAndDocStringPass()(copy)
    for value in ir.convenience.create_value_mapping(copy.graph).values():
        value.metadata_props.clear()
    for index, node in enumerate(copy.graph):
        node.name = _layer_name(node) or f"{node.op_type}_{index}"
    return copy


def _layer_name(node: ir.Node) -> str | None:
    """The weight's name without ``.weight``: what a reader knows the layer by."""
    if node.op_type not in LAYERS or len(node.inputs) < 2 or node.inputs[1] is None:
        return None
    weight = node.inputs[1]
    return str(weight.name).removesuffix(".T").removesuffix(".weight") if weight.is_initializer() else None


LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def _pool_by_pooling(graph: ir.Graph) -> None:
    """Write means over height and width as GlobalAveragePool, which has an int8 kernel."""
    for node in list(graph):
        given = node.inputs[0] if node.op_type == "ReduceMean" else None
        if given is None or given.shape is None or len(given.shape) != 4 or len(node.inputs) < 2:
            continue
        axes = node.inputs[1].const_value if node.inputs[1] is not None else None
        keep = node.attributes.get_int("keepdims", 1)
        if axes is None or not keep or sorted(int(axis) % 4 for axis in axes.numpy()) != [2, 3]:
            continue
        pooled = ir.Node("", "GlobalAveragePool", [given], num_outputs=1)
        graph.insert_before(node, pooled)
        ir.convenience.replace_nodes_and_values(graph, node, [node], [pooled], [node.outputs[0]], [pooled.outputs[0]])
