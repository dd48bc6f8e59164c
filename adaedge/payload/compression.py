"""zstd with limits.

May import: ``errors``; of this part ``message``.
"""

from __future__ import annotations

import sys
from functools import partial

from adaedge.errors import PayloadError
from adaedge.payload.message import Segment

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

compress = partial(zstd.compress, level=1)
"""Bytes → a zstd frame."""


def decompress(frame: Segment, most: int) -> bytes:
    """The content of a frame; one that holds more than ``most`` bytes is refused before it is unpacked.

    Raises:
        PayloadError: if it is no whole frame, or something follows it.
    """
    try:
        # What a frame claims for itself also bounds the memory that zstd works in, so it is compared first.
        claimed = zstd.get_frame_info(frame).decompressed_size
        if claimed is None or claimed > most:
            raise PayloadError(f"oversized payload: its zstd frame holds {claimed} bytes, at most {most} belong there")
        decompressor = zstd.ZstdDecompressor()
        data = decompressor.decompress(frame, claimed + 1)  # one more: room for the frame's end to be read
    except zstd.ZstdError as error:
        raise PayloadError(f"corrupted payload: its zstd frame does not decompress ({error})") from error
    if len(data) != claimed or not decompressor.eof or decompressor.unused_data:
        raise PayloadError(
            f"corrupted payload: its zstd frame does not decompress ({len(data)} of {claimed} bytes,"
            f" {len(decompressor.unused_data)} follow)"
        )
    return data
