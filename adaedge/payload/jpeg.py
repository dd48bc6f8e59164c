"""A frame ⇄ JPEG: what a user sends who offloads everything, so it is the baseline.

May import: ``errors``. Shares the header with ``payload.wire``.

The segment holds, for each image of the batch, a little-endian uint32 length and that many bytes of a baseline JPEG
with 4:2:0 chroma.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.wire import Segment, TensorHeader

Array = npt.NDArray[Any]

_LENGTH = struct.Struct("<I")


@final
@dataclass(frozen=True, slots=True)
class Jpeg:
    """One uint8 tensor (N, H, W, 3) as N JPEG files.

    Attributes:
        quality: 1 to 100.

    Example:
        >>> frame = np.full((1, 32, 32, 3), 128, np.uint8)
        >>> headers, segments = Jpeg(90).encode([frame], [None])
        >>> Jpeg(90).decode(headers, segments, max_bytes=2**20)[0].shape
        (1, 32, 32, 3)
    """

    quality: int

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None]
    ) -> tuple[tuple[TensorHeader, ...], tuple[Segment, ...]]:
        """The header and the segment.

        Raises:
            CodecError: if the tensors are not one batch of frames.
        """
        del axes  # a JPEG quantises frequencies, not channels
        if len(tensors) != 1 or not _is_batch(tensors[0].dtype.name, tensors[0].shape):
            got = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors)
            raise CodecError(
                f"a JPEG carries one uint8 tensor (N, H, W, 3), sides 1 to 65500; got {got}. Use it at split 'input'."
            )
        files = [self._encode_image(image) for image in tensors[0]]
        parts = [part for file in files for part in (_LENGTH.pack(len(file)), file)]
        return (TensorHeader("uint8", tensors[0].shape),), (b"".join(parts),)

    def decode(self, headers: Sequence[TensorHeader], segments: Sequence[Segment], max_bytes: int) -> tuple[Array, ...]:
        """The frames.

        Raises:
            PayloadError: if the segment is not what the header says, or takes more than ``max_bytes`` once decoded.
        """
        if len(headers) != 1 or not _is_batch(headers[0].dtype, headers[0].shape):
            raise PayloadError("corrupted payload: a JPEG carries one uint8 tensor (N, H, W, 3); its header differs")
        header = headers[0]
        if header.bits or header.ranges or header.axis is not None or len(segments) != 1:
            raise PayloadError("corrupted payload: a JPEG has no quantisation of ours, and one segment")
        if header.nbytes > max_bytes:
            raise PayloadError(f"oversized payload: {header.nbytes} bytes decoded, at most {max_bytes} are accepted")
        files = _files(segments[0], header.shape[0])
        frames = np.empty(header.shape, np.uint8)
        for frame, file in zip(frames, files, strict=True):
            frame[:] = _decode_image(file, header.shape[1:3])
        return (frames,)

    def _encode_image(self, image: Array) -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=self.quality, subsampling="4:2:0")
        return file.getvalue()


def _is_batch(dtype: str, shape: tuple[int, ...]) -> bool:
    # 65,500 is the largest side that libjpeg takes.
    return dtype == "uint8" and len(shape) == 4 and shape[3] == 3 and all(1 <= side <= 65500 for side in shape[1:3])


def _files(segment: Segment, count: int) -> list[memoryview]:
    """The bytes of each JPEG in the segment."""
    rest = memoryview(segment)
    files: list[memoryview] = []
    for _ in range(count):
        if len(rest) < _LENGTH.size:
            raise PayloadError(f"truncated payload: it should hold {count} images, it holds {len(files)}")
        length = _LENGTH.unpack_from(rest)[0]
        if length > len(rest) - _LENGTH.size:
            raise PayloadError(f"truncated payload: image {len(files)} has {length} bytes, fewer came")
        files.append(rest[_LENGTH.size : _LENGTH.size + length])
        rest = rest[_LENGTH.size + length :]
    if len(rest):
        raise PayloadError(f"oversized payload: {len(rest)} bytes follow its last image")
    return files


def _decode_image(file: memoryview, side: tuple[int, ...]) -> Array:
    """The pixels of one JPEG, once its own size has been found to be the header's."""
    try:
        # The plugin's class, not Image.open: that tries other formats, and warns of large images before they are seen.
        with JpegImagePlugin.JpegImageFile(io.BytesIO(file)) as image:
            if image.size != (side[1], side[0]) or image.mode != "RGB":
                raise PayloadError(
                    f"corrupted payload: a {image.mode} JPEG of {image.size[1]} × {image.size[0]} pixels,"
                    f" its header says RGB of {side[0]} × {side[1]}"
                )
            return np.asarray(image)
    except PayloadError:
        raise
    except Exception as error:  # Pillow raises what it likes on bytes that are no JPEG; all of it means the same here
        raise PayloadError(f"corrupted payload: its JPEG does not decode ({error})") from error
