"""An engine runs one graph. ONNX Runtime is the one that is deployed; `FakeEngine` is for tests.

May import: ``errors``. Takes and returns NumPy arrays; knows nothing of bundles or links.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, final

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[np.generic]
Arrays = tuple[Array, ...]


class Engine(Protocol):
    """Runs one graph."""

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The graph's outputs, in its own order, for inputs in its own order."""
        ...


@final
class OnnxEngine:
    """A graph in ONNX Runtime, its fp32 weights handed over from outside.

    Args:
        graph: bytes of an ONNX model whose initializers are marked external.
        weights: name → array, at least those that the graph names.
        threads: threads inside an operator.
    """

    def __init__(self, graph: bytes, weights: Mapping[str, Array], threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The session keeps views: the arrays must live as long as it does.
        self._weights = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(w)) for name, w in weights.items()
        }
        options.add_external_initializers(list(self._weights), list(self._weights.values()))
        self._session = onnxruntime.InferenceSession(graph, options, providers=onnxruntime.get_available_providers())
        self._inputs = [entry.name for entry in self._session.get_inputs()]

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The graph's outputs, in its own order, for inputs in its own order."""
        feed = {name: np.ascontiguousarray(value) for name, value in zip(self._inputs, inputs, strict=True)}
        return tuple(self._session.run(None, feed))


@final
class FakeEngine:
    """A Python function in the place of a graph, for tests of what surrounds an engine.

    Example:
        >>> FakeEngine(lambda x: (x + 1,)).run((np.zeros(2),))[0].tolist()
        [1.0, 1.0]
    """

    def __init__(self, function: Callable[..., Arrays]) -> None:
        self._function = function

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """What the function returns."""
        return self._function(*inputs)
