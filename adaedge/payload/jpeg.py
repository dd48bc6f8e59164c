"""A frame ⇄ JPEG: the most frequent way to offload a whole frame.

May import: ``errors``; of this part ``image_codecs``. Shares the header with ``payload.wire``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from PIL import JpegImagePlugin

from adaedge.payload.image_codecs import Pictures


@final
@dataclass(frozen=True, slots=True)
class Jpeg(Pictures):
    """One uint8 tensor (N, H, W, 3) as N baseline JPEG files.

    Attributes:
        chroma: ``4:2:0``, half the colour's resolution in both directions, or ``4:4:4``, all of it.

    Example:
        >>> import numpy as np
        >>> frame = np.full((1, 32, 32, 3), 128, np.uint8)
        >>> headers, segments = Jpeg(90).encode([frame], [None])[0]
        >>> Jpeg(90).decode(headers, segments, max_bytes=2**20)[0][0].shape
        (1, 32, 32, 3)
    """

    chroma: str = "4:2:0"

    FORMAT, OPENED = "JPEG", JpegImagePlugin.JpegImageFile
    LARGEST_SIDE = 65500  # libjpeg's

    @property
    def options(self) -> dict[str, Any]:
        """The options of its writer."""
        return {"quality": self.quality, "subsampling": self.chroma}
