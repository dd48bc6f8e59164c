"""EnergySplit: where the joules of a frame went. Provenance: how a figure is known.

May import: nothing of adaedge.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum


class Provenance(StrEnum):
    """How a figure is known. Figures of different provenance never share a column."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    PRESET = "preset"
    ASSUMED = "assumed"
    MODELLED = "modelled"


@dataclass(frozen=True, slots=True)
class EnergySplit:
    """Joules of the terminal above its idle power, by cause.

    Attributes:
        compute_j: the terminal's own computing, a failed offload's local finish included.
        promote_j: waking the radio.
        transmit_j: sending payloads and probes.
        receive_j: receiving answers.
        wait_j: connected, waiting for the edge server.
        tail_j: the radio's tail: connected after the last packet, with nothing to send.

    Example:
        >>> (EnergySplit(compute_j=0.2) + EnergySplit(tail_j=0.1)).total_j
        0.30000000000000004
    """

    compute_j: float = 0.0
    promote_j: float = 0.0
    transmit_j: float = 0.0
    receive_j: float = 0.0
    wait_j: float = 0.0
    tail_j: float = 0.0

    @property
    def total_j(self) -> float:
        """All of it."""
        return self.compute_j + self.promote_j + self.transmit_j + self.receive_j + self.wait_j + self.tail_j

    def __add__(self, other: EnergySplit) -> EnergySplit:
        return EnergySplit(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))
