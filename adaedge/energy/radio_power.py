"""RadioPower: the radio as promotion, transfer and tail, with watts above idle for each.

May import: ``errors``.

An idle radio is woken (promotion), sends or receives (transfer), and stays connected for a while after the last packet
(tail) before it is idle again. While it transfers at R bit/s it draws ``w_per_bps * R + w``, the linear model of Huang
et al., MobiSys 2012.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final

import numpy as np

from adaedge.energy.compute import check_figure
from adaedge.energy.provenance import Provenance, describe, worst
from adaedge.errors import EnergyError

FIGURES = (
    "uplink_w_per_bps",
    "uplink_w",
    "downlink_w_per_bps",
    "downlink_w",
    "promotion_s",
    "promotion_w",
    "tail_s",
    "tail_w",
)


@final
@dataclass(frozen=True, slots=True)
class RadioPower:
    """Watts of a radio above the terminal's idle power, and how long its states last. A `Radio`.

    Attributes:
        name: what radio it is.
        uplink_w_per_bps: watts added by each bit/s sent.
        uplink_w: watts while sending, whatever the rate.
        downlink_w_per_bps: watts added by each bit/s received.
        downlink_w: watts while receiving, whatever the rate.
        promotion_s: seconds that it takes to wake.
        promotion_w: watts while it wakes.
        tail_s: seconds that it stays connected after the last packet.
        tail_w: watts while it is connected and transfers nothing.
        provenance: for each of these figures, how it is known; one that is not named is assumed.
        source: where they come from, for people.

    Example:
        >>> radio = RadioPower("test", uplink_w_per_bps=1e-7, uplink_w=1.0)
        >>> radio.uplink_j(payload_bytes=125_000, rate_bps=1e6)  # one second at 1.1 W
        1.1
    """

    name: str
    uplink_w_per_bps: float = 0.0
    uplink_w: float = 0.0
    downlink_w_per_bps: float = 0.0
    downlink_w: float = 0.0
    promotion_s: float = 0.0
    promotion_w: float = 0.0
    tail_s: float = 0.0
    tail_w: float = 0.0
    provenance: Mapping[str, Provenance] = field(default_factory=dict, hash=False)
    source: str = ""

    def __post_init__(self) -> None:
        for name in FIGURES:
            check_figure(name, getattr(self, name))
        if odd := set(self.provenance) - set(FIGURES):
            raise EnergyError(f"a radio has no figure {', '.join(sorted(odd))}; it has {', '.join(FIGURES)}")
        complete = {name: Provenance(self.provenance.get(name, Provenance.ASSUMED)) for name in FIGURES}
        object.__setattr__(self, "provenance", MappingProxyType(complete))

    @classmethod
    def from_physics(
        cls,
        transmit_w: float,
        *,
        circuit_w: float,
        efficiency: float = 0.3,
        receive_w: float = 0.0,
        name: str = "physics",
    ) -> RadioPower:
        """A radio without promotion or tail: ``(transmit_w / efficiency + circuit_w) * bits / R`` joules a transfer.

        Args:
            transmit_w: radiated power; a handset's 23 dBm is 0.2 W (3GPP power class 3).
            circuit_w: of the transmitter's circuits, beside the amplifier.
            efficiency: of the power amplifier, in (0, 1].
            receive_w: while receiving.
            name: what radio it is.

        Raises:
            EnergyError: if a figure cannot be.

        Example:
            >>> RadioPower.from_physics(0.2, circuit_w=0.1, efficiency=0.25).uplink_w
            0.9
        """
        if not 0 < efficiency <= 1:
            raise EnergyError(f"efficiency is the amplifier's, in (0, 1]; got {efficiency}")
        source = f"{transmit_w:g} W radiated, amplifier {efficiency:g}, circuits {circuit_w:g} W"
        modelled = dict.fromkeys(FIGURES, Provenance.MODELLED)
        return cls(
            name,
            uplink_w=transmit_w / efficiency + circuit_w,
            downlink_w=receive_w,
            provenance=modelled,
            source=source,
        )

    @property
    def wake_s(self) -> float:
        """Seconds of the promotion."""
        return self.promotion_s

    @property
    def wake_j(self) -> float:
        """Joules of the promotion."""
        return self.promotion_w * self.promotion_s

    @property
    def settled_s(self) -> float:
        """When the tail ends."""
        return self.tail_s

    @property
    def listen_s(self) -> float:
        """For ever: its receiver never pauses while an answer is awaited."""
        return math.inf

    @property
    def listen_w(self) -> float:
        """The tail's power."""
        return self.tail_w

    def sending_j(self, payload_bytes: Any, lasted_s: Any) -> Any:
        """Joules of an upload that took so long, ``8 * bytes * w_per_bps + w * seconds``; arrays too."""
        return 8 * payload_bytes * self.uplink_w_per_bps + self.uplink_w * lasted_s

    def uplink_j(self, payload_bytes: Any, rate_bps: Any) -> Any:
        """Joules to send ``payload_bytes`` at ``rate_bps``: power times ``8 * bytes / rate``; arrays too."""
        return 8 * payload_bytes * self.uplink_w_per_bps + self.uplink_w * (8 * payload_bytes / rate_bps)

    def downlink_j(self, answer_bytes: Any, rate_bps: Any) -> Any:
        """Joules to receive ``answer_bytes`` at ``rate_bps``; arrays too."""
        return 8 * answer_bytes * self.downlink_w_per_bps + self.downlink_w * (8 * answer_bytes / rate_bps)

    def wait_j(self, wait_s: Any) -> Any:
        """Joules of waiting for an answer, at the tail's power."""
        return self.tail_w * wait_s

    def hold_s(self, wait_s: Any) -> Any:  # noqa: ARG002
        """No answer waits for this radio: 0."""
        return 0.0

    def idle_j(self, from_s: Any, until_s: Any) -> Any:
        """Joules between two times since the last packet: the tail's power for as long as it lasts.

        Example:
            >>> RadioPower("test", tail_s=10.0, tail_w=0.5).idle_j(4.0, 60.0)
            3.0
        """
        if isinstance(from_s, np.ndarray) or isinstance(until_s, np.ndarray):
            # Of a plain number NumPy's minimum takes four times as long as that of an array.
            begin_s = np.minimum(self.tail_s, from_s) if isinstance(from_s, np.ndarray) else min(self.tail_s, from_s)
            return self.tail_w * (np.minimum(self.tail_s, until_s) - begin_s)
        return self.tail_w * (min(self.tail_s, until_s) - min(self.tail_s, from_s))

    def ready_s(self, after_s: Any) -> Any:
        """Seconds until it can send: 0 within the tail, a promotion after it."""
        return self.promotion_s * (after_s > self.tail_s)

    def ready_j(self, after_s: Any) -> Any:
        """Joules of that."""
        return self.promotion_w * self.promotion_s * (after_s > self.tail_s)

    def describe(self) -> str:
        """How its figures are known, in a few words.

        Example:
            >>> RadioPower("test", provenance={"tail_s": Provenance.PRESET, "tail_w": Provenance.PRESET}).describe()
            'tail preset, others assumed'
        """
        states = ("uplink", "downlink", "promotion", "tail")
        return describe({s: worst(self.provenance[name] for name in FIGURES if name.startswith(s)) for s in states})
