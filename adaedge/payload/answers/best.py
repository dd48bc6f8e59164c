"""Scores of classes → the best few.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.message import Segment, TensorHeader

Arrays = tuple[Array, ...]
Encoded = tuple[tuple[TensorHeader, ...], Segment]

_SCORE = np.dtype("<f2")
_INDICES = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"))


@final
@dataclass(frozen=True, slots=True)
class Best:
    """The K best classes: int32 indices (N, K), best first, and their scores, float16 (N, K).

    A segment holds the scores, then the indices in the fewest whole bytes that hold all of them (1, 2 or 4, which
    follows from its length). One header, of the scores, stands for both.

    Attributes:
        count: K, 1 to 999.

    Raises:
        CodecError: if K is something else.

    Example:
        >>> codec = Best(2)
        >>> answer = codec.reduce([np.array([[0.25, 4.0, 1.0]])])
        >>> headers, segment = codec.encode(answer)
        >>> segment.hex(), [one.tolist() for one in codec.decoder(headers)(segment)]
        ('0044003c0102', [[[1, 2]], [[4.0, 1.0]]])
    """

    count: int
    MOST: ClassVar[int] = 999

    def __post_init__(self) -> None:
        if not 1 <= self.count <= self.MOST:
            raise CodecError(f"best@K gives 1 to {self.MOST} classes; got {self.count}")

    @property
    def name(self) -> str:
        """The codec's name, ``best@K``."""
        return f"best@{self.count}"

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """Indices and scores; of equal scores the first class comes first, and NaN last."""
        shape = outputs[0].shape if len(outputs) == 1 else ()
        if len(shape) != 2 or shape[1] < self.count or not np.issubdtype(outputs[0].dtype, np.floating):
            got = ", ".join(f"{one.dtype} {one.shape}" for one in outputs)
            raise CodecError(
                f"{self.name} takes one floating-point output (N, C) of at least {self.count} classes; got {got}."
                " Choose fewer, let the model return its scores only, or use raw."
            )
        indices = np.argsort(-outputs[0], axis=1, kind="stable")[:, : self.count]
        with np.errstate(over="ignore"):  # beyond float16 is infinity, as in f16
            scores = np.take_along_axis(outputs[0], indices, 1).astype(np.float16)
        return indices.astype(np.int32), scores

    def encode(self, answer: Sequence[Array]) -> Encoded:
        """The header and the segment."""
        kinds = [(one.dtype.name, one.shape[1:]) for one in answer]
        if kinds != [("int32", (self.count,)), ("float16", (self.count,))] or (answer[0] < 0).any():
            got = ", ".join(f"{one.dtype} {one.shape}" for one in answer)
            raise CodecError(
                f"{self.name} writes indices int32 (N, {self.count}) and scores float16 (N, {self.count}); got {got}."
                " Reduce the outputs first."
            )
        indices, scores = answer
        largest = int(indices.max(initial=0))
        small = next(dtype for dtype in _INDICES if largest < 256**dtype.itemsize)
        data = scores.astype(_SCORE).tobytes() + indices.astype(small).tobytes()
        return (TensorHeader("float16", scores.shape),), data

    def decoder(self, headers: Sequence[TensorHeader]) -> Callable[[Segment], Arrays]:
        """What makes indices and scores of their bytes."""
        (header,) = headers
        values = header.nbytes // _SCORE.itemsize

        def decode(segment: Segment) -> Arrays:
            for dtype in _INDICES:
                if len(segment) == header.nbytes + values * dtype.itemsize:
                    scores = np.frombuffer(segment, _SCORE, values).astype(np.float16)
                    indices = np.frombuffer(segment, dtype, offset=header.nbytes).astype(np.int64)
                    return _indices(indices).reshape(header.shape), scores.reshape(header.shape)
            raise PayloadError(
                f"corrupted payload: {values} scores and indices take {3 * values}, {4 * values} or {6 * values} bytes;"
                f" {len(segment)} came"
            )

        return decode


def _indices(values: Array) -> Array:
    if values.size and values.max() >= 2**31:
        raise PayloadError(f"corrupted payload: {values.max()} is no index of a class")
    return values.astype(np.int32)
