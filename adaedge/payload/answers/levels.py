"""Floating-point outputs in 256 levels, compressed.

May import: ``errors``; ``payload.compression``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.compression import compress, decompress
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.tensors import quantise, read, write_raw

Arrays = tuple[Array, ...]
Encoded = tuple[tuple[TensorHeader, ...], Segment]

_COUNT = struct.Struct("<H")
_LEVELS = 256


@final
@dataclass(frozen=True, slots=True)
class Levels:
    """Floating-point outputs in at most 256 values a tensor, compressed.

    A tensor is the uint16 number of its values, these in their own type, ascending, and a byte for each element: which
    value it is. What is not floating point is as it is. zstd compresses all together.

    Example:
        >>> codec = Levels()
        >>> (answer,) = codec.reduce([np.linspace(0, 1, 10_000, dtype=np.float32)])
        >>> headers, segment = codec.encode([answer])
        >>> bool((codec.decoder(headers)(segment)[0] == answer).all()), len(segment) < 2000
        (True, True)
    """

    @property
    def name(self) -> str:
        """The codec's name, ``u8+zstd``."""
        return "u8+zstd"

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """The outputs, each floating-point value at most half a step from what it was.

        What is not finite stays; the others of such a tensor have 128 levels.
        """
        return tuple(_rounded(one) if _is_floating(one.dtype) else one for one in outputs)

    def encode(self, answer: Sequence[Array]) -> Encoded:
        """Headers and the segment.

        Raises:
            CodecError: if a tensor has more than 256 values.
        """
        parts: list[Segment] = []
        for one in answer:
            parts += _levels_of(one) if _is_floating(one.dtype) else [write_raw(one)[1]]
        return tuple(write_raw(one)[0] for one in answer), compress(b"".join(parts))

    def decoder(self, headers: Sequence[TensorHeader]) -> Callable[[Segment], Arrays]:
        """What makes answers of their bytes."""
        most_bytes = sum(map(_most_bytes, headers))

        def decode(segment: Segment) -> Arrays:
            rest, answer = memoryview(decompress(segment, most_bytes)), []
            for header in headers:
                one, rest = _taken(header, rest)
                answer.append(one)
            if len(rest):
                raise PayloadError(f"corrupted payload: {len(rest)} bytes follow its answer")
            return tuple(answer)

        return decode


def _is_floating(dtype: npt.DTypeLike) -> bool:
    return np.issubdtype(np.dtype(dtype), np.floating)


def _rounded(tensor: Array) -> Array:
    finite, zero = np.isfinite(tensor), tensor.dtype.type(0)
    if finite.all():
        return np.asarray(read(*quantise(tensor, None, 8)) + zero)  # adding 0 makes -0 a 0: they are one value
    nearest = tensor[finite].min() if finite.any() else zero
    levels = read(*quantise(np.where(finite, tensor, nearest), None, 7)) + zero
    odd = np.where(np.isnan(tensor), tensor.dtype.type(np.nan), tensor)  # one NaN, whatever its bits were
    return np.asarray(np.where(finite, levels, odd))


def _most_bytes(header: TensorHeader) -> int:
    """The most that a tensor can take before zstd."""
    if not _is_floating(header.dtype):
        return header.nbytes
    size = np.dtype(header.dtype).itemsize
    return _COUNT.size + _LEVELS * size + header.nbytes // size


def _levels_of(tensor: Array) -> list[Segment]:
    """The parts that a floating-point tensor is written in."""
    values, indices = np.unique(tensor, return_inverse=True)
    if len(values) > _LEVELS:
        raise CodecError(
            f"u8+zstd carries at most {_LEVELS} values a tensor; got {len(values)}. Reduce the answer first."
        )
    kept = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return [_COUNT.pack(len(values)), kept, indices.astype(np.uint8).tobytes()]


def _taken(header: TensorHeader, rest: memoryview) -> tuple[Array, memoryview]:
    """One tensor, and what follows it.

    Raises:
        PayloadError: if there is less than it takes, or an element is of no value.
    """
    dtype = np.dtype(header.dtype)
    if not _is_floating(dtype):
        part, rest = _cut(rest, header.nbytes)
        return read(header, part), rest
    part, rest = _cut(rest, _COUNT.size)
    kept, rest = _cut(rest, _COUNT.unpack(part)[0] * dtype.itemsize)
    part, rest = _cut(rest, header.nbytes // dtype.itemsize)
    values, indices = np.frombuffer(kept, dtype.newbyteorder("<")).astype(dtype), np.frombuffer(part, np.uint8)
    if indices.size and indices.max() >= len(values):
        raise PayloadError(f"corrupted payload: an element is of value {indices.max()} of {len(values)}")
    return values[indices].reshape(header.shape), rest


def _cut(rest: memoryview, length: int) -> tuple[memoryview, memoryview]:
    if len(rest) < length:
        raise PayloadError(f"truncated payload: an answer takes {length} bytes where {len(rest)} are left")
    return rest[:length], rest[length:]
