"""A frame of any size → the pixels that the model takes: resize, then crop the centre.

May import: of this part ``preprocessing``. The geometry is that of timm's evaluation transform, pixel for pixel.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaedge.bundle.preprocessing import INTERPOLATIONS, Preprocessing
from adaedge.errors import SourceError

_FILTERS = {name: Image.Resampling[name.upper()] for name in INTERPOLATIONS}


def prepare(frame: npt.NDArray[Any], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """The short side resized to ``size / crop``, the centre cropped.

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
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise SourceError(f"a frame is uint8 (height, width, 3); got {frame.dtype} {frame.shape}")
    height, width = preprocessing.size
    size = _resized(frame.shape[:2], preprocessing)
    image = Image.fromarray(np.ascontiguousarray(frame))
    if (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), _FILTERS[preprocessing.interpolation])
    # Python's rounding, half to even, as torchvision's CenterCrop. No side is smaller than the crop.
    top, left = round((size[0] - height) / 2), round((size[1] - width) / 2)
    return np.array(image.crop((left, top, left + width, top + height)))[None]


def inputs_of(sample: Any, preprocessing: Preprocessing | None) -> tuple[npt.NDArray[Any], ...]:
    """A sample as the model's inputs: a frame of any size is prepared, a tuple of arrays is taken as it is.

    Raises:
        SourceError: if the model takes images, and it is neither a frame nor a tuple.
    """
    if isinstance(sample, tuple | list):
        return tuple(np.asarray(array) for array in sample)
    array = np.asarray(sample)
    return (array,) if preprocessing is None else (prepare(array, preprocessing),)


def _resized(frame: tuple[int, ...], preprocessing: Preprocessing) -> tuple[int, int]:
    """(height, width) after resizing; the aspect ratio is kept, and the crop fits in.

    Both formulas are those of timm's ``transforms_imagenet_eval``, which takes torchvision's ``Resize`` for a square
    and its own ``ResizeKeepRatio`` for the rest; they truncate and round respectively.
    """
    height, width = (math.floor(side / preprocessing.crop) for side in preprocessing.size)
    if height == width:
        short, long = sorted(frame)
        other = int(height * long / short)
        return (height, other) if frame[0] <= frame[1] else (other, height)
    ratio = min(frame[0] / height, frame[1] / width)
    return round(frame[0] / ratio), round(frame[1] / ratio)
