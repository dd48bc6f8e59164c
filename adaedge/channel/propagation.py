"""Formulas of the radio link: path loss, shadowing, fading, capacity. Pure functions of arrays; each names its source.

May import: ``errors``. Losses and gains in dB, powers in dBm, distances in m, frequencies in Hz.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LIGHT_MPS = 299_792_458.0
THERMAL_NOISE_DBM_PER_HZ = -174.0


def umi_los_db(distance_m: Any, carrier_hz: float, base_m: float = 10.0, terminal_m: float = 1.5) -> Any:
    """Path loss of an urban street canyon (UMi) in line of sight; 3GPP TR 38.901, table 7.4.1-1, PL1 and PL2.

    ``32.4 + 21 log10(d) + 20 log10(f)`` up to the breakpoint ``4 (base_m - 1)(terminal_m - 1) f / c``, and 40 dB per
    decade beyond it; f in GHz. Stated for 10 m to 5 km.

    Args:
        distance_m: between the antennas (three dimensions).
        carrier_hz: 0.5 to 100 GHz.
        base_m: height of the base station.
        terminal_m: height of the terminal.

    Example:
        >>> round(float(umi_los_db(100.0, 10e9)), 6)
        94.4
    """
    ghz, height_m = carrier_hz / 1e9, base_m - terminal_m
    breakpoint_m = 4 * (base_m - 1) * (terminal_m - 1) * carrier_hz / LIGHT_MPS
    far_square = breakpoint_m**2 + height_m**2
    decades = np.log10(distance_m)
    near = 32.4 + 21 * decades + 20 * np.log10(ghz)
    far = 32.4 + 40 * decades + 20 * np.log10(ghz) - 9.5 * np.log10(far_square)
    return np.where(np.square(distance_m) <= far_square, near, far)


def umi_nlos_db(distance_m: Any, carrier_hz: float, base_m: float = 10.0, terminal_m: float = 1.5) -> Any:
    """Path loss of an urban street canyon (UMi) without line of sight; 3GPP TR 38.901, table 7.4.1-1.

    ``22.4 + 35.3 log10(d) + 21.3 log10(f) - 0.3 (terminal_m - 1.5)``, f in GHz, and never less than in line of sight.

    Example:
        >>> round(float(umi_nlos_db(100.0, 1e9)), 6)
        93.0
    """
    loss = 22.4 + 35.3 * np.log10(distance_m) + 21.3 * np.log10(carrier_hz / 1e9) - 0.3 * (terminal_m - 1.5)
    return np.maximum(loss, umi_los_db(distance_m, carrier_hz, base_m, terminal_m))


def shadowing(travelled_m: Floats, decorrelation_m: Any, rng: np.random.Generator) -> Floats:
    """Shadowing of unit variance along a path; Gudmundson, Electronics Letters 27(23), 1991.

    Points a distance x apart correlate as ``exp(-x / decorrelation_m)``: a first-order autoregression in the distance.

    Args:
        travelled_m: distance travelled at each sample, not decreasing.
        decorrelation_m: where the correlation has fallen to 1/e; one, or one for each sample.
        rng: source of randomness.
    """
    steps_m = np.diff(travelled_m, prepend=travelled_m[:1])
    kept = np.exp(-steps_m / decorrelation_m)
    fresh = np.sqrt(1 - kept**2) * rng.standard_normal(len(steps_m))
    values = np.empty(len(steps_m))
    value = rng.standard_normal()
    for index, (keep, new) in enumerate(zip(kept.tolist(), fresh.tolist(), strict=True)):
        value = keep * value + new
        values[index] = value
    return values


def fading_gain(
    travelled_m: Floats, carrier_hz: float, rician_k: Any, rng: np.random.Generator, paths: int = 32
) -> Floats:
    """Power gain of multipath fading along a path, of mean 1.

    A sum of sinusoids with random angles and phases, whose correlation over a distance x approaches Clarke's
    ``J0(2 pi x / wavelength)``, beside a direct path that holds K times its power (Rayleigh where K is 0); Xiao, Zheng
    and Beaulieu, IEEE Trans. Wireless Communications 5(12), 2006. Doppler is in it: the phases turn with the distance
    travelled, not with time.

    Args:
        travelled_m: distance travelled at each sample.
        carrier_hz: carrier.
        rician_k: power of the direct path over that of all others, as a ratio; one, or one for each sample.
        rng: source of randomness.
        paths: number of sinusoids.
    """
    phase = 2 * np.pi * carrier_hz / LIGHT_MPS * travelled_m
    angles, offsets = rng.uniform(-np.pi, np.pi, (2, paths + 1))
    scattered = np.zeros(len(travelled_m), dtype=np.complex128)
    for angle, offset in zip(angles[1:], offsets[1:], strict=True):
        scattered += np.exp(1j * (phase * np.cos(angle) + offset))
    direct = np.exp(1j * (phase * np.cos(angles[0]) + offsets[0]))
    field = (scattered / np.sqrt(paths) + np.sqrt(rician_k) * direct) / np.sqrt(1 + np.asarray(rician_k))
    gain: Floats = np.abs(field) ** 2
    return gain


def noise_dbm(bandwidth_hz: float, noise_figure_db: float) -> float:
    """Thermal noise in a receiver, ``-174 dBm/Hz + 10 log10(B) + noise figure``.

    Example:
        >>> noise_dbm(1e6, 5.0)
        -109.0
    """
    return THERMAL_NOISE_DBM_PER_HZ + 10 * float(np.log10(bandwidth_hz)) + noise_figure_db


def shannon_bps(snr_db: Any, bandwidth_hz: float, most_bps_per_hz: float = np.inf) -> Any:
    """Capacity ``B log2(1 + SNR)``, Shannon 1948, up to what the best modulation carries.

    Example:
        >>> float(shannon_bps(10 * np.log10(3.0), 1e6))
        2000000.0
    """
    return bandwidth_hz * np.minimum(np.log2(1 + 10 ** (np.asarray(snr_db) / 10)), most_bps_per_hz)
