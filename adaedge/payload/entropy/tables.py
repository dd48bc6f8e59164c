"""How often each symbol occurs: what an entropy coder divides its state by.

May import: ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError

TOTAL = 2**16
"""What the frequencies of a table add up to."""
_BUCKET = 2**8


@dataclass(frozen=True, slots=True, eq=False)
class FrequencyTables:
    """Tables of integer frequencies; a symbol is an index into one of them.

    Attributes:
        frequencies: integers (tables, symbols), of which each row adds up to ``TOTAL``. A table of fewer symbols than
            the largest ends in zeros; at least two are positive.
        edges: uint32 (tables, symbols + 1): the frequencies before each symbol, and ``TOTAL``.
        firsts: uint16 (tables, 256): of each 256th of ``TOTAL``, which symbol it begins in; a search starts there.

    Raises:
        CodecError: if a row does not add up, has a negative entry, or one symbol alone.

    Example:
        >>> FrequencyTables(np.array([[2**15, 2**14, 2**14], [2**15, 2**15, 0]])).edges.tolist()
        [[0, 32768, 49152, 65536], [0, 32768, 65536, 65536]]
    """

    frequencies: Array
    edges: npt.NDArray[np.uint32] = field(init=False, repr=False)
    firsts: npt.NDArray[np.uint16] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = self.frequencies
        if rows.ndim != 2 or rows.shape[1] > TOTAL or (rows < 0).any() or (rows >= TOTAL).any():
            raise CodecError(f"a table holds two frequencies or more, from 0 to {TOTAL - 1}; got shape {rows.shape}")
        if (rows.sum(axis=1) != TOTAL).any():
            raise CodecError(f"every probability table adds up to {TOTAL}; one of these does not")
        edges = np.zeros((rows.shape[0], rows.shape[1] + 1), np.uint32)
        np.cumsum(rows, axis=1, out=edges[:, 1:])
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "firsts", _firsts(edges))

    @classmethod
    def near(cls, weights: Array) -> Self:
        """Tables in proportion to weights: what has any weight keeps a frequency of 1 or more.

        Args:
            weights: integers (tables, symbols), at least two of each row above 0 and none below.

        Example:
            >>> FrequencyTables.near(np.array([[98, 2, 0]])).frequencies.tolist()
            [[64225, 1311, 0]]
        """
        seen = (weights > 0).astype(np.int64)
        room = TOTAL - seen.sum(axis=1, keepdims=True)
        tables = seen + weights * room // weights.sum(axis=1, keepdims=True)
        tables[np.arange(len(tables)), tables.argmax(axis=1)] += TOTAL - tables.sum(axis=1)
        return cls(tables)


def _firsts(edges: Array) -> npt.NDArray[np.uint16]:
    """How many symbols end at or before the start of each bucket of slots."""
    buckets = TOTAL // _BUCKET
    ends = -(-edges[:, 1:].astype(np.int64) // _BUCKET)  # the first bucket that begins at this edge or behind it
    places = ends + np.arange(len(edges))[:, None] * (buckets + 1)
    counts = np.bincount(places.reshape(-1), minlength=len(edges) * (buckets + 1)).reshape(len(edges), -1)
    return counts[:, :buckets].cumsum(axis=1).astype(np.uint16)
