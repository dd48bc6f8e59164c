"""RGB ⇄ YCbCr, and the padding of frames whose sides an encoder does not take.

May import: nothing.

Both directions state matrix and range, so that neither end guesses them from the bitstream. Colour is subsampled by the
mean of its area and interpolated on the way back: swscale's default repeats samples there, and rounds down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, final

import numpy as np
import numpy.typing as npt

from adaedge.payload.video.libraries import BT601, LIMITED_RANGE, PIXEL_FORMATS

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Image = npt.NDArray[np.uint8]
FULL_RANGE = 2


def padded_size(height: int, width: int, smallest_side: int) -> tuple[int, int]:
    """The size that is encoded: even, since 4:2:0 halves it, and no smaller than the encoder takes.

    Example:
        >>> padded_size(513, 512, 16), padded_size(1, 7, 16)
        ((514, 512), (16, 16))
    """
    return max(smallest_side, height + height % 2), max(smallest_side, width + width % 2)


def padded(image: Image, height: int, width: int) -> Image:
    """The image with its last row and column repeated, as C-contiguous memory; itself if nothing is missing.

    Example:
        >>> padded(np.full((1, 1, 3), 7, np.uint8), 2, 2)[:, :, 0].tolist()
        [[7, 7], [7, 7]]
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return np.ascontiguousarray(image)
    larger = np.empty((height, width, 3), np.uint8)
    larger[:rows, :columns] = image
    larger[:rows, columns:] = image[:, -1:]
    larger[rows:] = larger[rows - 1]
    return larger


@final
class Converter:
    """Keeps swscale's tables from frame to frame; a conversion without one makes them anew each time."""

    __slots__ = ("_flags", "_pixel_format", "_reformatter")

    def __init__(self, full_chroma: bool, *, encodes: bool) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._pixel_format = PIXEL_FORMATS[full_chroma]
        self._reformatter = VideoReformatter()
        self._flags: Interpolation | None = None
        if not full_chroma:  # there is nothing to resample in 4:4:4, and these flags cost time
            exact = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
            self._flags = exact | (Interpolation.AREA if encodes else Interpolation.BILINEAR)

    def ycbcr(self, image: Image) -> VideoFrame:
        """The frame of an encoder, from uint8 (H, W, 3) with C-contiguous memory, which is read where it is."""
        from av.video.frame import VideoFrame

        return self._reformatter.reformat(
            VideoFrame.from_numpy_buffer(image, "rgb24"),
            format=self._pixel_format,
            src_color_range=FULL_RANGE,
            dst_colorspace=BT601,
            dst_color_range=LIMITED_RANGE,
            interpolation=self._flags,
            threads=1,  # a pool of threads takes longer than it saves on frames of a network's size
        )

    def rgb(self, frame: VideoFrame) -> Image:
        """Pixels uint8 (H, W, 3) of a decoder's frame, in memory of their own."""
        image = self._reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=BT601,
            src_color_range=LIMITED_RANGE,
            dst_color_range=FULL_RANGE,
            interpolation=self._flags,
            threads=1,
        )
        return cast(Image, image.to_ndarray())
