"""The codec: one frame ⇄ one packet, building on the packets before it; a window, the packets of its new frames.

May import: ``errors``. Shares the header with ``payload.wire``.

The one segment, little-endian; of a window, the tensor has five dimensions and what follows is in ``window``:

    offset  bytes  field
    0       4      N: number of the frame since the refresh, uint32; 0 is the refresh, which decodes alone
    4       4      CRC-32 of the packets of frames 0 to N, one after another
    8       …      the packet of frame N: H.264 or HEVC in Annex B, or a temporal unit of AV1

H.264, HEVC and AV1 define a decoder's samples to the bit, so whoever has decoded the same packets holds the same
picture. Number and checksum therefore say which picture the encoder builds on, and a decoder that holds another refuses
the packet before it touches it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded
from adaedge.payload.video import window
from adaedge.payload.video.libraries import FAMILIES, Family
from adaedge.payload.video.reference import LiveDecoder, LiveEncoder, VideoReference

_NAME = re.compile(r"(h264|hevc|av1)(-444)?@(0|[1-9][0-9]*)")
_PREFIX = struct.Struct("<II")
_LAST_NUMBER = 2**32 - 1


def video_codec(name: str) -> Video | None:
    """The video codec of that name; ``None`` for a name of another kind.

    Whether this machine has its encoder is found out when a frame is encoded: an edge server only decodes.

    Raises:
        CodecError: if the name is of this kind, and its constant rate factor is out of range.

    Example:
        >>> video_codec("hevc-444@30").name, video_codec("jpeg@90")
        ('hevc-444@30', None)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    family = next(each for each in FAMILIES if each.name == match[1])
    return Video(family, int(match[3]), match[2] is not None)


