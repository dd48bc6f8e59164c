"""Uniform levels and an entropy coder, without a transform: the baselines of a bottleneck.

May import: ``errors``, ``payload.entropy``; of this part ``tensors``. Shares the header with ``payload.wire``.

`RangeCoded` needs no samples: both ends count the levels of each channel as they come, in parts of doubling length, and
code a chunk with what was counted before it. `FittedRange` has its ranges and tables from samples, so that nothing but
the coder's words crosses; it is the strongest form of uniform levels. A segment is a byte, the version of this format,
and the coder's words as little-endian uint32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self, final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.entropy import TOTAL, FrequencyTables, Stack
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded, Reference, StandsAlone
from adaedge.payload.tensors import pack, quantise, read, unpack

VERSION = 2
_WORD_BYTES = 4
_OWN, _POOLED = 16, 64
"""Weight of one level that a channel had; for each level, of what all channels had together; 1 for the unseen."""


@final
@dataclass(frozen=True, slots=True)
class RangeCoded(StandsAlone):
    """Floating-point tensors in uniform levels of each channel's own range, with an adaptive range coder.

    Attributes:
        bits: bits of a level before the coder, 1 to 8.

    Example:
        >>> features = np.linspace(0, 1, 4096, dtype=np.float32).reshape(1, 4, 32, 32)
        >>> (headers, (segment,)), _ = RangeCoded(8).encode([features], [1])
        >>> RangeCoded(8).decode(headers, [segment], 2**20)[0][0].shape
        (1, 4, 32, 32)
    """

    bits: int

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None], reference: Reference | None = None
    ) -> tuple[Encoded, None]:
        """Headers and the one segment.

        Raises:
            CodecError: if a tensor is not floating point, or not finite.
        """
        del reference  # every payload stands by itself
        if len(axes) != len(tensors):
            raise CodecError(f"{len(tensors)} tensors need as many axes (None where there is none); got {len(axes)}")
        headers, levels = [], []
        for tensor, axis in zip(tensors, axes, strict=True):
            if not np.issubdtype(tensor.dtype, np.floating):
                raise CodecError(f"u{self.bits}+range carries floating-point tensors; got {tensor.dtype}. Use raw.")
            header, packed = quantise(tensor, axis, self.bits)
            headers.append(header)
            levels.append(_by_channel(unpack(packed, tensor.size, self.bits).reshape(tensor.shape), header.axis))
        stack = Stack()
        parts = [(each[:, part], tables) for each in levels for part, tables in self._chunks(each)]
        for found, tables in reversed(parts):  # what is pushed last comes first
            _push(stack, found, tables)
        return (tuple(headers), (_segment(stack),)), None

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], None]:
        """The tensors.

        Raises:
            PayloadError: if the segment is not what this codec writes for such tensors, or too large.
        """
        del reference
        _check(headers, segments, max_bytes)
        for header in headers:
            channels = 1 if header.axis is None else math.prod(header.shape[header.axis : header.axis + 1])
            if header.bits != self.bits or len(header.ranges) != 4 * channels:
                raise PayloadError(f"corrupted payload: a tensor's header is not what u{self.bits}+range writes")
        stack = _stack(segments[0])
        levels = [self._levels(stack, header) for header in headers]
        _check_end(stack)
        flat = [_from_channels(each, header.shape, header.axis) for each, header in zip(levels, headers, strict=True)]
        tensors = tuple(
            read(header, pack(np.ascontiguousarray(each).reshape(-1), self.bits))
            for header, each in zip(headers, flat, strict=True)
        )
        return tensors, None

    def _levels(self, stack: Stack, header: TensorHeader) -> Array:
        channels = 1 if header.axis is None else header.shape[header.axis]
        levels = np.zeros((channels, math.prod(header.shape) // max(channels, 1)), np.uint8)
        for part, tables in self._chunks(levels):
            levels[:, part] = _pop(stack, tables, part.stop - part.start)
        return levels

    def _chunks(self, levels: Array) -> Iterator[tuple[slice, FrequencyTables]]:
        """Parts of doubling length, each with a table a channel of what came before it in ``levels``."""
        counts = np.zeros((len(levels), 2**self.bits), np.int64)
        rows = np.arange(len(levels))[:, None]
        length = levels.shape[1]
        for start, stop in pairwise([0, *(2**k for k in range(length.bit_length()) if 2**k < length), length]):
            if stop > start:
                every = np.pad(counts.sum(axis=0), 1)
                near = every[:-2] + 2 * every[1:-1] + every[2:]  # so that a level beside a frequent one is not rare
                pooled = _POOLED * 2**self.bits * near // max(1, 4 * start * len(levels))
                yield slice(start, stop), _tables(1 + _OWN * counts + pooled)
                np.add.at(counts, (rows, levels[:, start:stop]), 1)


@final
@dataclass(frozen=True, slots=True, eq=False)
class FittedRange(StandsAlone):
    """Floating-point tensors in uniform levels of ranges, and by tables, that were fitted on samples.

    Attributes:
        axes: each tensor's channel dimension, batch counted.
        lowest: for each tensor float32 (channels,).
        steps: for each tensor float32 (channels,), above 0.
        frequencies: for each tensor int64 (channels, levels).

    Example:
        >>> samples = [(np.random.default_rng(i).normal(size=(1, 4, 8, 8)).astype(np.float32),) for i in range(9)]
        >>> codec = FittedRange.fit(samples, [1], levels=5)
        >>> (headers, (segment,)), _ = codec.encode(samples[0])
        >>> codec.decode(headers, [segment], 2**20)[0][0].shape, len(segment) < 256 * 3 / 8
        ((1, 4, 8, 8), True)
    """

    axes: tuple[int, ...]
    lowest: tuple[Array, ...]
    steps: tuple[Array, ...]
    frequencies: tuple[Array, ...]

    @classmethod
    def fit(cls, samples: Sequence[Sequence[Array]], axes: Sequence[int], *, levels: int) -> Self:
        """Ranges from the lowest to the highest value seen, tables from how often each level was.

        Args:
            samples: the tensors of one frame, each.
            axes: each tensor's channel dimension, batch counted.
            levels: how many a channel has, 2 to 256.
        """
        lowest, steps, frequencies = [], [], []
        for at, axis in enumerate(axes):
            rows = np.concatenate([_by_channel(sample[at], axis) for sample in samples], axis=1)
            low, high = rows.min(axis=1).astype(np.float32), rows.max(axis=1).astype(np.float32)
            step = np.maximum((high - low) / np.float32(levels - 1), np.finfo(np.float32).tiny)
            found = _nearest(rows, low, step, levels)
            counts = np.stack([np.bincount(row, minlength=levels) for row in found])
            lowest.append(low)
            steps.append(step)
            frequencies.append(1 + _OWN * counts)
        return cls(tuple(axes), tuple(lowest), tuple(steps), tuple(frequencies))

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None] = (), reference: Reference | None = None
    ) -> tuple[Encoded, None]:
        """Headers and the one segment.

        Raises:
            CodecError: if they are not as many tensors, of as many channels, as were fitted.
        """
        del axes, reference  # the axes are those of the fit
        shapes = [tensor.shape for tensor in tensors]
        if len(shapes) != len(self.axes) or any(
            len(shape) <= axis or shape[axis] != len(low)
            for shape, axis, low in zip(shapes, self.axes, self.lowest, strict=True)
        ):
            raise CodecError(f"these ranges were fitted for other tensors; got {shapes}. Fit them anew.")
        stack = Stack()
        fitted = zip(tensors, self.axes, self.lowest, self.steps, self.frequencies, strict=True)
        for tensor, axis, low, step, counts in reversed(list(fitted)):  # what is pushed last comes first
            _push(stack, _nearest(_by_channel(tensor, axis), low, step, counts.shape[1]), _tables(counts))
        headers = tuple(TensorHeader(tensor.dtype.name, tensor.shape) for tensor in tensors)
        return (headers, (_segment(stack),)), None

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], None]:
        """The tensors.

        Raises:
            PayloadError: if the words do not decode, or take more than ``max_bytes`` once decoded.
        """
        del reference
        _check(headers, segments, max_bytes)
        stack, tensors = _stack(segments[0]), []
        fitted = zip(headers, self.axes, self.lowest, self.steps, self.frequencies, strict=True)
        for header, axis, low, step, counts in fitted:
            found = _pop(stack, _tables(counts), math.prod(header.shape) // len(low))
            values = found * step[:, None] + low[:, None]
            tensors.append(_from_channels(values, header.shape, axis).astype(header.dtype, order="C"))
        _check_end(stack)
        return tuple(tensors), None


def _check(headers: Sequence[TensorHeader], segments: Sequence[Segment], max_bytes: int) -> None:
    total = sum(header.nbytes for header in headers)
    if total > max_bytes:
        raise PayloadError(f"oversized payload: {total} bytes decoded, at most {max_bytes} are accepted")
    if len(segments) != 1:
        raise PayloadError(f"corrupted payload: levels are in one segment; {len(segments)} came")


def _segment(stack: Stack) -> bytes:
    return bytes([VERSION]) + stack.words().astype("<u4").tobytes()


def _stack(segment: Segment) -> Stack:
    """What a segment holds.

    Raises:
        PayloadError: if it is of another version, or no whole words.
    """
    size = len(segment)
    version = 1 if size and not size % _WORD_BYTES else next(iter(segment), VERSION)  # 1 was whole words, and no byte
    if version != VERSION:
        raise PayloadError(f"levels of format {version}; this adaedge reads {VERSION}. Install the same on both sides.")
    if size % _WORD_BYTES != 1:
        raise PayloadError(f"corrupted payload: levels are a byte and whole words of {_WORD_BYTES}; {size} bytes came")
    return Stack.of(np.frombuffer(segment, "<u4", offset=1).astype(np.uint32))


def _push(stack: Stack, levels: Array, tables: FrequencyTables) -> None:
    """Levels (channels, n), a table a channel."""
    stack.push(levels.reshape(-1), np.repeat(np.arange(len(levels)), levels.shape[1]), tables)


def _pop(stack: Stack, tables: FrequencyTables, count: int) -> npt.NDArray[np.int32]:
    """The inverse of ``_push``."""
    channels = len(tables.edges)
    return stack.pop(np.repeat(np.arange(channels), count), tables).reshape(channels, count)


def _check_end(stack: Stack) -> None:
    if not stack.is_empty():
        raise PayloadError("corrupted payload: its words are not those that its levels would be written in")


def _nearest(rows: Array, lowest: Array, step: Array, levels: int) -> npt.NDArray[np.int32]:
    found: npt.NDArray[np.int32] = np.clip(np.rint((rows - lowest[:, None]) / step[:, None]), 0, levels - 1).astype(
        np.int32
    )
    return found


def _by_channel(tensor: Array, axis: int | None) -> Array:
    """(channels, all the rest); one channel where there is no axis."""
    return tensor.reshape(1, -1) if axis is None else np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)


def _from_channels(rows: Array, shape: tuple[int, ...], axis: int | None) -> Array:
    """The inverse of ``_by_channel``."""
    if axis is None:
        return rows.reshape(shape)
    return np.moveaxis(rows.reshape(shape[axis], *shape[:axis], *shape[axis + 1 :]), 0, axis)


def _tables(weights: Array) -> FrequencyTables:
    """A table for each row of integer weights above 0."""
    room = TOTAL - weights.shape[1]
    tables = 1 + weights * room // weights.sum(axis=1, keepdims=True)
    tables[np.arange(len(tables)), tables.argmax(axis=1)] += TOTAL - tables.sum(axis=1)
    return FrequencyTables(tables)
