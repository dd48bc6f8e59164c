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
Compute = Annotated[str, typer.Option(help=f"The terminal's computing power: {', '.join(COMPUTE)}.")]
Radio = Annotated[str, typer.Option(help=f"The terminal's radio: {', '.join(RADIO)}.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def energy_model(compute: str, radio: str) -> EnergyModel:
    """The energy model of two presets.

    Raises:
        EnergyError: naming the presets that there are.
    """
    if compute not in COMPUTE:
        raise EnergyError(f"no computing preset {compute!r}; there are: {', '.join(COMPUTE)}")
    if radio not in RADIO:
        raise EnergyError(f"no radio preset {radio!r}; there are: {', '.join(RADIO)}")
    return EnergyModel(COMPUTE[compute], RADIO[radio])
