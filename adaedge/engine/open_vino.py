"""OpenVINO: the engine of the extra ``openvino``, faster than ONNX Runtime on many processors.

May import: ``errors``, ``extras``; of this part ``onnx_weights``, ``protocol``. Imports ``openvino`` when the first
graph is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any, final

import numpy as np

from adaedge.arrays import Array
from adaedge.engine.onnx_runtime import return_freed_memory
from adaedge.engine.onnx_weights import filled
from adaedge.engine.protocol import Arrays
from adaedge.errors import BundleError, first_line
from adaedge.extras import load

_WAY_OUT = "Run the bundle with the engine onnxruntime."


@final
class OpenVinoEngine:
    """A graph in OpenVINO, on the processor, its arithmetic fp32 where the graph's is. Thread-safe.

    By itself OpenVINO computes in 16 bits where a processor can: answers would then depend on the machine.

    Args:
        graph: bytes of an ONNX model whose large initializers are marked external.
        weights: name → array of each of these initializers; other names are refused.
        threads: threads inside an operator.

    Raises:
        BundleError: if OpenVINO cannot load the graph.
        MissingExtraError: if OpenVINO is not installed.
    """

    def __init__(self, graph: bytes, weights: Mapping[str, Array], threads: int = 1) -> None:
        openvino = load("openvino", "the engine openvino")
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # other processes compute too
        }
        try:
            model = _core().read_model(filled(graph, weights))
            self._compiled: Any = _core().compile_model(model, "CPU", options)
        except BundleError as error:
            raise BundleError(f"OpenVINO {openvino.__version__} {error}") from error
        except Exception as error:  # OpenVINO's errors share no other base
            raise BundleError(
                f"OpenVINO {openvino.__version__} cannot load a graph: {_reason(error)}. {_WAY_OUT}"
            ) from error
        self._takes = [(entry.element_type.to_dtype(), tuple(entry.shape)) for entry in self._compiled.inputs]
        self._outputs = list(self._compiled.outputs)
        self._free: list[Any] = []  # requests: each is for one caller at a time
        self._lock = Lock()
        return_freed_memory()

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The graph's outputs, in its own order, for inputs in its own order.

        Raises:
            BundleError: if OpenVINO cannot run the graph on them.
        """
        came = [(array.dtype, array.shape) for array in inputs]
        if came != self._takes:  # it would convert another type, and say nothing
            raise BundleError(f"OpenVINO cannot run a graph: expected {_listed(self._takes)}; got {_listed(came)}")
        with self._lock:
            request = self._free.pop() if self._free else self._compiled.create_infer_request()
        try:
            found = request.infer([np.ascontiguousarray(array) for array in inputs], share_inputs=True)
            return tuple(found[output] for output in self._outputs)
        except Exception as error:  # OpenVINO's errors share no other base
            raise BundleError(f"OpenVINO cannot run a graph: {_reason(error)}") from error
        finally:
            with self._lock:
                self._free.append(request)


@cache
def _core() -> Any:
    return load("openvino", "the engine openvino").Core()


def _listed(arrays: Sequence[tuple[Any, tuple[int, ...]]]) -> str:
    return ", ".join(f"{np.dtype(kind).name} {shape}" for kind, shape in arrays) or "nothing"


def _reason(error: Exception) -> str:
    """What OpenVINO says at the end: before it stand the lines of its source that were passed."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith("Exception from")]
    return first_line(type(error)(told[-1])) if told else first_line(error)
