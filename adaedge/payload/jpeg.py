"""A frame ⇄ JPEG: what nearly everybody sends who offloads everything.

May import: ``errors``; of this part ``image_codecs``. Shares the header with ``payload.wire``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy.typing as npt
from PIL import JpegImagePlugin

from adaedge.payload.image_codecs import decode_pictures, encode_pictures
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded, Reference

Array = npt.NDArray[Any]


@final
@dataclass(frozen=True, slots=True)
class Jpeg:
    """One uint8 tensor (N, H, W, 3) as N baseline JPEG files.

    Attributes:
        quality: 1 to 100.
        chroma: ``4:2:0``, half the colour's resolution in both directions, or ``4:4:4``, all of it.

    Example:
        >>> import numpy as np
        >>> frame = np.full((1, 32, 32, 3), 128, np.uint8)
        >>> headers, segments = Jpeg(90).encode([frame], [None])[0]
        >>> Jpeg(90).decode(headers, segments, max_bytes=2**20)[0][0].shape
        (1, 32, 32, 3)
    """

    quality: int
    chroma: str = "4:2:0"
    LARGEST_SIDE: ClassVar[int] = 65500  # libjpeg's

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None], reference: Reference | None = None
    ) -> tuple[Encoded, None]:
        """The header and the segment.

        Raises:
            CodecError: if the tensors are not one batch of frames.
        """
        del axes, reference  # a JPEG quantises frequencies, not channels
        options = {"quality": self.quality, "subsampling": self.chroma}
        return encode_pictures(tensors, "JPEG", self.LARGEST_SIDE, **options), None

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
        return decode_pictures(
            headers, segments, max_bytes, "JPEG", self.LARGEST_SIDE, JpegImagePlugin.JpegImageFile
        ), None

    def accepts(self, reference: Reference) -> bool:
        """Never: every payload stands by itself."""
        del reference
        return False
