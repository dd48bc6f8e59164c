"""The bottleneck's linear maps: rows ⇄ latents, exactly the same integers on every machine.

May import: ``errors``; of this part ``layout``, ``tables``.

Rows become integers of 2**-fraction (float64, rounded half to even), and are multiplied with integer matrices. Every
product and every sum of them stays below 2**53, so float64 holds it exactly, whatever the order in which a linear
algebra library adds; between two matrices, and at the step, integers are divided and rounded as integers. So no
rounding depends on the machine or engine. Features that differ in their last digit, as they do between engines, may
still fall on two sides of a rounding: then other integers are sent, and decoded all the same.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from adaedge.errors import CodecError
from adaedge.payload.latent.layout import Layout
from adaedge.payload.latent.tables import HIGHEST_CLASS, LIMIT, LOWEST_CLASS, Tables

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

VERSION = 2
EXACT = 2**53
CLIP = 2**18
"""Largest magnitude of a row's value as an integer."""
PLACE_BITS = 14
"""Bits behind the point of the maps across positions; they are dropped again before each further map."""
LEAST_CLASS = -6
"""Coefficients below this class are not sent: half of all, and too seldom anything but zero to be worth the time."""
ROUNDING = 0.4
"""What is added before a quotient is cut to an integer: below one half, the zero is wider (a dead zone)."""


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """A fitted bottleneck as arrays: all that encoder and decoder need, and nothing of PyTorch.

    Attributes:
        layout: how the crossing tensors become rows.
        mean: int32 (1 + prefix, width), in units of 2**-fraction: of all positions, and of each before the grid.
        fraction: bits behind the point of a row's value.
        channels: int16 (width, components), the encoder's map of a row.
        shift: bits that are dropped after it.
        places: int32 (sum of side²,), the encoder's maps along each side of the grid, one after another; or empty.
        spread: int8 (positions, components): class of each coefficient's standard deviation, at a step of class 0.
        back: float32 (components, width), the decoder's map of a row.
        back_places: float32, the decoder's maps along each side.
        steps: int64 (rates,): the step of each rate in units of the encoder's integers.
        sizes: float32 (rates,): the same step in the decoder's units.
        fineness: int16 (rates,): class of each step; a coefficient's class at a rate is its spread less this.
        centres: float32 (classes, 2): where values of magnitude 1, and of 2 or more, really lie, from their integer.
        tables: the probability tables.
        fingerprint: CRC-32 of all this; streams of another bottleneck are refused by it.
    """

    layout: Layout
    mean: npt.NDArray[np.int32]
    fraction: int
    channels: npt.NDArray[np.int16]
    shift: int
    places: npt.NDArray[np.int32]
    spread: npt.NDArray[np.int8]
    back: Floats
    back_places: Floats
    steps: Ints
    sizes: Floats
    fineness: npt.NDArray[np.int16]
    centres: Floats
    tables: Tables
    fingerprint: int = field(init=False)
    _sent: tuple[tuple[Array, Array, Array], ...] = field(init=False, repr=False)
    _exact: tuple[Array, Array, tuple[Array, ...]] = field(init=False, repr=False)
    _offset: Array = field(init=False, repr=False)
    _back_maps: tuple[Array, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sides = self.layout.sides if self.places.size else ()
        wanted = sum(side**2 for side in sides)
        if self.places.size != wanted or self.back_places.size != wanted or len(self.mean) != 1 + self.layout.prefix:
            raise CodecError(f"maps along sides {sides} have {wanted} entries; got {self.places.size}. Fit it again.")
        stages = magnitudes(self.channels, [np.abs(one) for one in self.maps(self.places)], self.shift)
        if not (max(stages) < EXACT and self.shift >= 0 and (self.steps > 0).all()):
            raise CodecError("this bottleneck's integers pass 2**53, where sums are no longer exact; fit it again")
        order = np.argsort(-self.spread.reshape(-1).astype(np.int16), kind="stable")
        object.__setattr__(self, "_sent", tuple(self._of_rate(order, int(fineness)) for fineness in self.fineness))
        maps = tuple(along.astype(np.float64) for along in self.maps(self.places))
        object.__setattr__(self, "_exact", (self._means(), self.channels.astype(np.float64), maps))
        object.__setattr__(self, "_back_maps", tuple(self.maps(self.back_places)))
        object.__setattr__(self, "_offset", (self._means() * 2.0**-self.fraction).astype(np.float32))
        crc = zlib.crc32(repr((VERSION, self.layout, self.fraction, self.shift)).encode())
        for array in self.arrays().values():
            crc = zlib.crc32(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes(), crc)
        object.__setattr__(self, "fingerprint", crc)

    @property
    def rates(self) -> int:
        """How many rates there are."""
        return len(self.steps)

    def arrays(self) -> dict[str, Array]:
        """Every array by name; with the layout and the two integers they are the whole bottleneck."""
        named = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}
        return {name: value for name, value in named.items() if isinstance(value, np.ndarray)} | {
            "frequencies": self.tables.frequencies
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], *, layout: Layout, fraction: int, shift: int) -> Self:
        """The inverse of ``arrays``."""
        rest = {name: array for name, array in arrays.items() if name != "frequencies"}
        return cls(layout=layout, fraction=fraction, shift=shift, tables=Tables(arrays["frequencies"]), **rest)

    def sent(self, rate: int) -> tuple[Array, Array]:
        """Which coefficients a rate sends, most important first, and their classes."""
        order, classes, _ = self._sent[rate]
        return order, classes

    def _of_rate(self, order: Array, fineness: int) -> tuple[Array, Array, Array]:
        """Coefficients that are sent, their classes, and where values of magnitude 1 and of more lie."""
        classes = self.spread.reshape(-1)[order].astype(np.int64) - fineness
        count = int((classes >= LEAST_CLASS).sum())
        classes = np.minimum(classes[:count], HIGHEST_CLASS)
        return order[:count], classes, np.ascontiguousarray(self.centres[classes - LOWEST_CLASS].T)

    def analyse(self, rows: Array) -> Ints:
        """Rows (N, positions, width) as integers (N, positions, components), before any step."""
        scaled = np.multiply(rows, 2.0**self.fraction, dtype=np.float64, order="C")
        if not np.isfinite(scaled).all():
            raise CodecError("features hold NaN or infinity, which no bottleneck carries. Repair the model's head.")
        means, channels, maps = self._exact
        np.rint(scaled, out=scaled)
        scaled -= means
        values = np.clip(scaled, -CLIP, CLIP, out=scaled) @ channels
        if not self.places.size:
            alone: Ints = values.astype(np.int64)
            return alone
        values = _shorter(values, self.shift)
        before, grid = values[:, : self.layout.prefix] * 2.0**PLACE_BITS, values[:, self.layout.prefix :]
        for axis, along in enumerate(maps):
            grid = _turned(grid if axis == 0 else _shorter(grid, PLACE_BITS), along, self.layout, axis)
        exact: Ints = (np.concatenate([before, grid], axis=1) if self.layout.prefix else grid).astype(np.int64)
        return exact

    def maps(self, flat: Array) -> list[Array]:
        """``places`` or ``back_places`` as a matrix for each side of the grid."""
        sides = self.layout.sides if flat.size else ()
        ends = np.cumsum([side**2 for side in sides])[:-1]
        return [one.reshape(side, side) for one, side in zip(np.split(flat, ends), sides, strict=True)] if sides else []

    def _means(self) -> Array:
        """The mean of each position, (positions, width), or one for all."""
        before = self.mean[1:]
        if not len(before):
            return self.mean
        rest = np.broadcast_to(self.mean[:1], (self.layout.positions - len(before), self.mean.shape[1]))
        return np.concatenate([before, rest])

    def quantise(self, analysed: Ints, rate: int) -> Ints:
        """The latents (N, coefficients) that a rate sends."""
        order, _ = self.sent(rate)
        values = np.take(analysed.reshape(len(analysed), -1), order, axis=1)
        step = int(self.steps[rate])
        magnitude = np.minimum((np.abs(values) + int(step * ROUNDING)) // step, LIMIT)
        latents: Ints = np.sign(values) * magnitude
        return latents

    def synthesise(self, latents: Ints, rate: int) -> Floats:
        """The rows (N, positions, width) that the decoder makes of latents."""
        order, _, (one, more) = self._sent[rate]
        integers = latents.astype(np.float32)
        magnitude = np.abs(integers)
        magnitude += np.where(magnitude == 1, one, more)
        planes = np.zeros((len(latents), self.spread.size), np.float32)
        planes[:, order] = magnitude * np.sign(integers) * self.sizes[rate]
        return self.rebuild(planes.reshape(len(latents), *self.spread.shape))

    def rebuild(self, values: Floats) -> Floats:
        """Rows (N, positions, width) from coefficients (N, positions, components) in the decoder's units."""
        before, grid = values[:, : self.layout.prefix], values[:, self.layout.prefix :]
        for axis, along in enumerate(self._back_maps):
            grid = _turned(grid, along, self.layout, axis)
        rows = np.concatenate([before, grid], axis=1) if len(self.mean) > 1 else grid
        rebuilt: Floats = rows @ self.back
        rebuilt += self._offset
        return rebuilt


def magnitudes(channels: Array, maps: Sequence[Array], shift: int) -> list[float]:
    """The largest sums that can occur in each stage of ``analyse``.

    Args:
        channels: the encoder's map of a row.
        maps: the absolute values of those along each side.
        shift: bits that are dropped between.
    """
    stages = [float(CLIP * np.abs(channels.astype(np.float64)).sum(axis=0).max())]
    for axis, along in enumerate(maps):
        before = np.ceil(stages[-1] * 2.0 ** -(shift if axis == 0 else PLACE_BITS))
        stages.append(float(before * max(2**PLACE_BITS, along.sum(axis=1, dtype=np.float64).max())))
    return stages


def _shorter(values: Array, bits: int) -> Array:
    """Integers divided by a power of two and rounded."""
    shorter: Array = values * 2.0**-bits
    shorter += 0.5
    return np.floor(shorter, out=shorter)


def _turned(rows: Array, along: Array, layout: Layout, axis: int) -> Array:
    """Rows (N, positions, components) multiplied with a matrix along one side of the grid."""
    sides = layout.sides
    split = rows.reshape(len(rows) * math.prod(sides[:axis]), sides[axis], -1)
    turned: Array = np.matmul(along, split).reshape(rows.shape)
    return turned
