"""Integer probability tables, and latents ⇄ words by an entropy coder.

May import: ``errors``.

Every latent belongs to a class of spread: its standard deviation is 2**(class / 4) steps. Each class has a table of
integers that add up to 2**16: how often each value up to about ten standard deviations occurs, and last the escape. A
decoder searches the table once for each latent: most are of low classes, whose tables are small. The coder is the
range variant of asymmetric numeral systems (J. Duda, arXiv:1311.2540) of constriction, whose decoder needs no division.
Its arithmetic on such tables is exact in IEEE floating point (constriction scales them by a quotient of integers below
2**24, and every partial sum is an integer), so both ends see the same intervals on every machine. (How many are escaped
has a table of its own, whose quotients are rounded: by IEEE 754, the same everywhere.)

The words, uint32, hold in this order: how many latents are escaped, in digits of ``_MANY``, of which the last is
smaller; those latents, 16 bits each; every latent's symbol, class by class. The coder is a stack, so it is filled from
the last symbol to the first and its words are sent from the top: a decoder of leading words finds leading symbols.
"""

from __future__ import annotations

import math
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

_ESCAPED = stream.model.Uniform(TOTAL)
_MANY = 63
_COUNT = stream.model.Categorical(np.array([2**10] + [2] * _MANY, np.float32), perfect=False)
"""A digit of how many are escaped: hardly ever any is."""
_BEYOND = 64
"""Words that stand for those that were cut off; what they decode to is not used."""


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """The classes of coefficients in the order in which they are sent.

    Attributes:
        each: class of every coefficient; they do not increase.
        runs: of equal classes: row of the table, and where it starts and stops.
        largest: int32, the largest magnitude in each coefficient's table.
        escapes: int32, the symbol of the escape in each coefficient's table.
        counts: how many coefficients are of each row of the table.
    """

    each: Array
    runs: tuple[tuple[int, int, int], ...] = field(init=False)
    largest: npt.NDArray[np.int32] = field(init=False)
    escapes: npt.NDArray[np.int32] = field(init=False)
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.each - LOWEST_CLASS
        edges = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
        runs = ((int(rows[start]), start, stop) for start, stop in pairwise(edges) if stop > start)
        object.__setattr__(self, "runs", tuple(runs))
        object.__setattr__(self, "largest", LARGEST[rows])
        object.__setattr__(self, "escapes", 2 * LARGEST[rows] + 1)
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
        symbols = np.where(escapes, classes.escapes, latents + classes.largest)
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
        coder, batch = stream.stack.AnsCoder(), len(latents)
        largest, escapes = (np.repeat(one, batch) if batch > 1 else one for one in (classes.largest, classes.escapes))
        values = latents.T.reshape(-1).astype(np.int32, copy=False)
        symbols = values + largest
        beyond = symbols.view(np.uint32) >= escapes.view(np.uint32)  # what is negative is huge without a sign
        escaped = values[:0]
        if np.logical_or.reduce(beyond):
            symbols[beyond] = escapes[beyond]
            escaped = np.clip(values[beyond], -LIMIT, LIMIT)
        for row, start, stop in reversed(classes.runs):
            coder.encode_reverse(symbols[start * batch : stop * batch], self._models[row])
        coder.encode_reverse(escaped + LIMIT, _ESCAPED)
        coder.encode_reverse(_digits(escaped.size), _COUNT)
        words: npt.NDArray[np.uint32] = coder.get_compressed()[::-1]
        return words

    def decode(self, words: npt.NDArray[np.uint32], classes: Classes, batch: int, *, whole: bool = True) -> Array:
        """The latents (batch, coefficients) in the words; zero from where they end.

        A decoder that takes a word draws its next symbol from the word's lowest bits. So behind the last word of a
        stream that was cut, zeros and ones give different symbols, and before it the same.

        Raises:
            PayloadError: if a whole stream does not decode.
        """
        if not (whole or words.size):
            return np.zeros((batch, len(classes)), np.int32)
        if whole:
            coder, symbols, escaped = self._decoded(words, classes, batch)
            if not coder.is_empty():
                raise PayloadError("corrupted payload: its words do not decode with this bottleneck's tables")
            known = len(symbols)
        else:
            fills = (np.full(_BEYOND, fill, np.uint32) for fill in (0, 2**32 - 1))
            (_, symbols, escaped), (_, others, other) = (
                self._decoded(np.concatenate([words, fill]), classes, batch) for fill in fills
            )
            known = int(np.argmin(np.append(symbols == others, False))) if np.array_equal(escaped, other) else 0
        latents = symbols.reshape(-1, batch).T
        latents -= classes.largest
        places = np.flatnonzero((latents > classes.largest).T)
        if whole and places.size != escaped.size:
            raise PayloadError(
                f"corrupted payload: it says that {escaped.size} latents are escaped, {places.size} of them are"
            )
        if escaped.size:
            symbols[places[: escaped.size]] = escaped[: len(places)]
        symbols[known:] = 0
        return latents

    def _decoded(self, words: npt.NDArray[np.uint32], classes: Classes, batch: int) -> tuple[Any, Array, Array]:
        """The coder behind the last latent, all symbols, and the values of those that are escaped."""
        try:
            coder = stream.stack.AnsCoder(words[::-1])
        except ValueError as error:  # its top word, which is never 0, is
            raise PayloadError("corrupted payload: its words do not decode: the first is 0") from error
        digit = count = coder.decode(_COUNT)
        while digit == _MANY and count <= len(classes) * batch:
            digit = coder.decode(_COUNT)
            count += digit
        escaped = coder.decode(_ESCAPED, min(count, len(classes) * batch)) - LIMIT
        runs = [coder.decode(self._models[row], (stop - start) * batch) for row, start, stop in classes.runs]
        return coder, np.concatenate([*runs, escaped[:0]]), escaped


def _digits(count: int) -> npt.NDArray[np.int32]:
    """A number as digits of at most ``_MANY``, of which just the last is smaller.

    Example:
        >>> _digits(0).tolist(), _digits(130).tolist()
        ([0], [63, 63, 4])
    """
    return np.array([_MANY] * (count // _MANY) + [count % _MANY], np.int32)


def _whole(chances: Array) -> npt.NDArray[np.int32]:
    """Positive integers in these proportions that add up to ``TOTAL``."""
    counts: npt.NDArray[np.int32] = np.maximum(1, np.floor(chances * TOTAL)).astype(np.int32)
    counts[np.argmax(counts)] += TOTAL - counts.sum()
    return counts
