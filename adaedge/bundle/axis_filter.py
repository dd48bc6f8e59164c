"""AxisFilter: one axis of a picture resized in one pass, in C (`_axis_filter.c`), or in NumPy where that is not built.

May import: the extension ``_axis_filter``.

A pixel of the result is the weighted mean of those around its centre. Where an axis shrinks, the filter widens with it,
so that nothing is skipped; at the picture's edges it is cut off, and its weights still sum to 1: this is Pillow's way,
and its levels come out but for the rounding. Weights have 14 bits, so all is in integers: every machine makes the same
bytes.

Sources: R. G. Keys, Cubic Convolution Interpolation for Digital Image Processing, IEEE TASSP 1981 (a = -1/2);
C. E. Duchon, Lanczos Filtering in One and Two Dimensions, J. Appl. Meteorology 1979; Pillow's concepts, "Filters".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

compiled: ModuleType | None
try:
    compiled = import_module("adaedge.bundle._axis_filter")
except ImportError:  # it is optional, and nobody compiled it here
    compiled = None

_ONE_BITS = 14


def _triangle(x: Values) -> Values:
    return np.maximum(0.0, 1 - abs(x))


def _cubic(x: Values) -> Values:
    x = abs(x)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0.0))


def _lanczos(x: Values) -> Values:
    return np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


FILTERS: dict[str, tuple[float, Callable[[Values], Values]]] = {
    "bilinear": (1.0, _triangle),
    "bicubic": (2.0, _cubic),
    "lanczos": (3.0, _lanczos),
}
"""Name → how far it reaches, in pixels of the smaller of the two sizes, and what a pixel weighs at a distance."""


class Plain:
    """The same integers in NumPy."""

    @staticmethod
    def rows(pixels: Bytes, first: npt.NDArray[np.int32], weights: npt.NDArray[np.int16], made: Bytes) -> None:
        """Each row of the result from some rows of the picture.

        Args:
            pixels: uint8 (length, across, 3), whole pixels beside each other.
            first: int32 (rows,), the first row that each is made of.
            weights: int16 (rows, taps), what that one and the next ones weigh, 2**14 in sum.
            made: uint8 (rows, across, 3), filled in.
        """
        sums = np.full(made.shape, 1 << (_ONE_BITS - 1), np.int32)
        for tap, weight in enumerate(weights.T.astype(np.int32)):
            sums += weight[:, None, None] * pixels[first + tap]
        np.copyto(made, np.clip(sums >> _ONE_BITS, 0, 255), casting="unsafe")

    @staticmethod
    def columns(pixels: Bytes, first: npt.NDArray[np.int32], weights: npt.NDArray[np.int16], made: Bytes) -> None:
        """The same of the second axis: ``pixels`` (height, length, 3), ``made`` (height, columns, 3)."""
        Plain.rows(pixels.transpose(1, 0, 2), first, weights, made.transpose(1, 0, 2))


PASSES: Any = compiled or Plain


@dataclass(frozen=True, slots=True)
class AxisFilter:
    """Makes the kept pixels of an axis.

    Attributes:
        begin: the first pixel of the axis that is read.
        end: the one after the last.
        first: int32 (kept,), the first that each is made of, counted from ``begin``.
        weights: int16 (kept, taps), what that one and the next ones weigh, 2**14 in sum.
    """

    begin: int
    end: int
    first: npt.NDArray[np.int32]
    weights: npt.NDArray[np.int16]

    def rows(self, pixels: Bytes) -> Bytes:
        """Resize the first axis: uint8 (``end - begin``, across, 3), contiguous, to (kept, across, 3).

        Example:
            >>> halves = filter_of(4, 2, 0, 2, "bilinear")
            >>> halves.rows(np.repeat(np.uint8([0, 0, 200, 200]), 3).reshape(4, 1, 3))[:, 0, 0].tolist()
            [25, 175]
        """
        made = np.empty((len(self.first), *pixels.shape[1:]), np.uint8)
        PASSES.rows(pixels, self.first, self.weights, made)
        return made

    def columns(self, pixels: Bytes) -> Bytes:
        """Resize the second axis: uint8 (height, ``end - begin``, 3) to (height, kept, 3)."""
        made = np.empty((len(pixels), len(self.first), 3), np.uint8)
        PASSES.columns(pixels, self.first, self.weights, made)
        return made


def filter_of(length: int, resized: int, begin: int, end: int, name: str) -> AxisFilter:
    """The filter of an axis of which a part is kept.

    Args:
        length: pixels of the axis.
        resized: pixels that all of it would become.
        begin: the first of those that is kept.
        end: the one after the last.
        name: one of ``FILTERS``.
    """
    reach, weigh = FILTERS[name]
    scale = length / resized
    widened = max(1.0, scale)
    centres = (np.arange(begin, end) + 0.5) * scale
    taps = min(length, 2 * math.ceil(reach * widened) + 1)
    first = np.clip(np.floor(centres - reach * widened + 0.5), 0, length - taps).astype(np.intp)
    at = first[:, None] + np.arange(taps)
    exact = weigh((at + 0.5 - centres[:, None]) / widened)
    weights = _rounded(exact / exact.sum(1, keepdims=True))
    used = np.flatnonzero(weights.any(0))
    first, weights = first + used[0], weights[:, used[0] : used[-1] + 1]
    read = int(first.min()), int(first.max()) + weights.shape[1]
    return AxisFilter(*read, (first - read[0]).astype(np.int32), np.ascontiguousarray(weights))


def _rounded(weights: Values) -> npt.NDArray[np.int16]:
    """To 14 bits; the largest takes what rounding leaves, so that an even picture stays as it is."""
    one = 1 << _ONE_BITS
    rounded = np.rint(weights * one).astype(np.int16)
    rows = np.arange(len(rounded))
    rounded[rows, rounded.argmax(1)] += (one - rounded.sum(1)).astype(np.int16)
    return rounded
