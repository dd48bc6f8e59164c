"""Frames of a video file, a camera or a folder of images.

May import: ``errors``, ``clip``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from adaedge.clip import Frame, decode
from adaedge.errors import SourceError

IMAGES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_DEVICES = "/dev/video"


def frames(source: str | Path | int) -> Iterator[Frame]:
    """The frames of a source, one after another, as uint8 (H, W, 3) in RGB.

    Args:
        source: a video file; a folder of images, in the order of their names; or a camera, as its number or its
            device (``0``, ``"/dev/video0"``).

    Yields:
        One frame. A source that breaks off in the middle yields what it had before it raises, so nothing is lost.
        (Where a container does not say how many frames it holds, a missing end cannot be told from the end.)

    Raises:
        SourceError: at the first frame if the source does not exist, cannot be decoded or holds no frames; later if it
            breaks off.
    """
    text = str(source)
    if text.isdigit():
        return decode(f"{_DEVICES}{text}", "v4l2")
    if text.startswith(_DEVICES):
        return decode(text, "v4l2")
    path = Path(text)
    if not path.exists():
        raise SourceError(f"there is no {path}. Name a video file, a folder of images, or a camera by its number.")
    return _images(path) if path.is_dir() else decode(text)


def _images(folder: Path) -> Iterator[Frame]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    if not paths:
        raise SourceError(f"{folder} holds no images ({', '.join(sorted(IMAGES))})")
    for path in paths:
        try:
            with Image.open(path) as image:
                yield np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
            raise SourceError(f"{path} is not an image that decodes: {error}. Remove or repair it.") from error
