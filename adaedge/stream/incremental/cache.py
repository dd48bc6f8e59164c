"""What is held between the frames of one stream, so that only what changed has to be computed.

May import: ``errors``.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, final

import numpy as np
import safetensors
import safetensors.numpy

from adaedge.arrays import Array
from adaedge.errors import CacheError
from adaedge.stream.incremental.plan import FrameStats, Held


@final
class Cache:
    """The tensors of one stream, as of its last frame.

    It is used up by the frame that it is given to, which returns another: computing in place spares copying what did
    not change. `copy` makes one that can be used besides.

    Args:
        content_hash: of the plan that it belongs to.
        tensors: for each held tensor.
        scales: of each, its root mean square (of an input, its standard deviation) when it was last computed whole.
        stats: of the last frame.
        saved: how much less work than predicted frames took lately, as a factor.
        tightened: by what the tolerance is multiplied, since an audit found that it was too wide.
        frames: how many it has seen.
        is_busy: whether the last frame ran dense and nothing is held of it but the input.
    """

    def __init__(
        self,
        content_hash: str,
        tensors: list[Array],
        scales: list[float],
        stats: FrameStats,
        *,
        saved: float = 1.0,
        tightened: float = 1.0,
        frames: int = 0,
        is_busy: bool = False,
    ) -> None:
        self.content_hash, self.stats = content_hash, stats
        self.saved, self.tightened, self.frames = saved, tightened, frames
        self.is_busy = is_busy
        self._tensors: list[Array] | None = tensors
        self._scales = scales

    @property
    def is_used(self) -> bool:
        """Whether a frame has used it up."""
        return self._tensors is None

    @property
    def length_bytes(self) -> int:
        """What it takes of memory."""
        return sum(tensor.nbytes for tensor in self._tensors or ())

    def take(self, content_hash: str, held: Sequence[Held] = ()) -> tuple[list[Array], list[float]]:
        """Give tensors and scales to the one frame that uses the cache up.

        Args:
            content_hash: of the plan that takes it.
            held: what the plan holds: tensors of another shape or type are refused.

        Raises:
            CacheError: if it belongs to another network, was used already, or was written to.
        """
        if content_hash != self.content_hash:
            raise CacheError(
                f"this cache is of another network or tolerance ({self.content_hash}); expected {content_hash}."
                " Give `None` to begin anew."
            )
        if self._tensors is None:
            raise CacheError(
                "this cache was used by an earlier frame. Give the one that the last frame handed back, or `None` to"
                " begin anew; `cache.copy()` keeps one to come back to."
            )
        found = [(tensor.shape, str(tensor.dtype)) for tensor in self._tensors]
        if held and not self.is_busy and found != [(one.shape, one.dtype) for one in held]:
            raise CacheError(
                "this cache was written to: it holds other tensors than the last frame left. Give `None` to begin anew."
            )
        tensors, self._tensors = self._tensors, None
        return tensors, self._scales

    def copy(self) -> Self:
        """One of its own."""
        tensors, scales = self.take(self.content_hash)
        self._tensors = tensors
        found = type(self)(self.content_hash, [tensor.copy() for tensor in tensors], list(scales), self.stats)
        found.saved, found.tightened = self.saved, self.tightened
        found.frames, found.is_busy = self.frames, self.is_busy
        return found

    def save(self, path: str | Path) -> None:
        """Write it to a file (safetensors)."""
        tensors, scales = self.take(self.content_hash)
        self._tensors = tensors
        named = {f"{place:05}": np.ascontiguousarray(tensor) for place, tensor in enumerate(tensors)}
        named["scales"] = np.array(scales)
        named["state"] = np.array([self.saved, self.tightened, float(self.frames), float(self.is_busy)])
        about = {"identity": self.content_hash, "crc32": _checksum(named)}
        safetensors.numpy.save_file(named, str(path), metadata=about)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read it from a file.

        Raises:
            CacheError: if the file is none, or is damaged.
        """
        try:
            with safetensors.safe_open(str(path), framework="numpy") as file:
                about = file.metadata() or {}
                content_hash, written = about["identity"], about["crc32"]
                named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
            if _checksum(named) != written:
                raise CacheError("it was written to")
            scales, state = named.pop("scales"), named.pop("state")
        except Exception as error:  # safetensors' errors share no base with the system's
            raise CacheError(f"{path} is no cache: {error}. Write one with `cache.save`.") from error
        tensors = [np.array(named[name]) for name in sorted(named)]
        found = cls(content_hash, tensors, [*map(float, scales)], FrameStats(0.0, 0.0, "loaded"))
        found.saved, found.tightened = float(state[0]), float(state[1])
        found.frames, found.is_busy = int(state[2]), bool(state[3])
        return found


def _checksum(named: Mapping[str, Array]) -> str:
    """CRC-32 of all bytes, in the order of names."""
    found = 0
    for name in sorted(named):
        found = zlib.crc32(np.ascontiguousarray(named[name]).tobytes(), found)
    return f"{found:08x}"
