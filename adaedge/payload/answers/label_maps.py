"""Label maps ⇄ bytes: from a coarse grid to a fine one, each label by the labels around it.

May import: ``errors``, ``payload.entropy``.

A map is written in grids of halving step s, from half the power of two that covers it down to 1. Of each step first
the points whose row and column are both odd multiples of s, which lie between four known corners; then those of an even
row, and those of an even column, which have a known label on each side (a side beyond the border is mirrored). So all
labels around a point are known before it, and a whole grid is coded at once. The symbol of a label is 0 where none of
the four around has it, then its place among those that differ; the table is chosen by which of the four are equal.
A label is six times as probable for each more of the four that has it. Frequencies that follow the map were tried: they
hardly shorten the maps of a segmenter.

A segment, little-endian:

    1            version of this format, 1
    2            P, number of labels that occur
    P labels     they, ascending, in the map's type
    …            words of the entropy coder, uint32 each: nothing where P is 1

The first point of each map, and each label of symbol 0, is an index into the P labels, every one as probable.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.entropy import FrequencyTables, Stack
from adaedge.payload.message import Segment

VERSION = 1
MOST_LABELS = 2**16 - 1
_START = struct.Struct("<BH")
_WORD_BYTES = 4
_VOTE = 6
"""How many times as probable a label is for each more of the four that has it, starting from none."""


def _patterns() -> list[tuple[int, ...]]:
    """Which of four labels can be equal: each one's place among those that differ, in the order in which they come."""
    every = itertools.product(range(4), repeat=4)
    return [places for places in every if all(places[at] <= max((-1, *places[:at])) + 1 for at in range(4))]


def _weights(places: tuple[int, ...]) -> list[int]:
    return [1, *(_VOTE ** places.count(place) if place in places else 0 for place in range(4))]


_PATTERNS = _patterns()
_TABLES = FrequencyTables.near(np.array([_weights(places) for places in _PATTERNS]))
_TABLE_OF = np.zeros((4, 4, 4), np.uint8)  # the first label's place is always 0
_TABLE_OF[tuple(np.array(_PATTERNS)[:, 1:].T)] = np.arange(len(_PATTERNS))


@dataclass(frozen=True, slots=True)
class _Part:
    """Points of one grid that are coded at once.

    Attributes:
        step: of the grid.
        rows: where they lie, (h,).
        columns: where they lie, (w,).
        diagonal: whether the known labels are at the corners, or at the sides.
    """

    step: int
    rows: Array
    columns: Array
    diagonal: bool

    def read(self, maps: Array) -> Array:
        """Labels (N, h, w) at the points."""
        return maps[:, self.rows[:, None], self.columns]

    def write(self, maps: Array, labels: Array) -> None:
        """Put labels at the points."""
        maps[:, self.rows[:, None], self.columns] = labels.reshape(len(maps), len(self.rows), len(self.columns))

    def around(self, maps: Array) -> list[Array]:
        """The four known labels of each point, each (points,)."""
        height, width = maps.shape[1:]
        above, below = _beside(self.rows, self.step, height)
        left, right = _beside(self.columns, self.step, width)
        if self.diagonal:
            places = [(above, left), (above, right), (below, left), (below, right)]
        else:
            places = [(above, self.columns), (below, self.columns), (self.rows, left), (self.rows, right)]
        return [maps[:, rows[:, None], columns].reshape(-1) for rows, columns in places]


def _beside(at: Array, step: int, length: int) -> tuple[Array, Array]:
    """Positions one step before and after, mirrored at the border; where there is neither, the position itself."""
    before, after = at - step, at + step
    first = np.where(before >= 0, before, np.where(after < length, after, at))
    return first, np.where(after < length, after, first)


def _parts(height: int, width: int) -> Iterator[_Part]:
    """All points but the first, coarse grids first."""
    step = 1 << (max(height, width) - 1).bit_length()
    while step := step // 2:
        rows, columns = ((np.arange(0, n, 2 * step), np.arange(step, n, 2 * step)) for n in (height, width))
        for down, across, diagonal in (
            (rows[1], columns[1], True),
            (rows[0], columns[1], False),
            (rows[1], columns[0], False),
        ):
            if down.size and across.size:
                yield _Part(step, down, across, diagonal)


