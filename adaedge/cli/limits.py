"""Options that several commands share: limits of a run, and the terminal's energy model.

May import: ``energy``, ``errors``, ``named_objects``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from adaedge.energy import COMPUTE, RADIOS, ComputePower, EnergyModel, Provenance
from adaedge.energy import Radio as RadioModel
from adaedge.errors import EnergyError
from adaedge.named_objects import own

DeadlineS = Annotated[float, typer.Option(help="Seconds that an answer may take.")]
AccuracyFloor = Annotated[float, typer.Option(help="Least accuracy of an operating point, as the bundle measured it.")]
PeriodS = Annotated[float, typer.Option(help="Seconds from one frame to the next.")]
Compute = Annotated[
    str,
    typer.Option(
        help=f"The terminal's computing power: {', '.join(COMPUTE)}, your own watts above idle, or package.module:NAME."
    ),
]
Radio = Annotated[str, typer.Option(help=f"The terminal's radio: {', '.join(RADIOS)}, or package.module:NAME.")]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="What runs the graphs: onnxruntime, or openvino (its own extra).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="No TLS and no token: for experiments on one machine.")]


def energy_model(compute: str, radio: str) -> EnergyModel:
    """The energy model of two presets, or of the user's own: watts where ``compute`` is a number, named objects.

    Raises:
        EnergyError: naming the presets that there are.
    """
    return EnergyModel(_compute(compute), radio_named(radio))


def radio_named(name: str) -> RadioModel:
    """The radio of that name, or the user's own that ``package.module:NAME`` names.

    Raises:
        EnergyError: naming those that there are.
    """
    if name in RADIOS:
        return RADIOS[name]
    if ":" not in name:
        raise EnergyError(f"no radio preset {name!r}; there are: {', '.join(RADIOS)}, or package.module:NAME of yours")
    radio: RadioModel = own(name, RadioModel, EnergyError)
    return radio


def _compute(text: str) -> ComputePower:
    if text in COMPUTE:
        return COMPUTE[text]
    if ":" in text:
        compute: ComputePower = own(text, ComputePower, EnergyError)
        return compute
    try:
        busy_w = float(text)
    except ValueError as error:
        raise EnergyError(
            f"no computing preset {text!r}; there are: {', '.join(COMPUTE)}, or give your own watts above idle, or"
            " package.module:NAME of yours"
        ) from error
    return ComputePower(busy_w, provenance=Provenance.CALIBRATED, source="the user's own watts above idle")
