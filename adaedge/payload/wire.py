"""The wire format: what a terminal sends, byte by byte. What comes back is `adaedge.payload.answers.wire`.

May import: ``errors``, ``operating_point``; of this part ``fields``, ``message``, ``segments``. Knows no codec: it
frames segments that a codec has filled.

A message is a header followed by its segments. Everything is little-endian; *n* is a number of one to ten bytes, seven
bits in each, the least significant first, all but the last with the bit 0x80 set (LEB128).

    bytes  field
    1      0xF3: features of wire format 3
    1      flags: 1 the point is incremental; 2, 4, 8 its width, precision, network is not 1, fp32, full, and follows
    n      length of the rest of the header, through its checksum
    8      first 8 bytes of the bundle's SHA-256
    8      stream
    4      float32, seconds that the edge server has left
    n      sequence number of the frame
    n      sequence number of the payload that this one builds upon, 0 for a refresh
    0, 8   float64, width of the operating point, where it is not 1
    …      split, codec; precision and network where they follow: each one byte, its length, and so many of UTF-8
    n      T: number of tensors, followed by T of
             1  dtype (index into DTYPES) in the upper four bits; bits per value in the lower: 0 raw, 1–8 quantised
             1  channel axis of the quantisation; 255 for none
             n  number of dimensions D, followed by D of n
             n  R: number of ranges, followed by R pairs of bfloat16 (lowest, highest value)
    n      S: number of segments, followed by S of
             4  length, uint32
             4  CRC-32 of the segment
    4      CRC-32 of the header up to here
    …      the segments, one after another

Values that most payloads share take no byte: the header of one tensor takes about 65. A still scene changes little, and
the header should not be longer than the change.

Nothing here is executed or unpickled. Each length is checked against what is there and against a limit before memory is
taken for it.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

from adaedge.errors import AdaedgeError, CodecError, PayloadError
from adaedge.operating_point import FP32, FULL, OperatingPoint
from adaedge.payload.fields import Reader, number
from adaedge.payload.message import DTYPES, MAX_BYTES, Message, Segment, TensorHeader
from adaedge.payload.segments import complete, leading

VERSION = 3
FEATURES = 0xF0 | VERSION
"""What a payload starts with."""
ANSWER = 0xA0 | VERSION
"""What an answer starts with."""
NO_AXIS = 255
MAX_DIMENSIONS = 32
BUNDLE_PREFIX_BYTES = 8

_INCREMENTAL, _WIDTH, _PRECISION, _NETWORK = 1, 2, 4, 8
_FLAGS = _INCREMENTAL | _WIDTH | _PRECISION | _NETWORK
_OLD_MAGIC = b"ADAE"  # what versions 1 and 2 began with; their number follows as uint16
_IDENTITY = struct.Struct("<8sQf")
_DOUBLE = struct.Struct("<d")
_SEGMENT = struct.Struct("<II")
_CRC = struct.Struct("<I")


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
def encode_point(point: OperatingPoint) -> tuple[int, bytes]:
    """The flags of a point, and what follows of it."""
    flags, names = _INCREMENTAL * point.incremental, [point.split, point.codec]
    width = b""
    if point.width != 1:
        flags, width = flags | _WIDTH, _DOUBLE.pack(point.width)
    if point.precision != FP32:
        flags |= _PRECISION
        names.append(point.precision)
    if point.network != FULL:
        flags |= _NETWORK
        names.append(point.network)
    return flags, width + b"".join(bytes([len(name.encode())]) + name.encode() for name in names)


def _encode(message: Message) -> bytes:
    flags, point = encode_point(message.point)
    prefix = bytes.fromhex(message.bundle)[:BUNDLE_PREFIX_BYTES]
    parts = [
        _IDENTITY.pack(prefix, message.stream, message.deadline_s),
        number(message.sequence),
        number(message.base),
        point,
        number(len(message.tensors)),
    ]
    for tensor in message.tensors:
        parts += (_encode_form(tensor.dtype, tensor.bits, tensor.axis, tensor.shape), number(len(tensor.ranges) // 4))
        parts.append(tensor.ranges)
    parts.append(number(len(message.segments)))
    for segment in message.segments:
        parts.append(_SEGMENT.pack(len(segment), zlib.crc32(segment)))
    rest = b"".join(parts)
    header = bytes((FEATURES, flags)) + number(len(rest) + _CRC.size) + rest
    return b"".join((header, _CRC.pack(zlib.crc32(header)), *message.segments))


@lru_cache(256)
def _encode_form(dtype: str, bits: int, axis: int | None, shape: tuple[int, ...]) -> bytes:
    """A tensor's header without its ranges, which differ from frame to frame."""
    if dtype not in DTYPES:
        raise CodecError(f"a {dtype} tensor cannot cross the link; it carries {', '.join(DTYPES)}")
    if not 0 <= bits < 16:
        raise ValueError(f"a value takes fewer than 16 bits; got {bits}")
    fixed = bytes((DTYPES.index(dtype) << 4 | bits, NO_AXIS if axis is None else axis))
    return fixed + b"".join(map(number, (len(shape), *shape)))


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
    header, start = _checked_header(view)
    reader = Reader(header, start)
    try:
        prefix, stream, deadline_s = _IDENTITY.unpack(reader.take(_IDENTITY.size))
        known = _known(prefix.hex(), bundle)
        sequence, base = reader.number(), reader.number()
        _check_numbers(sequence, base, deadline_s)
        point = _decode_point(reader, header[1])
        tensors = tuple(_decode_tensor(reader, max_bytes) for _ in range(reader.number()))
        entries = [_SEGMENT.unpack(reader.take(_SEGMENT.size)) for _ in range(reader.number())]
    except PayloadError:
        raise
    except (ValueError, struct.error, AdaedgeError) as error:
        raise PayloadError(f"corrupted payload: its header does not read as one ({error})") from error
    if reader.position != len(header):
        raise PayloadError(f"corrupted payload: {len(header) - reader.position} bytes too many in its header")
    body = view[len(header) + _CRC.size :]
    cut = progressive is not None and progressive(point.codec)
    segments = leading(body, entries) if cut else complete(body, entries)
    return Message(known, sequence, point, tensors, segments, stream, base, deadline_s, len(entries) - len(segments))


