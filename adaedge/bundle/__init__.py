"""A bundle is what is deployed: a folder of JSON, safetensors and ONNX, hashed, versioned, loaded without executing it.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``.

    NAME.bundle/
        manifest.json         what the bundle holds, and the hash of every other file
        weights.safetensors   every large tensor of every graph, once; narrower levels take slices of them
        graphs/*.onnx         halves of the model; they name their weights and hold none
        incremental/*.json    how the segments of incremental halves go together; their graphs are among the others
        bottlenecks/*.safetensors   encoder, decoder and tables of a bottleneck at one split point and width
"""

from adaedge.bundle.background_load import load_in_background
from adaedge.bundle.bundle import Bundle
from adaedge.bundle.entries import Accuracy, Cut, IncrementalHalf, PointEntry, Slice, Subgraph, TensorSpec
from adaedge.bundle.manifest import Manifest
from adaedge.bundle.preprocessing import Preprocessing

__all__ = [
    "Accuracy",
    "Bundle",
    "Cut",
    "IncrementalHalf",
    "Manifest",
    "PointEntry",
    "Preprocessing",
    "Slice",
    "Subgraph",
    "TensorSpec",
    "load_in_background",
]
