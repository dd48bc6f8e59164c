"""What is done to each latent, in one pass over a frame: in C (`_loops.c`), or in NumPy where that was not built.

May import: the extension ``_loops``.

A frame has ten thousand coefficients, and whoever encodes them has just computed its features: nothing of them is in
the processor's caches. NumPy reads and writes them anew for each operation, C once.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

compiled: ModuleType | None
try:
    compiled = import_module("adaedge.payload.latent._loops")
except ImportError:  # it is optional, and nobody compiled it here
    compiled = None


class Plain:
    """The loops in NumPy: the same integers."""

    @staticmethod
    def quantise(
        coefficients: npt.NDArray[np.float64], order: Array, scale: float, rounding: float, limit: int, latents: Ints
    ) -> None:
        """Coefficients times a scale as integers, those of small magnitude to zero.

        Each by itself: a product, a conversion to float32 and a sum, each rounded once as IEEE 754 has it, so the same
        on every machine.

        Args:
            coefficients: float64 (N, all).
            order: int64 (n,), which of them are wanted.
            scale: what they are multiplied by.
            rounding: what is added to magnitudes before they are cut to integers.
            limit: the largest magnitude of an integer.
            latents: int32 (N, n), filled in.
        """
        values = (np.take(coefficients, order, axis=1) * scale).astype(np.float32)
        values += np.copysign(np.float32(rounding), values)
        np.copyto(latents, np.clip(values, -limit, limit), casting="unsafe")

    @staticmethod
    def symbols(latents: Ints, largest: Ints, symbols: Ints) -> int:
        """Each latent's place in its table, or the escape; and how many are escaped.

        Args:
            latents: int32 (n,).
            largest: int32 (n,), the largest magnitude in each one's table, whose next symbol is the escape.
            symbols: int32 (n,), filled in.
        """
        np.add(latents, largest, out=symbols)
        beyond = np.abs(latents) > largest
        np.copyto(symbols, 2 * largest + 1, where=beyond)
        return int(np.count_nonzero(beyond))

    @staticmethod
    def scores(
        activity: Bytes, around: Ints, classes: Ints, of_class: Ints, of_activity: Ints, of_around: Ints, scores: Ints
    ) -> None:
        """What is known of coefficients before a frame, as a sum of what each fact says.

        Args:
            activity: uint8 (n,), how often each changed lately.
            around: int32 (neighbours, n), where its neighbours are; n where there is none.
            classes: int32 (n,), the row of its class.
            of_class: int32, what a class says.
            of_activity: int32 (256,), what an activity says.
            of_around: int32 (256,), what half the sum of the neighbours' activities says, at most 255.
            scores: int32 (n,), filled in.
        """
        half = np.minimum(_around(np.append(activity, np.uint8(0)), around) >> 1, 255)
        np.copyto(scores, of_class[classes] + of_activity[activity] + of_around[half])

    @staticmethod
    def rows(
        scores: Ints,
        sizes: Bytes,
        near: Ints,
        first_row: Bytes,
        of_near: Ints,
        held: Ints,
        base: int,
        shift: int,
        tables: int,
        rows: npt.NDArray[np.uint32],
    ) -> None:
        """Which table the change of each coefficient of a group is coded by.

        Args:
            scores: int32 (n,).
            sizes: uint8, magnitudes of the changes so far, one more than there are coefficients; the rest 0.
            near: int32 (neighbours, n), where neighbours of earlier groups are.
            first_row: uint8 (n,), the first row of what they say, of each coefficient.
            of_near: int32, what their sum says: one half without, one with neighbours.
            held: int32 (n,), what is held.
            base: what all of them have in common.
            shift: bits of a sum within one table.
            tables: how many there are for coefficients that are 0, and again for others.
            rows: uint32 (n,), filled in.
        """
        at = first_row + np.minimum(_around(sizes, near), len(of_near) // 2 - 1)
        found = np.clip((scores + of_near[at] + base) >> shift, 0, tables - 1)
        np.copyto(rows, found + tables * (held != 0), casting="unsafe")

    @staticmethod
    def choose(
        coefficients: npt.NDArray[np.float64],
        order: Array,
        scale: float,
        held: Ints,
        rows: npt.NDArray[np.uint32],
        thresholds: npt.NDArray[np.float32],
        limit: int,
        escape: int,
        changes: Ints,
        symbols: Ints,
        sizes: Bytes,
    ) -> tuple[int, int]:
        """The changes that are worth sending, and their symbols; how many there are, and how many are escaped.

        Args:
            coefficients: float64, all of a frame.
            order: int64 (n,), which of them these are.
            scale: what they are multiplied by, to be in steps.
            held: int32 (n,), what is held of them.
            rows: uint32 (n,), the table of each.
            thresholds: float32, of each table, how far from what is held a coefficient has to be.
            limit: the largest magnitude of an integer.
            escape: the symbol of changes that are larger than a table's.
            changes: int32 (n,), filled in.
            symbols: int32 (n,), filled in.
            sizes: uint8 (n,), filled in: magnitudes of the changes, at most 2.
        """
        apart = (np.take(coefficients, order) * scale).astype(np.float32) - held.astype(np.float32)
        moved = np.flatnonzero(np.abs(apart) >= thresholds[rows])  # few: the rest is done on these alone
        before, apart = held[moved], apart[moved]
        whole = np.clip(np.floor(np.abs(apart) + np.float32(0.5)), 1, 2 * limit)
        change = np.clip(before + np.copysign(whole, apart).astype(np.int32), -limit, limit) - before
        turned = np.where(before > 0, -change, change)
        found = 2 * np.abs(turned) - (turned > 0)
        changes[:], symbols[:] = 0, 0
        changes[moved], symbols[moved] = change, np.minimum(found, escape)
        np.minimum(np.abs(changes), 2, out=sizes, casting="unsafe")
        return int(np.count_nonzero(change)), int(np.count_nonzero(found >= escape))

    @staticmethod
    def after(
        held: Ints, changes: Ints, activity: Bytes, next_held: npt.NDArray[np.int16], next_activity: Bytes
    ) -> int:
        """What is held once a frame's changes are known, and how often each changed lately; how many changed.

        Args:
            held: int32 (n,), what is held before.
            changes: int32 (n,).
            activity: uint8 (n,), a decaying mean of the changes' magnitudes; 64 where it changes by one.
            next_held: int16 (n,), filled in.
            next_activity: uint8 (n,), filled in.
        """
        np.add(held, changes, out=next_held, casting="unsafe")
        now = activity - (activity.astype(np.int32) + 3 >> 2) + 16 * np.minimum(np.abs(changes), 3)
        np.copyto(next_activity, now, casting="unsafe")
        return int(np.count_nonzero(changes))


def _around(values: Bytes, places: Ints) -> Array:
    """The sum of the bytes of each one's neighbours."""
    found: Array = np.add.reduce(np.take(values, places), axis=0, dtype=np.int32)
    return found


LOOPS: Any = compiled or Plain
