"""What a terminal says of the weights that it holds when it asks for an update, as it crosses: JSON in UTF-8.

May import: ``errors``; of this part ``weight_delta``.

``{"network": name, "version": of the weights, "newest": version ever taken, "weights": their fingerprint in
hexadecimal}``. The reply is an update (see ``update``), or nothing where there is none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self, final

from adaedge.errors import PayloadError
from adaedge.taught.weight_delta import FINGERPRINT_BYTES

_LONGEST = 4096


@final
@dataclass(frozen=True, slots=True)
class HeldWeights:
    """The weights that a terminal holds of a network that is taught.

    Attributes:
        network: its name in the bundle.
        version: of the weights; 0 is the bundle's own.
        newest: the newest version that was ever taken; above ``version`` after a roll-back.
        weights: their fingerprint, in hexadecimal.

    Raises:
        PayloadError: if it cannot be.

    Example:
        >>> held = HeldWeights("small", 2, 3, "ab" * 16)
        >>> HeldWeights.from_bytes(held.to_bytes()) == held
        True
    """

    network: str
    version: int
    newest: int
    weights: str

    def __post_init__(self) -> None:
        numbers = type(self.version) is int and type(self.newest) is int and 0 <= self.version <= self.newest < 2**63
        names = isinstance(self.network, str) and isinstance(self.weights, str)
        if not (numbers and names and len(self.weights) == 2 * FINGERPRINT_BYTES):
            raise PayloadError(
                f"what a terminal holds is a network's name, two versions and a fingerprint; got {self.network!s:.40},"
                f" {self.version!s:.20}, {self.newest!s:.20} and {self.weights!s:.40}"
            )

    def to_bytes(self) -> bytes:
        """As it crosses."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what ``to_bytes`` wrote.

        Raises:
            PayloadError: if it is nothing of the kind.
        """
        try:
            if len(data) > _LONGEST:
                raise ValueError(f"{len(data)} bytes")
            return cls(**json.loads(data))
        except (ValueError, TypeError, RecursionError) as error:
            raise PayloadError(f"this does not say what a terminal holds ({error}): {data[:40]!r}") from error
