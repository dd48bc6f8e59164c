"""An engine runs one graph: ONNX Runtime unless OpenVINO is asked for; `FakeEngine` is for tests.

May import: ``errors``, ``extras``. Takes and returns NumPy arrays; knows nothing of bundles or links.
"""

from adaedge.arrays import Array
from adaedge.engine.choice import ENGINES, ONNX_RUNTIME, OPENVINO, available, check_engine, load_engine, version_of
from adaedge.engine.onnx_runtime import OnnxEngine, return_freed_memory
from adaedge.engine.protocol import Arrays, Engine
from adaedge.engine.stand_ins import FakeEngine, Passthrough

__all__ = [
    "ENGINES",
    "ONNX_RUNTIME",
    "OPENVINO",
    "Array",
    "Arrays",
    "Engine",
    "FakeEngine",
    "OnnxEngine",
    "Passthrough",
    "available",
    "check_engine",
    "load_engine",
    "return_freed_memory",
    "version_of",
]
