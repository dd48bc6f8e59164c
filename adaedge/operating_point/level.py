"""Level: which weights, how many channels, which arithmetic.

May import: ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaedge.errors import LevelError

FP32 = "fp32"
FULL = "full"
"""The network that was built; others in a bundle are students and light heads, each by its name."""


@dataclass(frozen=True, slots=True, order=True)
class Level:
    """One setting of network, width and precision; the widest in fp32 by default.

    Attributes:
        network: ``full``, or the name of another network in the same bundle.
        width: fraction of channels kept, in (0, 1].
        precision: number format of the terminal's arithmetic.

    Raises:
        LevelError: if the network has no name, or the width is no such fraction.

    Example:
        >>> str(Level(width=0.5, precision="int8")), str(Level("student"))
        ('width 0.5 in int8', 'student, width 1 in fp32')
    """

    network: str = FULL
    width: float = 1.0
    precision: str = FP32

    def __post_init__(self) -> None:
        if not self.network or "/" in self.network or self.network == "incremental":
            raise LevelError(
                f"network is a name without a slash, `full` for the one that was built, and never `incremental`; got"
                f" {self.network!r}"
            )
        if not 0 < self.width <= 1:
            raise LevelError(f"width is the fraction of channels kept, in (0, 1]; got {self.width}")

    def __str__(self) -> str:
        network = "" if self.network == FULL else f"{self.network}, "
        return f"{network}width {self.width:g} in {self.precision}"
