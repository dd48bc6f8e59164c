"""Features ⇄ segments by way of a bottleneck; leading segments alone decode at a lower rate.

May import: ``errors``; of this part ``transform``, of ``payload`` ``wire``.

The range coder's words (little-endian uint32) hold the coefficients from the most to the least important. They are cut
into at most eight segments of the same number of words, the last one shorter. The first segment begins with a uint32:
how many words there are in all, from which follows where each segment ends.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, final

import numpy as np
import numpy.typing as npt

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.latent.transform import Latents
from adaedge.payload.wire import Segment, TensorHeader

Array = npt.NDArray[Any]

MAX_SEGMENTS = 8
LEAST_WORDS = 16
COUNT = struct.Struct("<I")
WORD_BYTES = 4


@final
@dataclass(frozen=True, slots=True)
class LatentCodec:
    """A bottleneck at one rate, as a codec.

    Attributes:
        latents: the bottleneck.
        rate: which of its rates, 0 the fewest bytes.
    """

    latents: Latents
    rate: int

    def __post_init__(self) -> None:
        if not 0 <= self.rate < self.latents.rates:
            raise CodecError(f"this bottleneck's rates are 0 to {self.latents.rates - 1}; got {self.rate}")

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None] = ()
    ) -> tuple[tuple[TensorHeader, ...], tuple[Segment, ...]]:
        """Headers and segments.

        Raises:
            CodecError: if they are not the tensors that the bottleneck was fitted for, or not finite.
        """
        del axes  # the layout knows them
        values = self.latents.quantise(self.latents.analyse(self.latents.layout.rows(tensors)), self.rate)
        words = self.latents.tables.encode(values, self.latents.sent(self.rate)[1])
        headers = tuple(TensorHeader(tensor.dtype.name, tensor.shape) for tensor in tensors)
        return headers, segments_of(words)

    def decode(self, headers: Sequence[TensorHeader], segments: Sequence[Segment], max_bytes: int) -> tuple[Array, ...]:
        """The features; from fewer than all segments, what these still say.

        Raises:
            PayloadError: if headers or segments are not what this codec writes.
        """
        total = sum(header.nbytes for header in headers)
        if total > max_bytes:
            raise PayloadError(f"oversized payload: {total} bytes decoded, at most {max_bytes} are accepted")
        wanted = [(plane.dtype, plane.shape) for plane in self.latents.layout.planes]
        batches = {header.shape[:1] for header in headers}
        plain = all(not header.bits and header.axis is None and not header.ranges for header in headers)
        if [(header.dtype, header.shape[1:]) for header in headers] != wanted or len(batches) != 1 or not plain:
            raise PayloadError(
                f"corrupted payload: this bottleneck writes {wanted}; its headers say"
                f" {[(header.dtype, header.shape) for header in headers]}"
            )
        (batch,) = batches.pop()
        return self.rebuild(segments, batch)

    def rebuild(self, segments: Sequence[Segment], batch: int) -> tuple[Array, ...]:
        """The features of leading segments.

        Raises:
            PayloadError: if the segments are not what this codec writes.
        """
        words, whole = words_of(segments)
        classes = self.latents.sent(self.rate)[1]
        values = self.latents.tables.decode(words, classes, batch, whole=whole)
        return self.latents.layout.tensors(self.latents.synthesise(values, self.rate))

    def predicted_bytes(self, tensors: Sequence[Array]) -> float:
        """What an ideal coder makes of these features, and what the segments add to it."""
        values = self.latents.quantise(self.latents.analyse(self.latents.layout.rows(tensors)), self.rate)
        coded = self.latents.tables.bits(values, self.latents.sent(self.rate)[1]) / 8
        return coded + WORD_BYTES / 2 + COUNT.size  # the last word is half empty on average


def segment_words(total: int) -> list[int]:
    """How many words each segment holds of so many in all.

    Example:
        >>> segment_words(40), segment_words(0)
        ([16, 16, 8], [0])
    """
    each = max(LEAST_WORDS, math.ceil(total / MAX_SEGMENTS))
    return [min(each, total - start) for start in range(0, total, each)] or [0]


def segments_of(words: npt.NDArray[np.uint32]) -> tuple[bytes, ...]:
    """The segments of these words."""
    data = words.astype("<u4").tobytes()
    ends = accumulate(segment_words(len(words)), initial=0)
    parts = [data[WORD_BYTES * start : WORD_BYTES * stop] for start, stop in pairwise(ends)]
    return COUNT.pack(len(words)) + parts[0], *parts[1:]


def words_of(segments: Sequence[Segment]) -> tuple[npt.NDArray[np.uint32], bool]:
    """The words in leading segments, and whether they are all.

    Raises:
        PayloadError: if there is no segment, or one has another length than it should.
    """
    if not segments or len(segments[0]) < COUNT.size:
        raise PayloadError("truncated payload: not even its first segment is whole")
    total = COUNT.unpack_from(segments[0])[0]
    parts = [memoryview(segments[0])[COUNT.size :], *(memoryview(segment) for segment in segments[1:])]
    lengths = [len(part) / WORD_BYTES for part in parts]
    held = sum(lengths)
    # Checked against what came first, so that no list is as long as a wrong number says.
    if held > total or total > max(MAX_SEGMENTS, 1) * max(lengths[0], LEAST_WORDS):
        raise PayloadError(f"corrupted payload: {held:g} words came, it says that there are {total}")
    if lengths != segment_words(total)[: len(lengths)]:
        raise PayloadError("corrupted payload: its segments have not the lengths that this codec writes")
    return np.frombuffer(b"".join(parts), "<u4").astype(np.uint32), held == total
