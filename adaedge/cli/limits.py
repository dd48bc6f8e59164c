"""Options that several commands share: limits of a run, and the terminal's energy model.

May import: ``energy``, ``errors``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from adaedge.energy import (
    JETSON_NANO,
    LTE_2012,
    LTE_2021,
    NR_LOW_BAND,
    NR_MMWAVE,
    RASPBERRY_PI_4,
    WIFI_2012,
    ComputePower,
    EnergyModel,
    Provenance,
)
from adaedge.errors import EnergyError

COMPUTE: dict[str, ComputePower] = {"raspberry-pi-4": RASPBERRY_PI_4, "jetson-nano": JETSON_NANO}
RADIO = {
    "nr-low-band": NR_LOW_BAND,
    "nr-mmwave": NR_MMWAVE,
    "lte-2021": LTE_2021,
    "lte-2012": LTE_2012,
    "wifi-2012": WIFI_2012,
}

DeadlineS = Annotated[float, typer.Option(help="Seconds that an answer may take.")]
AccuracyFloor = Annotated[float, typer.Option(help="Least accuracy of an operating point, as the bundle measured it.")]
PeriodS = Annotated[float, typer.Option(help="Seconds from one frame to the next.")]
Compute = Annotated[
    str, typer.Option(help=f"The terminal's computing power: {', '.join(COMPUTE)}, or your own watts above idle.")
]
Radio = Annotated[str, typer.Option(help=f"The terminal's radio: {', '.join(RADIO)}.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def energy_model(compute: str, radio: str) -> EnergyModel:
    """The energy model of two presets; of the user's own watts where ``compute`` is a number.

    Raises:
        EnergyError: naming the presets that there are.
    """
    if radio not in RADIO:
        raise EnergyError(f"no radio preset {radio!r}; there are: {', '.join(RADIO)}")
    return EnergyModel(_compute(compute), RADIO[radio])


def _compute(text: str) -> ComputePower:
    if text in COMPUTE:
        return COMPUTE[text]
    try:
        busy_w = float(text)
    except ValueError as error:
        raise EnergyError(
            f"no computing preset {text!r}; there are: {', '.join(COMPUTE)}, or give your own watts above idle"
        ) from error
    return ComputePower(busy_w, provenance=Provenance.CALIBRATED, source="the user's own watts above idle")
