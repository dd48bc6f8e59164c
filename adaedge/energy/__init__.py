"""What a frame costs the terminal: compute, radio (promotion, transfer, tail), waiting; cited presets; calibration.

May import: ``late``, ``errors``, ``operating_point``.
"""

from typing import TYPE_CHECKING

from adaedge.energy.compute import ComputePower, cmos_energy_j
from adaedge.energy.meter import EnergyMeter
from adaedge.energy.model import EnergyModel, EnergySplit
from adaedge.energy.provenance import Provenance
from adaedge.energy.radio import RadioPower
from adaedge.late import late_names

if TYPE_CHECKING:
    from adaedge.energy.calibration import calibrate
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
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "JETSON_AGX_ORIN_J_PER_MAC": "presets",
            "JETSON_NANO": "presets",
            "LTE_2012": "presets",
            "LTE_2021": "presets",
            "NR_LOW_BAND": "presets",
            "NR_MMWAVE": "presets",
            "RASPBERRY_PI_4": "presets",
            "WIFI_2012": "presets",
            "calibrate": "calibration",
        },
    )

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
