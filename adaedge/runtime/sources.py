"""Frames of a video file, a camera or a folder of images.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from adaedge.errors import SourceError

Frame = npt.NDArray[np.uint8]
IMAGES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_DEVICES = "/dev/video"
_WAY_OUT = {
    None: "Does a player show it? Copy it again, or convert it to H.264 in MP4.",
    "v4l2": "Is the camera connected, free, and readable by this user?",
}


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
        return _decoded(f"{_DEVICES}{text}", "v4l2")
    if text.startswith(_DEVICES):
        return _decoded(text, "v4l2")
    path = Path(text)
    if not path.exists():
        raise SourceError(f"there is no {path}. Name a video file, a folder of images, or a camera by its number.")
    return _images(path) if path.is_dir() else _decoded(text, None)


def _decoded(name: str, demuxer: str | None) -> Iterator[Frame]:
    import av  # 0.15 s and 17 MB that a terminal without a video never pays

    count = 0
    try:
        with av.open(name, format=demuxer) as container:
            if not container.streams.video:
                raise SourceError(f"{name} holds no video. Name a file with a video in it.")
            stream: Any = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                yield frame.to_ndarray(format="rgb24")
                count += 1
            _refuse_short(name, count, stream.frames)
    except (av.FFmpegError, OSError, ValueError) as error:
        if count:
            raise SourceError(
                f"{name} breaks off after {count} frames: {error}. What came before it was used."
            ) from error
        raise SourceError(f"{name} does not decode: {error}. {_WAY_OUT[demuxer]}") from error
    if not count:
        raise SourceError(f"{name} holds no frame that decodes. {_WAY_OUT[demuxer]}")


def _refuse_short(name: str, count: int, announced: int) -> None:
    # An edit list may hide a few frames that the container counts.
    if 0 < count < 0.98 * announced - 2:
        raise SourceError(f"{name} breaks off after {count} of {announced} frames. What came before it was used.")


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
