"""A frame of any size → the pixels that the model takes: the centre of the resized frame.

May import: ``errors``, ``clip``; of this part ``preprocessing``. The geometry is that of timm's evaluation transform,
which resizes the frame and then crops its centre. Here only what the crop keeps is computed. Pixels differ from timm's
by at most 2 of 255 levels, for Pillow holds the corners of a part in single precision; nearest neighbours are the same.
(For frames three times as tall as wide they differ by more: Pillow resizes their rows first from version 13 on, and
clips what overshoots between the two passes.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaedge.bundle.preprocessing import INTERPOLATIONS, Preprocessing
from adaedge.clip import as_clip, check_frame
from adaedge.errors import SourceError

_SAMPLED = "bilinear-sampled"
_FILTERS = {name: Image.Resampling[name.upper()] for name in INTERPOLATIONS if name != _SAMPLED}
# Half the width of each filter, in pixels of the smaller of the two sizes.
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def prepare(frame: npt.NDArray[Any], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """The short side resized to ``size / crop``, the centre cropped; or both sides stretched to ``size``.

    Args:
        frame: uint8 (H, W, 3), any size.
        preprocessing: the geometry.

    Returns:
        uint8 (1, height, width, 3). Normalisation is the model's: a bundle's graphs hold it.

    Raises:
        SourceError: if it is not such a frame.

    Example:
        >>> prepare(np.zeros((480, 640, 3), np.uint8), Preprocessing(size=(224, 224))).shape
        (1, 224, 224, 3)
    """
    check_frame(frame)
    height, width = preprocessing.size
    size = _resized(frame.shape[:2], preprocessing)
    if preprocessing.interpolation == "nearest":
        return _nearest(frame, size, (height, width))[None]
    if preprocessing.interpolation == _SAMPLED:
        return _sampled(frame, size, (height, width))[None]
    support, kernel = _SUPPORT[preprocessing.interpolation], _FILTERS[preprocessing.interpolation]
    rows = _Axis.of(frame.shape[0], size[0], height, support)
    columns = _Axis.of(frame.shape[1], size[1], width, support)
    image = Image.fromarray(frame[rows.read, columns.read])
    # One axis after the other, so that the order, and with it the rounding between, is not Pillow's choice.
    image = image.resize((width, image.height), kernel, (columns.begin, 0, columns.end, image.height))
    return np.array(image.resize((width, height), kernel, (0, rows.begin, width, rows.end)))[None]


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a frame: what is read of it, and which part of that becomes the crop.

    Attributes:
        read: the pixels that the crop's filters see.
        begin: where the crop begins among them, in pixels.
        end: where it ends.
    """

    read: slice
    begin: float
    end: float

    @classmethod
    def of(cls, length: int, resized: int, crop: int, support: float) -> Self:
        """An axis of ``length`` pixels, resized to ``resized``, of which the middle ``crop`` are kept."""
        first, scale = _first(resized, crop), length / resized
        begin, end = first * scale, (first + crop) * scale
        # An axis that keeps its length is only cropped. A pixel more on each side covers the rounding.
        margin = 0.0 if length == resized else support * max(1.0, scale) + 1
        start, stop = max(0, math.floor(begin - margin)), min(length, math.ceil(end + margin))
        return cls(slice(start, stop), begin - start, end - start)


