"""A codec turns the tensors that cross into bytes and back; its name is part of the operating point.

May import: ``errors``. Shares the header with ``payload.wire``.

    raw          every value as it is
    u1 … u8      floating-point values in 1 to 8 bits, a range per channel; integers and booleans as they are
    …+zstd       either of these, compressed with zstd at level 1
    uN+range     floating-point values in 1 to 8 bits, by an adaptive range coder
    jpeg@QUALITY a frame as a JPEG, quality 1 to 100; at split point ``input`` only
    jpeg444@…, webp@…, avif@…  likewise: a JPEG without subsampled colour, WebP by method 6, AVIF where Pillow has it
    h264@CRF, hevc@CRF, av1@CRF  frames of one camera as a video, also as h264-444@ and hevc-444@; at ``input`` only
    bottleneck@RATE  what crosses, by way of a fitted bottleneck, which is part of a bundle
    delta@RATE   the same, of which only what changed since the last payload crosses

Each of them writes one segment, but `bottleneck@`: its payload is progressive, and leading segments alone decode.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.compression import compress, decompress
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded, Reference, StandsAlone
from adaedge.payload.tensors import quantise, read, stored_bytes, write_raw

if TYPE_CHECKING:
    from adaedge.payload.latent import TransformCode


_FEATURES = re.compile(r"(?:raw|u([1-8]))(\+zstd)?")
_RANGED = re.compile(r"u([1-8])\+range")
_PICTURE = re.compile(r"(jpeg|jpeg444|webp|avif)@([1-9][0-9]?|100)")
_VIDEO = re.compile(r"(?:h264|hevc|av1)(?:-444)?@[0-9]+")
_LATENT = re.compile(r"(bottleneck|delta)@(0|[1-9][0-9]?)")
BOTTLENECK, DELTA = "bottleneck", "delta"
"""What a bottleneck's codecs are called before its rates are known."""


class Codec(Protocol):
    """Tensors ⇄ segments.

    A codec without a state takes and returns ``None`` for a reference. One with a state is exact only if the edge
    server decodes what the terminal encoded, each once and in order: whoever calls it sees to that.
    """

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None], reference: Reference | None = None
    ) -> tuple[Encoded, Reference | None]:
        """How the tensors are written and the bytes; and what the terminal holds once the edge server has them.

        Args:
            tensors: what crosses the link.
            axes: for each tensor its channel dimension, or ``None``.
            reference: what both ends hold, one that ``accepts`` takes; ``None`` for a refresh.

        Raises:
            CodecError: if this codec cannot carry them.
        """
        ...

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], Reference | None]:
        """The tensors, in memory of their own; and what the edge server holds from now on.

        Args:
            headers: how they are written.
            segments: the bytes.
            max_bytes: the most that all tensors together may take.
            reference: what both ends hold; ``None`` for a refresh.

        Raises:
            PayloadError: if headers and segments contradict each other, this codec, or the limit.
        """
        ...

    def accepts(self, reference: Reference) -> bool:
        """Whether a payload of this codec can build upon what another payload left."""
        ...


def get_codec(name: str, latents: TransformCode | None = None) -> Codec:
    """The codec of that name.

    Args:
        name: as in an operating point.
        latents: the bottleneck at the operating point's split point and width, where there is one.

    Raises:
        CodecError: if there is none.

    Example:
        >>> (headers, (segment,)), _ = get_codec("u4").encode([np.linspace(0, 1, 6, dtype=np.float32)], [None])
        >>> bytes(segment).hex()
        '0369cf'
    """
    if match := _FEATURES.fullmatch(name):
        return Features(bits=int(match[1] or 0), compressed=match[2] is not None)
    # The others are imported when one is asked for: together they take as long as all that a terminal needs of adaedge.
    if match := _RANGED.fullmatch(name):
        from adaedge.payload.range_coder import RangeCoded

        return RangeCoded(bits=int(match[1]))
    if match := _PICTURE.fullmatch(name):
        return _picture(match[1], int(match[2]))
    if match := _LATENT.fullmatch(name):
        if latents is None:
            raise CodecError(
                f"no codec {name!r} here: a bottleneck belongs to a split point and width of a bundle. Build it with"
                " `--codecs bottleneck --images FOLDER`, and use `Bundle.encode` and `Bundle.decode`."
            )
        from adaedge.payload.latent import DeltaCodec, LatentCodec

        codec = LatentCodec(latents, int(match[2]))
        return DeltaCodec(codec) if match[1] == DELTA else codec
    from adaedge.payload.video import video_codec

    if (video := video_codec(name)) is not None:
        return video
    raise CodecError(
        f"no codec {name!r}; there are raw, u1 to u8, each with or without +zstd, u1+range to u8+range, jpeg@1 to"
        " jpeg@100, also as jpeg444@, webp@ and avif@, h264@0 to h264@51, hevc@ likewise, either also with -444, av1@0"
        " to av1@63, and bottleneck@0 and more in a bundle that was built with `bottleneck`, delta@0 and more with"
        " `delta` and clips. One of your own is"
        " given to `Bundle.load(…, codecs=[…])`."
    )


