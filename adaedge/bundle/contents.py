"""BundleContents: what a bundle holds, and how it is loaded, saved and changed.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``; of this part ``answers``, ``codecs``, ``engines``,
``entries``, ``folder``, ``hub``, ``manifest``, ``route``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Self

from adaedge.bundle import folder
from adaedge.bundle.answers import AnswerFormat
from adaedge.bundle.codecs import CodecTable
from adaedge.bundle.engines import EngineTable
from adaedge.bundle.entries import File
from adaedge.bundle.manifest import Manifest
from adaedge.bundle.route import Route
from adaedge.engine import ONNX_RUNTIME
from adaedge.operating_point import KEPT, OperatingPoint, Profile
from adaedge.payload import OwnCodec

_HEADER_BYTES = 2**16
_ROUTES = 1024  # that many are remembered; a payload may name any codec that there is
_RAW_FACTOR = 2  # no codec makes features larger than this, whatever they hold


class BundleContents:
    """The contents of a `Bundle`, which adds how frames are run and documents arguments and attributes."""

    def __init__(
        self,
        manifest: Manifest,
        files: Mapping[str, bytes],
        *,
        threads: int = 1,
        codecs: Sequence[OwnCodec] = (),
        engine: str = ONNX_RUNTIME,
    ) -> None:
        self.manifest = manifest.sealed()
        self.threads = threads
        self.engine_name = engine
        self._files = files
        self._engines = EngineTable(self.manifest, files, threads, engine)
        self.codecs = CodecTable(files, codecs, self.manifest.preprocessing)
        self.answers = AnswerFormat(self.manifest)
        bind = partial(Route, manifest=self.manifest, engines=self._engines, codecs=self.codecs, answers=self.answers)
        self._route = lru_cache(_ROUTES)(bind)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        threads: int = 1,
        codecs: Sequence[OwnCodec] = (),
        engine: str = ONNX_RUNTIME,
    ) -> Self:
        """Read and verify a bundle.

        Args:
            path: its folder.
            threads: threads inside an operator.
            codecs: codecs from outside the package that points of it have; they are code, so no bundle carries them.
            engine: what runs its graphs, as above.

        Raises:
            CodecError: if two codecs have one name, or one has the name of a codec of adaedge's.
            BundleError: if there is no bundle, or no such engine.
            BundleVersionError: if another version of the format wrote it.
            IntegrityError: if a file is missing, or its bytes are not those that the manifest names.
            MissingExtraError: if the engine is not installed.
        """
        manifest, files = folder.read(path)
        return cls(manifest, files, threads=threads, codecs=codecs, engine=engine)

    def save(self, path: str | Path) -> None:
        """Write the bundle to a folder, replacing a bundle that is there.

        Raises:
            BundleError: if something that is not a bundle is in the way, or the folder cannot be written.
        """
        folder.write(path, self.manifest, self._files)

    @classmethod
    def from_hub(
        cls,
        repo_id: str,
        *,
        revision: str | None = None,
        token: str | None = None,
        threads: int = 1,
        codecs: Sequence[OwnCodec] = (),
        engine: str = ONNX_RUNTIME,
    ) -> Self:
        """Read and verify a bundle from the Hugging Face hub; what was downloaded once is taken from the disk.

        Args:
            repo_id: ``NAME`` or ``OWNER/NAME``, as on the hub.
            revision: a branch, a tag or a commit; the newest of ``main`` by default.
            token: for a private one; by default, that of ``hf auth login``.
            threads: as `load`.
            codecs: as `load`.
            engine: as `load`.

        Raises:
            BundleError: if it cannot be read from the hub; else as `load`.
            MissingExtraError: if the extra ``hub`` is not installed.
        """
        from adaedge.bundle import hub

        path = hub.pull(repo_id, revision=revision, token=token)
        return cls.load(path, threads=threads, codecs=codecs, engine=engine)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        profile: Profile | None = None,
        private: bool | None = None,
        token: str | None = None,
    ) -> str:
        """Write the bundle to the Hugging Face hub, in place of what is there, with a model card.

        Args:
            repo_id: ``NAME`` or ``OWNER/NAME``; made where there is none.
            profile: of this bundle: then the card's table has times too, and the machines that they were measured on.
            private: whether a new repository is; the owner's setting by default.
            token: that may write there; by default, that of ``hf auth login``.

        Returns:
            The address of the commit.

        Raises:
            BundleError: if it cannot be written there.
            MissingExtraError: if the extra ``hub`` is not installed.
            ProfileError: if the profile is of another bundle.
        """
        from adaedge.bundle import hub

        return hub.push(repo_id, self.manifest, self._files, profile=profile, private=private, token=token)

    def with_threads(self, threads: int) -> Self:
        """The same bundle with another number of threads; files and weights are shared."""
        return self._again(threads, self.engine_name)

    def with_engine(self, engine: str) -> Self:
        """The same bundle, run by another engine; files and weights are shared.

        Raises:
            BundleError: if there is no such engine.
            MissingExtraError: if the engine is not installed.
        """
        return self._again(self.threads, engine)

    def _again(self, threads: int, engine: str) -> Self:
        codecs = [*self.codecs.own.values()]
        return type(self)(self.manifest, self._files, threads=threads, codecs=codecs, engine=engine)

    def with_file(self, name: str, data: bytes) -> Self:
        """The same bundle with one file more, or another in its place: so it has another digest, and edges need it too.

        Args:
            name: of the file in the bundle's folder.
            data: its bytes.
        """
        about = File(hashlib.sha256(data).hexdigest(), len(data))
        manifest = replace(self.manifest, files={**self.manifest.files, name: about})
        codecs = [*self.codecs.own.values()]
        files = {**self._files, name: data}
        return type(self)(manifest, files, threads=self.threads, codecs=codecs, engine=self.engine_name)

    def file(self, name: str) -> bytes | None:
        """The bytes of a file of the bundle; ``None`` where it has none of that name."""
        return self._files.get(name)

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, in hexadecimal: the bundle's name."""
        return self.manifest.digest

    @property
    def points(self) -> tuple[OperatingPoint, ...]:
        """Every operating point, keeping the last answer first where it may be kept."""
        return ((KEPT,) if self.manifest.kept else ()) + tuple(entry.point for entry in self.manifest.points)

    @property
    def max_payload_bytes(self) -> int:
        """The largest payload that any operating point can need, header included."""
        return _HEADER_BYTES + _RAW_FACTOR * max(cut.payload_bytes for cut in self.manifest.cuts)

    def resolve(self, point: OperatingPoint) -> OperatingPoint:
        """The same point, its split point by the name that the bundle uses.

        Its codec may be another than those that were measured: any that can carry what crosses there.

        Raises:
            BundleError: if the bundle does not hold its split point at its level.
        """
        return replace(point, split=self.manifest.cut(point.split, point.level).split)