@final
@dataclass(frozen=True, slots=True)
class Video:
    """One uint8 frame (1, H, W, 3), or window (1, T, H, W, 3), as packets of a video codec, one a frame.

    Of a window only those frames cross that the other end does not hold.

    Attributes:
        family: which video codec.
        crf: the encoder's constant rate factor; 0 is the finest.
        full_chroma: whether colour keeps its resolution (4:4:4), or is halved (4:2:0).
        stride: of windows, how many frames each is after the one before: both ends hold so many windows' frames.

    Raises:
        CodecError: if the constant rate factor is out of range.

    Example:
        >>> codec = video_codec("h264@28")
        >>> frame = np.full((1, 32, 32, 3), 128, np.uint8)
        >>> (headers, first), sent = codec.encode([frame], [None])
        >>> (_, second), sent = codec.encode([frame], [None], sent)
        >>> _, held = codec.decode(headers, first, max_bytes=2**20)
        >>> (again,), held = codec.decode(headers, second, max_bytes=2**20, reference=held)
        >>> len(second[0]) < len(first[0]), again.shape, held.number
        (True, (1, 32, 32, 3), 2)
    """

    family: Family
    crf: int
    full_chroma: bool = False
    stride: int = 1
    is_progressive: ClassVar[bool] = False
    LARGEST_SIDE: ClassVar[int] = 8192

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= self.family.largest_crf:
            raise CodecError(
                f"the CRF of {self.family.name} is 0 (finest) to {self.family.largest_crf}; got {self.crf}. Write for"
                f" instance {self.family.name}@28."
            )

    @property
    def name(self) -> str:
        """Its name in an operating point."""
        return f"{self.family.name}{'-444' if self.full_chroma else ''}@{self.crf}"

    def fits(self, tensors: Sequence[tuple[str, tuple[int, ...]]]) -> bool:
        """Whether this codec can carry tensors of these types and shapes.

        Example:
            >>> codec = video_codec("h264@28")
            >>> codec.fits([("uint8", (1, 224, 224, 3))]), codec.fits([("float32", (1, 3, 224, 224))])
            (True, False)
        """
        return len(tensors) == 1 and _is_carried(*tensors[0], self.LARGEST_SIDE)

    def accepts(self, reference: object, shape: tuple[int, ...] | None = None) -> bool:
        """Whether the next frame can build on a reference.

        It can on one of the same codec and CRF that no later frame has used.

        Args:
            reference: what ``encode`` or ``decode`` returned last.
            shape: of the frame, (1, H, W, 3), or window; ``None`` to leave the size of the frames aside.
        """
        return (
            isinstance(reference, VideoReference)
            and reference.codec == self.name
            and reference.is_current
            and reference.number <= _LAST_NUMBER
            and (shape is None or _kind(reference.live) == (self._capacity(shape), *shape[-3:-1]))
        )

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None], reference: object | None = None
    ) -> tuple[Encoded, VideoReference]:
        """Header and segment of the next frame, and what the frame after it builds on.

        Args:
            tensors: the frame, or the window.
            axes: ignored; a video quantises frequencies, not channels.
            reference: what the last call returned, which is used up; ``None`` for a refresh.

        Raises:
            CodecError: if this is not one frame, the reference is not one of this codec and size, or this machine has
                no such encoder.
        """
        del axes
        if not self.fits([(tensor.dtype.name, tensor.shape) for tensor in tensors]):
            got = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors)
            raise CodecError(
                f"{self.name} carries one uint8 frame (1, H, W, 3), sides 1 to {self.LARGEST_SIDE}, or a window"
                f" (1, T, H, W, 3) of at most {window.LARGEST}; got {got}. Use it at split 'input', batch 1."
            )
        shape = tensors[0].shape
        if reference is None:
            live = LiveEncoder(self.family, self.full_chroma, self.crf, shape[-3:-1], self._capacity(shape))
        else:
            live = self._encoder_of(reference, shape)
        number = live.number
        (shown,) = tensors[0]
        packets = live.encode(shown) if shown.ndim == 3 else window.encode(live, shown)
        segment = _PREFIX.pack(number, live.checksum) + packets
        return ((TensorHeader("uint8", shape),), (segment,)), self._reference(live)

    def _encoder_of(self, reference: object, shape: tuple[int, ...]) -> LiveEncoder:
        if self.accepts(reference, shape):
            assert isinstance(reference, VideoReference)
            if isinstance(reference.live, LiveEncoder):
                return reference.live
        raise CodecError(
            f"{self.name} cannot encode a frame of shape {shape} on {_described(reference)}. Encode without a"
            " reference, which is a refresh."
        )

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: object | None = None,
    ) -> tuple[tuple[Array, ...], VideoReference]:
        """The frame, and what the frame after it builds on.

        Args:
            headers: how it is written.
            segments: the bytes.
            max_bytes: the most that the frame may take.
            reference: what the last call returned, which is used up; ``None`` for a refresh.

        Raises:
            PayloadError: if the payload contradicts itself, this codec, the reference or the limit, or this machine has
                no such decoder.
        """
        shape = self._checked(headers, segments, max_bytes)
        number, checksum = _PREFIX.unpack_from(segments[0])
        live = self._decoder_of(reference, shape, number)
        body = memoryview(segments[0])[_PREFIX.size :]
        if len(shape) == 5:
            return (window.decode(live, number, checksum, body, shape[1])[None],), self._reference(live)
        (image,) = live.decode(number, checksum, [body])
        return (np.ascontiguousarray(image)[None],), self._reference(live)

    def _checked(self, headers: Sequence[TensorHeader], segments: Sequence[Segment], max_bytes: int) -> tuple[int, ...]:
        """The shape of the frame, once header and segment can be what this codec writes."""
        if not self.fits([(header.dtype, header.shape) for header in headers]):
            raise PayloadError(
                f"corrupted payload: {self.name} carries one uint8 frame (1, H, W, 3); its header differs"
            )
        header = headers[0]
        if header.bits or header.ranges or header.axis is not None or len(segments) != 1:
            raise PayloadError(f"corrupted payload: {self.name} has no quantisation of ours, and one segment")
        if header.nbytes > max_bytes:
            raise PayloadError(f"oversized payload: {header.nbytes} bytes decoded, at most {max_bytes} are accepted")
        # An empty packet would tell the decoder that the stream is over.
        if len(segments[0]) <= _PREFIX.size:
            raise PayloadError(
                f"truncated payload: a packet follows the first {_PREFIX.size} bytes; {len(segments[0])} bytes came"
            )
        return header.shape

    def _decoder_of(self, reference: object | None, shape: tuple[int, ...], number: int) -> LiveDecoder:
        if (reference is None) != (number == 0):
            came = "without a reference" if reference is None else f"with {_described(reference)}"
            due = "decodes alone" if number == 0 else f"builds on frame {number - 1}"
            raise PayloadError(f"stale reference: frame {number} since its refresh {due}; it came {came}")
        if reference is None:
            return LiveDecoder(self.family, self.full_chroma, (shape[-3], shape[-2]), self._capacity(shape))
        if self.accepts(reference, shape):
            assert isinstance(reference, VideoReference)
            if isinstance(reference.live, LiveDecoder):
                return reference.live
        raise PayloadError(
            f"stale reference: {self.name} cannot decode a frame of shape {shape} on {_described(reference)}"
        )

    def _capacity(self, shape: tuple[int, ...]) -> int:
        """How many frames both ends hold for windows: what as many of them need as take turns."""
        return shape[1] * self.stride if len(shape) == 5 else 0

    def _reference(self, live: LiveEncoder | LiveDecoder) -> VideoReference:
        return VideoReference(live, self.name, live.number)


def _described(reference: object) -> str:
    """A reference in the words of an error."""
    if not isinstance(reference, VideoReference):
        return f"a {type(reference).__name__}, which is no reference of a video codec"
    height, width = reference.live.size
    kind = "encoder" if isinstance(reference.live, LiveEncoder) else "decoder"
    used = "" if reference.is_current else ", which was used or closed"
    return f"the {kind} of {reference.codec} for {height} × {width} pixels after {reference.number} frames{used}"


def _kind(live: LiveEncoder | LiveDecoder) -> tuple[int, ...]:
    return live.capacity, *live.size


def _is_carried(dtype: str, shape: tuple[int, ...], largest_side: int) -> bool:
    return (
        dtype == "uint8"
        and (len(shape) == 4 or (len(shape) == 5 and 1 <= shape[1] <= window.LARGEST))
        and shape[0] == 1
        and shape[-1] == 3
        and all(1 <= side <= largest_side for side in shape[-3:-1])
    )
