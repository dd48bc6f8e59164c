"""Random inputs of a graph.

May import: ``engine``; of this part ``entries``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from adaedge.arrays import Array
from adaedge.bundle.entries import TensorSpec
from adaedge.engine import Arrays


def random_inputs(specs: Sequence[TensorSpec], seed: int) -> list[Arrays]:
    """Two samples of inputs, for a graph whose arithmetic matters and not its answer.

    Example:
        >>> [array.shape for array in random_inputs([TensorSpec("x", "float32", (1, 8))], seed=0)[1]]
        [(1, 8)]
    """
    values = np.random.default_rng(seed)
    return [tuple(_random(spec, values) for spec in specs) for _ in range(2)]


def _random(spec: TensorSpec, values: np.random.Generator) -> Array:
    """A frame is smooth, so that a JPEG of it is like one of a photograph; an index or mask is 1, which always fits."""
    if spec.dtype == "uint8" and len(spec.shape) in (4, 5) and spec.shape[-1] == 3:
        size = (spec.shape[-2], spec.shape[-3])
        small = values.integers(256, size=(math.prod(spec.shape[:-3]), 14, 14, 3), dtype=np.uint8)
        return np.stack([np.asarray(Image.fromarray(image).resize(size)) for image in small]).reshape(spec.shape)
    if np.issubdtype(np.dtype(spec.dtype), np.floating):
        return values.standard_normal(spec.shape).astype(spec.dtype)
    return np.ones(spec.shape, spec.dtype)
