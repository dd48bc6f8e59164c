"""One tensor ⇄ bytes: raw, or uniformly quantised and packed. Pure functions of arrays.

May import: ``errors``. Shares the header with ``payload.wire``.

Raw values are written little-endian in C order. Quantised values are unsigned integers of ``bits`` bits in C order,
packed densely, the first value in the highest bits of the first byte (as ``numpy.packbits``); the last byte is filled
up with zeros. Level q of a channel stands for ``lowest + q * (highest - lowest) / (2**bits - 1)``; both ends of a range
are bfloat16, as bit patterns, for NumPy has no such type.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.message import DTYPES, Segment, TensorHeader

_TINY = np.finfo(np.float32).tiny
_GROUP = 8  # so many values of any number of bits fill whole bytes


def stored_bytes(header: TensorHeader) -> int:
    """Bytes that a tensor takes in a segment.

    Example:
        >>> stored_bytes(TensorHeader("float32", (3, 3), bits=4))
        5
    """
    return (math.prod(header.shape) * header.bits + 7) // 8 if header.bits else header.nbytes


def write_raw(tensor: Array) -> tuple[TensorHeader, Segment]:
    """A tensor's header and its values as they are; no copy where they lie in C order.

    Raises:
        CodecError: if tensors of this type cannot cross the link.
    """
    if tensor.dtype.name not in DTYPES:
        raise CodecError(f"a {tensor.dtype} tensor cannot cross the link; it carries {', '.join(DTYPES)}")
    flat = np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<")).reshape(-1)
    return TensorHeader(tensor.dtype.name, tensor.shape), flat.view(np.uint8).data


def quantise(tensor: Array, axis: int | None, bits: int) -> tuple[TensorHeader, Segment]:
    """A floating-point tensor's header and its values in ``bits`` bits each.

    Each index along ``axis`` has a range of its own, from its lowest value rounded down to its highest rounded up, so
    that every value is at most half a step, and float32's rounding, from what the decoder sees.

    Args:
        tensor: floating point, of any shape.
        axis: dimension along which every index has its own range; ``None`` for one range.
        bits: 1 to 8.

    Raises:
        CodecError: if a value is NaN or infinite, or the range does not fit a float32, or there is no such axis.
    """
    if axis is not None:
        if not -tensor.ndim <= axis < tensor.ndim:
            raise CodecError(f"no axis {axis} in a tensor of shape {tensor.shape}; give its channel dimension, or None")
        axis %= tensor.ndim
    with np.errstate(over="ignore", invalid="ignore"):
        blocks = _channels(tensor.astype(np.float32, copy=False), axis)
        patterns = _ranges(blocks)
        lowest, step = _steps(patterns, bits)
    if not (np.isfinite(lowest).all() and np.isfinite(step).all()):
        raise CodecError(
            "features hold NaN, infinity or values that no float32 range spans, which cannot be quantised."
            " Use codec 'raw', or repair the model's head."
        )
    # A step too small for a normal float32 would make its inverse infinite: such a channel is a constant.
    scale = np.divide(1, step, out=np.zeros_like(step), where=step >= _TINY)
    levels = blocks - lowest
    levels *= scale
    np.rint(levels, out=levels)
    np.clip(levels, 0, 2**bits - 1, out=levels)
    packed = pack(levels.astype(np.uint8).reshape(-1), bits)
    return TensorHeader(tensor.dtype.name, tensor.shape, bits, axis, patterns.astype("<u2").tobytes()), packed


def read(header: TensorHeader, data: Segment) -> Array:
    """The tensor that ``write_raw`` or ``quantise`` wrote; its own memory, writable.

    Raises:
        PayloadError: if the header contradicts itself.
    """
    dtype = np.dtype(header.dtype)
    if not header.bits:
        values = np.frombuffer(data, dtype=np.uint8 if dtype == np.bool_ else dtype.newbyteorder("<"))
        return values.reshape(header.shape).astype(dtype, copy=True)
    patterns = np.frombuffer(header.ranges, dtype="<u2").reshape(-1, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        lowest, step = _steps(patterns, header.bits)
    if not (np.isfinite(lowest).all() and np.isfinite(step).all() and (step >= 0).all()):
        raise PayloadError("corrupted payload: a range of its quantisation is not finite, or upside down")
    values = unpack(data, math.prod(header.shape), header.bits).astype(np.float32)
    blocks = _channels(values.reshape(header.shape), header.axis)
    np.multiply(blocks, step, out=blocks)
    np.add(blocks, lowest, out=blocks)
    if dtype == np.float16:  # a range rounded up may pass float16's largest value
        np.clip(blocks, np.finfo(dtype).min, np.finfo(dtype).max, out=blocks)
    return blocks.reshape(header.shape).astype(dtype, copy=False)


def _channels(tensor: Array, axis: int | None) -> Array:
    """The tensor as (before, channels, after)."""
    if axis is None:
        return tensor.reshape(1, 1, -1)
    shape = tensor.shape
    return tensor.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


def _ranges(blocks: Array) -> npt.NDArray[np.uint16]:
    """(channels, 2): bfloat16 patterns of each channel's lowest and highest value."""
    if not blocks.size:
        return np.zeros((blocks.shape[1], 2), np.uint16)
    lowest, highest = blocks.min(axis=(0, 2)), blocks.max(axis=(0, 2))
    return np.stack([to_bfloat16(lowest, up=False), to_bfloat16(highest, up=True)], axis=1)


