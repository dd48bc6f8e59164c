"""Integer probability tables, and latents ⇄ words by a range coder.

May import: ``errors``.

Every latent belongs to a class of spread: its standard deviation is 2**(class / 4) steps. Each class has a table of
integers that add up to 2**16: how often −63 … 63 occur, and last the escape, which is followed by the value itself in
16 bits. The coder's arithmetic on such tables is exact in IEEE floating point (constriction scales them by a quotient
of integers below 2**24, and every partial sum is an integer), so both ends see the same intervals on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from constriction import stream

from adaedge.errors import CodecError, PayloadError

Array = npt.NDArray[Any]

LARGEST = 63
ESCAPE = 2 * LARGEST + 1
TOTAL = 2**16
LIMIT = 2**15 - 1
LOWEST_CLASS, HIGHEST_CLASS = -12, 20
"""Classes of spread: from an eighth of a step, below which nothing is sent, to 32 steps."""

_ESCAPED_VALUE = ESCAPE - LARGEST
_ESCAPED = stream.model.Uniform(TOTAL)


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """One probability table for each class of spread.

    Attributes:
        frequencies: int32 (classes, 128); every row is positive and adds up to ``TOTAL``.
    """

    frequencies: npt.NDArray[np.int32]
    _models: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = (HIGHEST_CLASS - LOWEST_CLASS + 1, ESCAPE + 1)
        if self.frequencies.shape != shape or (self.frequencies < 1).any():
            raise CodecError(f"probability tables are positive and of shape {shape}; got {self.frequencies.shape}")
        if (self.frequencies.sum(axis=1) != TOTAL).any():
            raise CodecError(f"every probability table adds up to {TOTAL}; one of these does not")
        models = (stream.model.Categorical(row.astype(np.float32), perfect=False) for row in self.frequencies)
        object.__setattr__(self, "_models", tuple(models))

    @classmethod
    def fit(cls, counts: Array) -> Tables:
        """Tables from how often each symbol was seen; what was not seen follows a Laplace distribution.

        Args:
            counts: (classes, 128), symmetric or not; they are made symmetric.
        """
        values = np.arange(-LARGEST, LARGEST + 1)
        rows = []
        for at, row in enumerate(counts):
            spread = 2 ** ((at + LOWEST_CLASS) / 4)
            prior = np.append(np.exp(-np.abs(values) * math.sqrt(2) / max(spread, 0.1)), 1e-6)
            symmetric = np.append(row[:-1] + row[-2::-1], 2 * row[-1]) / 2
            mixed = symmetric + 4 * prior / prior.sum()
            rows.append(_whole(mixed / mixed.sum()))
        return cls(np.stack(rows))

    def bits(self, latents: Array, classes: Array) -> float:
        """What these latents take in an ideal coder.

        Args:
            latents: integers (..., coefficients).
            classes: class of each coefficient.
        """
        symbols = _symbols(latents)
        chances = self.frequencies[classes - LOWEST_CLASS, symbols] / TOTAL
        return float(-np.log2(chances).sum() + 16 * (symbols == ESCAPE).sum())

    def encode(self, latents: Array, classes: Array) -> npt.NDArray[np.uint32]:
        """The words of latents (N, coefficients), whose classes do not increase."""
        coder, batch = stream.queue.RangeEncoder(), len(latents)
        values = latents.T.reshape(-1)
        escaping = bool(values.size) and max(values.max(), -values.min()) > LARGEST
        symbols = (_symbols(values) if escaping else values + LARGEST).astype(np.int32)
        for at, part in _runs(classes):
            here = slice(part.start * batch, part.stop * batch)
            coder.encode(symbols[here], self._models[at])
            escaped = values[here][symbols[here] == ESCAPE] if escaping else values[:0]
            if escaped.size:
                coder.encode((np.clip(escaped, -LIMIT, LIMIT) + LIMIT).astype(np.int32), _ESCAPED)
        words: npt.NDArray[np.uint32] = coder.get_compressed()
        return words

    def decode(self, words: npt.NDArray[np.uint32], classes: Array, batch: int, *, whole: bool = True) -> Array:
        """The latents (batch, coefficients) in the words; zero from where they end.

        Of a stream that was cut, just those latents are kept that come out the same from its lowest and its highest
        possible continuation, and so from every continuation in between.

        Raises:
            PayloadError: if a whole stream does not decode.
        """
        if whole:
            return self._decode_whole(words, classes, batch)
        found = self._bounds(words, classes, batch)
        latents = np.zeros((len(classes), batch), np.int64)
        flat = latents.reshape(-1)
        start = 0
        for runs in zip(*found, strict=False):
            values, escapes = runs[0]
            count, known = _same([run[0] for run in runs]), _same([run[1] for run in runs])
            at = np.flatnonzero(values[:count] == _ESCAPED_VALUE)
            flat[start : start + count] = values[:count]
            # Escapes follow the whole run, so those of a run that was cut are not known.
            flat[start + at] = np.append(escapes[:known], np.zeros(len(at)))[: len(at)] if count == values.size else 0
            start += count
            if count < values.size or known < escapes.size:
                break
        return latents.T

    def _decode_whole(self, words: npt.NDArray[np.uint32], classes: Array, batch: int) -> Array:
        parts = [np.zeros(0, np.int32)]
        for values, escapes in self._runs(words, classes, batch):
            if escapes.size:
                values[values == _ESCAPED_VALUE] = escapes
            parts.append(values)
        latents: Array = np.concatenate(parts)
        if latents.size < len(classes) * batch:
            raise PayloadError("corrupted payload: its words do not decode with this bottleneck's tables")
        return latents.reshape(-1, batch).T

    def _bounds(self, words: npt.NDArray[np.uint32], classes: Array, batch: int) -> list[Iterator[tuple[Array, Array]]]:
        fills = (np.full(64, fill, np.uint32) for fill in (0, 2**32 - 1))
        return [self._runs(np.concatenate([words, fill]), classes, batch) for fill in fills]

    def _runs(self, words: npt.NDArray[np.uint32], classes: Array, batch: int) -> Iterator[tuple[Array, Array]]:
        """One run of equal classes after another, and the escaped values in it, until they no longer decode."""
        coder = stream.queue.RangeDecoder(words)
        for at, part in _runs(classes):
            try:
                values = coder.decode(self._models[at], (part.stop - part.start) * batch) - LARGEST
                escaped = int((values == _ESCAPED_VALUE).sum()) if values.max() == _ESCAPED_VALUE else 0
                escapes = coder.decode(_ESCAPED, escaped) - LIMIT if escaped else values[:0]
            except (AssertionError, ValueError):  # what constriction raises where no symbol fits the words
                return
            yield values, escapes


def _same(arrays: Sequence[Array]) -> int:
    """How many leading elements are the same in all."""
    length = min(map(len, arrays))
    equal = np.logical_and.reduce([array[:length] == arrays[0][:length] for array in arrays])
    return length if equal.all() else int(np.argmin(equal))


def _symbols(latents: Array) -> Array:
    return np.where(np.abs(latents) <= LARGEST, latents + LARGEST, ESCAPE)


def _runs(classes: Array) -> Iterator[tuple[int, slice]]:
    """Row of the table, and the coefficients that it is for."""
    edges = np.flatnonzero(np.diff(classes)) + 1
    for start, stop in zip([0, *edges], [*edges, len(classes)], strict=True):
        if stop > start:
            yield int(classes[start]) - LOWEST_CLASS, slice(int(start), int(stop))


def _whole(chances: Array) -> npt.NDArray[np.int32]:
    """Positive integers in these proportions that add up to ``TOTAL``."""
    counts: npt.NDArray[np.int32] = np.maximum(1, np.floor(chances * TOTAL)).astype(np.int32)
    counts[np.argmax(counts)] += TOTAL - counts.sum()
    return counts
