"""The wire format: what crosses the link, byte by byte.

May import: ``errors``, ``operating_point``. Knows no codec: it frames segments that a codec has filled.

A message is a header followed by its segments. Everything is little-endian.

    offset  bytes  field
    0       4      magic, ``ADAE``
    4       2      version of this format, 1
    6       1      kind: 0 features (terminal to edge server), 1 answer (edge server to terminal)
    7       1      answer: how many of the payload's last segments were lost; features: 0
    8       4      H: length of the header, from the magic through its checksum
    12      16     first 16 bytes of the bundle's SHA-256
    28      8      sequence number of the frame
    36      8      float64, features: seconds that the edge server has left; answer: 0
    44      8      float64, answer: seconds that the edge server computed; features: 0
    52      8      float64, width of the operating point
    60      …      split, precision, codec: each a uint16 length and that many bytes of UTF-8
    …       1      T: number of tensors, followed by T of
                     1  dtype (index into DTYPES)
                     1  bits per value: 0 raw, 1–8 uniform quantisation
                     1  channel axis of the quantisation; 255 for none
                     1  number of dimensions D
                     4D dimensions, uint32 each
                     4  R: number of ranges, followed by R pairs of bfloat16 (lowest, highest value)
    …       2      S: number of segments, followed by S of
                     4  length, uint32
                     4  CRC-32 of the segment
    H-4     4      CRC-32 of the header up to here
    H       …      the segments, one after another

Nothing here is executed or unpickled. Each length is checked against what is there and against a limit before memory is
taken for it.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from adaedge.errors import AdaedgeError, CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload.segments import complete, leading

MAGIC = b"ADAE"
VERSION = 1
MAX_BYTES = 64 * 2**20
NO_AXIS = 255
MAX_DIMENSIONS = 32
BUNDLE_PREFIX_BYTES = 16
DTYPES = ("float32", "float16", "int64", "int32", "uint8", "bool", "int8", "float64")

_FIXED = struct.Struct("<4sHBBI16sQddd")
_TENSOR = struct.Struct("<BBBB")
_SEGMENT = struct.Struct("<II")
_CRC = struct.Struct("<I")

Segment = bytes | bytearray | memoryview


class Kind(IntEnum):
    """What a message carries."""

    FEATURES = 0
    ANSWER = 1


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """How one tensor is written in the segments.

    Attributes:
        dtype: NumPy name of the tensor's own type, one of ``DTYPES``.
        shape: its dimensions.
        bits: bits per value of a uniform quantisation, 1 to 8; 0 where the values are raw.
        axis: dimension along which every index has a range of its own; ``None`` for one range for all.
        ranges: bytes of a uint16 array (R, 2): bfloat16 bit patterns of each range's lowest and highest value.
    """

    dtype: str
    shape: tuple[int, ...]
    bits: int = 0
    axis: int | None = None
    ranges: bytes = b""

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor in its own type."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Message:
    """One message on the link.

    Attributes:
        kind: features or answer.
        bundle: SHA-256 of the bundle, in hexadecimal; its first 32 digits cross the link.
        sequence: number of the frame.
        point: the operating point that the tensors belong to.
        tensors: how each tensor is written.
        segments: the bytes that a codec wrote.
        deadline_s: seconds that the edge server has left.
        edge_s: seconds that the edge server computed.
        lost_segments: how many of a payload's last segments did not come whole, so that its answer is of a lower rate;
            only a progressive codec's may be lost. In features it is found when they are read, in an answer it is told.

    Example:
        >>> message = Message(Kind.FEATURES, "ab" * 32, 7, OperatingPoint("blocks.3"),
        ...                   (TensorHeader("uint8", (1, 3)),), (b"abc",), deadline_s=0.1)
        >>> decode(encode(message)).segments[0].tobytes()
        b'abc'
    """

    kind: Kind
    bundle: str
    sequence: int
    point: OperatingPoint
    tensors: tuple[TensorHeader, ...]
    segments: tuple[Segment, ...]
    deadline_s: float = 0.0
    edge_s: float = 0.0
    lost_segments: int = 0


def encode(message: Message) -> bytes:
    """The bytes of a message, as the table above lays them out.

    Raises:
        CodecError: if a tensor's type cannot cross the link, or a field does not fit its place in the table.
    """
    try:
        return _encode(message)
    except (struct.error, ValueError) as error:
        raise CodecError(f"this message does not fit the wire format: {error}") from error


def _encode(message: Message) -> bytes:
    parts = [b""]  # the fixed part is written last: it holds the header's length
    for text in (message.point.split, message.point.precision, message.point.codec):
        name = text.encode()
        parts += [struct.pack("<H", len(name)), name]
    parts.append(struct.pack("<B", len(message.tensors)))
    for tensor in message.tensors:
        parts += _encode_tensor(tensor)
    parts.append(struct.pack("<H", len(message.segments)))
    parts += [_SEGMENT.pack(len(segment), zlib.crc32(segment)) for segment in message.segments]
    length = _FIXED.size + sum(map(len, parts)) + _CRC.size
    prefix = bytes.fromhex(message.bundle)[:BUNDLE_PREFIX_BYTES]
    parts[0] = _FIXED.pack(
        MAGIC,
        VERSION,
        message.kind,
        message.lost_segments,
        length,
        prefix,
        message.sequence,
        message.deadline_s,
        message.edge_s,
        message.point.width,
    )
    header = b"".join(parts)
    return b"".join((header, _CRC.pack(zlib.crc32(header)), *message.segments))


def _encode_tensor(tensor: TensorHeader) -> list[bytes]:
    if tensor.dtype not in DTYPES:
        raise CodecError(f"a {tensor.dtype} tensor cannot cross the link; it carries {', '.join(DTYPES)}")
    axis = NO_AXIS if tensor.axis is None else tensor.axis
    fixed = _TENSOR.pack(DTYPES.index(tensor.dtype), tensor.bits, axis, len(tensor.shape))
    dimensions = struct.pack(f"<{len(tensor.shape)}I", *tensor.shape)
    return [fixed, dimensions, struct.pack("<I", len(tensor.ranges) // 4), tensor.ranges]


def decode(
    data: Segment,
    *,
    bundle: str | None = None,
    max_bytes: int = MAX_BYTES,
    progressive: Callable[[str], bool] | None = None,
) -> Message:
    """Read a message and check every length and checksum in it. The segments are views of ``data``, not copies.

    Args:
        data: what was received.
        bundle: SHA-256 of the bundle that the message must belong to; its bundle field is then this full hash.
        max_bytes: the largest message, and the largest tensor once decoded, that is accepted.
        progressive: whether leading segments of a codec's payload are worth reading without the rest. Where they are,
            the message holds the segments before the first that is damaged or cut, at least one, and says how many
            were lost; everywhere else such a message is refused.

    Raises:
        PayloadError: if the bytes are truncated, foreign, oversized or corrupted.
    """
    view = memoryview(data)
    if len(view) > max_bytes:
        raise PayloadError(f"oversized payload: {len(view)} bytes, and at most {max_bytes} are accepted")
    header, fixed = _checked_header(view)
    _, _, kind, told, _, prefix, sequence, deadline_s, edge_s, width = fixed
    if not (0 <= deadline_s < math.inf and 0 <= edge_s < math.inf):  # neither is NaN
        raise PayloadError(
            f"corrupted payload: its times are finite and not negative; got {deadline_s} s left, {edge_s} s computed"
        )
    if bundle is not None and not bundle.startswith(prefix.hex()):
        raise PayloadError(
            f"payload of another bundle: it says {prefix.hex()[:12]}, this is {bundle[:12]}."
            " Copy the same bundle to both machines."
        )
    reader = _Reader(header, _FIXED.size)
    try:
        names = [str(reader.take(reader.unpack("<H")[0]), "utf-8") for _ in range(3)]
        point = OperatingPoint(names[0], width, names[1], names[2])
        tensors = tuple(_decode_tensor(reader, max_bytes) for _ in range(reader.unpack("<B")[0]))
        entries = [_SEGMENT.unpack(reader.take(_SEGMENT.size)) for _ in range(reader.unpack("<H")[0])]
        known = Kind(kind)
    except PayloadError:
        raise
    except (ValueError, struct.error, AdaedgeError) as error:
        raise PayloadError(f"corrupted payload: its header does not read as one ({error})") from error
    if reader.position != len(header):
        raise PayloadError(f"corrupted payload: {len(header) - reader.position} bytes too many in its header")
    body = view[len(header) + _CRC.size :]
    if progressive is not None and progressive(point.codec):
        segments = leading(body, entries)
    else:
        segments = complete(body, entries)
    lost = told if known is Kind.ANSWER else len(entries) - len(segments)
    return Message(known, bundle or prefix.hex(), sequence, point, tensors, segments, deadline_s, edge_s, lost)


def _checked_header(view: memoryview) -> tuple[memoryview, tuple[Any, ...]]:
    """The header without its checksum, and its fixed fields."""
    if len(view) >= len(MAGIC) and view[: len(MAGIC)] != MAGIC:
        raise PayloadError(
            f"foreign payload: it starts with {bytes(view[: len(MAGIC)])!r}, adaedge's start with {MAGIC!r}"
        )
    if len(view) < _FIXED.size + _CRC.size:
        raise PayloadError(f"truncated payload: {len(view)} bytes are fewer than the smallest header")
    fixed = _FIXED.unpack_from(view)
    version, length = fixed[1], fixed[4]
    if version != VERSION:
        raise PayloadError(
            f"payload of wire format {version}; this adaedge reads {VERSION}."
            " Install the same version on both machines."
        )
    if length < _FIXED.size + _CRC.size or length > len(view):
        raise PayloadError(f"truncated payload: its header says {length} bytes, {len(view)} came")
    header = view[: length - _CRC.size]
    if zlib.crc32(header) != _CRC.unpack_from(view, length - _CRC.size)[0]:
        raise PayloadError("corrupted payload: the checksum of its header does not match")
    return header, fixed


def _decode_tensor(reader: _Reader, max_bytes: int) -> TensorHeader:
    dtype, bits, axis, ndim = _TENSOR.unpack(reader.take(_TENSOR.size))
    shape = reader.unpack(f"<{ndim}I")
    ranges = bytes(reader.take(4 * reader.unpack("<I")[0]))
    if dtype >= len(DTYPES) or bits > 8 or ndim > MAX_DIMENSIONS:
        raise PayloadError(f"corrupted payload: no tensor has type {dtype}, {bits} bits and {ndim} dimensions")
    tensor = TensorHeader(DTYPES[dtype], shape, bits, None if axis == NO_AXIS else axis, ranges)
    # A tensor without values is still refused for a dimension that no array can have.
    if tensor.nbytes > max_bytes or math.prod(max(side, 1) for side in shape) > max_bytes:
        raise PayloadError(
            f"oversized payload: a tensor of shape {shape} takes {tensor.nbytes} bytes,"
            f" at most {max_bytes} are accepted"
        )
    return tensor


class _Reader:
    """A position in a header; reading past its end is an error, never a short read."""

    def __init__(self, view: memoryview, position: int) -> None:
        self._view = view
        self.position = position

    def take(self, count: int) -> memoryview:
        if self.position + count > len(self._view):
            raise PayloadError("truncated payload: its header ends in the middle of a field")
        self.position += count
        return self._view[self.position - count : self.position]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))
