"""What runs the halves of a bundle.

May import: ``errors``, ``engine``; of this part ``engine_check``, ``entries``, ``manifest``, ``weights``.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import final

from adaedge.arrays import Array
from adaedge.bundle import weights
from adaedge.bundle.entries import Slice, Subgraph
from adaedge.bundle.manifest import WEIGHTS, Manifest
from adaedge.engine import ONNX_RUNTIME, Engine, Passthrough, check_engine, load_engine


@final
class EngineTable:
    """The engines of a bundle's halves. Thread-safe; each is loaded when it is first asked for, then kept.

    Who asks for one that is being loaded waits for it, and for no other: engines load several at once. What another
    engine than ONNX Runtime answers is compared with ONNX Runtime's answer, once, when it is loaded: the bundle's
    accuracies were measured with that.

    Args:
        manifest: says which weights are slices of others.
        files: path → bytes of graphs and weights.
        threads: threads inside an operator.
        engine: the name of what runs them.

    Raises:
        BundleError: if there is no such engine.
        IntegrityError: if the weights cannot be read.
        MissingExtraError: if the engine is not installed.
    """

    def __init__(
        self, manifest: Manifest, files: Mapping[str, bytes], threads: int, engine: str = ONNX_RUNTIME
    ) -> None:
        self._manifest, self._files, self._threads = manifest, files, threads
        self._engine = check_engine(engine)
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
                self._engines[half.graph] = self._load(half)
            return self._engines[half.graph]

    def of_part(self, half: Subgraph) -> Engine:
        """What runs a graph of an incremental head: ONNX Runtime, in which its parts were compared with the whole."""
        if self._engine == ONNX_RUNTIME:
            return self.of(half)
        key = f"{ONNX_RUNTIME}:{half.graph}"
        with self._lock:
            loading = self._loading.setdefault(key, Lock())
        with loading:
            if key not in self._engines:
                self._engines[key] = self._made(half, ONNX_RUNTIME)
            return self._engines[key]

    def file(self, path: str) -> bytes:
        """The bytes of a file beside the graphs, such as a plan."""
        return self._files[path]

    def whole(self, half: Subgraph) -> bytes:
        """A half as an ONNX file with its weights inside."""
        from adaedge.engine.onnx_weights import filled

        return filled(self._files[half.graph], self._given(half))

    def _load(self, half: Subgraph) -> Engine:
        made = self._made(half, self._engine)
        if self._engine != ONNX_RUNTIME:
            from adaedge.bundle import engine_check

            fp32 = engine_check.fp32_of(half, self._manifest.cuts)
            plain = None if fp32 is None else self._made(fp32, ONNX_RUNTIME)
            engine_check.check_answers(half, made, self._made(half, ONNX_RUNTIME), plain, self._engine)
        return made

    def _made(self, half: Subgraph, engine: str) -> Engine:
        return load_engine(engine, self._files[half.graph], self._given(half), self._threads)

    def _given(self, half: Subgraph) -> dict[str, Array]:
        with self._lock:
            return {name: self._weight(name) for name in half.weights}

    def _weight(self, name: str) -> Array:
        if name not in self._parts:
            self._parts[name] = weights.part(self._stored, self._manifest.slices.get(name) or Slice(name, ()))
        return self._parts[name]
