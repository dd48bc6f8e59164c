"""Terminals: what a profile that was measured here would be on another processor.

May import: ``errors``, ``energy``, ``operating_point``. Nothing here is measured: a terminal's seconds follow from
those of this machine, of which each part was measured, and from what the terminal is known or assumed to compute in a
second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from adaedge.energy import COMPUTE, ComputePower, Provenance
from adaedge.errors import EnergyError
from adaedge.operating_point import FP32, KEPT, OUTPUT, Cost, OperatingPoint, Profile

PI_4_MACS_PER_S = 4e9
"""In fp32 on all cores: 2.5 times slower than int8, which was measured. Assumed."""
PI_5_MACS_PER_S = 4.8 * PI_4_MACS_PER_S
VIDEO_J_PER_PIXEL = 4e-9
"""Of a video encoder in hardware: 0.5 W at 1,080 lines and 60 frames a second. Assumed."""
_HARDWARE = ("h264@", "hevc@")


@dataclass(frozen=True, slots=True)
class Terminal:
    """A processor by what it computes in a second.

    Attributes:
        name: for people.
        compute: its watts, and what it computes in a second in its fastest arithmetic.
        slower_in_fp32: times by which fp32, or what an accelerator runs in its place, is slower than that. Assumed.
        cpu_macs_per_s: of the cores that resize, code and decode, in fp32. Assumed.
        video_in_hardware: whether it encodes 4:2:0 video without its cores, at `VIDEO_J_PER_PIXEL`.
    """

    name: str
    compute: ComputePower
    slower_in_fp32: float = 2.5
    cpu_macs_per_s: float = PI_4_MACS_PER_S
    video_in_hardware: bool = False

    @classmethod
    def named(cls, name: str) -> Terminal:
        """One of ``adaedge.energy.COMPUTE``, with what is assumed of its cores.

        Raises:
            EnergyError: naming those that there are.
        """
        if name not in TERMINALS:
            raise EnergyError(f"no terminal {name!r}; there are: {', '.join(TERMINALS)}")
        return TERMINALS[name]

    @property
    def known(self) -> Provenance:
        """How its watts are known."""
        return self.compute.provenance

    def profile(self, here: Profile, macs: float, *, prepare_s: float = 0.0, pixels: float = 0.0) -> Profile:
        """The profile of this terminal, from the profile of this machine.

        Args:
            here: measured on this machine, without preparing frames.
            macs: of the whole network.
            prepare_s: seconds that preparing a frame takes here.
            pixels: of a frame as it is encoded.

        Raises:
            EnergyError: if the terminal's throughput is not known, or the network's operations were not counted.
        """
        if not macs > 0:
            raise EnergyError(
                f"seconds on {self.name} follow from the network's multiply-accumulates, and this one has {macs:g}."
                " Build the bundle with `adaedge build`, which counts them."
            )
        scale = _Scale.of(self, here, macs, prepare_s, pixels)
        costs = {point: scale.cost(point, cost) for point, cost in here.items()}
        after = {point: tuple(scale.cost(point, one) for one in each) for point, each in here.next_costs.items()}
        return replace(here, costs=costs, next_costs=after, terminal=f"{self.name} (modelled from {here.terminal})")


@dataclass(frozen=True, slots=True)
class _Scale:
    """Seconds of a terminal for each second here: of the network in fp32, in int8, and of everything else."""

    fp32: float
    int8: float
    cores: float
    change_s: float
    prepare_s: float
    video_s: float | None

    @classmethod
    def of(cls, terminal: Terminal, here: Profile, macs: float, prepare_s: float, pixels: float) -> _Scale:
        whole, change_s = OperatingPoint(OUTPUT), here[KEPT].head_s if KEPT in here else 0.0
        fp32_s = here[whole].head_s - change_s
        int8 = replace(whole, precision="int8")
        int8_s = here[int8].head_s - change_s if int8 in here else fp32_s / terminal.slower_in_fp32
        quick_s = terminal.compute.seconds(macs)
        video_s = VIDEO_J_PER_PIXEL * pixels / terminal.compute.busy_w if terminal.video_in_hardware else None
        cores = macs / terminal.cpu_macs_per_s / fp32_s
        return cls(quick_s * terminal.slower_in_fp32 / fp32_s, quick_s / int8_s, cores, change_s, prepare_s, video_s)

    def cost(self, point: OperatingPoint, cost: Cost) -> Cost:
        own_s = self.cores * (self.change_s + self.prepare_s)
        if point == KEPT:
            return replace(cost, head_s=self.cores * cost.head_s)
        network = self.fp32 if point.precision == FP32 else self.int8
        head_s = own_s + network * max(0.0, cost.head_s - self.change_s)
        encode_s = self.cores * cost.encode_s
        if self.video_s is not None and point.codec.startswith(_HARDWARE):
            encode_s = self.video_s
        return replace(cost, head_s=head_s, encode_s=encode_s, finish_s=self.fp32 * cost.finish_s)


TERMINALS = {
    "raspberry-pi-4": Terminal("raspberry-pi-4", COMPUTE["raspberry-pi-4"]),
    "raspberry-pi-5": Terminal("raspberry-pi-5", COMPUTE["raspberry-pi-5"], cpu_macs_per_s=PI_5_MACS_PER_S),
    "jetson-nano": Terminal("jetson-nano", COMPUTE["jetson-nano"], 1.0, PI_4_MACS_PER_S, video_in_hardware=True),
    "jetson-orin": Terminal("jetson-orin", COMPUTE["jetson-orin"], 2.0, PI_5_MACS_PER_S, video_in_hardware=True),
    "phone-npu": Terminal("phone-npu", COMPUTE["phone-npu"], 2.0, 2 * PI_5_MACS_PER_S, video_in_hardware=True),
}
"""By the names that the command line takes.

That an Orin's cores are as quick as a Raspberry Pi 5's, and a phone's twice as quick, is assumed.
"""
