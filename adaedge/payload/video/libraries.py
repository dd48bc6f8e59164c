"""Which library encodes and decodes which video codec, with which settings and licence, and what is here.

May import: ``errors``.

Every encoder codes a frame when it comes and never refers to a later one: no B frames, no lookahead, one thread (more
would cut the frame into slices or hold it back). Only the first frame is an intra frame, since a refresh is a new
encoder; scene cuts are not looked for, because a block that does not resemble the last frame is coded intra anyway.
Parameter sets are in the packets (``global_header`` is not set), so that a refresh decodes alone.

``qcomp=1`` makes the constant rate factor mean the same for every frame. By default x264 and x265 spend more bits where
little moves: the accuracy of a frame then depends on the frames before it, and a still scene is sent again, finer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, cast, final

from adaedge.errors import CodecError, PayloadError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

PIXEL_FORMATS = {False: "yuv420p", True: "yuv444p"}
"""FFmpeg's name of the samples, by whether colour has full resolution."""
LIMITED_RANGE, BT601 = 1, 5
"""``AVCOL_RANGE_MPEG`` and ``AVCOL_SPC_BT470BG``: luma 16 to 235, the matrix of BT.601. What players and swscale assume
where nothing is said, and what swscale converts with the smaller rounding error."""

_LARGEST_CODED_BLOCK = 64
_svt_is_opening = threading.Lock()


@final
@dataclass(frozen=True, slots=True)
class Library:
    """An encoder or decoder, as FFmpeg calls it.

    Attributes:
        name: in FFmpeg.
        licence: SPDX identifier of its own licence; a build of FFmpeg that links it has to comply with it.
        options: what it is opened with.
        fixed_bytes: memory that one of them takes, whatever the size of its frames.
        pixel_bytes: memory in addition for each pixel of a frame, in 4:2:0. Both are estimates. A decoder's are what it
            has allocated once all its pictures are (mallinfo2 of glibc; after 5 frames of HEVC, 50 of AV1), 64² to
            1080², and at most a fifth more. An encoder's are near or above what ``benchmarks.video_encoders`` measures.
        multiple: what both sides of its pictures are rounded up to in memory.
    """

    name: str
    licence: str
    options: Mapping[str, str] = field(hash=False)
    fixed_bytes: int
    pixel_bytes: float
    multiple: int = 1

    def is_here(self, mode: str) -> bool:
        """Whether the installed PyAV has it.

        Args:
            mode: ``"w"`` for an encoder, ``"r"`` for a decoder.
        """
        return self._formats(mode) is not None

    def takes(self, pixel_format: str) -> bool:
        """Whether the installed PyAV has this encoder, and it takes that pixel format."""
        return pixel_format in (self._formats("w") or ())

    def memory_bytes(self, height: int, width: int, full_chroma: bool) -> int:
        """Estimate of the memory that one of them holds for frames of that size; 4:4:4 has twice the samples."""
        pixels = _rounded_up(height, self.multiple) * _rounded_up(width, self.multiple)
        return self.fixed_bytes + round(self.pixel_bytes * pixels * (2 if full_chroma else 1))

    def _formats(self, mode: str) -> list[str] | None:
        """Names of the pixel formats that it says it takes; ``None`` where it is not here."""
        import av  # 0.15 s and 17 MB that a terminal without a video never pays

        try:
            codec = av.codec.Codec(self.name, "w" if mode == "w" else "r")
        except av.codec.codec.UnknownCodecError:
            return None
        return [each.name for each in codec.video_formats or ()]


@final
@dataclass(frozen=True, slots=True)
class Family:
    """A video codec.

    Attributes:
        name: in the name of a codec.
        encoder: what writes it.
        decoder: what reads it.
        largest_crf: the constant rate factor, 0 (finest) to this.
        smallest_side: in pixels that the encoder takes; a smaller frame is padded.
    """

    name: str
    encoder: Library
    decoder: Library
    largest_crf: int
    smallest_side: int = 2


H264 = Family(
    "h264",
    # `zerolatency`: no B frames, no lookahead, no macroblock tree, each frame handed out before the next.
    # `veryfast`: what one core of a small processor can afford.
    Library(
        "libx264",
        "GPL-2.0-or-later",
        {"preset": "veryfast", "tune": "zerolatency", "x264-params": "keyint=infinite:scenecut=0:qcomp=1"},
        fixed_bytes=3_000_000,
        pixel_bytes=21,
    ),
    # `explode`: an error in the packet is an error, not a picture with the damage painted over.
    Library("h264", "LGPL-2.1-or-later", {"flags": "low_delay", "err_detect": "explode"}, 760_000, 5.7, multiple=32),
    largest_crf=51,
)
HEVC = Family(
    "hevc",
    # `superfast` takes less time than `veryfast`, above all in 4:4:4, for bytes and errors much alike.
    # `pools=none` and `frame-threads=1`: one thread. `info=0`: no text about the settings in every refresh.
    Library(
        "libx265",
        "GPL-2.0-or-later",
        {
            "preset": "superfast",
            "tune": "zerolatency",
            "x265-params": "keyint=-1:scenecut=0:qcomp=1:bframes=0:rc-lookahead=0:repeat-headers=1:info=0"
            ":pools=none:frame-threads=1:log-level=none",
        },
        fixed_bytes=6_500_000,
        pixel_bytes=51,
    ),
    # It keeps the pictures that its parameter sets allow for.
    Library("hevc", "LGPL-2.1-or-later", {"flags": "low_delay", "err_detect": "explode"}, 300_000, 12.6, multiple=32),
    largest_crf=51,
    smallest_side=16,
)
AV1 = Family(
    "av1",
    # `pred-struct=1` (low delay) makes SVT-AV1 wait for the packet of the frame that it was given; otherwise packets
    # come frames late. `lp=1`: the fewest threads. Preset 8: from 10 on SVT-AV1 itself warns of artifacts.
    Library(
        "libsvtav1",
        "BSD-3-Clause-Clear",
        {"preset": "8", "svtav1-params": "pred-struct=1:lookahead=0:lp=1:keyint=-1:scd=0"},
        fixed_bytes=10_000_000,
        pixel_bytes=44,
    ),
    # AV1 has eight places for pictures, which SVT-AV1 fills one after another, and dav1d holds a ninth: 9 × 1.5 bytes.
    Library("libdav1d", "BSD-2-Clause", {"max_frame_delay": "1"}, 620_000, 13.7, multiple=128),
    largest_crf=63,
    smallest_side=16,
)
FAMILIES = (H264, HEVC, AV1)


