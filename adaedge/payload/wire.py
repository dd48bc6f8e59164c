"""The wire format: what a terminal sends, byte by byte. What comes back is `adaedge.payload.answers.wire`.

May import: ``errors``, ``operating_point``; of this part ``message``, ``segments``. Knows no codec: it frames segments
that a codec has filled.

A message is a header followed by its segments. Everything is little-endian.

    offset  bytes  field
    0       4      magic, ``ADAE``
    4       2      version of this format, 2
    6       1      0
    7       1      flags: 1 the point is incremental
    8       4      H: length of the header, from the magic through its checksum
    12      16     first 16 bytes of the bundle's SHA-256
    28      8      stream
    36      8      sequence number of the frame
    44      8      sequence number of the payload that this one builds upon, 0 for a refresh
    52      4      float32, seconds that the edge server has left
    56      4      0
    60      8      float64, width of the operating point
    68      …      split, precision, codec, network: each one byte, its length, and that many bytes of UTF-8
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
from functools import lru_cache
from typing import Any

from adaedge.errors import AdaedgeError, CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload.message import DTYPES, MAX_BYTES, Message, Segment, TensorHeader
from adaedge.payload.segments import complete, leading

MAGIC = b"ADAE"
VERSION = 2
NO_AXIS = 255
MAX_DIMENSIONS = 32
BUNDLE_PREFIX_BYTES = 16
ANSWER = 0xA0 | VERSION
"""What an answer starts with."""

_FIXED = struct.Struct("<4sHBBI16sQQQf4sd")
_TENSOR = struct.Struct("<BBBB")
_SEGMENT = struct.Struct("<II")
_CRC = struct.Struct("<I")
_NOTHING = bytes(4)


def encode(message: Message) -> bytes:
    """The bytes of a message, as the table above lays them out.

    Raises:
        CodecError: if a tensor's type cannot cross the link, or a field does not fit its place in the table.
    """
    try:
        return _encode(message)
    except (struct.error, ValueError, OverflowError) as error:
        raise CodecError(f"this message does not fit the wire format: {error}") from error


@lru_cache(256)  # a terminal sends frame after frame of few points
def encode_names(point: OperatingPoint) -> bytes:
    """Split, precision, codec and network: each one byte, its length, and that many bytes of UTF-8."""
    names = [text.encode() for text in (point.split, point.precision, point.codec, point.network)]
    return b"".join(struct.pack("<B", len(name)) + name for name in names)


def _encode(message: Message) -> bytes:
    point = message.point
    parts = [b"", encode_names(point)]  # the fixed part is written last: it holds the header's length
    parts.append(struct.pack("<B", len(message.tensors)))
    for tensor in message.tensors:
        parts += _encode_tensor(tensor)
    parts.append(struct.pack("<H", len(message.segments)))
    parts += [_SEGMENT.pack(len(segment), zlib.crc32(segment)) for segment in message.segments]
    parts[0] = _FIXED.pack(
        MAGIC,
        VERSION,
        0,
        point.incremental,
        _FIXED.size + sum(map(len, parts)) + _CRC.size,
        bytes.fromhex(message.bundle)[:BUNDLE_PREFIX_BYTES],
        message.stream,
        message.sequence,
        message.base,
        message.deadline_s,
        _NOTHING,
        point.width,
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
    prefix = fixed[5].hex()
    if bundle is not None and not bundle.startswith(prefix):
        raise PayloadError(
            f"payload of another bundle: it says {prefix[:12]}, this is {bundle[:12]}."
            " Copy the same bundle to both machines."
        )
    _check_fixed(fixed)
    reader = _Reader(header, _FIXED.size)
    try:
        split, precision, codec, network = (str(reader.take(reader.unpack("<B")[0]), "utf-8") for _ in range(4))
        point = OperatingPoint(split, fixed[11], precision, codec, network, bool(fixed[3]))
        tensors = tuple(_decode_tensor(reader, max_bytes) for _ in range(reader.unpack("<B")[0]))
        entries = [_SEGMENT.unpack(reader.take(_SEGMENT.size)) for _ in range(reader.unpack("<H")[0])]
    except PayloadError:
        raise
    except (ValueError, struct.error, AdaedgeError) as error:
        raise PayloadError(f"corrupted payload: its header does not read as one ({error})") from error
    if reader.position != len(header):
        raise PayloadError(f"corrupted payload: {len(header) - reader.position} bytes too many in its header")
    body = view[len(header) + _CRC.size :]
    cut = progressive is not None and progressive(point.codec)
    segments = leading(body, entries) if cut else complete(body, entries)
    base, deadline_s = fixed[8:10]
    lost = len(entries) - len(segments)
    return Message(bundle or prefix, fixed[7], point, tensors, segments, fixed[6], base, deadline_s, lost)


def place_in_stream(data: Segment) -> tuple[int, int]:
    """Of a message: its stream, and the sequence number of the payload that it builds upon, 0 for a refresh.

    For whoever passes a message on. Of the rest, only the header's checksum is looked at.

    Raises:
        PayloadError: if there is no whole header.
    """
    fixed = _checked_header(memoryview(data))[1]
    return fixed[6], fixed[8]


def _check_fixed(fixed: tuple[Any, ...]) -> None:
    """Refuse values that no terminal sends."""
    kind, flags, sequence, base, deadline_s, nothing = fixed[2], fixed[3], *fixed[7:11]
    if kind or nothing != _NOTHING:
        raise PayloadError(f"corrupted payload: {kind} and {nothing.hex()} are where its header has 0")
    if flags > 1:
        raise PayloadError(f"corrupted payload: its flags are {flags:#x}, of which this adaedge knows 0x1")
    if not 0 <= deadline_s < math.inf:  # nor NaN
        raise PayloadError(f"corrupted payload: its deadline is finite and not negative; got {deadline_s} s")
    if base >= max(1, sequence):
        raise PayloadError(f"corrupted payload: number {sequence} cannot build upon a later frame, number {base}")


def _checked_header(view: memoryview) -> tuple[memoryview, tuple[Any, ...]]:
    """The header without its checksum, and its fixed fields."""
    if len(view) and view[0] == ANSWER:
        raise PayloadError("foreign payload: an answer came where features belong. Are the two ends swapped?")
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