def _nearest(frame: npt.NDArray[Any], size: tuple[int, int], crop: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The whole frame resized, then cropped: quick, and a part would break ties between two neighbours otherwise."""
    image = Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.NEAREST)
    top, left = _first(size[0], crop[0]), _first(size[1], crop[1])
    return np.array(image.crop((left, top, left + crop[1], top + crop[0])))


def _sampled(frame: npt.NDArray[Any], size: tuple[int, int], crop: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Each pixel between the four of the frame that are nearest to its centre: ``interpolate`` of PyTorch, rounded."""
    (top, below, down), (left, right, across) = map(_between, frame.shape[:2], size, crop)
    rows, columns = slice(int(top[0]), int(below[-1]) + 1), slice(int(left[0]), int(right[-1]) + 1)
    part = frame[rows, columns].astype(np.float32)
    part = part[top - rows.start] * (1 - down[:, None, None]) + part[below - rows.start] * down[:, None, None]
    left, right = left - columns.start, right - columns.start
    part = part[:, left] * (1 - across[:, None]) + part[:, right] * across[:, None]
    return np.asarray(np.rint(part), np.uint8)


def _between(length: int, resized: int, crop: int) -> tuple[Any, Any, Any]:
    """Of each pixel of an axis that is kept: the two of the frame beside its centre, and how far the second is."""
    centres = (np.arange(crop) + _first(resized, crop) + 0.5) * (length / resized) - 0.5
    centres = np.clip(centres, 0, length - 1)
    before = np.floor(centres).astype(np.intp)
    return before, np.minimum(before + 1, length - 1), (centres - before).astype(np.float32)


def in_frame(boxes: npt.NDArray[Any], frame: tuple[int, ...], preprocessing: Preprocessing) -> npt.NDArray[Any]:
    """Boxes in the model's pixels as boxes in the frame's: what `prepare` did, undone.

    Args:
        boxes: (…, 4), x1, y1, x2, y2.
        frame: (H, W) of the frame, or its shape.
        preprocessing: the geometry.

    Example:
        >>> geometry = Preprocessing(size=(100, 100), crop=1.0)
        >>> in_frame(np.float32([0, 0, 50, 100]), (200, 400), geometry).tolist()
        [100.0, 0.0, 200.0, 200.0]
    """
    resized = _resized(frame[:2], preprocessing)
    first = np.array([_first(side, kept) for side, kept in zip(resized, preprocessing.size, strict=True)], np.float32)
    scale = np.array([side / other for side, other in zip(frame[:2], resized, strict=True)], np.float32)
    return np.asarray((boxes + np.tile(first[::-1], 2)) * np.tile(scale[::-1], 2))


def _first(resized: int, crop: int) -> int:
    """The first pixel that is kept. Python's rounding, half to even, as torchvision's CenterCrop."""
    return round((resized - crop) / 2)


def inputs_of(sample: Any, preprocessing: Preprocessing | None) -> tuple[npt.NDArray[Any], ...]:
    """A sample as the model's inputs: a frame of any size is prepared, a tuple of arrays is taken as it is.

    Where the model takes a window, a frame alone fills it; of a clip its last frames do: a `Clip`, or a list of frames,
    or an array of them.

    Raises:
        SourceError: if the model takes images, and it is neither a frame nor a tuple; if a clip is shorter than the
            window.
    """
    windows = preprocessing is not None and preprocessing.frames > 1
    if preprocessing is not None and windows and is_clip(sample):
        return (_window(sample, preprocessing),)
    if isinstance(sample, tuple | list):
        return tuple(np.asarray(array) for array in sample)
    array = np.asarray(sample)
    if preprocessing is None:
        return (array,)
    image = prepare(array, preprocessing)
    return (np.repeat(image[None], preprocessing.frames, axis=1) if windows else image,)


def is_clip(sample: Any) -> bool:
    """Whether a sample for a model that takes windows is a clip, and not one frame of it, nor its input."""
    return sample.ndim == 4 if isinstance(sample, np.ndarray) else not isinstance(sample, tuple)


def _window(sample: Any, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    frames = list(as_clip(sample))
    if len(frames) < preprocessing.span:
        raise SourceError(
            f"a clip of this model has at least {preprocessing.span} frames ({preprocessing.frames}, each"
            f" {preprocessing.stride} after the one before); got {len(frames)}"
        )
    chosen = frames[-preprocessing.span :: preprocessing.stride]
    return np.stack([prepare(frame, preprocessing) for frame in chosen], axis=1)


def _resized(frame: tuple[int, ...], preprocessing: Preprocessing) -> tuple[int, int]:
    """(height, width) after resizing; the aspect ratio is kept, and the crop fits in.

    Both formulas are those of timm's ``transforms_imagenet_eval``, which takes torchvision's ``Resize`` for a square
    and its own ``ResizeKeepRatio`` for the rest; they truncate and round respectively.
    """
    if preprocessing.fit == "stretch":
        return preprocessing.size
    height, width = [math.floor(side / preprocessing.crop) for side in preprocessing.size]
    if height == width:
        short, long = sorted(frame)
        other = int(height * long / short)
        return (height, other) if frame[0] <= frame[1] else (other, height)
    ratio = min(frame[0] / height, frame[1] / width)
    return round(frame[0] / ratio), round(frame[1] / ratio)
