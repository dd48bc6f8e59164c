"""Integer probability tables, and latents ⇄ words by a range coder.

May import: ``errors``.

Every latent belongs to a class of spread: its standard deviation is 2**(class / 4) steps. Each class has a table of
integers that add up to 2**16: how often each value up to about ten standard deviations occurs, and last the escape,
which is followed by the value itself in 16 bits. A decoder searches the table once for each latent: most are of low
classes, whose tables are small. The coder's arithmetic on such tables is exact in IEEE floating point (constriction
scales them by a quotient of integers below 2**24, and every partial sum is an integer), so both ends see the same
intervals on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from constriction import stream

from adaedge.errors import CodecError, PayloadError

Array = npt.NDArray[Any]

TOTAL = 2**16
LIMIT = 2**15 - 1
LOWEST_CLASS, HIGHEST_CLASS = -12, 20
"""Classes of spread: from an eighth of a step, below which nothing is sent, to 32 steps."""
LARGEST = np.array(
    [
        next(largest for largest in (3, 7, 15, 31, 63) if largest == 63 or largest + 1 > 10 * 2 ** (spread / 4))
        for spread in range(LOWEST_CLASS, HIGHEST_CLASS + 1)
    ],
    np.int32,
)
"""Largest magnitude in each class's table; its symbols are −LARGEST … LARGEST and the escape."""
SYMBOLS = 2 * int(LARGEST.max()) + 2
SHIFTS = range(-16, 9)
"""By how many classes a payload's latents may be narrower or wider than those of the bottleneck's own samples."""

_ESCAPES = (2 * LARGEST + 1).tolist()

_ESCAPED = stream.model.Uniform(TOTAL)


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """The classes of coefficients in the order in which they are sent.

    Attributes:
        each: class of every coefficient; they do not increase.
        runs: of equal classes: row of the table, and where it starts and stops.
        largest: int32, the largest magnitude in each coefficient's table.
        counts: how many coefficients are of each row of the table.
    """

    each: Array
    runs: tuple[tuple[int, int, int], ...] = field(init=False)
    largest: npt.NDArray[np.int32] = field(init=False)
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.each - LOWEST_CLASS
        edges = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
        runs = ((int(rows[start]), start, stop) for start, stop in pairwise(edges) if stop > start)
        object.__setattr__(self, "runs", tuple(runs))
        object.__setattr__(self, "largest", LARGEST[rows])
        object.__setattr__(self, "counts", np.bincount(rows, minlength=len(LARGEST)))

    def __len__(self) -> int:
        return len(self.each)


