"""The bottleneck's linear maps: rows ⇄ latents, exactly the same integers on every machine.

May import: ``errors``; of this part ``change_tables``, ``layout``, ``loops``, ``tables``, ``threads``, ``workspace``.

Rows become integers of 2**-fraction (rounded half to even), and are multiplied with integer matrices. Every product
and every sum of them stays below 2**53, so float64 holds it exactly, whatever the order in which a linear algebra
library adds; between two matrices they are rounded to integers again, and at the step each value by itself is
multiplied, moved and cut off, each rounded once as IEEE 754 has it. So no rounding depends on the machine or engine.
Features that differ in their last digit, as they do between engines, may still fall on two sides of a rounding: then
other integers are sent, and decoded all the same.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError
from adaedge.payload.latent import loops
from adaedge.payload.latent.change_tables import ChangeTables
from adaedge.payload.latent.layout import Layout
from adaedge.payload.latent.tables import HIGHEST_CLASS, LIMIT, LOWEST_CLASS, Classes, Tables
from adaedge.payload.latent.threads import one_thread
from adaedge.payload.latent.workspace import Workspace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

VERSION = 5
EXACT = 2**53
CLIP = 2**18
"""Largest magnitude of a row's value as an integer."""
_FAR = 40
"""Bits of a row's value, as an integer, beyond which it is cut off before its mean is taken: it is clipped anyway."""
PLACE_BITS = 14
"""Bits behind the point of the maps across positions; they are dropped again before each further map."""
LEAST_CLASS = -6
"""Coefficients below this class are not sent: half of all, and too seldom anything but zero to be worth the time."""
ROUNDING = 0.4
"""What is added before a quotient is cut to an integer: below one half, the zero is wider (a dead zone)."""


