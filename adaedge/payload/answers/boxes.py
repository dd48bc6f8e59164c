"""Boxes, scores and labels of what was found, in a few bytes each.

May import: ``errors``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.message import Segment, TensorHeader

Arrays = tuple[Array, ...]
Encoded = tuple[tuple[TensorHeader, ...], Segment]

_START = struct.Struct("<bB")  # the step's power of two, the bytes of a label
_COUNT = struct.Struct("<H")
_CORNER, _SCORE = np.dtype("<i2"), np.dtype("<f2")
_LABELS: dict[int, np.dtype[Any]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}
_LARGEST = 2**15 - 1
_FINEST, _COARSEST = -24, 64
_FILL = -1
_KINDS = [("float32", 3), ("float32", 2), ("int32", 2)]


@final
@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes float32 (N, M, 4), scores float32 (N, M) and labels int32 (N, M); rows of label −1 hold none.

    Corners are whole steps: of all corners of an answer the largest takes 15 bits, so that they are off by at most
    1/65,536 of it, rounded up to a power of two: 1/128 pixel in a frame of 320. One that is not finite is 0. Scores are
    float16. A segment is the
    step's power of two (int8) and the bytes of a label (1, 2 or 4), then of each frame how many boxes it has (uint16),
    their corners (int16), scores, and labels: 11 bytes a box of up to 256 classes.

    Example:
        >>> codec = Boxes()
        >>> box, score, label = np.array([[[1.0, 2.0, 30.0, 40.3]]]), np.array([[0.75]]), np.array([[3]])
        >>> headers, segment = codec.encode(codec.reduce([box, score, label]))
        >>> len(segment), [one.tolist() for one in codec.decoder(headers)(segment)]
        (15, [[[[1.0, 2.0, 30.0, 40.30078125]]], [[0.75]], [[3]]])
    """

    @property
    def name(self) -> str:
        """The codec's name, ``boxes``."""
        return "boxes"

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """The same in whole steps, what was found first, in the order that it had.

        Raises:
            CodecError: if they are no boxes, scores and labels.
        """
        if not _are_boxes(outputs):
            got = ", ".join(f"{one.dtype} {one.shape}" for one in outputs)
            raise CodecError(
                f"boxes takes boxes (N, M, 4), scores (N, M) and integer labels (N, M); got {got}. Build a detector"
                " with its `postprocessing`, let the model return these three, or use raw."
            )
        boxes, scores, labels = outputs
        order = np.argsort(labels < 0, axis=1, kind="stable")
        boxes, scores, labels = (_taken(one, order) for one in (boxes, scores, labels))
        empty = labels < 0
        corners = np.where(empty[..., None] | ~np.isfinite(boxes), 0, boxes).astype(np.float32)
        step = np.float32(2.0 ** _power(corners))
        with np.errstate(over="ignore"):
            halved = np.where(empty, _FILL, scores).astype(np.float16).astype(np.float32)
        whole = np.clip(np.rint(corners / step), -_LARGEST, _LARGEST) + np.float32(0)  # no -0
        return whole.astype(np.float32) * step, halved, np.where(empty, _FILL, labels).astype(np.int32)

    def encode(self, answer: Sequence[Array]) -> Encoded:
        """Headers and the segment.

        Raises:
            CodecError: if it is no answer that ``reduce`` makes.
        """
        if [(one.dtype.name, one.ndim) for one in answer] != _KINDS or not _are_boxes(answer):
            got = ", ".join(f"{one.dtype} {one.shape}" for one in answer)
            raise CodecError(
                f"boxes writes float32 (N, M, 4), float32 (N, M) and int32 (N, M); got {got}. Reduce the outputs first."
            )
        boxes, scores, labels = answer
        power = _power(boxes)
        width = next(width for width, dtype in _LABELS.items() if labels.max(initial=0) < 256**width)
        parts = [_START.pack(power, width)]
        for at, count in enumerate((labels >= 0).sum(axis=1)):
            corners = np.rint(boxes[at, :count] / np.float32(2.0**power)).astype(_CORNER)
            parts += [_COUNT.pack(count), corners.tobytes(), scores[at, :count].astype(_SCORE).tobytes()]
            parts.append(labels[at, :count].astype(_LABELS[width]).tobytes())
        return tuple(TensorHeader(one.dtype.name, one.shape) for one in answer), b"".join(parts)

    def decoder(self, headers: Sequence[TensorHeader]) -> Callable[[Segment], Arrays]:
        """What makes boxes, scores and labels of their bytes."""
        frames, most = headers[1].shape

        def decode(segment: Segment) -> Arrays:
            boxes = np.zeros((frames, most, 4), np.float32)
            scores, labels = np.full((frames, most), _FILL, np.float32), np.full((frames, most), _FILL, np.int32)
            start, rest = _cut(memoryview(segment), _START.size)
            power, width = _START.unpack(start)
            if width not in _LABELS or not _FINEST <= power <= _COARSEST:
                raise PayloadError(f"corrupted payload: boxes in steps of 2**{power}, labels of {width} bytes")
            for at in range(frames):
                part, rest = _cut(rest, _COUNT.size)
                (count,) = _COUNT.unpack(part)
                if count > most:
                    raise PayloadError(f"corrupted payload: {count} boxes, where {most} are the most")
                part, rest = _cut(rest, 4 * count * _CORNER.itemsize)
                boxes[at, :count] = np.frombuffer(part, _CORNER).reshape(-1, 4) * np.float32(2.0**power)
                part, rest = _cut(rest, count * _SCORE.itemsize)
                scores[at, :count] = np.frombuffer(part, _SCORE)
                part, rest = _cut(rest, count * width)
                labels[at, :count] = _labels(np.frombuffer(part, _LABELS[width]))
            if len(rest):
                raise PayloadError(f"corrupted payload: {len(rest)} bytes follow its answer")
            return boxes, scores, labels

        return decode


def _are_boxes(outputs: Sequence[Array]) -> bool:
    if len(outputs) != 3:
        return False
    boxes, scores, labels = outputs
    floating = all(np.issubdtype(one.dtype, np.floating) for one in (boxes, scores))
    shapes = scores.ndim == 2 and boxes.shape == (*scores.shape, 4) and labels.shape == scores.shape
    return bool(floating and shapes and labels.dtype.kind in "iu" and scores.shape[1] < 2**16)


def _taken(values: Array, order: Array) -> Array:
    """The rows of each frame in this order."""
    return np.take_along_axis(values, order[..., None] if values.ndim == 3 else order, axis=1)


def _power(corners: Array) -> int:
    """The power of two that a step is, so that the largest corner takes 15 bits."""
    largest = float(np.abs(corners).max(initial=0.0))
    power = math.frexp(largest / _LARGEST)[1] if largest else _FINEST
    if largest and largest <= _LARGEST * 2.0 ** (power - 1):  # exactly a power of two: it fits as well
        power -= 1
    return min(max(power, _FINEST), _COARSEST)


def _labels(values: Array) -> Array:
    if values.size and values.max() >= 2**31:
        raise PayloadError(f"corrupted payload: {values.max()} is no index of a class")
    return values.astype(np.int32)


def _cut(rest: memoryview, length: int) -> tuple[memoryview, memoryview]:
    if len(rest) < length:
        raise PayloadError(f"truncated payload: boxes take {length} bytes where {len(rest)} are left")
    return rest[:length], rest[length:]