@lru_cache(maxsize=32)
def shifted(classes: Classes, shift: int) -> Classes:
    """The classes of the same coefficients where all are wider, or narrower, by so many."""
    return Classes(np.clip(classes.each + shift, LOWEST_CLASS, HIGHEST_CLASS)) if shift else classes


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """One probability table for each class of spread.

    Attributes:
        frequencies: int32 (classes, ``SYMBOLS``): a row's symbols are positive and add up to ``TOTAL``; the rest is 0.
    """

    frequencies: npt.NDArray[np.int32]
    _models: tuple[Any, ...] = field(init=False, repr=False)
    _not_zero: npt.NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = (len(LARGEST), SYMBOLS)
        used = np.arange(SYMBOLS) < 2 * LARGEST[:, None] + 2
        if self.frequencies.shape != shape or (np.sign(self.frequencies) != used).any():
            raise CodecError(f"probability tables are positive and of shape {shape}; got {self.frequencies.shape}")
        if (self.frequencies.sum(axis=1) != TOTAL).any():
            raise CodecError(f"every probability table adds up to {TOTAL}; one of these does not")
        not_zero = TOTAL - self.frequencies[np.arange(len(LARGEST)), LARGEST].astype(np.int64)
        places = np.clip(np.arange(len(LARGEST)) + np.array(SHIFTS)[:, None], 0, len(LARGEST) - 1)
        object.__setattr__(self, "_not_zero", not_zero[places])
        rows = (row[row > 0].astype(np.float32) for row in self.frequencies)
        object.__setattr__(self, "_models", tuple(stream.model.Categorical(row, perfect=False) for row in rows))

    @classmethod
    def fit(cls, counts: Array) -> Tables:
        """Tables from how often each value was seen; what was not seen follows a Laplace distribution.

        Args:
            counts: (classes, ``SYMBOLS``): of −63 … 63 (they are made symmetric), and of what is larger.
        """
        rows = np.zeros(counts.shape, np.int32)
        middle = SYMBOLS // 2 - 1
        for at, (row, largest) in enumerate(zip(counts, LARGEST, strict=True)):
            values = np.arange(-largest, largest + 1)
            spread = 2 ** ((at + LOWEST_CLASS) / 4)
            prior = np.append(np.exp(-np.abs(values) * math.sqrt(2) / max(spread, 0.1)), 1e-6)
            inner = row[middle - largest : middle + largest + 1]
            symmetric = np.append((inner + inner[::-1]) / 2, row.sum() - inner.sum())
            mixed = symmetric + 4 * prior / prior.sum()
            rows[at, : len(mixed)] = _whole(mixed / mixed.sum())
        return cls(rows)

    def bits(self, latents: Array, classes: Classes) -> float:
        """What these latents take in an ideal coder.

        Args:
            latents: integers (..., coefficients).
            classes: of the coefficients.
        """
        escapes = np.abs(latents) > classes.largest
        symbols = np.where(escapes, 2 * classes.largest + 1, latents + classes.largest)
        chances = self.frequencies[classes.each - LOWEST_CLASS, symbols] / TOTAL
        return float(-np.log2(chances).sum() + 16 * escapes.sum())

    def shift(self, latents: Array, classes: Classes) -> int:
        """By how many classes these latents are wider than the tables expect: from how many are not zero.

        A frame with little in it then takes few bytes. In integers, so that every machine finds the same.
        """
        expected = np.maximum.accumulate(self._not_zero @ classes.counts * len(latents))
        between = expected[:-1] + expected[1:]
        return SHIFTS[int(np.searchsorted(between, 2 * TOTAL * np.count_nonzero(latents)))]

    def encode(self, latents: Array, classes: Classes) -> npt.NDArray[np.uint32]:
        """The words of latents (N, coefficients)."""
        coder, batch = stream.queue.RangeEncoder(), len(latents)
        largest = np.repeat(classes.largest, batch) if batch > 1 else classes.largest
        values = latents.T.reshape(-1).astype(np.int32, copy=False)
        symbols = values + largest
        escapes = symbols.view(np.uint32) > (2 * largest).view(np.uint32)  # what is negative is huge without a sign
        escaping = np.logical_or.reduce(escapes)
        if escaping:
            symbols[escapes] = 2 * largest[escapes] + 1
        for row, start, stop in classes.runs:
            here = slice(start * batch, stop * batch)
            coder.encode(symbols[here], self._models[row])
            if escaping and (escaped := values[here][escapes[here]]).size:
                coder.encode(np.clip(escaped, -LIMIT, LIMIT) + LIMIT, _ESCAPED)
        words: npt.NDArray[np.uint32] = coder.get_compressed()
        return words

    def decode(self, words: npt.NDArray[np.uint32], classes: Classes, batch: int, *, whole: bool = True) -> Array:
        """The latents (batch, coefficients) in the words; zero from where they end.

        Of a stream that was cut, just those latents are kept that come out the same from its lowest and its highest
        possible continuation, and so from every continuation in between.

        Raises:
            PayloadError: if a whole stream does not decode.
        """
        if whole:
            return self._decode_whole(words, classes, batch)
        found = self._bounds(words, classes, batch)
        latents = np.zeros((len(classes), batch), np.int32)
        flat = latents.reshape(-1)
        start = 0
        for (row, *_), *runs in zip(classes.runs, *found, strict=False):
            symbols, escapes = runs[0]
            count, known = _same([run[0] for run in runs]), _same([run[1] for run in runs])
            at = np.flatnonzero(symbols[:count] == _ESCAPES[row])
            flat[start : start + count] = symbols[:count] - LARGEST[row]
            # Escapes follow the whole run, so those of a run that was cut are not known.
            flat[start + at] = np.append(escapes[:known], np.zeros(len(at)))[: len(at)] if count == symbols.size else 0
            start += count
            if count < symbols.size or known < escapes.size:
                break
        return latents.T

    def _decode_whole(self, words: npt.NDArray[np.uint32], classes: Classes, batch: int) -> Array:
        parts = [np.zeros(0, np.int32)]
        for (row, *_), (symbols, escapes) in zip(classes.runs, self._runs(words, classes, batch), strict=False):
            if escapes.size:
                symbols[symbols == _ESCAPES[row]] = escapes + LARGEST[row]
            parts.append(symbols)
        latents: Array = np.concatenate(parts)
        if latents.size < len(classes) * batch:
            raise PayloadError("corrupted payload: its words do not decode with this bottleneck's tables")
        latents = latents.reshape(-1, batch).T
        latents -= classes.largest
        return latents

    def _bounds(
        self, words: npt.NDArray[np.uint32], classes: Classes, batch: int
    ) -> list[Iterator[tuple[Array, Array]]]:
        fills = (np.full(64, fill, np.uint32) for fill in (0, 2**32 - 1))
        return [self._runs(np.concatenate([words, fill]), classes, batch) for fill in fills]

    def _runs(self, words: npt.NDArray[np.uint32], classes: Classes, batch: int) -> Iterator[tuple[Array, Array]]:
        """The symbols of one run of equal classes after another, and the escaped values in it, while they decode."""
        coder = stream.queue.RangeDecoder(words)
        for row, start, stop in classes.runs:
            try:
                symbols = coder.decode(self._models[row], (stop - start) * batch)
                escaped = np.count_nonzero(symbols == _ESCAPES[row])
                escapes = coder.decode(_ESCAPED, escaped) - LIMIT if escaped else symbols[:0]
            except (AssertionError, ValueError):  # what constriction raises where no symbol fits the words
                return
            yield symbols, escapes


def _same(arrays: Sequence[Array]) -> int:
    """How many leading elements are the same in all."""
    length = min(map(len, arrays))
    equal = np.logical_and.reduce([array[:length] == arrays[0][:length] for array in arrays])
    return length if equal.all() else int(np.argmin(equal))


def _whole(chances: Array) -> npt.NDArray[np.int32]:
    """Positive integers in these proportions that add up to ``TOTAL``."""
    counts: npt.NDArray[np.int32] = np.maximum(1, np.floor(chances * TOTAL)).astype(np.int32)
    counts[np.argmax(counts)] += TOTAL - counts.sum()
    return counts
