"""The segments of a message, each compared with its length and checksum.

May import: ``errors``.
"""

from __future__ import annotations

import zlib

from adaedge.errors import PayloadError

MAX_SEGMENTS = 255
"""Of a progressive payload: its answer counts those that were lost in one byte."""


def complete(body: memoryview, entries: list[tuple[int, int]]) -> tuple[memoryview, ...]:
    """The segments, all of them whole.

    Args:
        body: what follows the header.
        entries: length and CRC-32 of each segment.

    Raises:
        PayloadError: if one of them is damaged, or fewer or more bytes came.
    """
    expected = sum(length for length, _ in entries)
    if len(body) != expected:
        word = "truncated" if len(body) < expected else "oversized"
        raise PayloadError(f"{word} payload: its segments should hold {expected} bytes, {len(body)} came")
    segments, start = [], 0
    for index, (length, crc) in enumerate(entries):
        segment = body[start : start + length]
        if zlib.crc32(segment) != crc:
            raise PayloadError(f"corrupted payload: the checksum of segment {index} does not match")
        segments.append(segment)
        start += length
    return tuple(segments)


def leading(body: memoryview, entries: list[tuple[int, int]]) -> tuple[memoryview, ...]:
    """The segments before the first that is damaged or cut.

    Args:
        body: what follows the header.
        entries: length and CRC-32 of each segment.

    Raises:
        PayloadError: if that is the first of all, or more bytes came.
    """
    expected = sum(length for length, _ in entries)
    if len(body) > expected or len(entries) > MAX_SEGMENTS:
        raise PayloadError(
            f"oversized payload: its {len(entries)} segments should hold {expected} bytes, {len(body)} came, and there"
            f" are at most {MAX_SEGMENTS} segments"
        )
    segments: list[memoryview] = []
    start = 0
    for length, crc in entries:
        segment = body[start : start + length]
        if len(segment) < length or zlib.crc32(segment) != crc:
            break
        segments.append(segment)
        start += length
    if not segments:
        raise PayloadError("corrupted payload: its first segment is damaged or cut, so nothing of it can be decoded")
    return tuple(segments)
