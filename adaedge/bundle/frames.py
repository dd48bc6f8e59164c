"""A frame of any size → the pixels that the model takes: the centre of the resized frame.

May import: ``errors``, ``clip``; of this part ``axis_filter`` and ``preprocessing``. The geometry is that of timm's
evaluation transform, which resizes the frame and then crops its centre. Here only what the crop keeps is computed, the
columns first. Pixels differ from timm's by at most 2 of 255 levels; nearest neighbours are the same. (For frames three
times as tall as wide they differ by more: Pillow resizes their rows first from version 13 on, and clips what overshoots
between the two passes.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaedge.bundle.axis_filter import AxisFilter, filter_of
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.clip import as_clip, check_frame
from adaedge.errors import SourceError


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
    whole = _WHOLE.get(preprocessing.interpolation)
    if whole is not None:
        return whole(frame, _resized(frame.shape[:2], preprocessing), preprocessing.size)[None]
    rows, columns = _filters(frame.shape[:2], preprocessing)
    part = frame[rows.begin : rows.end, columns.begin : columns.end]
    return rows.rows(columns.columns(part))[None]


@lru_cache(maxsize=64)
def _filters(frame: tuple[int, int], preprocessing: Preprocessing) -> tuple[AxisFilter, AxisFilter]:
    """Those of rows and columns that make the crop of a frame of this height and width."""
    rows, columns = (
        filter_of(length, resized, _first(resized, crop), _first(resized, crop) + crop, preprocessing.interpolation)
        for length, resized, crop in zip(frame, _resized(frame, preprocessing), preprocessing.size, strict=True)
    )
    return rows, columns


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


_WHOLE: dict[str, Callable[[Any, tuple[int, int], tuple[int, int]], npt.NDArray[np.uint8]]] = {
    "nearest": _nearest,
    "bilinear-sampled": _sampled,
}
"""Interpolations that are no filter."""


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
