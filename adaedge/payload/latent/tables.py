"""Integer probability tables, and latents ⇄ words by an entropy coder.

May import: ``errors``, ``payload.entropy``; of this part ``loops``.

Every latent belongs to a class of spread: its standard deviation is 2**(class / 4) steps. Each class has a table of
integers that add up to 2**16: how often each value up to about ten standard deviations occurs, and last the escape. A
decoder searches the table once for each latent: most are of low classes, whose tables are small.

The words, uint32, hold in this order: how many latents are escaped, in digits of ``_MANY``, of which the last is
smaller; those latents, 16 bits each; every latent's symbol, class by class. The coder is a stack, so it is filled from
the last symbol to the first and its words are sent from the top: leading words hold leading symbols.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.entropy import TOTAL, FrequencyTables, Stack
from adaedge.payload.latent import loops

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

_MANY = 63
_RARELY = 32
_BYTES = FrequencyTables(np.full((1, 256), TOTAL // 256))
"""A byte of an escaped latent, any as likely as another."""
_DIGITS = FrequencyTables(np.array([[TOTAL - _RARELY * _MANY] + [_RARELY] * _MANY]))
"""A digit of how many are escaped: hardly ever any is."""


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """The classes of coefficients in the order in which they are sent.

    Attributes:
        each: class of every coefficient; they do not increase.
        rows: uint32, the row of each coefficient's table.
        largest: int32, the largest magnitude in each coefficient's table.
        counts: how many coefficients are of each row of the table.
    """

    each: Array
    rows: npt.NDArray[np.uint32] = field(init=False)
    largest: npt.NDArray[np.int32] = field(init=False)
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.each - LOWEST_CLASS
        object.__setattr__(self, "rows", rows.astype(np.uint32))
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
        coded: the same as the coder takes them.
        not_zero: int64 (shifts, classes), of ``TOTAL``: how often a latent of each class is not zero, at each shift.
    """

    frequencies: npt.NDArray[np.int32]
    coded: FrequencyTables = field(init=False, repr=False)
    _bits: npt.NDArray[np.float32] = field(init=False, repr=False)
    not_zero: npt.NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = (len(LARGEST), SYMBOLS)
        used = np.arange(SYMBOLS) < 2 * LARGEST[:, None] + 2
        if self.frequencies.shape != shape or (np.sign(self.frequencies) != used).any():
            raise CodecError(f"probability tables are positive and of shape {shape}; got {self.frequencies.shape}")
        object.__setattr__(self, "coded", FrequencyTables(self.frequencies))
        bits = -np.log2(np.maximum(self.frequencies, 1) / TOTAL)
        object.__setattr__(self, "_bits", bits.astype(np.float32))
        not_zero = TOTAL - self.frequencies[np.arange(len(LARGEST)), LARGEST].astype(np.int64)
        places = np.clip(np.arange(len(LARGEST)) + np.array(SHIFTS)[:, None], 0, len(LARGEST) - 1)
        object.__setattr__(self, "not_zero", not_zero[places])

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
        return float(self._bits[classes.rows, symbols].sum(dtype=np.float64) + 16 * escapes.sum())

    def shift(self, latents: Array, classes: Classes) -> int:
        """The number of classes by which these latents are wider than the tables expect: from how many are not zero.

        A frame with little in it then takes few bytes. In integers, so that every machine finds the same.
        """
        between = _between(self, classes, len(latents))
        return SHIFTS[bisect_left(between, 2 * TOTAL * int(np.count_nonzero(latents)))]

    def encode(self, latents: Array, classes: Classes) -> npt.NDArray[np.uint32]:
        """The words of latents (N, coefficients)."""
        stack = Stack()
        self.push(stack, latents, classes)
        return stack.words()

    def push(self, stack: Stack, latents: Array, classes: Classes) -> None:
        """Latents (N, coefficients) onto a stack."""
        batch = len(latents)
        values = latents.T.reshape(-1).astype(np.int32, copy=False)
        largest, symbols = _repeated(classes.largest, batch), np.empty_like(values)
        escaped = values[:0]
        if loops.LOOPS.symbols(values, largest, symbols):
            escaped = np.clip(values[np.abs(values) > largest], -LIMIT, LIMIT)
        stack.push(symbols, _repeated(classes.rows, batch), self.coded)
        push_values(stack, escaped)
        _push_alike(stack, _digits(escaped.size), _DIGITS)

    def decode(self, words: npt.NDArray[np.uint32], classes: Classes, batch: int, *, whole: bool = True) -> Array:
        """The latents (batch, coefficients) in the words; zero from where they end.

        Raises:
            PayloadError: if a whole stream does not decode.
        """
        stack = Stack.of(words, whole=whole)
        latents = self.pop(stack, classes, batch, whole=whole)
        if whole and not stack.is_empty():
            raise PayloadError("corrupted payload: its words do not decode with this bottleneck's tables")
        return latents

    def pop(self, stack: Stack, classes: Classes, batch: int, *, whole: bool = True) -> Array:
        """The latents (batch, coefficients) on a stack; zero from where leading words end.

        Raises:
            PayloadError: if a whole stack says that others are escaped than are.
        """
        symbols = np.zeros(len(classes) * batch, np.int32)
        escaped = _escaped(stack, len(symbols))
        found = stack.pop(_repeated(classes.rows, batch), self.coded)
        symbols[: len(found)] = found
        latents = symbols.reshape(-1, batch).T
        latents -= classes.largest
        places = np.flatnonzero((latents > classes.largest).T)
        if whole and places.size != escaped.size:
            raise PayloadError(
                f"corrupted payload: it says that {escaped.size} latents are escaped, {places.size} of them are"
            )
        if escaped.size:
            symbols[places[: escaped.size]] = escaped[: len(places)]
        symbols[len(found) :] = 0
        return latents


@lru_cache(maxsize=32)
def _between(tables: Tables, classes: Classes, batch: int) -> list[int]:
    """Twice ``TOTAL`` times as many latents that are not zero as lie half way between one shift's and the next's."""
    expected = np.maximum.accumulate(tables.not_zero @ classes.counts * batch)
    between: list[int] = (expected[:-1] + expected[1:]).tolist()
    return between


def _repeated(each: Array, batch: int) -> Array:
    """What is said of each coefficient, for those of all samples."""
    return np.repeat(each, batch) if batch > 1 else each


def _push_alike(stack: Stack, symbols: Array, table: FrequencyTables) -> None:
    """Symbols of one table."""
    if symbols.size:
        stack.push(symbols, np.zeros(symbols.size, np.uint32), table)


def _escaped(stack: Stack, most: int) -> Array:
    """The values of those that are escaped; they lie on top of the others."""
    count, digit = 0, _MANY
    while digit == _MANY and count <= most:
        digit = int(stack.pop(np.zeros(1, np.uint32), _DIGITS).sum())  # where the words end there is none
        count += digit
    return pop_values(stack, min(count, most))


def push_values(stack: Stack, values: Array) -> None:
    """Values of at most ``LIMIT``, two bytes each, the lower one first."""
    _push_alike(stack, (values + LIMIT).astype("<u2").view(np.uint8), _BYTES)


def pop_values(stack: Stack, count: int) -> npt.NDArray[np.int32]:
    """The inverse; of leading words those values that are whole."""
    halves = stack.pop(np.zeros(2 * count, np.uint32), _BYTES).astype(np.uint8)
    return halves[: len(halves) // 2 * 2].view("<u2").astype(np.int32) - LIMIT


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