def _picture(kind: str, quality: int) -> Codec:
    from adaedge.payload.image_codecs import Avif, WebP
    from adaedge.payload.jpeg import Jpeg

    if kind == "webp":
        return WebP(quality)
    return Avif(quality) if kind == "avif" else Jpeg(quality, "4:2:0" if kind == "jpeg" else "4:4:4")


def is_progressive(name: str) -> bool:
    """Whether leading segments of this codec's payload decode without the rest.

    Example:
        >>> is_progressive("bottleneck@3"), is_progressive("u4")
        (True, False)
    """
    return uses_bottleneck(name) and name.startswith(BOTTLENECK)


def uses_bottleneck(name: str) -> bool:
    """Whether this codec is one rate of a bottleneck, which belongs to a split point and width of a bundle.

    Example:
        >>> uses_bottleneck("bottleneck@3"), uses_bottleneck("delta@3"), uses_bottleneck("u4")
        (True, True, False)
    """
    return _LATENT.fullmatch(name) is not None


def is_stateful(name: str) -> bool:
    """Whether this codec's payloads build upon each other, so that one costs what changed since the one before.

    Example:
        >>> is_stateful("h264@28"), is_stateful("delta@3"), is_stateful("jpeg@90")
        (True, True, False)
    """
    return _VIDEO.fullmatch(name) is not None or _is_delta(name)


def codec_family(name: str) -> str:
    """The family of a codec: payloads of one family can build upon each other, as far as names say.

    A latent delta builds upon the same latents, whatever rate they were sent at; a video encoder goes on only as it
    began; of a codec of one's own nothing else is known.

    Example:
        >>> codec_family("delta@0") == codec_family("delta@2"), codec_family("h264@28") == codec_family("h264@20")
        (True, False)
    """
    return DELTA if _is_delta(name) else name


def _is_delta(name: str) -> bool:
    return uses_bottleneck(name) and name.startswith(DELTA)


@final
@dataclass(frozen=True, slots=True)
class Features(StandsAlone):
    """Tensors one after another, raw or quantised, as they are or compressed.

    Attributes:
        bits: bits of a floating-point value, 1 to 8; 0 for raw.
        compressed: whether zstd follows.

    Raises:
        CodecError: from ``encode``, if there are not as many axes as tensors.
        PayloadError: from ``decode``, if the payload is oversized or corrupted.
    """

    bits: int = 0
    compressed: bool = False

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None], reference: Reference | None = None
    ) -> tuple[Encoded, None]:
        """Headers and the one segment."""
        del reference  # every payload stands by itself
        if len(axes) != len(tensors):
            raise CodecError(f"{len(tensors)} tensors need as many axes (None where there is none); got {len(axes)}")
        written = [
            quantise(tensor, axis, self.bits)
            if self.bits and np.issubdtype(tensor.dtype, np.floating)
            else write_raw(tensor)
            for tensor, axis in zip(tensors, axes, strict=True)
        ]
        headers, parts = zip(*written, strict=True) if written else ((), ())
        segment = parts[0] if len(parts) == 1 else b"".join(parts)
        if self.compressed:
            segment = compress(segment)
        return (headers, (segment,)), None

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], None]:
        """The tensors."""
        del reference
        for header in headers:
            self._check(header)
        total = sum(header.nbytes for header in headers)
        if total > max_bytes:
            raise PayloadError(f"oversized payload: {total} bytes decoded, at most {max_bytes} are accepted")
        if len(segments) != 1:
            raise PayloadError(f"corrupted payload: features are in one segment, {len(segments)} came")
        lengths = [stored_bytes(header) for header in headers]
        data = memoryview(decompress(segments[0], sum(lengths)) if self.compressed else segments[0])
        if len(data) != sum(lengths):
            raise PayloadError(f"corrupted payload: its tensors take {sum(lengths)} bytes, its segment has {len(data)}")
        tensors, start = [], 0
        for header, length in zip(headers, lengths, strict=True):
            tensors.append(read(header, data[start : start + length]))
            start += length
        return tuple(tensors), None

    def _check(self, header: TensorHeader) -> None:
        """Refuse a header that this codec does not write."""
        quantised = self.bits if np.issubdtype(np.dtype(header.dtype), np.floating) else 0
        axis = header.axis
        ranges = 0 if not quantised else 1 if axis is None else math.prod(header.shape[axis : axis + 1])
        if (
            header.bits != quantised
            or len(header.ranges) != 4 * ranges
            or (axis is not None and not (quantised and axis < len(header.shape)))
        ):
            raise PayloadError(
                f"corrupted payload: a {header.dtype} tensor of shape {header.shape} with {header.bits} bits, axis"
                f" {axis} and {len(header.ranges) // 4} ranges is not what its codec writes"
            )
