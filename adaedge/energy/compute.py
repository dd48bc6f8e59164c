"""ComputePower: what the terminal's processor draws above idle.

May import: ``errors``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from adaedge.energy.provenance import Provenance
from adaedge.errors import EnergyError


def check_figure(name: str, value: float) -> None:
    """Refuse a power, time or energy that cannot be.

    Raises:
        EnergyError: if it is negative or not finite.
    """
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
        raise EnergyError(f"{name} is a finite number, at least 0, above idle; got {value}")


@dataclass(frozen=True, slots=True)
class ComputePower:
    """Watts of the terminal's processor above its idle power.

    Attributes:
        busy_w: while it computes.
        wait_w: while it waits for the edge server (a processor that does not reach its idle state); often 0.
        provenance: how the figures are known.
        source: where they come from, for people.
        macs_per_s: multiply-accumulates that it does in a second, in int8 unless ``source`` says otherwise; ``None``
            where that is not known. Times are measured; this serves to estimate what was not.

    Example:
        >>> ComputePower(busy_w=4.0).busy_w * 0.020  # joules of 20 ms
        0.08
        >>> ComputePower(busy_w=4.0, macs_per_s=8e9).j_per_mac
        5e-10
    """

    busy_w: float
    wait_w: float = 0.0
    provenance: Provenance = Provenance.ASSUMED
    source: str = ""
    macs_per_s: float | None = None

    def __post_init__(self) -> None:
        check_figure("busy_w", self.busy_w)
        check_figure("wait_w", self.wait_w)
        if self.macs_per_s is not None and not (math.isfinite(self.macs_per_s) and self.macs_per_s > 0):
            raise EnergyError(f"macs_per_s is a finite number above 0; got {self.macs_per_s}")

    @property
    def j_per_mac(self) -> float:
        """Joules of one multiply-accumulate.

        Raises:
            EnergyError: if the throughput is not known.
        """
        return self.busy_w * self.seconds(1.0)

    def seconds(self, macs: float) -> float:
        """Seconds of so many multiply-accumulates.

        Raises:
            EnergyError: if the throughput is not known.
        """
        if self.macs_per_s is None:
            raise EnergyError("the processor's macs_per_s is not known. Profile a bundle on it, or give a preset.")
        return macs / self.macs_per_s

    @classmethod
    def from_cmos(
        cls, frequency_hz: float, kappa: float = 1e-28, provenance: Provenance = Provenance.ASSUMED
    ) -> ComputePower:
        """Dynamic power of a CMOS processor, ``kappa * f**3``: ``cmos_energy_j`` of the f cycles in each second.

        Args:
            frequency_hz: clock rate.
            kappa: effective switched capacitance, in W s³; 1e-28 as in Sci. Rep. s41598-025-96272-4.
            provenance: ``kappa`` of a given processor is an assumption until it is measured.

        Raises:
            EnergyError: if a figure cannot be.

        Example:
            >>> round(ComputePower.from_cmos(2e9).busy_w, 6)
            0.8
        """
        source = f"dynamic CMOS power with kappa {kappa:g} at {frequency_hz / 1e9:g} GHz"
        return cls(cmos_energy_j(frequency_hz, frequency_hz, kappa), 0.0, provenance, source)

    @classmethod
    def from_efficiency(
        cls, j_per_mac: float, macs_per_s: float, provenance: Provenance = Provenance.ASSUMED, source: str = ""
    ) -> ComputePower:
        """Power of a processor known by its joules per multiply-accumulate and how many it does in a second.

        Raises:
            EnergyError: if a figure cannot be.

        Example:
            >>> round(ComputePower.from_efficiency(6e-12, 1e12).busy_w, 6)
            6.0
        """
        return cls(j_per_mac * macs_per_s, 0.0, provenance, source, macs_per_s)


def cmos_energy_j(cycles: float, frequency_hz: float, kappa: float = 1e-28) -> float:
    """Joules of ``cycles`` clock cycles, ``kappa * cycles * frequency_hz**2`` (Sci. Rep. s41598-025-96272-4).

    Example:
        >>> round(cmos_energy_j(cycles=1e9, frequency_hz=1e9), 6)
        0.1
    """
    return kappa * cycles * frequency_hz**2