@dataclass(frozen=True, slots=True, eq=False)
class TransformCode:
    """A fitted bottleneck as arrays: all that encoder and decoder need, and nothing of PyTorch.

    Attributes:
        layout: how the crossing tensors become rows.
        mean: int32 (1 + prefix, width), in units of 2**-fraction: of all positions, and of each before the grid; or
            (positions, width), of each by itself.
        fraction: bits behind the point of a row's value.
        channels: int16 (width, components), the encoder's map of a row.
        shift: bits that are dropped after it.
        places: int32 (sum of side²,), the encoder's maps along each side of the grid, one after another; or empty.
        spread: int8 (positions, components): class of each coefficient's standard deviation, at a step of class 0.
        back: int16 (components, width), the decoder's map of a row, in units of 2**-back_fraction.
        back_fraction: int8 (components,), bits behind the point of each of its rows.
        back_places: float32, the decoder's maps along each side.
        steps: int64 (rates,): the step of each rate in units of the encoder's integers.
        sizes: float32 (rates,): the same step in the decoder's units.
        fineness: int16 (rates,): class of each step; a coefficient's class at a rate is its spread less this.
        centres: float32 (classes, 2): where values of magnitude 1, and of 2 or more, really lie, from their integer.
        tables: the probability tables.
        changes: those of what changes from frame to frame; ``None`` where no clips were there to fit them on.
        offset: float32 (1, width), or (positions, width): the mean in the decoder's units.
        fingerprint: CRC-32 of all this; streams of another bottleneck are refused by it.

    Raises:
        CodecError: if maps have other shapes or integers pass 2**53; from encoding, if features are not finite.
    """

    layout: Layout
    mean: npt.NDArray[np.int32]
    fraction: int
    channels: npt.NDArray[np.int16]
    shift: int
    places: npt.NDArray[np.int32]
    spread: npt.NDArray[np.int8]
    back: npt.NDArray[np.int16]
    back_fraction: npt.NDArray[np.int8]
    back_places: Floats
    steps: Ints
    sizes: Floats
    fineness: npt.NDArray[np.int16]
    centres: Floats
    tables: Tables
    changes: ChangeTables | None = None
    fingerprint: int = field(init=False)
    _workspace: Workspace = field(init=False, repr=False)
    _sent: tuple[tuple[Array, Classes, Array], ...] = field(init=False, repr=False)
    _largest_mean: float = field(init=False, repr=False)
    _exact: tuple[Array, Array, tuple[Array, ...]] = field(init=False, repr=False)
    _places: Array = field(init=False, repr=False)
    offset: Floats = field(init=False, repr=False)
    _back: Floats = field(init=False, repr=False)
    _back_maps: tuple[Array, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sides = self.layout.sides if self.places.size else ()
        wanted = sum(side**2 for side in sides)
        fits = len(self.mean) in (1 + self.layout.prefix, self.layout.positions)
        if self.places.size != wanted or self.back_places.size != wanted or not fits:
            raise CodecError(f"maps along sides {sides} have {wanted} entries; got {self.places.size}. Fit it again.")
        stages = magnitudes(self.channels, [np.abs(one) for one in self.maps(self.places)], self.shift)
        if not (max(stages) < EXACT and self.shift >= 0 and (self.steps > 0).all()):
            raise CodecError("this bottleneck's integers pass 2**53, where sums are no longer exact; fit it again")
        object.__setattr__(self, "_workspace", Workspace())
        order = np.argsort(-self.spread.reshape(-1).astype(np.int16), kind="stable")
        object.__setattr__(self, "_places", np.argsort(order))  # of each coefficient in what is sent
        object.__setattr__(self, "_sent", tuple(self._of_rate(order, int(fineness)) for fineness in self.fineness))
        # The bits that are dropped after each map are behind its point: to divide by a power of two is exact.
        channels = self.channels * 2.0 ** -(self.shift if self.places.size else 0)
        maps = self.maps(self.places)
        dropped = [PLACE_BITS] * (len(maps) - 1) + [0]  # nothing is dropped after the last
        scaled = tuple(along * 2.0**-bits for along, bits in zip(maps, dropped, strict=False))
        means = positioned(self.mean, self.layout)
        object.__setattr__(self, "_largest_mean", float(np.abs(means).max()))
        kind = np.float32 if self._largest_mean < 2**23 else np.float64  # exact: below 2**24 with what is subtracted
        object.__setattr__(self, "_exact", (means.astype(kind), channels, scaled))
        object.__setattr__(self, "_back", self.decoder())
        object.__setattr__(self, "_back_maps", tuple(self.maps(self.back_places)))
        object.__setattr__(self, "offset", (means * 2.0**-self.fraction).astype(np.float32))
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
        found = {name: value for name, value in named.items() if isinstance(value, np.ndarray)}
        found["frequencies"] = self.tables.frequencies
        return found if self.changes is None else found | self.changes.arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], *, layout: Layout, fraction: int, shift: int) -> Self:
        """The inverse of ``arrays``."""
        changes, rest = ChangeTables.taken(arrays)
        tables = Tables(rest.pop("frequencies"))
        return cls(layout=layout, fraction=fraction, shift=shift, tables=tables, changes=changes, **rest)

    def decoder(self) -> Floats:
        """``back`` as what it means, (components, width)."""
        return np.ldexp(self.back.astype(np.float32), -self.back_fraction[:, None].astype(np.int32))

    def sent(self, rate: int) -> tuple[Array, Classes]:
        """Which coefficients a rate sends, most important first, and their classes."""
        order, classes, _ = self._sent[rate]
        return order, classes

    def _of_rate(self, order: Array, fineness: int) -> tuple[Array, Classes, Array]:
        """Coefficients that are sent, their classes, and where values of magnitude 1 and of more lie."""
        classes = self.spread.reshape(-1)[order].astype(np.int64) - fineness
        count = int((classes >= LEAST_CLASS).sum())
        classes = np.minimum(classes[:count], HIGHEST_CLASS)
        return order[:count], Classes(classes), np.ascontiguousarray(self.centres[classes - LOWEST_CLASS].T)

    def analyse(self, rows: Array) -> Doubles:
        """Rows (N, positions, width) as whole numbers (N, positions, components), before any step."""
        whole = self._whole(rows)
        _, channels, _ = self._exact
        shape = (*whole.shape[:2], channels.shape[1])
        out = self._workspace.array("product", shape, np.float64) if self.places.size else np.empty(shape)
        with one_thread():
            values: Doubles = np.matmul(whole, channels, out=out)
            return self._along(_rounded(values)) if self.places.size else values

    def _whole(self, rows: Array) -> Doubles:
        """Rows less their mean as whole numbers of 2**-fraction, at most ``CLIP``: exact in float32 as in float64."""
        lowest, highest = (float(reduced(rows, axis=None)) for reduced in (np.minimum.reduce, np.maximum.reduce))
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise CodecError("features hold NaN or infinity, which no bottleneck carries. Repair the model's head.")
        most, far = max(-lowest, highest), 2.0 ** (_FAR - self.fraction)
        if most > far:
            rows = np.clip(rows, -far, far)
        means = self._exact[0]
        kind = np.float64 if rows.dtype == np.float64 else means.dtype.type
        scaled = np.multiply(rows, kind(2.0**self.fraction), out=self._workspace.like("whole", rows, kind))
        np.rint(scaled, out=scaled)
        scaled -= means
        if most * 2.0**self.fraction > CLIP - self._largest_mean - 1:
            np.clip(scaled, -CLIP, CLIP, out=scaled)
        exact = self._workspace.like("exact", rows, np.float64)
        np.copyto(exact, scaled)
        return exact

    def _along(self, values: Doubles) -> Doubles:
        """Whole numbers multiplied with the maps along the sides of the grid."""
        prefix = self.layout.prefix
        grid = values[:, prefix:]
        last = len(self._exact[2]) - 1
        for axis, along in enumerate(self._exact[2]):
            out = None if axis == last else self._workspace.array(f"along {axis}", grid.shape, np.float64)
            grid = _turned(_rounded(grid) if axis else grid, along, self.layout, axis, out)
        return np.concatenate([values[:, :prefix] * 2.0**PLACE_BITS, grid], axis=1) if prefix else grid

    def maps(self, flat: Array) -> list[Array]:
        """``places`` or ``back_places`` as a matrix for each side of the grid."""
        sides = self.layout.sides if flat.size else ()
        ends = np.cumsum([side**2 for side in sides])[:-1]
        return [one.reshape(side, side) for one, side in zip(np.split(flat, ends), sides, strict=True)] if sides else []

    def quantise(self, analysed: Doubles, rate: int) -> npt.NDArray[np.int32]:
        """The latents (N, coefficients) that a rate sends, the same on every machine."""
        order, _ = self.sent(rate)
        flat = np.ascontiguousarray(analysed).reshape(len(analysed), -1)
        latents = np.empty((len(flat), len(order)), np.int32)
        loops.LOOPS.quantise(flat, order, 1 / float(self.steps[rate]), ROUNDING, LIMIT, latents)
        return latents

    def synthesise(self, latents: Array, rate: int) -> Floats:
        """The rows (N, positions, width) that the decoder makes of latents."""
        return self.rebuild(self.dequantise(latents, rate))

    def dequantise(self, latents: Array, rate: int) -> Floats:
        """Latents as coefficients (N, positions, components) in the decoder's units."""
        _, classes, (one, more) = self._sent[rate]
        planes = self._workspace.array("planes", (len(latents), self.spread.size), np.float32)
        planes[:, len(classes) :] = 0
        values = planes[:, : len(classes)]
        values[:] = latents
        centres = np.where(np.abs(values) == 1, one, more)
        values += np.multiply(np.clip(values, -1, 1), centres, out=centres)
        values *= self.sizes[rate]
        return np.take(planes, self._places, axis=1).reshape(len(latents), *self.spread.shape)

    def rebuild(self, values: Floats) -> Floats:
        """Rows (N, positions, width) from coefficients (N, positions, components) in the decoder's units."""
        before, grid = values[:, : self.layout.prefix], values[:, self.layout.prefix :]
        with one_thread():
            for axis, along in enumerate(self._back_maps):
                grid = _turned(grid, along, self.layout, axis)
            rows = np.concatenate([before, grid], axis=1) if self.layout.prefix else grid
            rebuilt: Floats = self._back.T @ rows.swapaxes(1, 2)  # as images lie: channels first
        rebuilt += self.offset.T
        return rebuilt.swapaxes(1, 2)


def positioned(mean: Array, layout: Layout) -> Array:
    """The mean of each position, (positions, width), or one for all, (1, width), where all have the same.

    Args:
        mean: of all positions, and of each before the grid; or of each position.
        layout: how features become rows.
    """
    if len(mean) == layout.positions or not layout.prefix:
        return mean
    rest = np.broadcast_to(mean[:1], (layout.positions - layout.prefix, mean.shape[1]))
    return np.concatenate([mean[1:], rest])


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


def _rounded(values: Doubles) -> Doubles:
    """To whole numbers, halves to the even one, in place."""
    return np.rint(values, out=values)


def _turned(rows: Array, along: Array, layout: Layout, axis: int, out: Array | None = None) -> Array:
    """Rows (N, positions, components) multiplied with a matrix along one side of the grid."""
    sides = layout.sides
    split = rows.reshape(len(rows) * math.prod(sides[:axis]), sides[axis], -1)
    turned: Array = np.matmul(along, split, out=None if out is None else out.reshape(split.shape))
    return turned.reshape(rows.shape)
