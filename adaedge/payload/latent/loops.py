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

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int32]

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


LOOPS: Any = compiled or Plain
