"""Bilinear interpolation of maps, as PyTorch's ``interpolate``, in NumPy.

May import: nothing of adaedge.
"""

from __future__ import annotations

import numpy as np

from adaedge.arrays import Array


def bilinear(maps: Array, size: tuple[int, int], *, aligned: bool) -> Array:
    """Maps at another size.

    Args:
        maps: float32 (…, h, w).
        size: (H, W) of the result.
        aligned: whether the centres of the corners fall on each other; otherwise the borders do.

    Example:
        >>> row = np.array([[0.0, 1.0]], np.float32)
        >>> bilinear(row, (1, 3), aligned=True).tolist(), bilinear(row, (1, 4), aligned=False).tolist()
        ([[0.0, 0.5, 1.0]], [[0.0, 0.25, 0.75, 1.0]])
    """
    low, high, weight = _places(maps.shape[-2], size[0], aligned)
    maps = _between(maps[..., low, :], maps[..., high, :], weight[:, None])
    low, high, weight = _places(maps.shape[-1], size[1], aligned)
    return _between(maps[..., low], maps[..., high], weight)


def _places(length: int, wanted: int, aligned: bool) -> tuple[Array, Array, Array]:
    """For each wanted position the positions before and after it, and the weight of the latter."""
    if aligned:
        at = np.arange(wanted) * ((length - 1) / max(1, wanted - 1))
    else:
        at = np.maximum((np.arange(wanted) + 0.5) * (length / wanted) - 0.5, 0)
    low = np.minimum(at.astype(np.int64), length - 1)
    return low, np.minimum(low + 1, length - 1), (at - low).astype(np.float32)


def _between(low: Array, high: Array, weight: Array) -> Array:
    between: Array = low + (high - low) * weight
    return between
