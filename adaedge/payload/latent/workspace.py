"""Arrays that one frame after another is computed in.

May import: nothing of adaedge.

A frame's intermediate results are as large as its features. Taken anew and given back for each frame, their memory may
return to the system every time, and be mapped anew page by page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array

_LARGEST_KEPT = 2**22
"""Bytes. What is larger is of a batch, or of what a payload says is one: it is not worth holding."""


@final
class Workspace(threading.local):
    """Named arrays of each thread's own; what is in one when it is asked for is not defined.

    Example:
        >>> workspace = Workspace()
        >>> first = workspace.array("sums", (2, 3), np.float64)
        >>> workspace.array("sums", (2, 3), np.float64) is first
        True
        >>> workspace.array("sums", (4, 3), np.float64).shape
        (4, 3)
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[Any, ...], Array]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """The array of this name, another one where shape or type changed."""
        return self._kept(name, (shape, dtype), lambda: np.empty(shape, dtype))

    def like(self, name: str, array: Array, dtype: npt.DTypeLike) -> Array:
        """The array of this name, shaped and laid out in memory as another is."""
        return self._kept(name, (array.shape, array.strides, dtype), lambda: np.empty_like(array, dtype))

    def _kept(self, name: str, kind: tuple[Any, ...], make: Callable[[], Array]) -> Array:
        held = self._held.get(name)
        if held is None or held[0] != kind:
            made = make()
            if made.nbytes > _LARGEST_KEPT:
                return made
            held = self._held[name] = kind, made
        return held[1]
