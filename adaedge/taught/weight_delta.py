"""What changed of weights: few of them, in 8 bits each. Both ends compute the new weights from it bit for bit.

May import: ``errors``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import PayloadError

Weights = Mapping[str, Array]
FINGERPRINT_BYTES = 16
LEVELS = 127


@final
@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """The addition to one tensor: ``scale * values`` at the positions that the mask marks.

    Attributes:
        mask: uint8, a bit for each weight in C order, the highest bit of a byte first (`numpy.packbits`).
        values: int8, one for each marked weight.
        scale: of the values.

    Example:
        >>> delta = Delta.of(np.array([0.0, 0.5, -1.0]), np.array([False, True, True]))
        >>> delta.values.tolist(), [round(one, 3) for one in delta.added_to(np.zeros(3, np.float32)).tolist()]
        ([64, -127], [0.0, 0.504, -1.0])
    """

    mask: Array
    values: Array
    scale: np.float32

    @classmethod
    def of(cls, change: Array, chosen: Array) -> Self:
        """The change of a tensor at the places that are chosen, quantised."""
        taken = np.asarray(change, np.float32)[chosen]
        scale = np.float32(np.abs(taken).max(initial=0.0) / LEVELS)
        values = np.rint(taken / scale) if scale > 0 else np.zeros(taken.shape)
        return cls(np.packbits(chosen.reshape(-1)), values.astype(np.int8), scale)

    def added_to(self, weight: Array) -> Array:
        """The new tensor; the one that is given stays as it is.

        Raises:
            PayloadError: if the two do not fit each other, or the sum is not finite.
        """
        places = np.unpackbits(self.mask, count=weight.size) if 8 * self.mask.size >= weight.size else None
        if places is None or self.mask.size != -(-weight.size // 8) or places.sum() != self.values.size:
            raise PayloadError(
                f"an update's delta of {self.values.size} values and {self.mask.size} bytes of mask does not fit a"
                f" tensor of {weight.size} weights"
            )
        new = weight.astype(np.float32).reshape(-1)
        new[places.astype(bool)] += np.float32(self.scale) * self.values.astype(np.float32)
        if not np.isfinite(new).all():
            raise PayloadError("an update's delta makes weights that are not finite")
        return new.reshape(weight.shape)


def apply(weights: Weights, deltas: Mapping[str, Delta]) -> dict[str, Array]:
    """The new weights; those without a delta are the arrays that came.

    Raises:
        PayloadError: if a delta is of a weight that is not there, or does not fit it.

    Example:
        >>> delta = Delta.of(np.ones(2), np.array([True, False]))
        >>> apply({"a": np.zeros(2, np.float32)}, {"a": delta})["a"].tolist()
        [1.0, 0.0]
    """
    unknown = sorted(set(deltas) - set(weights))
    if unknown:
        raise PayloadError(f"an update changes {unknown[0]!r}, which is no weight of the network that is taught")
    return dict(weights) | {name: delta.added_to(weights[name]) for name, delta in deltas.items()}


def fingerprint(weights: Weights) -> bytes:
    """16 bytes that tell these weights from any others: of the SHA-256 of names, types, shapes and values.

    Example:
        >>> one, other = {"a": np.zeros(2, np.float32)}, {"a": np.ones(2, np.float32)}
        >>> fingerprint(one) == fingerprint(dict(one)), fingerprint(one) == fingerprint(other)
        (True, False)
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name}\0{array.dtype.str}{array.shape}\0".encode())
        digest.update(array.data)
    return digest.digest()[:FINGERPRINT_BYTES]
