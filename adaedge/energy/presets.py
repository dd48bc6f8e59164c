"""Processors and radios with figures from the literature. Each figure says how it is known, and each set where from.

May import: ``errors``. All figures are above idle. A figure that could not be verified is ``assumed``: calibrate it on
your own terminal (``adaedge.energy.calibrate``) before you quote a joule.
"""

from __future__ import annotations

from adaedge.energy.compute import ComputePower
from adaedge.energy.nr_drx import NrDrx
from adaedge.energy.provenance import Provenance
from adaedge.energy.radio import Radio
from adaedge.energy.radio_power import RadioPower

RASPBERRY_PI_4 = ComputePower(
    busy_w=6.4 - 2.7,
    provenance=Provenance.PRESET,
    source="Raspberry Pi Dramble, power consumption benchmarks: 4 B idle 2.7 W, `stress --cpu 4` 6.4 W; throughput:"
    " MobileNetV2 (0.3 GMAC) in int8 at 30 to 36 frames a second (PyTorch's tutorial; Qengineering's TensorFlow Lite)",
    macs_per_s=10e9,
)
"""All four cores busy. One busy core draws less; calibrate it."""

RASPBERRY_PI_5 = ComputePower(
    busy_w=6.0,
    provenance=Provenance.ASSUMED,
    source="no power figure was verified: 6 W above idle is assumed; throughput: 4.8 times that of a Raspberry Pi 4 on"
    " TensorFlow Lite (MobileNetV2-SSD 300: 23.5 against 112.6 ms, aallan/benchmarking-ml-on-the-edge)",
    macs_per_s=48e9,
)
"""Calibrate it before you quote a joule."""

JETSON_NANO = ComputePower(
    busy_w=6.8,
    provenance=Provenance.ASSUMED,
    source="YOLOv5n at 0.55 J per frame, 6.8 W (arXiv 2207.06150); whole board, its idle power is not known and is not"
    " subtracted, so this is an upper bound; fp16",
    macs_per_s=28e9,
)

JETSON_AGX_ORIN_J_PER_MAC = 6.1e-12
"""The middle of 22–28 mJ for the 4.1 GMAC of an int8 ResNet-50 at batch 1, MaxQ (MLPerf inference v3.0 #10).

For ``ComputePower.from_efficiency``, with the throughput measured on the device.
"""

JETSON_ORIN = ComputePower.from_efficiency(
    JETSON_AGX_ORIN_J_PER_MAC,
    1e12,
    source="joules per MAC: the middle of 22 to 28 mJ for an int8 ResNet-50 at batch 1, MaxQ, whole module (MLPerf"
    " inference v3.0 #10); 1 TMAC/s of throughput is assumed",
)

PHONE_NPU = ComputePower.from_efficiency(
    0.29e-12,
    5e12,
    source="a phone's neural processor: 0.29 pJ per MAC (some 3.4 TMAC/s a watt) and 5 TMAC/s are assumed",
)

COMPUTE = {
    "raspberry-pi-4": RASPBERRY_PI_4,
    "raspberry-pi-5": RASPBERRY_PI_5,
    "jetson-nano": JETSON_NANO,
    "jetson-orin": JETSON_ORIN,
    "phone-npu": PHONE_NPU,
}
"""The processors by the names that the command line takes."""

_TRANSFER = ("uplink_w_per_bps", "uplink_w", "downlink_w_per_bps", "downlink_w")
_FITTED = dict.fromkeys(_TRANSFER, Provenance.PRESET)
_ARTIFACT = (
    "fitted on the measurements of Narayanan et al., 'A Variegated Look at 5G in the Wild', SIGCOMM 2021 (artifact:"
    " Samsung S20 Ultra, whole phone); about 2.3 W of idle power is subtracted from the constant terms. Promotion is"
    " assumed to be LTE's of 2012, tail_w is assumed."
)
_PHONE_IDLE_W = 2.3

LTE_2021 = RadioPower(
    "LTE (2021)",
    uplink_w_per_bps=79.5e-9,
    uplink_w=2.893 - _PHONE_IDLE_W,
    downlink_w_per_bps=15.0e-9,
    downlink_w=2.719 - _PHONE_IDLE_W,
    promotion_s=0.26,
    promotion_w=1.21,
    tail_s=10.6,
    tail_w=0.18,
    provenance=_FITTED,
    source=f"{_ARTIFACT} tail_s is that of 5G. Valid to 22 Mbit/s up, 58 Mbit/s down.",
)

NR_LOW_BAND = RadioPower(
    "5G NSA low band",
    uplink_w_per_bps=32.2e-9,
    uplink_w=3.197 - _PHONE_IDLE_W,
    downlink_w_per_bps=15.4e-9,
    downlink_w=2.883 - _PHONE_IDLE_W,
    promotion_s=0.26,
    promotion_w=1.21,
    tail_s=10.6,
    tail_w=0.25,
    provenance=_FITTED | {"tail_s": Provenance.PRESET},
    source=f"{_ARTIFACT} Valid to 41 Mbit/s up, 96 Mbit/s down.",
)

NR_MMWAVE = RadioPower(
    "5G mmWave",
    uplink_w_per_bps=9.15e-9,
    uplink_w=5.637 - _PHONE_IDLE_W,
    downlink_w_per_bps=1.76e-9,
    downlink_w=5.221 - _PHONE_IDLE_W,
    promotion_s=0.26,
    promotion_w=1.21,
    tail_s=10.6,
    tail_w=1.09,
    provenance=_FITTED | {"tail_s": Provenance.PRESET},
    source=f"{_ARTIFACT} Valid to 194 Mbit/s up, 2099 Mbit/s down.",
)

_HUANG = (
    "attributed to Huang et al., 'A Close Examination of Performance and Power Characteristics of 4G LTE Networks',"
    " MobiSys 2012; the paper's own table was not seen, so nothing of it is verified."
)

LTE_2012 = RadioPower(
    "LTE (2012)",
    uplink_w_per_bps=438.39e-9,
    uplink_w=1.288,
    downlink_w_per_bps=51.97e-9,
    downlink_w=1.288,
    promotion_s=0.26,
    promotion_w=1.21,
    tail_s=11.6,
    tail_w=1.06,
    source=_HUANG,
)

WIFI_2012 = RadioPower(
    "WiFi (2012)",
    uplink_w_per_bps=283.17e-9,
    uplink_w=0.13286,
    downlink_w_per_bps=137.01e-9,
    downlink_w=0.13286,
    promotion_s=0.08,
    promotion_w=0.12,
    tail_s=0.24,
    tail_w=0.12,
    source=f"{_HUANG} Promotion and tail are assumed as well.",
)

NR_DRX = NrDrx()
"""Connected for 10 s after the last packet, with 3GPP's C-DRX for file transfer; then RRC inactive."""

NR_DRX_FAST_RELEASE = NrDrx("5G C-DRX, fast release", assisted_release_s=0.040)
"""The same with release assistance (Release 16): released 40 ms after the answer. That time is assumed."""

NR_AWAKE = NrDrx("5G, awake anyway", awake=True)
"""Other traffic keeps the radio listening: only what a payload adds to that counts."""

RADIOS: dict[str, Radio] = {
    "nr-drx": NR_DRX,
    "nr-drx-fast-release": NR_DRX_FAST_RELEASE,
    "nr-awake": NR_AWAKE,
    "nr-low-band": NR_LOW_BAND,
    "nr-mmwave": NR_MMWAVE,
    "lte-2021": LTE_2021,
    "lte-2012": LTE_2012,
    "wifi-2012": WIFI_2012,
}
"""The radios by the names that the command line takes."""
