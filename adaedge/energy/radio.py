"""RadioPower: what the terminal's radio draws above idle, state by state.

May import: ``errors``.

An idle radio is woken (promotion), sends or receives (transfer), and stays connected for a while after the last packet
(tail) before it is idle again. While it transfers at R bit/s it draws ``w_per_bps * R + w``, the linear model of Huang
et al., MobiSys 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from adaedge.energy.compute import check_figure
from adaedge.energy.provenance import Provenance
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
_WORST_FIRST = (
    Provenance.ASSUMED,
    Provenance.MODELLED,
    Provenance.PRESET,
    Provenance.CALIBRATED,
    Provenance.MEASURED,
)


@dataclass(frozen=True, slots=True)
class RadioPower:
    """Watts of a radio above the terminal's idle power, and how long its states last.

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

    def uplink_j(self, payload_bytes: float, rate_bps: float) -> float:
        """Joules to send ``payload_bytes`` at ``rate_bps``: power times ``8 * bytes / rate``; arrays too."""
        return 8 * payload_bytes * self.uplink_w_per_bps + self.uplink_w * (8 * payload_bytes / rate_bps)

    def downlink_j(self, answer_bytes: float, rate_bps: float) -> float:
        """Joules to receive ``answer_bytes`` at ``rate_bps``; arrays too."""
        return 8 * answer_bytes * self.downlink_w_per_bps + self.downlink_w * (8 * answer_bytes / rate_bps)

    def describe(self) -> str:
        """How its figures are known, in a few words.

        Example:
            >>> RadioPower("test", provenance={"tail_s": Provenance.PRESET, "tail_w": Provenance.PRESET}).describe()
            'tail preset, others assumed'
        """
        worst = {
            state: _worst([self.provenance[name] for name in FIGURES if name.startswith(state)])
            for state in ("uplink", "downlink", "promotion", "tail")
        }
        if len(set(worst.values())) == 1:
            return worst["uplink"].value
        known = [p for p in reversed(_WORST_FIRST) if p in worst.values()]
        named = [f"{', '.join(s for s, q in worst.items() if q is p)} {p.value}" for p in known[:-1]]
        return ", ".join([*named, f"others {known[-1].value}"])


def _worst(known: list[Provenance]) -> Provenance:
    return min(known, key=_WORST_FIRST.index)
