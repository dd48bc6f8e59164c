"""The wire format of answers, byte by byte: what both ends know anyway does not cross.

May import: ``errors``; of ``payload`` the ``message``, ``wire``.

An answer is little-endian:

    offset  bytes  field
    0       1      0xA3: an answer of wire format 3
    1       1      flags: 1 the edge server holds the payload as a reference
    2       1      how many of the payload's last segments were lost
    3       4      float32, seconds that the edge server computed
    7       4      float32, seconds that the payload waited there before that
    11      …      the segment, as the bundle's answer codec writes it
    end-8   8      seal: BLAKE2b of 8 bytes, of the request and of the answer up to here

Types and shapes follow from the bundle. The request is the payload's bundle, stream, sequence number and operating
point, which the terminal remembers: the seal is computed over 8 bytes of bundle, 8 of stream and 8 of sequence number,
and flags, width and names of the point as in a payload's header. So an answer to another frame, stream, point or bundle
is refused like one that was damaged on its way: either passes with a probability of 2⁻⁶⁴.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import struct
from dataclasses import dataclass

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.message import Request, Segment
from adaedge.payload.wire import ANSWER, BUNDLE_PREFIX_BYTES, FEATURES, VERSION, encode_point

_START = struct.Struct("<BBBff")
_REQUEST = struct.Struct("<8sQQB")
_SEAL_BYTES = 8
_HELD = 1

OVERHEAD_BYTES = _START.size + _SEAL_BYTES
"""Bytes of an answer beside its segment."""


@dataclass(frozen=True, slots=True)
class AnswerHeader:
    """The fields of an answer beside the answer itself.

    Attributes:
        edge_s: seconds that the edge server computed.
        queue_s: seconds that the payload waited there before that.
        reference_held: whether the next payload of the stream may build upon the one that is answered.
        lost_segments: how many of the payload's last segments did not come whole, so that it is of a lower rate.
    """

    edge_s: float
    queue_s: float = 0.0
    reference_held: bool = False
    lost_segments: int = 0


def encode(request: Request, header: AnswerHeader, segment: Segment) -> bytes:
    """The bytes of an answer.

    Raises:
        CodecError: if a field does not fit its place.

    Example:
        >>> from adaedge.operating_point import OperatingPoint
        >>> asked = Request("ab" * 32, stream=1, sequence=7, point=OperatingPoint("blocks.3"))
        >>> answer = encode(asked, AnswerHeader(edge_s=0.5), b"cat")
        >>> answer[:14].hex(" ", 1), len(answer)
        ('a3 00 00 00 00 00 3f 00 00 00 00 63 61 74', 22)
        >>> decode(answer, asked, max_bytes=100)[0].edge_s
        0.5
    """
    try:
        start = _START.pack(ANSWER, _HELD * header.reference_held, header.lost_segments, header.edge_s, header.queue_s)
        body = start + bytes(segment)
        return body + _seal(request, body)
    except (struct.error, ValueError, OverflowError) as error:
        raise CodecError(f"this answer does not fit the wire format: {error}") from error


def decode(data: Segment, request: Request, *, max_bytes: int) -> tuple[AnswerHeader, Segment]:
    """The header of an answer, and its segment: a view of ``data``, not a copy.

    Args:
        data: what was received.
        request: what was asked.
        max_bytes: the largest answer that is accepted.

    Raises:
        PayloadError: if the bytes are truncated, foreign, oversized or corrupted, or answer something else.
    """
    view = memoryview(data)
    if len(view) > max_bytes:
        raise PayloadError(f"oversized payload: {len(view)} bytes, and at most {max_bytes} are accepted")
    _check_start(view)
    if len(view) < OVERHEAD_BYTES:
        raise PayloadError(f"truncated payload: an answer takes {OVERHEAD_BYTES} bytes or more; {len(view)} came")
    body, seal = view[:-_SEAL_BYTES], view[-_SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(request, body)):
        raise PayloadError(
            "corrupted payload: an answer whose seal does not match. It was damaged on its way, or is an answer to"
            f" another frame: number {request.sequence} of stream {request.stream:016x} at {request.point} was asked"
        )
    _, flags, lost_segments, edge_s, queue_s = _START.unpack_from(body)
    if flags > _HELD:
        raise PayloadError(f"corrupted payload: an answer's flags are {flags:#x}, of which this adaedge knows {_HELD}")
    if not (0 <= edge_s < math.inf and 0 <= queue_s < math.inf):  # neither is NaN
        raise PayloadError(f"corrupted payload: its times are finite and not negative; got {edge_s} s and {queue_s} s")
    return AnswerHeader(edge_s, queue_s, bool(flags), lost_segments), body[_START.size :]


def _check_start(view: memoryview) -> None:
    """Refuse what does not begin as an answer of this format does."""
    if len(view) and view[0] == FEATURES:
        raise PayloadError("foreign payload: features came where an answer belongs. Are the two ends swapped?")
    first = view[0] if len(view) else ANSWER
    if first >> 4 != ANSWER >> 4:
        raise PayloadError(f"foreign payload: it starts with {bytes(view[:4])!r}, adaedge's answers with {ANSWER:#x}")
    if first != ANSWER:
        raise PayloadError(
            f"an answer of wire format {first & 15}; this adaedge reads {VERSION}."
            " Install the same version on both machines."
        )


def _seal(request: Request, body: Segment) -> bytes:
    flags, point = encode_point(request.point)
    seal = hashlib.blake2b(digest_size=_SEAL_BYTES)
    bundle = bytes.fromhex(request.bundle)[:BUNDLE_PREFIX_BYTES]
    seal.update(_REQUEST.pack(bundle, request.stream, request.sequence, flags))
    seal.update(point)
    seal.update(body)
    return seal.digest()
