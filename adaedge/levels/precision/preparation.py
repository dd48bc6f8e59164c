"""The fp32 graph as it is quantised: batch-norms and padding folded into convolutions, every node named.

May import: nothing of adaedge.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript import optimizer

_ACTIVATIONS = ("Relu", "Clip")  # part of the layer before them, in int8


def prepared(model: ir.Model) -> ir.Model:
    """A copy that computes the same with fewer operators; the graph's outputs keep their names.

    Int8 weights are tensors of their own, so nothing is lost when batch-norms disappear in them.
    """
    copy = model.clone()
    optimizer.optimize(copy)
    _pool_by_pooling(copy.graph)
    passes.RemoveUnusedNodesPass()(copy)
    passes.ClearMetadataAndDocStringPass()(copy)
    taken: set[str] = set()
    for index, node in enumerate(copy.graph):
        weight = weight_of(node)
        name = (
            f"{node.op_type}_{index}" if weight is None else str(weight.name).removesuffix(".T").removesuffix(".weight")
        )
        node.name = f"{name}_{index}" if name in taken else name
        taken.add(node.name)
    return copy


def weight_of(node: ir.Node) -> ir.Value | None:
    """The weight of a convolution or matrix product; ``None`` where the node has none, or not a plain one."""
    weight = node.inputs[1] if node.op_type in ("Conv", "Gemm", "MatMul") else None
    if weight is None or not weight.is_initializer() or weight.dtype != ir.DataType.FLOAT or weight.shape is None:
        return None
    return weight if node.op_type == "Conv" or len(weight.shape) == 2 else None


def layers(graph: ir.Graph) -> dict[str, tuple[str, ...]]:
    """The layers that have a weight: name → names of the nodes that are quantised together with it, itself first."""
    found = {}
    for node in graph:
        if weight_of(node) is not None:
            users = [use.node for use in node.outputs[0].uses()]
            follows = len(users) == 1 and users[0].op_type in _ACTIVATIONS and not node.outputs[0].is_graph_output()
            found[str(node.name)] = (str(node.name), *([str(users[0].name)] if follows else []))
    return found


def _pool_by_pooling(graph: ir.Graph) -> None:
    """Write means over height and width as GlobalAveragePool, which has an int8 kernel."""
    for node in list(graph):
        given = node.inputs[0] if node.op_type == "ReduceMean" and len(node.inputs) == 2 else None
        axes = node.inputs[1].const_value if given is not None and node.inputs[1] is not None else None
        if given is None or given.shape is None or len(given.shape) != 4 or axes is None:
            continue
        if node.attributes.get_int("keepdims", 1) and sorted(int(axis) % 4 for axis in axes.numpy()) == [2, 3]:
            pooled = ir.Node("", "GlobalAveragePool", [given], num_outputs=1)
            ir.convenience.replace_nodes_and_values(graph, node, [node], [pooled], node.outputs, pooled.outputs)