@final
@dataclass(frozen=True, slots=True)
class Availability:
    """The libraries that this machine has for a codec.

    Attributes:
        codec: its name before the ``@``.
        encoder: the library that writes it here, if any.
        decoder: the library that reads it here, if any.
    """

    codec: str
    encoder: Library | None
    decoder: Library | None


def available() -> tuple[Availability, ...]:
    """The video codecs, and what the installed PyAV encodes and decodes of them.

    Example:
        >>> [each.codec for each in available()]
        ['h264', 'h264-444', 'hevc', 'hevc-444', 'av1', 'av1-444']
    """
    return tuple(
        Availability(
            family.name + ("-444" if full_chroma else ""),
            family.encoder if family.encoder.takes(pixel_format) else None,
            family.decoder if family.decoder.is_here("r") else None,
        )
        for family in FAMILIES
        for full_chroma, pixel_format in PIXEL_FORMATS.items()
    )


def open_encoder(family: Family, full_chroma: bool, crf: int, height: int, width: int) -> VideoCodecContext:
    """A fresh encoder.

    Raises:
        CodecError: if it is not here, or does not open with these settings.
    """
    import av

    _check_encoder(family, full_chroma)
    context = cast("VideoCodecContext", av.CodecContext.create(family.encoder.name, "w"))
    context.width, context.height = width, height
    context.pix_fmt = PIXEL_FORMATS[full_chroma]
    context.color_range, context.colorspace = LIMITED_RANGE, BT601
    # The rate control of a constant rate factor asks for some frame rate; the stream may have any.
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.thread_count = 1
    context.options = {**family.encoder.options, "crf": str(crf)}
    try:
        _open(context)
    except Exception as error:  # PyAV raises one of many for what FFmpeg refuses; all of it means the same here
        raise CodecError(f"{family.encoder.name} does not open for frames of {height} × {width} pixels") from error
    return context


def _check_encoder(family: Family, full_chroma: bool) -> None:
    name, others = family.encoder.name, _usable()
    if not family.encoder.is_here("w"):
        raise CodecError(
            f"this PyAV encodes no {family.name}: its FFmpeg was built without {name}. Install a wheel of PyAV"
            f" (`pip install --only-binary av av`), or use {others}."
        )
    if not family.encoder.takes(PIXEL_FORMATS[full_chroma]):
        raise CodecError(f"{name} has no 4:4:4, so {family.name}-444 cannot be encoded here; use {others}")


def _usable() -> str:
    """The codecs that can be encoded here, for the way out of an error."""
    return ", ".join([f"{each.codec}@CRF" for each in available() if each.encoder] + ["jpeg@QUALITY"])


def _open(context: VideoCodecContext) -> None:
    """Open the encoder; SVT-AV1 would describe itself on stderr.

    It has no other switch than the environment, which it reads when the first encoder of the process opens.
    """
    if context.name != AV1.encoder.name or "SVT_LOG" in os.environ:
        context.open()
        return
    with _svt_is_opening:
        os.environ["SVT_LOG"] = "0"  # fatal errors only
        try:
            context.open()
        finally:
            os.environ.pop("SVT_LOG", None)


def open_decoder(family: Family, height: int, width: int) -> VideoCodecContext:
    """A fresh decoder of frames of that size; one that takes more memory is refused before the memory is taken.

    Raises:
        PayloadError: if it is not here.
    """
    import av

    if not family.decoder.is_here("r"):
        raise PayloadError(
            f"this PyAV decodes no {family.name}: its FFmpeg was built without {family.decoder.name}. Install a"
            " wheel of PyAV on the edge server (`pip install --only-binary av av`), or build without this codec."
        )
    context = cast("VideoCodecContext", av.CodecContext.create(family.decoder.name, "r"))
    context.thread_count = 1
    # Decoders compare with the size rounded up to whole blocks.
    largest = _rounded_up(height, _LARGEST_CODED_BLOCK) * _rounded_up(width, _LARGEST_CODED_BLOCK)
    context.options = {**family.decoder.options, "max_pixels": str(largest)}
    return context


def _rounded_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
