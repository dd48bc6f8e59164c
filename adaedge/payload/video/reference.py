"""What either end keeps of a stream: the live encoder or decoder, and how far it is.

May import: ``errors``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.video.colour import Converter, Image, padded, padded_size
from adaedge.payload.video.libraries import PIXEL_FORMATS, Family, open_decoder, open_encoder

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

_SEI, _START = b"\0\0\1\6", b"\0\0\1"


@final
class LiveEncoder:
    """An encoder and its position; every method moves it, and a failure closes it.

    Attributes:
        number: frames that it has encoded.
        checksum: CRC-32 of all its packets, one after another.
        size: height and width of its frames, before padding.
        capacity: how many frames are held for windows; 0 where there are none.
        held: these frames, as they came, those used last at the end.
        nbytes: estimate of its memory, once it holds them all.
    """

    __slots__ = ("_context", "_converter", "_padded", "capacity", "checksum", "held", "nbytes", "number", "size")

    def __init__(self, family: Family, full_chroma: bool, crf: int, size: tuple[int, int], capacity: int = 0) -> None:
        self.size, self.capacity = size, capacity
        self.held: list[Image] = []
        self._padded = padded_size(*size, family.smallest_side)
        self._context: VideoCodecContext | None = open_encoder(family, full_chroma, crf, *self._padded)
        self._converter = Converter(full_chroma, encodes=True)
        self.nbytes = family.encoder.memory_bytes(*self._padded, full_chroma) + capacity * size[0] * size[1] * 3
        self.number, self.checksum = 0, 0

    def encode(self, image: Image) -> bytes:
        """The packet of the next frame.

        Raises:
            CodecError: if the encoder fails, or does not return this frame's packet.
        """
        context, self._context = self._context, None  # put back when all went well
        if context is None:
            raise CodecError("this encoder was closed; encode without a reference, which is a refresh")
        frame = self._converter.ycbcr(padded(image, *self._padded))
        frame.pts, frame.time_base = self.number, context.time_base
        try:
            packets = [bytes(packet) for packet in context.encode(frame)]
        except Exception as error:  # PyAV raises one of many; all of it means the same here
            raise CodecError(f"{context.name} failed at frame {self.number} of its stream ({error})") from error
        if len(packets) != 1:
            raise CodecError(f"{context.name} returned {len(packets)} packets for one frame; one without delay is due")
        packet = packets[0] if self.number else _without_sei(packets[0], context.name)
        self.number, self.checksum = self.number + 1, zlib.crc32(packet, self.checksum)
        self._context = context
        return packet

    @property
    def is_open(self) -> bool:
        """Whether it was neither closed nor failed."""
        return self._context is not None

    def close(self) -> None:
        """Free the encoder, and what is held for windows."""
        self._context, self.held = None, []


def _without_sei(packet: bytes, encoder: str) -> bytes:
    """The first packet without x264's account of its settings: some 700 bytes that no decoder needs."""
    start = packet.find(_SEI) if encoder == "libx264" else -1
    end = packet.find(_START, start + len(_SEI))
    return packet if start < 0 or end < 0 else packet[:start] + packet[end:]


