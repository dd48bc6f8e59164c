"""Tables of changes: how likely a coefficient changes, and by how much, by what is known of it.

May import: ``errors``, ``payload.entropy``; of this part ``tables``.

What is known of a coefficient is added up, as whole numbers: of its class, of how often it and its neighbours changed
lately, of how many neighbours changed in this frame, and how many coefficients in all. The sum, about the logarithm of
the odds that it changes, says which table its change is coded by. All is in integers, so both ends take the same table,
on every machine.

A table's symbols: 0 is no change; 1 is by one up, 2 by one down, and so on, up to ``LARGEST``; the last is the escape,
and the value itself follows in two bytes. Of a coefficient that is not 0, up means towards 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError
from adaedge.payload.entropy import TOTAL, FrequencyTables
from adaedge.payload.latent.tables import HIGHEST_CLASS, LOWEST_CLASS

LARGEST = 11
SYMBOLS = 2 * LARGEST + 2
ESCAPE = SYMBOLS - 1
CLASSES, ACTIVE, AROUND, NEAR, PACE, GROUPS = HIGHEST_CLASS - LOWEST_CLASS + 1, 12, 12, 9, 9, 3
"""How many rows there are of: classes; activity; activity around; changes near it; share that changed; groups."""
PARTS = (CLASSES, ACTIVE, AROUND, 2 * NEAR, GROUPS * PACE)
"""How many weights there are of each; of changes near it also for those that have no neighbour yet."""
UNIT = 64
"""A weight of so much is one nat."""
ROWS = 48
OFFSET, STEP_BITS = 8 * UNIT, 4
"""From a sum to its table: a quarter of a nat leads to the next."""
PREFIX = "changes."
_CLASS, _ACTIVE, _AROUND, _NEAR, _PACE = (sum(PARTS[:at]) for at in range(len(PARTS)))
_LARGEST_WEIGHT = 2**20


ACTIVITY_LEVELS = np.array([1, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128])
ACTIVITY_ROW = np.searchsorted(ACTIVITY_LEVELS, np.arange(256), side="right").astype(np.int64)
"""Of an activity, its row."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """The summands of each fact about a coefficient, int32: its class, an activity, those around, what is near."""

    of_class: npt.NDArray[np.int32]
    of_activity: npt.NDArray[np.int32]
    of_around: npt.NDArray[np.int32]
    of_near: npt.NDArray[np.int32]

    @classmethod
    def by(cls, weights: npt.NDArray[np.int32]) -> Self:
        """The look-up tables of a table's weights."""
        of_class, of_activity, of_around, of_near, _ = np.split(weights, (_ACTIVE, _AROUND, _NEAR, _PACE))
        return cls(of_class.copy(), of_activity[ACTIVITY_ROW], of_around[ACTIVITY_ROW], of_near.copy())


@dataclass(frozen=True, slots=True, eq=False)
class ChangeTables:
    """How changes are coded.

    Attributes:
        weights: int32, of each of ``PARTS`` in turn.
        frequencies: int32 (2 · ``ROWS``, ``SYMBOLS``): each sum's table, where a coefficient is 0, then where it is
            not. Every row adds up to ``TOTAL``.
        thresholds: float32 (``PACE``, 2 · ``ROWS``): how far from what is held, in steps, a coefficient has to be for
            its change to be sent, by how many changed in the frame before. Only an encoder looks at it.
        coded: the frequencies as the coder takes them.
        said: the weights as facts are looked up.

    Raises:
        CodecError: if tables have other shapes, are not positive, or a weight passes 2**20.
    """

    weights: npt.NDArray[np.int32]
    frequencies: npt.NDArray[np.int32]
    thresholds: npt.NDArray[np.float32]
    coded: FrequencyTables = field(init=False, repr=False)
    said: Said = field(init=False, repr=False)
    _bits: npt.NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shapes = self.weights.shape, self.frequencies.shape, self.thresholds.shape
        if shapes != ((sum(PARTS),), (2 * ROWS, SYMBOLS), (PACE, 2 * ROWS)) or (self.frequencies <= 0).any():
            raise CodecError(f"tables of changes are positive and of other shapes; got {shapes}. Fit them again.")
        if np.abs(self.weights).max() > _LARGEST_WEIGHT:
            raise CodecError("a weight of tables of changes passes 2**20, where sums may overflow. Fit them again.")
        object.__setattr__(self, "coded", FrequencyTables(self.frequencies))
        object.__setattr__(self, "said", Said.by(self.weights))
        bits = -np.log2(self.frequencies / TOTAL)
        bits[:, ESCAPE] += 16
        object.__setattr__(self, "_bits", bits.astype(np.float32))

    def bits(self, coded: Sequence[tuple[Array, Array, int]]) -> float:
        """What each group's rows and symbols take in an ideal coder."""
        return sum(float(self._bits[rows, symbols].sum()) for rows, symbols, _ in coded)

    def base(self, group: int, pace: int) -> int:
        """What all coefficients of a group have in common.

        Args:
            group: which group it is.
            pace: row of how many changed, before this group or in the frame before.
        """
        return int(self.weights[_PACE + group * PACE + pace]) + OFFSET

    def arrays(self) -> dict[str, Array]:
        """Every array by name, as a bottleneck's file holds it."""
        found = {"weights": self.weights, "frequencies": self.frequencies, "thresholds": self.thresholds}
        return {PREFIX + name: array for name, array in found.items()}

    @classmethod
    def taken(cls, arrays: Mapping[str, Array]) -> tuple[Self | None, dict[str, Array]]:
        """The tables among named arrays, where there are any, and the other arrays."""
        rest = {name: array for name, array in arrays.items() if not name.startswith(PREFIX)}
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        return (cls(**own) if own else None), rest
