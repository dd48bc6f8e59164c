"""The type of an array of any kind and shape, which every part speaks of, and how alike two of them are.

May import: nothing of adaedge. What an array's axes and its dtype are is said where it is taken or returned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def cosine(one: Array, other: Array) -> float:
    """The cosine of the angle between two arrays, taken as vectors; 1 for two that are 0 throughout.

    Example:
        >>> cosine(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
        0.96
    """
    a, b = one.astype(np.float64).reshape(-1), other.astype(np.float64).reshape(-1)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else float(np.array_equal(a, b))
