"""ONNX Runtime: the engine that is always there.

May import: ``errors``; of this part ``protocol``.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import final

import onnxruntime

from adaedge.engine.protocol import Array, Arrays
from adaedge.errors import BundleError, first_line

# The wheel from PyPI also offers AzureExecutionProvider, which sends inputs to a service: never pick that by itself.
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_ONCE = threading.Lock()
_FATAL_ONLY = 4  # errors raise; a line on the terminal besides would say it twice


@final
class OnnxEngine:
    """A graph in ONNX Runtime, its weights handed over from outside. Thread-safe.

    Args:
        graph: bytes of an ONNX model whose large initializers are marked external.
        weights: name → array of each of these initializers, in C order; other names are refused.
        threads: threads inside an operator.

    Raises:
        BundleError: if ONNX Runtime cannot load the graph.
    """

    def __init__(self, graph: bytes, weights: Mapping[str, Array], threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        with _ONCE:
            _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Views, not copies: ONNX Runtime may keep them, so they live as long as the session.
        self._weights = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()}
        options.add_external_initializers(list(self._weights), list(self._weights.values()))
        available = onnxruntime.get_available_providers()
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=[name for name in _PROVIDERS if name in available]
            )
        except Exception as error:  # ONNX Runtime's errors share no other base
            raise BundleError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load a graph: {first_line(error)}. Build the bundle"
                " again with the versions of onnx and onnxruntime that this machine has."
            ) from error
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        return_freed_memory()

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The graph's outputs, in its own order, for inputs in its own order.

        Raises:
            BundleError: if ONNX Runtime cannot run the graph on them.
        """
        try:
            feed = dict(zip(self._inputs, inputs, strict=True))
            return tuple(self._session.run(None, feed))
        except Exception as error:  # ONNX Runtime's errors share no other base
            raise BundleError(f"ONNX Runtime cannot run a graph: {first_line(error)}") from error


@cache
def _share_memory() -> None:
    """Let the graphs of this process work in one memory, once.

    A tail then finds what its head has just left in the processor's caches, instead of touching memory of its own,
    and many graphs need no more than the largest. ONNX Runtime calls this sharing allocators between sessions.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


def return_freed_memory() -> None:
    """Give back to the system what is free: after a graph was optimised, a seventh of a small terminal's memory.

    glibc keeps freed memory that lies below some that is still in use, until it is asked to return it. Other C
    libraries have no such function.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim:
        trim(0)
