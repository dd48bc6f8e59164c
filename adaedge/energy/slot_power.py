"""SlotPower: the relative power of an NR terminal in each kind of slot, by 3GPP TR 38.840.

May import: ``errors``.

3GPP, TR 38.840, *Study on User Equipment (UE) power saving in NR*, V16.0.0, clause 8.1, gives powers relative to deep
sleep, for 100 MHz and four receive antennas in FR1 (below 7 GHz, Table 18), and 100 MHz and two in FR2 (millimetre
waves, Table 20), transitions (Table 19) and scaling (Table 21). A *unit* is the power of deep sleep; the report gives
no watts. The figures were compared with two readings of the report: 5G-LENA's energy model, and a thesis on
handovers and energy (github.com/bjoluc/5g-handover-optimization). Rows that no frame meets here are left out: one
synchronisation block only, PDSCH without PDCCH, short PUCCH, a second transmit antenna.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from adaedge.energy.compute import check_figure
from adaedge.errors import EnergyError


class Sleep(NamedTuple):
    """A kind of sleep.

    Attributes:
        units: power while it lasts.
        transition_unit_s: energy of falling asleep and waking, beyond that power; units times seconds.
        transition_s: seconds that both take together; a shorter sleep is not possible.
    """

    units: float
    transition_unit_s: float
    transition_s: float


_DEEP = Sleep(1.0, 0.450, 0.020)
_LIGHT = Sleep(20.0, 0.100, 0.006)
_MICRO = Sleep(45.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class SlotPower:
    """Relative powers of an NR terminal, in units of its deep sleep.

    Attributes:
        deep, light, micro: kinds of sleep.
        listening: PDCCH-only: it looks for what is sent to it, and nothing is.
        measuring: receiving synchronisation blocks (SSB) or reference signals (CSI-RS).
        receiving: PDCCH and PDSCH: data is received.
        sending_0dbm: uplink at 1 mW radiated.
        sending_23dbm: uplink at 200 mW radiated, the most of a handset (power class 3).
        bandwidth_hz: of the receiver; figures are those for it.
        antennas: receive antennas; figures are those for them.

    Example:
        >>> FR1.receiving, FR1.scaled(bandwidth_hz=20e6).receiving
        (300.0, 120.0)
    """

    deep: Sleep = _DEEP
    light: Sleep = _LIGHT
    micro: Sleep = _MICRO
    listening: float = 100.0
    measuring: float = 100.0
    receiving: float = 300.0
    sending_0dbm: float = 250.0
    sending_23dbm: float = 700.0
    bandwidth_hz: float = 100e6
    antennas: int = 4

    def __post_init__(self) -> None:
        for sleep in (self.deep, self.light, self.micro):
            for name, figure in zip(Sleep._fields, sleep, strict=True):
                check_figure(name, figure)
        for name in ("listening", "measuring", "receiving", "sending_0dbm", "sending_23dbm"):
            check_figure(name, getattr(self, name))
            if getattr(self, name) < self.deep.units:
                raise EnergyError(f"{name} draws at least as much as deep sleep, {self.deep.units} units")

    def scaled(self, *, bandwidth_hz: float | None = None, antennas: int | None = None) -> Self:
        """The powers of a narrower receiver, or one with fewer antennas.

        A receiver of X MHz draws ``0.4 + 0.6 · (X − 20) / 80`` of what one of 100 MHz draws, and 0.7 for each halving
        of its antennas (TR 38.840, 8.1.3). Sleep and the uplink stay as they are.

        Args:
            bandwidth_hz: from 10 to 100 MHz.
            antennas: a power of two, at most as many as now.

        Raises:
            EnergyError: if the rules do not cover it.

        Example:
            >>> FR1.scaled(antennas=2).listening, round(FR1.scaled(bandwidth_hz=60e6, antennas=1).listening, 1)
            (70.0, 34.3)
        """
        bandwidth_hz = self.bandwidth_hz if bandwidth_hz is None else bandwidth_hz
        antennas = self.antennas if antennas is None else antennas
        if not 10e6 <= bandwidth_hz <= 100e6:
            raise EnergyError(f"TR 38.840 scales bandwidths of 10 to 100 MHz; got {bandwidth_hz / 1e6:g} MHz")
        halvings = math.log2(self.antennas / antennas) if antennas > 0 else -1.0
        if halvings < 0 or not halvings.is_integer():
            raise EnergyError(f"receive antennas are halved, from {self.antennas}; got {antennas}")
        factor = _of_bandwidth(bandwidth_hz) / _of_bandwidth(self.bandwidth_hz) * 0.7**halvings
        return replace(
            self,
            listening=self.listening * factor,
            measuring=self.measuring * factor,
            receiving=self.receiving * factor,
            bandwidth_hz=bandwidth_hz,
            antennas=antennas,
        )

    def sending(self, transmit_dbm: float) -> float:
        """Units of the uplink at a radiated power; between the report's two it is linear in the watts radiated.

        Raises:
            EnergyError: if it is not from 0 to 23 dBm.

        Example:
            >>> FR1.sending(0.0), FR1.sending(23.0), round(FR1.sending(20.0), 1)
            (250.0, 700.0, 474.4)
        """
        if not 0 <= transmit_dbm <= 23:
            raise EnergyError(f"transmit_dbm is from 0 to 23, where TR 38.840 has figures; got {transmit_dbm}")
        share = (10 ** (transmit_dbm / 10) - 1) / (10**2.3 - 1)
        return self.sending_0dbm + share * (self.sending_23dbm - self.sending_0dbm)

    def sleep(self, lasts_s: float) -> Sleep:
        """The kind of sleep that takes the least for so many seconds, transitions included.

        Example:
            >>> [FR1.sleep(lasts_s).units for lasts_s in (0.005, 0.010, 0.152)]
            [45.0, 20.0, 1.0]
        """
        possible = [sleep for sleep in (self.deep, self.light, self.micro) if lasts_s >= sleep.transition_s]
        return min(possible, key=lambda sleep: sleep.units * lasts_s + sleep.transition_unit_s)


def _of_bandwidth(bandwidth_hz: float) -> float:
    return 0.4 + 0.6 * (bandwidth_hz / 1e6 - 20) / 80


FR1 = SlotPower()
"""Below 7 GHz: TR 38.840's reference of 100 MHz and four receive antennas."""

FR2 = SlotPower(listening=175.0, measuring=175.0, receiving=350.0, sending_0dbm=350.0, sending_23dbm=350.0, antennas=2)
"""Millimetre waves: TR 38.840's reference of 100 MHz and two receive antennas; it has one figure for the uplink."""
