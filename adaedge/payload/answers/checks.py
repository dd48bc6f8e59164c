"""What every answer codec asks of headers and segments.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaedge.errors import PayloadError
from adaedge.payload.message import Segment, TensorHeader


def only(segments: Sequence[Segment]) -> Segment:
    """The one segment.

    Raises:
        PayloadError: if there are none, or more.
    """
    if len(segments) != 1:
        raise PayloadError(f"corrupted payload: an answer is in one segment, {len(segments)} came")
    return segments[0]


def check_size(total: int, max_bytes: int) -> None:
    """Refuse an answer that is too large once decoded."""
    if total > max_bytes:
        raise PayloadError(f"oversized payload: {total} bytes decoded, at most {max_bytes} are accepted")


def check_plain(header: TensorHeader) -> None:
    """Refuse a header with the quantisation of features."""
    if header.bits or header.ranges or header.axis is not None:
        raise PayloadError(
            f"corrupted payload: an answer has no quantisation of features; its header says {header.bits} bits,"
            f" axis {header.axis} and {len(header.ranges) // 4} ranges"
        )
