"""A bottleneck's payload by itself, without the wire's message around it: what ``Bottleneck.compress`` returns.

May import: ``errors``; of this part ``codec``, ``transform``. Everything is little-endian.

    offset  bytes  field
    0       2      magic, ``AB``
    2       1      version, 5
    3       1      rate
    4       4      fingerprint of the bottleneck
    8       2      batch
    10      …      segments, each a CRC-32 and its bytes; the first CRC-32 covers the ten bytes before it as well

Where the first segment is whole, what is whole after it is decoded, and the rest is taken for lost.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.latent.codec import PREFIX, WORD_BYTES, LatentCodec, segment_words
from adaedge.payload.latent.transform import VERSION, TransformCode
from adaedge.payload.message import MAX_BYTES, Segment

MAGIC = b"AB"
_HEADER = struct.Struct("<2sBBIH")
_CRC = struct.Struct("<I")


def compress(latents: TransformCode, rate: int, tensors: Sequence[Array]) -> bytes:
    """The stream of these features.

    Raises:
        CodecError: if they are not the tensors that the bottleneck was fitted for, not finite, or too many at once.
    """
    (headers, segments), _ = LatentCodec(latents, rate).encode(tensors)
    batch = headers[0].shape[0]
    if batch >= 2**16:
        raise CodecError(f"a stream holds at most {2**16 - 1} samples; got {batch}")
    header = _HEADER.pack(MAGIC, VERSION, rate, latents.fingerprint, batch)
    parts, crc = [header], zlib.crc32(header)
    for segment in segments:
        parts += [_CRC.pack(zlib.crc32(segment, crc)), bytes(segment)]
        crc = 0
    return b"".join(parts)


def decompress(latents: TransformCode, data: Segment, *, max_bytes: int = MAX_BYTES) -> tuple[Array, ...]:
    """The features in a stream; at a lower rate where its end is missing or damaged.

    Args:
        latents: the bottleneck that wrote it.
        data: what was received.
        max_bytes: the most that is accepted, as received and once decoded.

    Raises:
        PayloadError: if it is foreign, oversized, or damaged before the end of its first segment.
    """
    view = memoryview(data)
    if len(view) > max_bytes:
        raise PayloadError(f"oversized payload: {len(view)} bytes, and at most {max_bytes} are accepted")
    if len(view) < _HEADER.size + _CRC.size + PREFIX.size:
        raise PayloadError(f"truncated payload: {len(view)} bytes are fewer than a stream's header")
    magic, version, rate, fingerprint, batch = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise PayloadError(f"foreign payload: it starts with {magic!r}, a bottleneck's stream with {MAGIC!r}")
    if version != VERSION:
        raise PayloadError(f"stream of format {version}; this adaedge reads {VERSION}. Install the same on both sides.")
    segments = _whole_segments(view)
    if fingerprint != latents.fingerprint:
        raise PayloadError(
            f"stream of another bottleneck: it says {fingerprint:08x}, this is {latents.fingerprint:08x}."
            " Use the same file on both sides."
        )
    values = latents.layout.positions * latents.layout.width * batch
    if rate >= latents.rates or 8 * values > max_bytes:
        raise PayloadError(f"corrupted payload: rate {rate} of {latents.rates}, {values} values in {batch} samples")
    return LatentCodec(latents, rate).rebuild(segments, batch)


def predicted_bytes(latents: TransformCode, rate: int, tensors: Sequence[Array]) -> float:
    """The expected bytes of ``compress`` for these features: the entropy under the tables, and the fields around it."""
    coded = LatentCodec(latents, rate).predicted_bytes(tensors)
    count = len(segment_words(int(np.ceil((coded - PREFIX.size) / WORD_BYTES))))
    return coded + _HEADER.size + count * _CRC.size


def _whole_segments(view: memoryview) -> list[memoryview]:
    """Leading segments whose checksum is right."""
    start = _HEADER.size
    total = PREFIX.unpack_from(view, start + _CRC.size)[0]
    lengths = [words * WORD_BYTES for words in segment_words(total)]
    lengths[0] += PREFIX.size
    if start + _CRC.size + lengths[0] > len(view):
        raise PayloadError(f"truncated payload: it says {total} words, {len(view)} bytes came")
    segments: list[memoryview] = []
    crc = zlib.crc32(view[:start])
    for length in lengths:
        segment = view[start + _CRC.size : start + _CRC.size + length]
        if len(segment) < length or zlib.crc32(segment, crc) != _CRC.unpack_from(view, start)[0]:
            break
        segments.append(segment)
        start, crc = start + _CRC.size + length, 0
    if len(segments) == len(lengths) and start < len(view):
        raise PayloadError(f"oversized payload: {len(view) - start} bytes follow its last segment")
    if not segments:
        raise PayloadError("corrupted payload: its first segment is damaged or cut, so nothing of it can be decoded")
    return segments