@dataclass(frozen=True, slots=True)
class _Context:
    """What is known of each of some points.

    Attributes:
        around: the four labels around, each (points,).
        places: of each of them its place among those that differ, each (points,).
        tables: index of the table, (points,).
    """

    around: list[Array]
    places: list[Array]
    tables: Array

    @classmethod
    def of(cls, part: _Part, known: Array) -> _Context:
        """The contexts of a part's points."""
        around = part.around(known)
        highest = np.zeros(around[0].shape, np.uint8)
        places = [highest]
        for at in range(1, len(around)):
            place = highest + np.uint8(1)
            for other in reversed(range(at)):
                place = np.where(around[at] == around[other], places[other], place)
            highest = np.maximum(highest, place)
            places.append(place)
        return cls(around, places, _TABLE_OF[places[1], places[2], places[3]])

    def symbols(self, labels: Array) -> Array:
        """What stands for these labels."""
        found = np.zeros(labels.shape, np.uint8)
        for label, place in zip(self.around, self.places, strict=True):
            found = np.where(labels == label, place + 1, found)
        return found

    def labels(self, symbols: Array, new: Array) -> Array:
        """What these symbols stand for; ``new`` are the labels of those of symbol 0, in their order."""
        found = np.zeros(symbols.shape, np.uint16)
        for label, place in zip(self.around, self.places, strict=True):
            found = np.where(symbols == place + 1, label, found)
        found[symbols == 0] = new
        return found


def encode(maps: Array) -> bytes:
    """The bytes of label maps.

    Args:
        maps: integers (N, H, W), at least one.

    Raises:
        CodecError: if more than 65,535 labels occur.
    """
    labels, indices = np.unique(maps, return_inverse=True)
    if len(labels) > MOST_LABELS:
        raise CodecError(f"a label map holds at most {MOST_LABELS} labels; {len(labels)} occur. Use raw+zstd.")
    start = _START.pack(VERSION, len(labels)) + labels.astype(labels.dtype.newbyteorder("<")).tobytes()
    if len(labels) == 1:
        return start
    stack = Stack()
    for symbols, rows, tables in reversed(
        _coded(indices.reshape(maps.shape).astype(np.uint16), len(labels))
    ):  # the last is pushed first
        stack.push(symbols, rows, tables)
    return start + stack.words().astype("<u4").tobytes()


def _coded(maps: Array, labels: int) -> list[tuple[Array, Array, FrequencyTables]]:
    """Symbols, rows and tables in the order in which a decoder wants them."""
    known, any_label = np.zeros_like(maps), _any_label(labels)
    known[:, 0, 0] = maps[:, 0, 0]
    coded = [(maps[:, 0, 0], np.zeros(len(maps), np.int64), any_label)]
    for part in _parts(*maps.shape[1:]):
        context, wanted = _Context.of(part, known), part.read(maps).reshape(-1)
        symbols = context.symbols(wanted)
        new = wanted[symbols == 0]
        coded += [(symbols, context.tables, _TABLES), (new, np.zeros(len(new), np.int64), any_label)]
        part.write(known, wanted)
    return coded


def decode(segment: Segment, dtype: str, shape: tuple[int, ...]) -> Array:
    """The label maps.

    Args:
        segment: what ``encode`` wrote.
        dtype: NumPy name of their type.
        shape: (N, H, W), each at least 1.

    Raises:
        PayloadError: if the segment is not what ``encode`` writes for such maps.
    """
    labels, words = _opened(segment, np.dtype(dtype))
    maps = np.zeros(shape, np.uint16)
    if len(labels) > 1:
        stack, any_label = Stack.of(words), _any_label(len(labels))
        maps[:, 0, 0] = stack.pop(np.zeros(len(maps), np.int64), any_label)
        for part in _parts(*shape[1:]):
            context = _Context.of(part, maps)
            symbols = stack.pop(context.tables, _TABLES)
            new = stack.pop(np.zeros(int((symbols == 0).sum()), np.int64), any_label)
            part.write(maps, context.labels(symbols, new))
        if not stack.is_empty():
            raise PayloadError("corrupted payload: its words are not those that its label map would be written in")
    return labels[maps]


def _opened(segment: Segment, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """The labels that occur, and the words.

    Raises:
        PayloadError: if it is of another version, or its lengths contradict each other.
    """
    if len(segment) < _START.size:
        raise PayloadError(f"truncated payload: a label map takes {_START.size} bytes or more; {len(segment)} came")
    version, count = _START.unpack_from(segment)
    if version != VERSION:
        raise PayloadError(
            f"a label map of format {version}; this adaedge reads {VERSION}. Install the same on both sides."
        )
    end = _START.size + count * dtype.itemsize
    left = len(segment) - end
    if left < 0 or left % _WORD_BYTES or not count or (count == 1 and left):
        raise PayloadError(
            f"corrupted payload: {count} labels and whole words of {_WORD_BYTES} bytes make a label map;"
            f" {len(segment)} bytes came"
        )
    labels = np.frombuffer(segment[_START.size : end], dtype.newbyteorder("<")).astype(dtype)
    if (labels[1:] <= labels[:-1]).any():
        raise PayloadError("corrupted payload: the labels of a label map are not in ascending order")
    return labels, np.frombuffer(segment[end:], "<u4").astype(np.uint32)


def _any_label(count: int) -> FrequencyTables:
    return FrequencyTables.near(np.ones((1, count), np.int64))
