"""NrDrx: the 5G radio as a machine with states, after 3GPP TR 38.840.

May import: ``errors``.

How it falls asleep is drawn in ``falling_asleep``. Sending, the terminal is in the uplink's state for the whole time
that a payload takes at its rate, as in the measurements that the unit's watts are derived from. An uplink is not bound
to the on-duration of the discontinuous reception (C-DRX): a terminal that sleeps wakes by itself. A downlink is: what
arrives meanwhile waits at the base station. With release assistance (Release 16) the terminal asks for the release of
the connection itself, as soon as it expects nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final

import numpy as np

from adaedge.energy.compute import check_figure
from adaedge.energy.falling_asleep import Drx
from adaedge.energy.provenance import Provenance, describe, worst
from adaedge.energy.slot_power import FR1, SlotPower
from adaedge.energy.stairs import Stairs, Step
from adaedge.errors import EnergyError

UNIT_W = 3.26e-3
"""Watts of one unit: a Samsung S20 Ultra at the highest rates at which its uplink was measured (Narayanan et al.,
SIGCOMM 2021; see ``presets``), 5G low band 2.217 W and LTE 2.342 W above idle, over the 699 units of an uplink at 23
dBm."""
_MOST_CYCLES = 10_000
_CONNECTING_SENDS = 0.1  # of the time that a connection takes to come up, random access and RRC messages

_KNOWN = {
    "slots": Provenance.PRESET,
    "unit_w": Provenance.MODELLED,
    "cycle_s": Provenance.PRESET,
    "on_s": Provenance.PRESET,
    "inactivity_s": Provenance.PRESET,
    "release_s": Provenance.PRESET,
    "assisted_release_s": Provenance.ASSUMED,
    "inactive_s": Provenance.ASSUMED,
    "resume_s": Provenance.ASSUMED,
    "setup_s": Provenance.ASSUMED,
    "paging_s": Provenance.PRESET,
    "transmit_dbm": Provenance.ASSUMED,
}
_GROUPS = {
    "slots": ("slots",),
    "watts per unit": ("unit_w",),
    "DRX": ("cycle_s", "on_s", "inactivity_s", "release_s", "paging_s"),
    "connecting": ("assisted_release_s", "inactive_s", "resume_s", "setup_s"),
    "transmit power": ("transmit_dbm",),
}
_SOURCE = (
    "relative powers: 3GPP TR 38.840, 8.1; watts per unit: derived from Narayanan et al., SIGCOMM 2021 (Samsung S20"
    " Ultra), which also measured release after 10 s and paging every 1.28 s; C-DRX: TR 38.840's for file transfer;"
    " resuming and setting up a connection: assumed"
)


@final
@dataclass(frozen=True, slots=True)
class NrDrx:
    """A 5G radio with discontinuous reception, after 3GPP TR 38.840. A `Radio`; joules are above its deep sleep.

    Attributes:
        name: what radio it is.
        slots: relative powers; `FR1` or `FR2`, perhaps ``scaled`` to another bandwidth or fewer antennas.
        unit_w: watts of one unit: the one number that a user calibrates.
        cycle_s: C-DRX cycle; 3GPP's others are 0.32 (messaging) and 0.04 (voice).
        on_s: on-duration in each cycle; with those 0.01 and 0.004.
        inactivity_s: seconds after a packet before the first cycle; with those 0.08 and 0.01.
        release_s: seconds after the last packet after which the network releases the connection.
        assisted_release_s: the same where the terminal asks for it because it expects nothing more; ``None`` where it
            does not ask. It does not while it waits for an answer.
        inactive_s: seconds in RRC inactive after a release, before RRC idle; 0 for a network without RRC inactive.
        resume_s: seconds to send again from RRC inactive.
        setup_s: the same from RRC idle.
        paging_s: seconds from one paging occasion to the next.
        transmit_dbm: radiated power; 0 near the base station, 23 at the edge of the cell.
        awake: whether other traffic keeps the radio listening anyway: then only what a payload adds to that counts.
        provenance: for each of these figures, how it is known; one that is not named is as it is by default.
        source: where they come from, for people.

    Raises:
        EnergyError: if a figure is out of its range, or ``provenance`` names one that does not exist.

    Example:
        >>> radio = NrDrx()
        >>> round(radio.idle_j(0.0, 0.1), 4), round(radio.idle_j(0.0, math.inf), 3)  # listening on; all of it
        (0.0323, 0.28)
        >>> round(radio.hold_s(0.15), 3), round(radio.hold_s(0.255), 3)  # answers that come while it sleeps, or listens
        (0.102, 0.0)
        >>> NrDrx(awake=True).idle_j(0.0, math.inf)
        0.0
    """

    name: str = "5G C-DRX"
    slots: SlotPower = FR1
    unit_w: float = UNIT_W
    cycle_s: float = 0.160
    on_s: float = 0.008
    inactivity_s: float = 0.100
    release_s: float = 10.0
    assisted_release_s: float | None = None
    inactive_s: float = math.inf
    resume_s: float = 0.050
    setup_s: float = 0.260
    paging_s: float = 1.280
    transmit_dbm: float = 23.0
    awake: bool = False
    provenance: Mapping[str, Provenance] = field(default_factory=dict, hash=False)
    source: str = _SOURCE
    _waiting: Stairs = field(init=False, repr=False, compare=False)
    _idle: Stairs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        if odd := set(self.provenance) - set(_KNOWN):
            raise EnergyError(f"an NrDrx has no figure {', '.join(sorted(odd))}; it has {', '.join(_KNOWN)}")
        object.__setattr__(self, "provenance", MappingProxyType(_KNOWN | dict(self.provenance)))
        released_s = self.release_s if self.assisted_release_s is None else self.assisted_release_s
        object.__setattr__(self, "_waiting", self._stairs(self.release_s))
        object.__setattr__(self, "_idle", self._stairs(min(released_s, self.release_s)))

    def _check(self) -> None:
        for name in ("unit_w", "on_s", "inactivity_s", "release_s", "resume_s", "setup_s"):
            check_figure(name, getattr(self, name))
        if self.assisted_release_s is not None:
            check_figure("assisted_release_s", self.assisted_release_s)
        if self.inactive_s != math.inf:
            check_figure("inactive_s", self.inactive_s)
        for name in ("cycle_s", "paging_s"):
            check_figure(name, getattr(self, name))
            if getattr(self, name) == 0:
                raise EnergyError(f"{name} is a number of seconds above 0; got 0")
        if self.cycle_s < self.on_s:
            raise EnergyError(f"a DRX cycle holds its on-duration; got cycle_s={self.cycle_s}, on_s={self.on_s}")
        if self.release_s > _MOST_CYCLES * self.cycle_s:
            raise EnergyError(f"release_s is at most {_MOST_CYCLES} DRX cycles; got {self.release_s}")
        self.slots.sending(self.transmit_dbm)

    @property
    def wake_s(self) -> float:
        """Seconds to send from the state that a release ends in: RRC inactive, or RRC idle."""
        return float(self.ready_s(math.inf))

    @property
    def wake_j(self) -> float:
        """Joules of that."""
        return float(self.ready_j(math.inf))

    @property
    def settled_s(self) -> float:
        """When it is released."""
        return float(self._idle.times_s[-1])

    @property
    def listen_s(self) -> float:
        """The inactivity timer."""
        return math.inf if self.awake or self.cycle_s == self.on_s else min(self.inactivity_s, self.release_s)

    @property
    def listen_w(self) -> float:
        """Watts of PDCCH-only slots."""
        return 0.0 if self.awake else self._watts(self.slots.listening)

    @property
    def paging_w(self) -> float:
        """Mean watts of paging once released: two slots of measuring, one of listening. Part of what is idle."""
        slots = self.slots
        unit_s = slots.deep.transition_unit_s + 0.5e-3 * (2 * slots.measuring + slots.listening)
        return self.unit_w * unit_s / self.paging_s

    def sending_j(self, payload_bytes: Any, lasted_s: Any) -> Any:  # noqa: ARG002
        """Joules of an upload: the uplink's power for as long as it took."""
        return (self._watts(self.slots.sending(self.transmit_dbm)) - self._anyway_w) * lasted_s

    def uplink_j(self, payload_bytes: Any, rate_bps: Any) -> Any:
        """Joules of sending so many bytes at a rate; arrays too.

        Example:
            >>> round(NrDrx().uplink_j(125_000, 10e6), 4)  # 0.1 s at 699 units
            0.2279
        """
        return self.sending_j(payload_bytes, 8 * payload_bytes / rate_bps)

    def downlink_j(self, answer_bytes: Any, rate_bps: Any) -> Any:
        """Joules of receiving so many bytes at a rate; arrays too."""
        return (self._watts(self.slots.receiving) - self._anyway_w) * (8 * answer_bytes / rate_bps)

    def wait_j(self, wait_s: Any) -> Any:
        """Joules from the end of an upload until the answer begins to arrive; waking up for it included."""
        waiting = self._waiting
        return waiting.drawn_j(0.0, wait_s) + waiting.at(waiting.ready_j, wait_s)

    def hold_s(self, wait_s: Any) -> Any:
        """Seconds until the on-duration; once released, until it was paged and has resumed the connection."""
        held_s = self._waiting.at(self._waiting.hold_s, wait_s)
        if self.awake:
            return held_s
        late_s = np.maximum(0.0, np.asarray(wait_s, np.float64) - self.release_s)
        paged_s = -late_s % self.paging_s + self.resume_s
        held_s = np.where(late_s > 0, paged_s, held_s)
        return held_s if isinstance(wait_s, np.ndarray) else float(held_s)

    def idle_j(self, from_s: Any, until_s: Any) -> Any:
        """Joules between two times since the last packet, nothing awaited; arrays too."""
        return self._idle.drawn_j(from_s, until_s)

    def ready_s(self, after_s: Any) -> Any:
        """Seconds until it can send, so long after its last packet; arrays too."""
        return self._waking(self._idle.ready_s, after_s, self.setup_s)

    def ready_j(self, after_s: Any) -> Any:
        """Joules of that; arrays too."""
        return self._waking(self._idle.ready_j, after_s, self._connecting_j(self.setup_s))

    def describe(self) -> str:
        """How its figures are known, in a few words.

        Example:
            >>> NrDrx().describe()
            'slots, DRX preset, watts per unit modelled, others assumed'
        """
        return describe({group: worst(self.provenance[name] for name in names) for group, names in _GROUPS.items()})

    @property
    def _anyway_w(self) -> float:
        """Watts that it draws anyway."""
        return self._watts(self.slots.listening) if self.awake else 0.0

    def _watts(self, units: float) -> float:
        """Watts above deep sleep."""
        return self.unit_w * (units - self.slots.deep.units)

    def _connecting_j(self, lasts_s: float) -> float:
        """Joules of waking from deep sleep and getting a connection: a tenth of the time it sends, else it listens."""
        slots, share = self.slots, _CONNECTING_SENDS
        mean_w = share * self._watts(slots.sending(self.transmit_dbm)) + (1 - share) * self._watts(slots.listening)
        return self.unit_w * slots.deep.transition_unit_s + mean_w * lasts_s

    def _waking(self, column: Any, after_s: Any, from_idle: float) -> Any:
        found = self._idle.at(column, after_s)
        if self.awake or self.inactive_s == math.inf:
            return found
        forgotten = after_s > self._idle.times_s[-1] + self.inactive_s
        found = np.where(forgotten, from_idle, found)
        return found if isinstance(after_s, np.ndarray) else float(found)

    def _stairs(self, release_s: float) -> Stairs:
        if self.awake:
            return Stairs.of([Step(0.0, 0.0)])
        cycle = Drx(self.slots, self.unit_w, self.cycle_s, self.on_s, self.inactivity_s)
        resume = self.resume_s, self._connecting_j(self.resume_s)
        return Stairs.of([*cycle.connected(release_s), Step(0.0, 0.0, *((value, value) for value in resume))])
