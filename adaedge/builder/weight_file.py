"""The tensors that the graphs of a bundle share, each stored once; those of narrower levels as slices of the widest's.

May import: of ``bundle`` the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.bundle.entries import Slice
from adaedge.bundle.weights import part

Index = Sequence[npt.NDArray[np.int64] | None]


class Weights(Protocol):
    """Takes the tensors of a graph."""

    def add(self, name: str, array: Array) -> str:
        """The name under which the graph finds this tensor: ``name``, or that of an equal one."""
        ...


@final
@dataclass(slots=True)
class WeightFile:
    """Gathers tensors; tied ones, and those that several graphs use, have one name.

    Attributes:
        tensors: name → array, in C order: what is stored.
        slices: name → which part of a stored tensor it is.
        digests: name → SHA-256 of its bytes, of every tensor and slice.

    Example:
        >>> file = WeightFile()
        >>> file.add("embedding", np.ones((4, 2))), file.add("head", np.ones((4, 2))), len(file.tensors)
        ('embedding', 'embedding', 1)
    """

    tensors: dict[str, Array] = field(default_factory=dict)
    slices: dict[str, Slice] = field(default_factory=dict)
    digests: dict[str, bytes] = field(default_factory=dict)
    _names: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    _asked: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, array: Array, *, of: Slice | None = None) -> str:
        """The name under which the bundle holds this array: ``name``, or that of an equal one.

        Args:
            name: what it is called in its graph.
            array: its values.
            of: the part of a stored tensor that it is.
        """
        array = np.asarray(array, order="C")
        asked, digest = name, hashlib.sha256(array.data).digest()
        content = (array.dtype.str, array.shape, digest)
        if content not in self._names:
            while name in self.digests:
                name += "'"
            self._names[content] = name
            self.digests[name] = digest
            if of is None:
                self.tensors[name] = array
            else:
                self.slices[name] = of
        self._asked[asked] = self._names[content]
        return self._names[content]

    def stored_as(self, name: str) -> str | None:
        """The name of the stored tensor that was once added under ``name``."""
        found = self._asked.get(name)
        return found if found in self.tensors else None


@final
@dataclass(frozen=True, slots=True)
class LevelWeights:
    """The weights of a level beside the first: slices of what the file holds already, where they are that bit for bit.

    Attributes:
        file: holds the widest level's.
        mark: what sets the level's names apart, such as ``@0.5``.
        index: name of a tensor in the model → for each dimension the positions that the level keeps, ``None`` for all.
        prefix: what sets the names of its network apart, such as ``student/``.

    Example:
        >>> file = WeightFile()
        >>> full = np.arange(6.0).reshape(2, 3)
        >>> file.add("fc.weight", full)
        'fc.weight'
        >>> LevelWeights(file, "@0.5", {"fc.weight": (None, np.array([0, 2]))}).add("fc.weight", full[:, [0, 2]])
        'fc.weight@0.5'
        >>> file.slices["fc.weight@0.5"]
        Slice(tensor='fc.weight', kept=((), (0, 1, 2, 3)))
    """

    file: WeightFile
    mark: str
    index: Mapping[str, Index]
    prefix: str = ""

    def add(self, name: str, array: Array) -> str:
        """The name under which the bundle holds this array: as a slice, or else as a tensor of its own."""
        stored = self.file.stored_as(self.prefix + name)
        candidates = [] if stored is None else [Slice(stored, kept) for kept in self._kept(name, stored, array)]
        found = (which for which in candidates if self._is(which, array))
        return self.file.add(self.prefix + name + self.mark, array, of=next(found, None))

    def _kept(self, name: str, stored: str, array: Array) -> list[tuple[tuple[int, ...], ...]]:
        """What the level may keep of a tensor: as the index says, as it says of the transposed one, or a prefix."""
        index = self.index.get(name) or [*reversed(self.index.get(name.removesuffix(".T"), ()))]
        lengths = zip(array.shape, self.file.tensors[stored].shape, strict=False)
        return [tuple(map(_runs, index)), tuple(() if kept == full else (0, kept) for kept, full in lengths)]

    def _is(self, which: Slice, array: Array) -> bool:
        full = self.file.tensors[which.tensor]
        fits = len(which.kept) == full.ndim == array.ndim and all(
            not bounds or max(bounds) <= length for bounds, length in zip(which.kept, full.shape, strict=True)
        )
        if not fits or full.dtype != array.dtype:
            return False
        found = part(self.file.tensors, which)
        return found.shape == array.shape and found.tobytes() == np.asarray(array).tobytes()


def _runs(positions: npt.NDArray[np.int64] | None) -> tuple[int, ...]:
    """``start, stop`` of each run of neighbouring positions, in their order.

    Example:
        >>> _runs(np.array([0, 1, 4, 5, 6])), _runs(None)
        ((0, 2, 4, 7), ())
    """
    if positions is None:
        return ()
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    return tuple(int(bound) for run in np.split(positions, breaks) for bound in (run[0], run[-1] + 1))
