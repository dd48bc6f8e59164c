"""bfloat16 bit patterns: the ends of a quantisation's ranges on the link. NumPy has no such type.

May import: nothing of adaedge.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def to_bfloat16(values: npt.NDArray[np.float32], *, up: bool) -> npt.NDArray[np.uint16]:
    """Bit patterns of the nearest bfloat16 that is not below (``up``) or not above the value.

    A bfloat16 is the upper half of a float32: cutting the lower half moves towards zero, so the result is moved one
    step away from zero where that is the wrong way.
    """
    pattern = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    cut = pattern >> np.uint32(16)
    inexact = (pattern & np.uint32(0xFFFF)) != 0
    away = inexact & (np.signbit(values) != up)
    pattern16: npt.NDArray[np.uint16] = (cut + away).astype(np.uint16)
    return pattern16


def from_bfloat16(pattern: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The float32 values of bfloat16 bit patterns."""
    return (pattern.astype(np.uint32) << np.uint32(16)).view(np.float32)
