"""Features ⇄ segments by way of a bottleneck; leading segments alone decode at a lower rate.

May import: ``errors``; of this part ``tables``, ``transform``, of ``payload`` ``wire``.

The coder's words (little-endian uint32) hold the coefficients from the most to the least important. They are cut
into at most nine segments of the same number of words, the first one shorter: losing the last tenth of a long
payload loses one segment. The first segment begins with a uint32, how many words there are in all, from which follows
where each segment ends; and with an int8, by how many classes this payload's latents are wider than usual.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.latent.tables import SHIFTS, Classes, shifted
from adaedge.payload.latent.transform import TransformCode
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded, Reference, StandsAlone

MAX_SEGMENTS = 9
LEAST_WORDS = 16
PREFIX = struct.Struct("<Ib")
WORD_BYTES = 4
_EMPTY_BYTES = 3
"""What the bottom of an empty stack takes: its first symbol fills the coder's 24 bits, however likely it is."""


@final
@dataclass(frozen=True, slots=True)
class LatentCodec(StandsAlone):
    """A bottleneck at one rate, as a codec.

    Attributes:
        latents: the bottleneck.
        rate: which of its rates, 0 the fewest bytes.
    """

    latents: TransformCode
    rate: int

    def __post_init__(self) -> None:
        if not 0 <= self.rate < self.latents.rates:
            raise CodecError(f"this bottleneck's rates are 0 to {self.latents.rates - 1}; got {self.rate}")

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None] = (), reference: Reference | None = None
    ) -> tuple[Encoded, None]:
        """Headers and segments.

        Raises:
            CodecError: if they are not the tensors that the bottleneck was fitted for, or not finite.
        """
        del axes, reference  # the layout knows the axes; every payload stands by itself
        values, classes, shift = self.latents_of(self._analysed(tensors))
        words = self.latents.tables.encode(values, classes)
        batch = len(tensors[0])
        headers = tuple(TensorHeader(plane.dtype, (batch, *plane.shape)) for plane in self.latents.layout.planes)
        return (headers, segments_of(words, shift)), None

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], None]:
        """The features; from fewer than all segments, what these still say.

        Raises:
            PayloadError: if headers or segments are not what this codec writes.
        """
        del reference
        return self.rebuild(segments, self.batch(headers, max_bytes)), None

    def batch(self, headers: Sequence[TensorHeader], max_bytes: int) -> int:
        """How many samples headers speak of.

        Raises:
            PayloadError: if they are not what this codec writes, or too large.
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
        return batch

    def rebuild(self, segments: Sequence[Segment], batch: int) -> tuple[Array, ...]:
        """The features of leading segments.

        Raises:
            PayloadError: if the segments are not what this codec writes.
        """
        return self.latents.layout.tensors(self.latents.rebuild(self.coefficients(segments, batch)))

    def coefficients(self, segments: Sequence[Segment], batch: int) -> Array:
        """Leading segments as coefficients (N, positions, components), for a tail that the decoder is folded into.

        Raises:
            PayloadError: if the segments are not what this codec writes.
        """
        if not batch:
            raise PayloadError("corrupted payload: it says that it holds no sample")
        words, shift, whole = words_of(segments)
        classes = shifted(self.latents.sent(self.rate)[1], shift)
        return self.latents.dequantise(self.latents.tables.decode(words, classes, batch, whole=whole), self.rate)

    def predicted_bytes(self, tensors: Sequence[Array]) -> float:
        """What an ideal coder makes of these features, and what the segments add to it."""
        values, classes, _ = self.latents_of(self._analysed(tensors))
        coded = self.latents.tables.bits(values, classes) / 8
        return coded + _EMPTY_BYTES + WORD_BYTES / 2 + PREFIX.size  # the top word is half empty on average

    def _analysed(self, tensors: Sequence[Array]) -> Array:
        return self.latents.analyse(self.latents.layout.rows(tensors))

    def latents_of(self, analysed: Array) -> tuple[Array, Classes, int]:
        """The latents of this rate, the classes that their tables are taken from, and by how much these are shifted.

        Args:
            analysed: features as ``TransformCode.analyse`` leaves them.
        """
        values = self.latents.quantise(analysed, self.rate)
        _, usual = self.latents.sent(self.rate)
        shift = self.latents.tables.shift(values, usual)
        return values, shifted(usual, shift), shift


@final
@dataclass(frozen=True, slots=True)
class FoldedCodec(StandsAlone):
    """A bottleneck at one rate, whose decoder is part of the tail: a payload holds coefficients.

    Attributes:
        codec: what encodes, and reads payloads.
    """

    codec: LatentCodec

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None] = (), reference: Reference | None = None
    ) -> tuple[Encoded, None]:
        """Headers and segments of features, as the codec's own."""
        return self.codec.encode(tensors, axes, reference)

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], None]:
        """The coefficients; from fewer than all segments, what these still say.

        Raises:
            PayloadError: if headers or segments are not what the codec writes.
        """
        del reference
        return (self.codec.coefficients(segments, self.codec.batch(headers, max_bytes)),), None


def segment_words(total: int) -> list[int]:
    """How many words each segment holds of so many in all.

    Example:
        >>> segment_words(40), segment_words(0)
        ([8, 16, 16], [0])
    """
    each = max(LEAST_WORDS, math.ceil(total / MAX_SEGMENTS))
    others = max(0, math.ceil(total / each) - 1)
    return [total - others * each] + [each] * others


def segments_of(words: npt.NDArray[np.uint32], shift: int) -> tuple[bytes, ...]:
    """The segments of these words, and of the shift of their classes."""
    data = words.astype("<u4").tobytes()
    ends = accumulate(segment_words(len(words)), initial=0)
    parts = [data[WORD_BYTES * start : WORD_BYTES * stop] for start, stop in pairwise(ends)]
    return PREFIX.pack(len(words), shift) + parts[0], *parts[1:]


def words_of(segments: Sequence[Segment]) -> tuple[npt.NDArray[np.uint32], int, bool]:
    """The words in leading segments, the shift of their classes, and whether they are all.

    Raises:
        PayloadError: if there is no segment, one has another length than it should, or no shift is this large.
    """
    if not segments or len(segments[0]) < PREFIX.size:
        raise PayloadError("truncated payload: not even its first segment is whole")
    total, shift = PREFIX.unpack_from(segments[0])
    if shift not in SHIFTS:
        raise PayloadError(f"corrupted payload: its classes are {shift} wider; from {SHIFTS[0]} to {SHIFTS[-1]} may be")
    parts = [memoryview(segments[0])[PREFIX.size :], *(memoryview(segment) for segment in segments[1:])]
    lengths = [len(part) / WORD_BYTES for part in parts]
    held = sum(lengths)
    if held > total:
        raise PayloadError(f"corrupted payload: {held:g} words came, it says that there are {total}")
    if lengths != segment_words(total)[: len(lengths)]:
        raise PayloadError("corrupted payload: its segments have not the lengths that this codec writes")
    return np.frombuffer(b"".join(parts), "<u4").astype(np.uint32), shift, held == total