def place_in_stream(data: Segment) -> tuple[int, int]:
    """The stream of a message, and the sequence number of the payload that it builds upon, 0 for a refresh.

    For whoever passes a message on. Of the rest, only the header's checksum is looked at.

    Raises:
        PayloadError: if there is no whole header.
    """
    reader = Reader(*_checked_header(memoryview(data)))
    _, stream, _ = _IDENTITY.unpack(reader.take(_IDENTITY.size))
    reader.number()
    return stream, reader.number()


def _known(prefix: str, bundle: str | None) -> str:
    """The bundle's whole hash, where the caller has one; it has to begin as the payload says."""
    if bundle is not None and not bundle.startswith(prefix):
        raise PayloadError(
            f"payload of another bundle: it says {prefix[:12]}, this is {bundle[:12]}."
            " Copy the same bundle to both machines."
        )
    return bundle or prefix


def _check_numbers(sequence: int, base: int, deadline_s: float) -> None:
    """Refuse values that no terminal sends."""
    if not 0 <= deadline_s < math.inf:  # nor NaN
        raise PayloadError(f"corrupted payload: its deadline is finite and not negative; got {deadline_s} s")
    if base >= max(1, sequence):
        raise PayloadError(f"corrupted payload: number {sequence} cannot build upon a later frame, number {base}")


def _checked_header(view: memoryview) -> tuple[memoryview, int]:
    """The header without its checksum, and where its length ends in it."""
    _check_first(view)
    if len(view) < 3:
        raise PayloadError(f"truncated payload: {len(view)} bytes are fewer than the smallest header")
    reader = Reader(view, 2)
    end = reader.number() + reader.position
    if end < reader.position + _CRC.size or end > len(view):
        raise PayloadError(f"truncated payload: its header says {end} bytes, {len(view)} came")
    header = view[: end - _CRC.size]
    if zlib.crc32(header) != _CRC.unpack_from(view, len(header))[0]:
        raise PayloadError("corrupted payload: the checksum of its header does not match")
    if view[1] > _FLAGS:
        raise PayloadError(f"corrupted payload: its flags are {view[1]:#x}, of which this adaedge knows {_FLAGS:#x}")
    return header, reader.position


def _check_first(view: memoryview) -> None:
    """Refuse what does not begin as a payload of this format does."""
    first = view[0] if len(view) else FEATURES
    if first == FEATURES:
        return
    if first == ANSWER:
        raise PayloadError("foreign payload: an answer came where features belong. Are the two ends swapped?")
    old = len(view) > len(_OLD_MAGIC) and view[: len(_OLD_MAGIC)] == _OLD_MAGIC
    if not old and first >> 4 != FEATURES >> 4:
        raise PayloadError(
            f"foreign payload: it starts with {bytes(view[:4])!r}, adaedge's start with {bytes([FEATURES])!r}"
        )
    version = view[len(_OLD_MAGIC)] if old else first & 0xF
    raise PayloadError(
        f"payload of wire format {version}; this adaedge reads {VERSION}. Install the same version on both machines."
    )


def _decode_point(reader: Reader, flags: int) -> OperatingPoint:
    width = _DOUBLE.unpack(reader.take(_DOUBLE.size))[0] if flags & _WIDTH else 1.0
    split, codec = reader.text(), reader.text()
    precision = reader.text() if flags & _PRECISION else FP32
    network = reader.text() if flags & _NETWORK else FULL
    return OperatingPoint(split, width, precision, codec, network, bool(flags & _INCREMENTAL))


def _decode_tensor(reader: Reader, max_bytes: int) -> TensorHeader:
    kind, axis = reader.take(2)
    dtype, bits, ndim = kind >> 4, kind & 0xF, reader.number()
    if dtype >= len(DTYPES) or bits > 8 or ndim > MAX_DIMENSIONS:
        raise PayloadError(f"corrupted payload: no tensor has type {dtype}, {bits} bits and {ndim} dimensions")
    shape = tuple(reader.number() for _ in range(ndim))
    ranges = bytes(reader.take(4 * reader.number()))
    tensor = TensorHeader(DTYPES[dtype], shape, bits, None if axis == NO_AXIS else axis, ranges)
    # A tensor without values is still refused for a dimension that no array can have.
    if tensor.nbytes > max_bytes or math.prod(max(side, 1) for side in shape) > max_bytes:
        raise PayloadError(
            f"oversized payload: a tensor of shape {shape} takes {tensor.nbytes} bytes,"
            f" at most {max_bytes} are accepted"
        )
    return tensor
