"""What a frame costs the terminal: compute, radio (promotion, transfer, tail), waiting; cited presets; calibration.

May import: ``errors``, ``operating_point``.
"""

from adaedge.energy.calibration import calibrate
from adaedge.energy.compute import ComputePower, cmos_energy_j
from adaedge.energy.meter import EnergyMeter
from adaedge.energy.model import EnergyModel
from adaedge.energy.presets import (
    JETSON_AGX_ORIN_J_PER_MAC,
    JETSON_NANO,
    LTE_2012,
    LTE_2021,
    NR_LOW_BAND,
    NR_MMWAVE,
    RASPBERRY_PI_4,
    WIFI_2012,
)
from adaedge.energy.radio import RadioPower
from adaedge.energy.split import EnergySplit, Provenance

__all__ = [
    "JETSON_AGX_ORIN_J_PER_MAC",
    "JETSON_NANO",
    "LTE_2012",
    "LTE_2021",
    "NR_LOW_BAND",
    "NR_MMWAVE",
    "RASPBERRY_PI_4",
    "WIFI_2012",
    "ComputePower",
    "EnergyMeter",
    "EnergyModel",
    "EnergySplit",
    "Provenance",
    "RadioPower",
    "calibrate",
    "cmos_energy_j",
]
