"""calibrate: an EnergyModel from the watts that a user read on a meter.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adaedge.energy.compute import ComputePower
from adaedge.energy.model import EnergyModel
from adaedge.energy.nr_drx import NrDrx
from adaedge.energy.provenance import Provenance
from adaedge.energy.radio import Radio
from adaedge.energy.radio_power import RadioPower
from adaedge.errors import EnergyError

Reading = tuple[float, float]


def calibrate(
    base: EnergyModel,
    *,
    idle_w: float,
    busy_w: float | None = None,
    wait_w: float | None = None,
    uplink: Sequence[Reading] = (),
    downlink: Sequence[Reading] = (),
    promotion: Reading | None = None,
    tail: Reading | None = None,
) -> EnergyModel:
    """An energy model from readings of the whole terminal's power; what was not read keeps the figure of ``base``.

    Give every power as the meter shows it: ``idle_w`` is subtracted here. Of an `NrDrx` the watts per unit are fitted
    to whatever was read of uplink and downlink; of a `RadioPower` each figure by itself.

    Args:
        base: figures for what was not read, for example ``EnergyModel(RASPBERRY_PI_4, LTE_2021)``.
        idle_w: watts with nothing running and the radio idle.
        busy_w: watts while the terminal runs the model, the radio idle.
        wait_w: watts of the processor while it waits for the edge server, the radio idle.
        uplink: at several rates, (bit/s, watts) while sending; a line is fitted by least squares.
        downlink: the same while receiving.
        promotion: (seconds, watts) of waking the radio.
        tail: (seconds, watts) of the radio between the last packet and idle.

    Raises:
        EnergyError: if a reading is below idle, no line with non-negative terms fits, or the radio has no such figure.

    Example:
        >>> from adaedge.energy import LTE_2021, RASPBERRY_PI_4
        >>> model = calibrate(EnergyModel(RASPBERRY_PI_4, LTE_2021), idle_w=2.5, busy_w=4.0,
        ...                   uplink=[(1e6, 3.1), (5e6, 3.5), (10e6, 4.0)])
        >>> round(model.radio.uplink_w, 6), model.provenance
        (0.5, 'compute calibrated; radio uplink calibrated, downlink preset, others assumed')
    """
    compute = base.compute
    if busy_w is not None:
        wait = compute.wait_w if wait_w is None else _above(wait_w, idle_w, "wait_w")
        compute = ComputePower(_above(busy_w, idle_w, "busy_w"), wait, Provenance.CALIBRATED, "calibrated")
    elif wait_w is not None:
        raise EnergyError("wait_w was read, busy_w was not; read the power while the model runs as well")
    if isinstance(base.radio, NrDrx):
        if promotion is not None or tail is not None:
            raise EnergyError(
                f"{base.radio.name} has no promotion and no tail to read; uplink and downlink tell its watts per unit"
            )
        return EnergyModel(compute, _per_unit(base.radio, idle_w, uplink, downlink))
    figures: dict[str, float] = {}
    for direction, readings in (("uplink", uplink), ("downlink", downlink)):
        if readings:
            slope, constant = _line(readings, idle_w, direction)
            figures |= {f"{direction}_w_per_bps": slope, f"{direction}_w": constant}
    for state, reading in (("promotion", promotion), ("tail", tail)):
        if reading is not None:
            figures |= {f"{state}_s": reading[0], f"{state}_w": _above(reading[1], idle_w, f"{state}'s power")}
    return EnergyModel(compute, _replaced(base.radio, figures))


def _per_unit(radio: NrDrx, idle_w: float, uplink: Sequence[Reading], downlink: Sequence[Reading]) -> NrDrx:
    """The radio with watts per unit that fit the readings best, whatever their rates."""
    units = [radio.slots.sending(radio.transmit_dbm)] * len(uplink) + [radio.slots.receiving] * len(downlink)
    if not units:
        return radio
    watts = np.array([_above(power_w, idle_w, "power of a transfer") for _, power_w in (*uplink, *downlink)])
    above = np.array(units) - radio.slots.deep.units
    unit_w = float(above @ watts / (above @ above))
    provenance = dict(radio.provenance) | {"unit_w": Provenance.CALIBRATED}
    return replace(radio, unit_w=unit_w, provenance=provenance, source=f"calibrated: unit_w; the rest: {radio.source}")


def _replaced(radio: Radio, figures: dict[str, Any]) -> Radio:
    if not figures:
        return radio
    if not isinstance(radio, RadioPower):
        raise EnergyError(f"{', '.join(figures)} are figures of a RadioPower; {radio.name} is none")
    provenance = dict(radio.provenance) | dict.fromkeys(figures, Provenance.CALIBRATED)
    source = f"calibrated: {', '.join(figures)}; the rest: {radio.source}"
    return replace(radio, **figures, provenance=provenance, source=source)


def _above(power_w: float, idle_w: float, name: str) -> float:
    if not power_w >= idle_w >= 0:
        raise EnergyError(
            f"{name} was read as {power_w} W, idle_w as {idle_w} W; a reading is not below idle, and idle not below 0."
            " Give the whole terminal's power for both."
        )
    return power_w - idle_w


def _line(readings: Sequence[Reading], idle_w: float, direction: str) -> Reading:
    """Slope and constant of the least-squares line through (rate, watts above idle)."""
    rates = np.array([rate for rate, _ in readings], dtype=float)
    watts = np.array([_above(power_w, idle_w, f"power of the {direction}") for _, power_w in readings])
    if len(set(rates)) < 2 or not (np.isfinite(rates).all() and rates.min() > 0):
        raise EnergyError(f"{direction} needs readings at two different rates above 0 bit/s or more; got {readings}")
    # Centred, and scaled to Mbit/s: the rates are about 1e7, their squares 1e14.
    centred = (rates - rates.mean()) / 1e6
    slope = float(centred @ watts / (centred @ centred)) / 1e6
    constant = float(watts.mean() - slope * rates.mean())
    if slope < -1e-15 or constant < -1e-9:
        raise EnergyError(
            f"{direction} readings fit {slope * 1e6:.4g} W per Mbit/s and {constant:.4g} W, neither of which can be"
            " negative; read again, at rates further apart and over longer transfers"
        )
    return max(slope, 0.0), max(constant, 0.0)
