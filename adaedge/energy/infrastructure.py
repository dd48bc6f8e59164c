"""Infrastructure: what frames cost beyond the terminal, at the base station and at the edge server.

May import: ``errors``. None of it is ever part of a terminal's joules: it has columns of its own, and a sum beside.

A base station serves many terminals, so a frame pays for what it adds: the power of a slot that carries data above the
station's micro sleep, for the share of a slot that its bytes take at the cell's peak rate. The edge server pays for the
seconds that it computes, above idle. Powers of slots are relative, after 3GPP, TR 38.864, *Study on network energy
savings for NR*, V18.1.0, Table 5.1-3, category 1, set 1 (below 7 GHz, 100 MHz, 64 antennas), as 5G-LENA's energy model
of a base station has them too. Watts are nowhere in the report, so the joules are assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from adaedge.energy.compute import ComputePower, check_figure
from adaedge.energy.provenance import Provenance
from adaedge.errors import EnergyError


@dataclass(frozen=True, slots=True)
class BaseStation:
    """Relative powers of a base station, in units of its deep sleep, and how much data a slot can carry.

    Attributes:
        micro_sleep: between two slots that carry data.
        sending: a slot of the downlink.
        receiving: a slot of the uplink.
        unit_w: watts of one unit.
        uplink_bps: what a cell receives at its peak.
        downlink_bps: what a cell sends at its peak.
        provenance: how the figures are known.

    Raises:
        EnergyError: if a slot with data draws no more than micro sleep, or a rate is not above 0.

    Example:
        >>> station = BaseStation(unit_w=3.5, uplink_bps=200e6)
        >>> round(station.uplink_j(12_500), 6)  # 0.1 Mbit take half a millisecond, 55 units above micro sleep
        0.09625
    """

    micro_sleep: float = 55.0
    sending: float = 280.0
    receiving: float = 110.0
    unit_w: float = 3.5
    uplink_bps: float = 200e6
    downlink_bps: float = 1.5e9
    provenance: Provenance = Provenance.ASSUMED

    def __post_init__(self) -> None:
        for name in ("micro_sleep", "sending", "receiving", "unit_w", "uplink_bps", "downlink_bps"):
            check_figure(name, getattr(self, name))
        if min(self.sending, self.receiving) < self.micro_sleep or not min(self.uplink_bps, self.downlink_bps) > 0:
            raise EnergyError("a base station draws more than in micro sleep when it carries data, at rates above 0")

    def uplink_j(self, payload_bytes: Any) -> Any:
        """Joules that so many bytes of a terminal's uplink add."""
        return (self.receiving - self.micro_sleep) * self.unit_w * 8 * payload_bytes / self.uplink_bps

    def downlink_j(self, answer_bytes: Any) -> Any:
        """Joules that so many bytes to a terminal add."""
        return (self.sending - self.micro_sleep) * self.unit_w * 8 * answer_bytes / self.downlink_bps


@dataclass(frozen=True, slots=True)
class GlobalEnergy:
    """Mean joules of a frame, wherever they are drawn.

    Attributes:
        terminal_j: of the terminal.
        base_station_j: what the frame adds at the base station.
        edge_server_j: of the edge server.
    """

    terminal_j: float
    base_station_j: float
    edge_server_j: float

    @property
    def global_j(self) -> float:
        """The sum, which stands beside the terminal's joules and never in their place."""
        return self.terminal_j + self.base_station_j + self.edge_server_j


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """A base station and an edge server.

    Attributes:
        base_station: the cell.
        edge_server: its processor above idle, for as long as it computes.

    Example:
        >>> found = Infrastructure().of_frame(0.1, payload_bytes=5_000, answer_bytes=0, edge_s=0.005)
        >>> round(found.base_station_j, 4), round(found.edge_server_j, 4), round(found.global_j, 4)
        (0.0385, 0.325, 0.4635)
    """

    base_station: BaseStation = field(default_factory=BaseStation)
    edge_server: ComputePower = field(
        default_factory=lambda: ComputePower(65.0, source="a server's processor above idle: assumed")
    )

    def of_frame(self, terminal_j: float, payload_bytes: float, answer_bytes: float, edge_s: float) -> GlobalEnergy:
        """The joules of a frame beyond the terminal's, which are handed through."""
        station = self.base_station
        cell_j = station.uplink_j(payload_bytes) + station.downlink_j(answer_bytes)
        return GlobalEnergy(terminal_j, float(cell_j), self.edge_server.busy_w * edge_s)
