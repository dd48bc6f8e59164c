"""What a frame costs the terminal: compute, the radio and its states, waiting; cited presets; calibration.

May import: ``late``, ``errors``, ``operating_point``.
"""

from typing import TYPE_CHECKING

from adaedge.energy.compute import ComputePower, cmos_energy_j
from adaedge.energy.meter import EnergyMeter
from adaedge.energy.model import EnergyModel, EnergySplit
from adaedge.energy.provenance import Provenance
from adaedge.energy.radio import Radio
from adaedge.energy.radio_power import RadioPower
from adaedge.late import late_names

if TYPE_CHECKING:
    from adaedge.energy.calibration import calibrate
    from adaedge.energy.infrastructure import BaseStation, GlobalEnergy, Infrastructure
    from adaedge.energy.nr_drx import NrDrx
    from adaedge.energy.presets import (
        COMPUTE,
        JETSON_AGX_ORIN_J_PER_MAC,
        JETSON_NANO,
        JETSON_ORIN,
        LTE_2012,
        LTE_2021,
        NR_AWAKE,
        NR_DRX,
        NR_DRX_FAST_RELEASE,
        NR_LOW_BAND,
        NR_MMWAVE,
        PHONE_NPU,
        RADIOS,
        RASPBERRY_PI_4,
        RASPBERRY_PI_5,
        WIFI_2012,
    )
    from adaedge.energy.slot_power import FR1, FR2, SlotPower
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "JETSON_AGX_ORIN_J_PER_MAC": "presets",
            "JETSON_NANO": "presets",
            "RASPBERRY_PI_5": "presets",
            "PHONE_NPU": "presets",
            "JETSON_ORIN": "presets",
            "COMPUTE": "presets",
            "LTE_2012": "presets",
            "LTE_2021": "presets",
            "NR_AWAKE": "presets",
            "NR_DRX": "presets",
            "NR_DRX_FAST_RELEASE": "presets",
            "NR_LOW_BAND": "presets",
            "NR_MMWAVE": "presets",
            "RADIOS": "presets",
            "RASPBERRY_PI_4": "presets",
            "WIFI_2012": "presets",
            "calibrate": "calibration",
            "BaseStation": "infrastructure",
            "GlobalEnergy": "infrastructure",
            "Infrastructure": "infrastructure",
            "NrDrx": "nr_drx",
            "FR1": "slot_power",
            "FR2": "slot_power",
            "SlotPower": "slot_power",
        },
    )

__all__ = [
    "COMPUTE",
    "FR1",
    "FR2",
    "JETSON_AGX_ORIN_J_PER_MAC",
    "JETSON_NANO",
    "JETSON_ORIN",
    "LTE_2012",
    "LTE_2021",
    "NR_AWAKE",
    "NR_DRX",
    "NR_DRX_FAST_RELEASE",
    "NR_LOW_BAND",
    "NR_MMWAVE",
    "PHONE_NPU",
    "RADIOS",
    "RASPBERRY_PI_4",
    "RASPBERRY_PI_5",
    "WIFI_2012",
    "BaseStation",
    "ComputePower",
    "EnergyMeter",
    "EnergyModel",
    "EnergySplit",
    "GlobalEnergy",
    "Infrastructure",
    "NrDrx",
    "Provenance",
    "Radio",
    "RadioPower",
    "SlotPower",
    "calibrate",
    "cmos_energy_j",
]
