"""How a 5G radio falls asleep after its last packet, while it is connected: discontinuous reception, C-DRX.

May import: nothing of adaedge.

    packet ┃ inactivity timer ┃ ╲ sleep ╱ ┃ on ┃ ╲ sleep ╱ ┃ on ┃ …      released ┃ sleep but for paging
            listens             pause       listens

The terminal listens on, then sleeps and listens in turns, until the network releases the connection; then it sleeps
but for paging, first in RRC inactive, later perhaps in RRC idle. The first cycle is taken to begin when the inactivity
timer ends. Of a sleep's transition energy one half is drawn while it begins and the other while it ends; whoever wakes
the terminal earlier pays what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from adaedge.energy.slot_power import SlotPower
from adaedge.energy.stairs import Step


class Drx(NamedTuple):
    """Discontinuous reception of a connected terminal; figures as in `NrDrx`.

    Example:
        >>> from adaedge.energy.slot_power import FR1
        >>> [step.lasts_s for step in Drx(FR1, 1e-3, 0.04, 0.004, 0.01).connected(0.1)][:5]
        [0.01, 0.01, 0.016, 0.01, 0.004]
    """

    slots: SlotPower
    unit_w: float
    cycle_s: float
    on_s: float
    inactivity_s: float

    def connected(self, release_s: float) -> Iterator[Step]:
        """The steps from the last packet to the release; watts above deep sleep."""
        left_s = release_s
        for step in self._for_ever():
            if step.lasts_s >= left_s:
                yield _cut(step, left_s)
                return
            yield step
            left_s -= step.lasts_s

    def _for_ever(self) -> Iterator[Step]:
        listen_w, pause_s = self._watts(self.slots.listening), self.cycle_s - self.on_s
        yield Step(self.inactivity_s, listen_w)
        sleep = self.slots.sleep(pause_s)
        ramp_s, all_j = sleep.transition_s / 2, self.unit_w * sleep.transition_unit_s
        half_j, sleep_w = all_j / 2, self._watts(sleep.units)
        ramp_w = sleep_w + (half_j / ramp_s if ramp_s else 0.0)
        fallen_s = pause_s - ramp_s
        while True:
            if pause_s:
                yield Step(ramp_s, ramp_w, (ramp_s, ramp_s), (all_j, half_j), (pause_s, fallen_s))
                yield Step(fallen_s - ramp_s, sleep_w, (ramp_s, ramp_s), (half_j, half_j), (fallen_s, ramp_s))
                yield Step(ramp_s, ramp_w, (ramp_s, 0.0), (half_j, 0.0), (ramp_s, 0.0))
            yield Step(self.on_s, listen_w)

    def _watts(self, units: float) -> float:
        return self.unit_w * (units - self.slots.deep.units)


def _cut(step: Step, lasts_s: float) -> Step:
    """The first part of a step."""
    share = lasts_s / step.lasts_s if step.lasts_s else 1.0
    ramps = ((begin, begin + share * (end - begin)) for begin, end in step[2:])
    return Step(lasts_s, step.power_w, *ramps)
