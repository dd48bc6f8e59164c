"""What runs the halves of a bundle.

May import: ``errors``, ``engine``; of this part ``entries``, ``manifest``, ``weights``.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import final

from adaedge.bundle import weights
from adaedge.bundle.entries import Slice, Subgraph
from adaedge.bundle.manifest import WEIGHTS, Manifest
from adaedge.engine import Array, Engine, OnnxEngine, Passthrough


@final
class EngineTable:
    """The engines of a bundle's halves. Thread-safe; each is loaded when it is first asked for, then kept.

    Who asks for one that is being loaded waits for it, and for no other: ONNX Runtime loads several at once.

    Args:
        manifest: says which weights are slices of others.
        files: path → bytes of graphs and weights.
        threads: threads inside an operator.

    Raises:
        IntegrityError: if the weights cannot be read.
    """

    def __init__(self, manifest: Manifest, files: Mapping[str, bytes], threads: int) -> None:
        self._manifest, self._files, self._threads = manifest, files, threads
        self._stored = weights.views(files[WEIGHTS])
        self._parts: dict[str, Array] = {}  # one copy for head and tail, where a slice has to be one
        self._engines: dict[str, Engine] = {}
        self._loading: dict[str, Lock] = {}
        self._lock = Lock()

    def of(self, half: Subgraph | None) -> Engine:
        """What runs a half; for none, what returns its inputs."""
        if half is None:
            return Passthrough()
        with self._lock:
            loading = self._loading.setdefault(half.graph, Lock())
        with loading:
            if half.graph not in self._engines:
                self._engines[half.graph] = OnnxEngine(self._files[half.graph], self._given(half), self._threads)
            return self._engines[half.graph]

    def file(self, path: str) -> bytes:
        """The bytes of a file beside the graphs, such as a plan."""
        return self._files[path]

    def _given(self, half: Subgraph) -> dict[str, Array]:
        with self._lock:
            return {name: self._weight(name) for name in half.weights}

    def _weight(self, name: str) -> Array:
        if name not in self._parts:
            self._parts[name] = weights.part(self._stored, self._manifest.slices.get(name) or Slice(name, ()))
        return self._parts[name]
