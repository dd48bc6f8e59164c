"""Which engine runs a graph, by its name.

May import: ``errors``, ``extras``; of this part ``onnx_runtime``, ``open_vino``, ``protocol``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from adaedge.arrays import Array
from adaedge.engine.onnx_runtime import OnnxEngine
from adaedge.engine.protocol import Engine
from adaedge.errors import BundleError
from adaedge.extras import require

ONNX_RUNTIME, OPENVINO = "onnxruntime", "openvino"
ENGINES = {ONNX_RUNTIME: "ONNX Runtime", OPENVINO: "OpenVINO"}
"""Name → what people call it. The name is that of the package, too."""


def available() -> tuple[str, ...]:
    """The engines that are installed here.

    Example:
        >>> available()[0]
        'onnxruntime'
    """
    return tuple(name for name in ENGINES if importlib.util.find_spec(name) is not None)


def check_engine(name: str) -> str:
    """An engine's name, where it is one that is installed.

    Raises:
        BundleError: if there is no such engine.
        MissingExtraError: if it is not installed.

    Example:
        >>> check_engine("onnxruntime")
        'onnxruntime'
    """
    if name not in ENGINES:
        raise BundleError(f"no engine {name!r}; there are: {', '.join(ENGINES)}")
    if name != ONNX_RUNTIME:
        require(name, f"the engine {name}")
    return name


def version_of(name: str) -> str:
    """An engine and its version, for people.

    Example:
        >>> version_of("onnxruntime").split()[:2]
        ['ONNX', 'Runtime']
    """
    from importlib.metadata import version  # with what it needs, 5 ms that a terminal never pays

    return f"{ENGINES[name]} {version(name)}"


def load_engine(name: str, graph: bytes, weights: Mapping[str, Array], threads: int = 1) -> Engine:
    """A graph in the engine of that name; arguments and errors as `OnnxEngine` and `OpenVinoEngine`."""
    if name != OPENVINO:
        return OnnxEngine(graph, weights, threads)
    from adaedge.engine.open_vino import OpenVinoEngine

    return OpenVinoEngine(graph, weights, threads)
