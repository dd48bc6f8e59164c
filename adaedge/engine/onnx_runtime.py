"""ONNX Runtime: the engine that is always there.

May import: ``errors``; of this part ``protocol``.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, final

import onnxruntime

from adaedge.arrays import Array
from adaedge.engine.protocol import Arrays
from adaedge.errors import BundleError, first_line

# The wheel from PyPI also offers AzureExecutionProvider, which sends inputs to a service: never pick that by itself.
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_ONCE = threading.Lock()
_FATAL_ONLY = 4  # errors raise; a line on the terminal besides would say it twice


class _Loaded(NamedTuple):
    """A session, and what it runs with."""

    session: onnxruntime.InferenceSession
    weights: Mapping[str, Array]
    values: Mapping[str, onnxruntime.OrtValue]


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
        self._graph, self._threads = graph, threads
        with _ONCE:
            _share_memory()
        self._loaded = self._load(weights)
        self._inputs = [entry.name for entry in self._loaded.session.get_inputs()]
        return_freed_memory()

    @property
    def weights(self) -> Mapping[str, Array]:
        """Name → array of the weights that it runs with."""
        return self._loaded.weights

    def prepared(self, weights: Mapping[str, Array]) -> Callable[[], None]:
        """Load the graph with other weights; what is returned puts them in the place of the old ones, at once.

        Until then, and for whoever is in `run` at that moment, the old ones count.

        Args:
            weights: name → array of those that change, or of all; each as large as before, in C order.

        Raises:
            BundleError: if there is no such weight, or it has another shape or type.
        """
        held = self._loaded.weights
        for name, array in weights.items():
            old = held.get(name)
            if old is None or (array.shape, array.dtype) != (old.shape, old.dtype):
                has = "none of that name" if old is None else f"one of {old.dtype} {old.shape}"
                raise BundleError(f"a graph is given {name!r} of {array.dtype} {array.shape}, and it has {has}")
        loaded = self._load(dict(held) | dict(weights))

        def swap() -> None:
            self._loaded = loaded

        return swap

    def reload(self, weights: Mapping[str, Array]) -> None:
        """Run with other weights from now on; as `prepared`, at once."""
        self.prepared(weights)()

    def _load(self, weights: Mapping[str, Array]) -> _Loaded:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Views, not copies: ONNX Runtime may keep them, so they live as long as the session.
        values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()}
        options.add_external_initializers(list(values), list(values.values()))
        available = onnxruntime.get_available_providers()
        try:
            session = onnxruntime.InferenceSession(
                self._graph, options, providers=[name for name in _PROVIDERS if name in available]
            )
        except Exception as error:  # ONNX Runtime's errors share no other base
            raise BundleError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load a graph: {first_line(error)}. Build the bundle"
                " again with the versions of onnx and onnxruntime that this machine has."
            ) from error
        return _Loaded(session, weights, values)

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The graph's outputs, in its own order, for inputs in its own order.

        Raises:
            BundleError: if ONNX Runtime cannot run the graph on them.
        """
        try:
            feed = dict(zip(self._inputs, inputs, strict=True))
            return tuple(self._loaded.session.run(None, feed))
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
