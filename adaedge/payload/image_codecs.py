"""A frame ⇄ files of a picture format: the baselines of full offload.

May import: ``errors``. Shares the header with ``payload.wire``.

The segment holds, for each image of the batch, or of the clips in it, a little-endian uint32 length and a file of that
many bytes.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from PIL import AvifImagePlugin, Image, ImageFile, WebPImagePlugin, features

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded, Reference, StandsAlone

Opened = Callable[[io.BytesIO], Image.Image]

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Pictures(StandsAlone):
    """One uint8 tensor (N, H, W, 3), or clips of such, as files of a picture format, one for each image.

    Attributes:
        quality: 1 to 100.
    """

    quality: int
    FORMAT: ClassVar[str]
    """Its name."""
    LARGEST_SIDE: ClassVar[int]
    """In pixels that the format takes."""
    OPENED: ClassVar[type[ImageFile.ImageFile]]
    """What opens a file of it."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of its writer."""
        return {"quality": self.quality}

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None], reference: Reference | None = None
    ) -> tuple[Encoded, None]:
        """The header and the segment.

        Raises:
            CodecError: if the tensors are not one batch of frames.
        """
        del axes, reference  # a picture quantises frequencies, not channels
        return encode_pictures(tensors, self.FORMAT, self.LARGEST_SIDE, **self.options), None

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], None]:
        """The frames.

        Raises:
            PayloadError: if the segment is not what the header says, or takes more than ``max_bytes`` once decoded.
        """
        del reference
        return decode_pictures(headers, segments, max_bytes, self.FORMAT, self.LARGEST_SIDE, self.OPENED), None


@final
@dataclass(frozen=True, slots=True)
class WebP(Pictures):
    """One uint8 tensor (N, H, W, 3) as N lossy WebP files, written with method 6, the slowest and smallest.

    Example:
        >>> frame = np.full((1, 32, 32, 3), 128, np.uint8)
        >>> headers, segments = WebP(90).encode([frame], [None])[0]
        >>> WebP(90).decode(headers, segments, max_bytes=2**20)[0][0].shape
        (1, 32, 32, 3)
    """

    FORMAT, LARGEST_SIDE, OPENED = "WebP", 16383, WebPImagePlugin.WebPImageFile

    @property
    def options(self) -> dict[str, Any]:
        """The options of its writer."""
        return {"quality": self.quality, "method": 6}


@final
@dataclass(frozen=True, slots=True)
class Avif(Pictures):
    """One uint8 tensor (N, H, W, 3) as N AVIF files with 4:2:0 chroma, at Pillow's usual speed, 6.

    Raises:
        CodecError: if this Pillow was built without AVIF.
    """

    FORMAT, LARGEST_SIDE, OPENED = "AVIF", 16384, AvifImagePlugin.AvifImageFile

    def __post_init__(self) -> None:
        if not features.check("avif"):
            raise CodecError("this Pillow has no AVIF. Install a wheel of Pillow 11.3 or later, or use webp@QUALITY.")

    @property
    def options(self) -> dict[str, Any]:
        """The options of its writer."""
        return {"quality": self.quality, "speed": 6, "max_threads": 1}


def encode_pictures(tensors: Sequence[Array], name: str, largest_side: int, **options: Any) -> Encoded:
    """The header and the segment of one batch of frames.

    Args:
        tensors: one uint8 tensor (N, H, W, 3).
        name: of the format.
        largest_side: in pixels that the format takes.
        options: of its writer.

    Raises:
        CodecError: if the tensors are not one batch of frames.
    """
    if len(tensors) != 1 or not _is_batch(tensors[0].dtype.name, tensors[0].shape, largest_side):
        got = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors)
        raise CodecError(
            f"a {name} carries one uint8 tensor (N, H, W, 3) or (N, T, H, W, 3), sides 1 to {largest_side}; got {got}."
            " Use it at split 'input'."
        )
    parts: list[bytes] = []
    for image in tensors[0].reshape(-1, *tensors[0].shape[-3:]):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(file, name, **options)
        parts += [_LENGTH.pack(file.tell()), file.getvalue()]
    return (TensorHeader("uint8", tensors[0].shape),), (b"".join(parts),)


def decode_pictures(
    headers: Sequence[TensorHeader],
    segments: Sequence[Segment],
    max_bytes: int,
    name: str,
    largest_side: int,
    opened: Opened,
) -> tuple[Array, ...]:
    """The frames.

    Args:
        headers: how they are written.
        segments: the bytes.
        max_bytes: the most that they may take.
        name: of the format.
        largest_side: in pixels that the format takes.
        opened: the format's own reader; ``Image.open`` would try other formats, and warn of large images before they
            are seen.

    Raises:
        PayloadError: if the segment is not what the header says, or takes more than ``max_bytes`` once decoded.
    """
    if len(headers) != 1 or not _is_batch(headers[0].dtype, headers[0].shape, largest_side):
        raise PayloadError(f"corrupted payload: a {name} carries one uint8 tensor (N, H, W, 3); its header differs")
    header = headers[0]
    if header.bits or header.ranges or header.axis is not None or len(segments) != 1:
        raise PayloadError(f"corrupted payload: a {name} has no quantisation of ours, and one segment")
    if header.nbytes > max_bytes:
        raise PayloadError(f"oversized payload: {header.nbytes} bytes decoded, at most {max_bytes} are accepted")
    files = _files(segments[0], math.prod(header.shape[:-3]))
    frames = np.empty(header.shape, np.uint8)
    for frame, file in zip(frames.reshape(-1, *header.shape[-3:]), files, strict=True):
        frame[:] = _decoded(file, header.shape[-3:-1], name, opened)
    return (frames,)


def _is_batch(dtype: str, shape: tuple[int, ...], largest_side: int) -> bool:
    small = all(1 <= side <= largest_side for side in shape[-3:-1])
    return dtype == "uint8" and len(shape) in (4, 5) and shape[-1] == 3 and small


def _files(segment: Segment, count: int) -> list[memoryview]:
    """The bytes of each picture in the segment."""
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


def _decoded(file: memoryview, side: tuple[int, ...], name: str, opened: Opened) -> Array:
    """The pixels of one picture, once its own size has been found to be the header's."""
    try:
        with opened(io.BytesIO(file)) as image:
            if image.size != (side[1], side[0]) or image.mode != "RGB":
                raise PayloadError(
                    f"corrupted payload: a {image.mode} {name} of {image.size[1]} × {image.size[0]} pixels,"
                    f" its header says RGB of {side[0]} × {side[1]}"
                )
            return np.asarray(image)
    except PayloadError:
        raise
    except Exception as error:  # Pillow raises what it likes on bytes of another kind; all of it means the same here
        raise PayloadError(f"corrupted payload: its {name} does not decode ({error})") from error
