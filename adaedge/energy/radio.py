"""Radio: what a terminal's radio costs in each of its states. The one thing that other parts know of a radio.

May import: of this part ``provenance``.

A radio that has nothing to do falls asleep step by step, and one that sleeps must be woken. How many steps there are,
and what they are called, is the radio's own affair: others ask for the joules between two times since the last packet,
and for what it takes to send again so long after it. All joules are above the terminal's idle power, in which the
radio's deepest sleep and its paging are, so a radio that is left alone for good costs a finite number of joules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from adaedge.energy.provenance import Provenance


@runtime_checkable
class Radio(Protocol):
    """A terminal's radio. Every number may be an array where a method takes one; times are seconds.

    `RadioPower` (promotion, transfer, tail) and `NrDrx` (3GPP TR 38.840) are two; write your own from outside.
    """

    @property
    def name(self) -> str:
        """What radio it is."""
        ...

    @property
    def source(self) -> str:
        """Where its figures come from, for people."""
        ...

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        """For each figure, how it is known."""
        ...

    @property
    def wake_s(self) -> float:
        """Seconds to wake it from its deepest sleep until it can send."""
        ...

    @property
    def wake_j(self) -> float:
        """Joules of that."""
        ...

    @property
    def settled_s(self) -> float:
        """Seconds after the last packet from which on it sleeps and draws nothing more; finite."""
        ...

    @property
    def listen_s(self) -> float:
        """Seconds after an upload for which it listens for the answer without a pause; may be infinite."""
        ...

    @property
    def listen_w(self) -> float:
        """Watts while it listens and nothing comes."""
        ...

    def sending_j(self, payload_bytes: Any, lasted_s: Any) -> Any:
        """Joules of an upload that took so long; linear in both."""
        ...

    def uplink_j(self, payload_bytes: Any, rate_bps: Any) -> Any:
        """Joules of sending so many bytes at a rate, that is ``sending_j(bytes, 8 * bytes / rate)``."""
        ...

    def downlink_j(self, answer_bytes: Any, rate_bps: Any) -> Any:
        """Joules of receiving so many bytes at a rate; linear in the bytes."""
        ...

    def wait_j(self, wait_s: Any) -> Any:
        """Joules from the end of an upload until the answer begins to arrive, so many seconds later."""
        ...

    def hold_s(self, wait_s: Any) -> Any:
        """Seconds that an answer which is ready so long after the upload waits until the radio listens."""
        ...

    def idle_j(self, from_s: Any, until_s: Any) -> Any:
        """Joules between two times since the last packet, nothing awaited; ``until_s`` may be infinite."""
        ...

    def ready_s(self, after_s: Any) -> Any:
        """Seconds until it can send, so long after its last packet; infinitely long after, `wake_s`."""
        ...

    def ready_j(self, after_s: Any) -> Any:
        """Joules of that."""
        ...

    def describe(self) -> str:
        """How its figures are known, in a few words."""
        ...
