"""What is compared of two frames, in one pass over each: in C (`_looks.c`), or in NumPy where that was not built.

May import: the extension ``_looks``.

Between two frames a network has run, so neither the frame nor NumPy is in the processor's caches: what NumPy does in
thirty calls takes a twentieth of a small network's time, though little is computed.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

compiled: ModuleType | None
try:
    compiled = import_module("adaedge.stream._looks")
except ImportError:  # it is optional, and nobody compiled it here
    compiled = None

BLOCK = 4
"""Sides of a block, in looked-at pixels: 20 of 360 rows."""
_WEIGHTS = np.array([[[77]], [[150]], [[29]]], np.uint16)  # of red, green and blue in luma, in 256ths (ITU-R BT.601)


class Plain:
    """The same integers in NumPy."""

    @staticmethod
    def luma(frame: Bytes, step: int, made: Bytes) -> None:
        """The luma of every so-manieth pixel of every so-manieth row.

        Args:
            frame: uint8 (H, W, 3).
            step: how far apart they are.
            made: uint8, as large or larger, filled in: beyond, its last row and column are repeated.
        """
        red, green, blue = frame[::step, ::step].transpose(2, 0, 1).copy() * _WEIGHTS
        found = (red + green + blue >> 8).astype(np.uint8)
        height, width = found.shape
        made[:height, :width] = found
        made[height:, :width] = found[-1]
        made[:, width:] = made[:, width - 1 : width]

    @staticmethod
    def halves(luma: Bytes) -> tuple[int, int, int, int, int]:
        """The median, and how many values are up to it, and their sum; how many are above it, and their sum."""
        counts = np.bincount(luma.reshape(-1), minlength=256)
        middle = _middle(counts)
        sums = counts * np.arange(256)
        halves = slice(middle + 1), slice(middle + 1, None)
        (dark, below), (bright, above) = ((int(counts[half].sum()), int(sums[half].sum())) for half in halves)
        return middle, dark, below, bright, above

    @staticmethod
    def raised(before: Bytes, after: Bytes, middle: int) -> tuple[int, int]:
        """How much most pixels rose, of those that were up to a value, and of those above it: two medians."""
        by, bright = after.astype(np.int16) - before, before > middle
        dark, light = (_middle(np.bincount(by[half] + 255, minlength=511)) - 255 for half in (~bright, bright))
        return dark, light

    @staticmethod
    def apart(before: Bytes, after: Bytes, lit: Bytes, largest: Bytes) -> int:
        """The median difference of two frames' luma.

        Args:
            before: uint8 (height, width), whole blocks.
            after: the same of the later frame.
            lit: uint8 (256,), what each value of the later frame counts as.
            largest: uint8 (height / ``BLOCK``, width / ``BLOCK``), filled in: each block's largest difference.
        """
        after = lit[after]
        by = np.maximum(before, after) - np.minimum(before, after)
        rows, columns = largest.shape
        np.copyto(largest, by.reshape(rows, BLOCK, columns, BLOCK).max(axis=(1, 3)))
        return _middle(np.bincount(by.reshape(-1), minlength=256))

    @staticmethod
    def lit(gain: float, offset: float, made: Bytes) -> None:
        """What each value of a frame counts as, by gain and offset: uint8 (256,), filled in."""
        np.copyto(made, np.clip(np.rint(gain * np.arange(256) + offset), 0, 255), casting="unsafe")

    @staticmethod
    def moved(largest: Bytes, still: float, most: int) -> int:
        """The sum of the blocks' differences, of those that are above ``still``, each counted as ``most`` at most."""
        return int(np.minimum(largest[largest > still], most).sum(dtype=np.int64))


def _middle(counts: npt.NDArray[np.intp]) -> int:
    """The first value up to which half of all are, or more."""
    return int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


LOOKS: Any = compiled or Plain
AS_IT_IS = np.arange(256, dtype=np.uint8)
"""Where each value counts as itself."""
