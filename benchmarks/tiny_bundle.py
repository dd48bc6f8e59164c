"""A bundle of a network as small or as slow as is needed to measure and test what surrounds a network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import onnx
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from adaedge._version import __version__
from adaedge.bundle import Bundle, Cut, Manifest, PointEntry, Preprocessing, Subgraph, TensorSpec
from adaedge.bundle.entries import File
from adaedge.bundle.manifest import WEIGHTS
from adaedge.operating_point import KeptCurve, Level, OperatingPoint

CHANNELS = 8
CLASSES = 10
WIDE = 64  # channels of the tail's convolutions
_HEAD = [
    helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
    helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
    helper.make_node("Conv", ["planes", "kernel"], ["sums"], pads=[1, 1, 1, 1], strides=[4, 4]),
    helper.make_node("Relu", ["sums"], ["features"]),
]


def tiny_bundle(
    size: int = 64,
    *,
    seed: int = 0,
    depth: int = 0,
    codecs: Sequence[str] = (),
    kept: KeptCurve | None = None,
    macs: int = 0,
    trained: bool = False,
) -> Bundle:
    """Convolution, ReLU | pooling, linear layer; random weights. Split points: ``input``, ``relu``, ``output``.

    Args:
        size: height and width of the image that it takes.
        seed: another seed is another bundle.
        depth: convolutions in the tail; without any it costs next to nothing.
        codecs: more codecs at the input.
        kept: how good kept answers are.
        macs: that the whole network is said to take.
        trained: whether its weights are said to be.
    """
    image = TensorSpec("image", "uint8", (1, size, size, 3))
    features = TensorSpec("features", "float32", (1, CHANNELS, size // 4, size // 4), axis=1)
    logits = TensorSpec("logits", "float32", (1, CLASSES))
    whole = Subgraph("graphs/whole.onnx", (image,), (logits,), macs)
    first = Subgraph("graphs/head.onnx", (image,), (features,), 0)
    last = Subgraph("graphs/tail.onnx", (features,), (logits,), 0)
    tail = _tail(depth)
    nodes = {whole: _HEAD + tail, first: _HEAD, last: tail}
    weights = _weights(seed, depth)
    files = {half.graph: _graph(nodes[half], half, weights) for half in nodes}
    files[WEIGHTS] = safetensors.numpy.save({})
    pixels, crossing = 3 * size**2, 4 * CHANNELS * (size // 4) ** 2
    manifest = Manifest(
        model="tiny",
        adaedge=__version__,
        inputs=(image,),
        outputs=(logits,),
        files={path: File(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()},
        cuts=(
            Cut("input", Level(), None, whole, pixels),
            Cut("relu", Level(), first, last, crossing, aliases=("features",)),
            Cut("output", Level(), whole, None, 4 * CLASSES),
        ),
        points=(
            PointEntry(OperatingPoint("input"), pixels + 100),
            PointEntry(OperatingPoint("input", codec="jpeg@90"), pixels / 5),
            PointEntry(OperatingPoint("relu", codec="u8"), crossing / 4 + 200),
            *(PointEntry(OperatingPoint("input", codec=codec), pixels / 10) for codec in codecs),
            PointEntry(OperatingPoint("output"), 0),
        ),
        preprocessing=Preprocessing(size=(size, size), crop=1.0),
        trained=trained,
        kept=kept,
    )
    return Bundle(manifest, files)


def _tail(depth: int) -> list[onnx.NodeProto]:
    nodes, name = [], "features"
    for index in range(depth):
        nodes.append(helper.make_node("Conv", [name, f"kernel{index}"], [f"conv{index}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{index}"], [f"relu{index}"]))
        name = f"relu{index}"
    return [
        *nodes,
        helper.make_node("GlobalAveragePool", [name], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "linear"], ["logits"]),
    ]


def _weights(seed: int, depth: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shapes = {"kernel": (CHANNELS, 3, 3, 3), "linear": (WIDE if depth else CHANNELS, CLASSES)}
    shapes |= {f"kernel{index}": (WIDE, WIDE if index else CHANNELS, 3, 3) for index in range(depth)}
    scale = {name: np.sqrt(2 / np.prod(shape[1:])) for name, shape in shapes.items()} | {"linear": 1.0}
    return {name: generator.normal(0, scale[name], shape).astype(np.float32) for name, shape in shapes.items()}


def _graph(nodes: list[onnx.NodeProto], half: Subgraph, weights: dict[str, np.ndarray]) -> bytes:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        half.graph,
        [_value(spec) for spec in half.inputs],
        [_value(spec) for spec in half.outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)