def _steps(patterns: npt.NDArray[np.uint16], bits: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Each channel's lowest value and step as (channels, 1); both ends of the link compute them alike."""
    lowest, highest = from_bfloat16(patterns[:, 0]), from_bfloat16(patterns[:, 1])
    return lowest[:, None], ((highest - lowest) / np.float32(2**bits - 1))[:, None]


def to_bfloat16(values: npt.NDArray[np.float32], *, up: bool) -> npt.NDArray[np.uint16]:
    """Bit patterns of the nearest bfloat16 that is not below (``up``) or not above the value.

    A bfloat16 is the upper half of a float32: cutting the lower half moves towards zero, so the result is moved one
    step away from zero where that is the wrong way.
    """
    pattern = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    cut = pattern >> np.uint32(16)
    inexact = (pattern & np.uint32(0xFFFF)) != 0
    away = inexact & (np.signbit(values) != up)
    pattern16: npt.NDArray[np.uint16] = (cut + away).astype(np.uint16)
    return pattern16


def from_bfloat16(pattern: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The float32 values of bfloat16 bit patterns."""
    return (pattern.astype(np.uint32) << np.uint32(16)).view(np.float32)


def pack(levels: npt.NDArray[np.uint8], bits: int) -> Segment:
    """Levels of ``bits`` bits packed densely: groups of eight become ``bits`` bytes, by way of one 64-bit integer."""
    if bits == 8:
        return levels.data
    groups = np.zeros(-(-levels.size // _GROUP) * _GROUP, np.uint8)
    groups[: levels.size] = levels
    columns = groups.reshape(-1, _GROUP).T
    word = columns[0].astype(">u8")
    for column in columns[1:]:
        word = (word << np.uint64(bits)) | column
    packed = word.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - bits :]
    return np.ascontiguousarray(packed).reshape(-1)[: (levels.size * bits + 7) // 8].data


def unpack(data: Segment, count: int, bits: int) -> npt.NDArray[np.uint8]:
    """The first ``count`` levels that ``pack`` packed."""
    received = np.frombuffer(data, np.uint8)
    if bits == 8:
        return received
    groups = -(-count // _GROUP)
    whole = np.zeros(groups * bits, np.uint8)
    whole[: received.size] = received
    words = np.zeros((groups, 8), np.uint8)
    words[:, 8 - bits :] = whole.reshape(groups, bits)
    word = words.reshape(-1).view(">u8").astype(np.uint64)
    levels = np.empty((groups, _GROUP), np.uint8)
    for column in range(_GROUP):
        levels[:, column] = (word >> np.uint64(bits * (_GROUP - 1 - column))) & np.uint64(2**bits - 1)
    return levels.reshape(-1)[:count]