@final
class LiveDecoder:
    """A decoder and its position; every method moves it, and a failure closes it.

    Attributes:
        number: frames that it has decoded.
        checksum: CRC-32 of all its packets, one after another.
        size: height and width of its frames, before padding.
        capacity: how many frames are held for windows; 0 where there are none.
        held: these frames, decoded, those used last at the end.
        nbytes: estimate of its memory, once it holds them all.
    """

    __slots__ = (
        "_context",
        "_converter",
        "_padded",
        "_pixel_format",
        "capacity",
        "checksum",
        "held",
        "nbytes",
        "number",
        "size",
    )

    def __init__(self, family: Family, full_chroma: bool, size: tuple[int, int], capacity: int = 0) -> None:
        self.size, self.capacity = size, capacity
        self.held: list[Image] = []
        self._padded = padded_size(*size, family.smallest_side)
        self._pixel_format = PIXEL_FORMATS[full_chroma]
        self._context: VideoCodecContext | None = open_decoder(family, *self._padded)
        self._converter = Converter(full_chroma, encodes=False)
        self.nbytes = family.decoder.memory_bytes(*self._padded, full_chroma) + capacity * size[0] * size[1] * 3
        self.number, self.checksum = 0, 0

    def decode(self, number: int, checksum: int, packets: Sequence[memoryview]) -> list[Image]:
        """The frames of packets that follow each other; a single one but for windows.

        Args:
            number: of the first frame since the refresh.
            checksum: CRC-32 of all packets since the refresh, these included.
            packets: the packets.

        Raises:
            PayloadError: if these are not the packets that follow, or one does not decode to one frame of this size.
        """
        context, self._context = self._context, None  # put back when all went well
        if context is None or number != self.number:
            held = "a decoder that was closed" if context is None else f"a decoder that awaits frame {self.number}"
            raise PayloadError(f"stale reference: the payload is frame {number} since its refresh, it came to {held}")
        for packet in packets:
            self.checksum = zlib.crc32(packet, self.checksum)
        if self.checksum != checksum:
            raise PayloadError(
                f"stale reference: frame {number} is damaged, or follows other packets than this decoder has seen"
                f" (CRC-32 {self.checksum:08x}, the payload says {checksum:08x})"
            )
        images = [self._converter.rgb(self._checked(_decoded(context, packet))) for packet in packets]
        self.number, self._context = self.number + len(images), context
        height, width = self.size
        return [image[:height, :width] for image in images]

    def _checked(self, frames: list[VideoFrame]) -> VideoFrame:
        """The one frame, if it is of the size and pixel format that the codec writes."""
        if len(frames) != 1:
            raise PayloadError(f"corrupted payload: its packet decodes to {len(frames)} frames, one is due")
        frame = frames[0]
        # FFmpeg names the samples differently where a bitstream says that they are of full range.
        name = frame.format.name.replace("yuvj", "yuv")
        if (frame.height, frame.width) != self._padded or name != self._pixel_format:
            raise PayloadError(
                f"corrupted payload: a {name} frame of {frame.height} × {frame.width} pixels, its codec and header say"
                f" {self._pixel_format} of {self._padded[0]} × {self._padded[1]}"
            )
        return frame

    @property
    def is_open(self) -> bool:
        """Whether it was neither closed nor failed."""
        return self._context is not None

    def close(self) -> None:
        """Free the decoder, and what is held for windows."""
        self._context, self.held = None, []


def _decoded(context: VideoCodecContext, data: memoryview) -> list[VideoFrame]:
    import av

    # A copy, because FFmpeg reads some zeros past the end: a packet that it allocates has them, a buffer of ours not.
    packet = av.Packet(len(data))
    packet.update(bytes(data))
    try:
        return context.decode(packet)
    except Exception as error:  # PyAV raises one of many on bytes of another kind; all of it means the same here
        raise PayloadError(f"corrupted payload: {context.name} does not decode it ({error})") from error


@final
@dataclass(frozen=True, slots=True, eq=False)
class VideoReference:
    """The state that the next frame builds on. It is good for one frame: the call that takes it returns the next one.

    Attributes:
        live: the encoder on the terminal, the decoder on the edge server.
        codec: name of the codec.
        number: frames since the refresh, which was the first.
    """

    live: LiveEncoder | LiveDecoder
    codec: str
    number: int

    @property
    def nbytes(self) -> int:
        """Estimate of the memory that the encoder or decoder holds, frames for windows included."""
        return self.live.nbytes

    @property
    def is_current(self) -> bool:
        """Whether the encoder or decoder is still where this reference left it."""
        return self.live.number == self.number and self.live.is_open

    def close(self) -> None:
        """Free the encoder or decoder."""
        self.live.close()
