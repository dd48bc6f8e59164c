"""Worth: the rate of the link from which offloading pays, and so when a probe can pay.

May import: ``channel``, ``energy``; of this part ``prediction``, ``probing``, ``table``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from adaedge.channel import RateEstimate
from adaedge.energy import EnergyModel
from adaedge.scheduling.prediction import predict
from adaedge.scheduling.probing import PROBE_BYTES, ProbePlan
from adaedge.scheduling.table import Table

LONGEST_PROBE_S = 2.0
"""No probe waits longer for its answer."""
_SLOWEST_BPS, _FASTEST_BPS = 1e3, 1e12
_STEPS = 24  # of a bisection: far below a per cent


@dataclass(frozen=True, eq=False)
class Worth:
    """The joules that a link can save, and the rates from which it saves them.

    Attributes:
        gain_w: watts that the best offload saves against the best local point, on a link without limits, the radio
            awake; infinite where no local point is on time.
        probe_j: joules of a probe of a sleeping radio, its falling asleep included.
        local_j: joules of the best local point; infinite where none is on time.
        table: the points.
        energy: the terminal's energy model.
    """

    gain_w: float
    probe_j: float
    local_j: float
    table: Table
    energy: EnergyModel

    @classmethod
    def of(cls, table: Table, energy: EnergyModel) -> Self:
        """The worth of a table's points."""
        probe_j = float(energy.offload(0.0, PROBE_BYTES, 1e6, idle_s=math.inf).total_j)
        ideal = predict(table, energy, RateEstimate(_FASTEST_BPS, _FASTEST_BPS), idle_s=0.0)
        local, offload = ideal.on_time & table.local, ideal.on_time & ~table.local
        local_j = float(ideal.steady_j[local].min()) if local.any() else math.inf
        if not offload.any():
            return cls(0.0, probe_j, local_j, table, energy)
        gain_w = (local_j - float(ideal.steady_j[offload].min())) / table.limits.period_s
        return cls(gain_w, probe_j, local_j, table, energy)

    @cached_property
    def awake_bps(self) -> float:
        """The rate from which an offload is chosen while the radio is awake; infinite where none ever is."""
        return self._break_even_bps(0.0)

    @cached_property
    def asleep_bps(self) -> float:
        """The same from sleep: a probe that wakes it, and one falling asleep, are earned within the horizon."""
        return self._break_even_bps(self.probe_j / self.table.limits.horizon_frames)

    @property
    def words(self) -> str:
        """The rate from which offloading pays, for people."""
        if math.isinf(self.awake_bps):
            return "offloading pays here at no rate: the modelled energy of a local answer is always less"
        if math.isinf(self.asleep_bps):
            return (
                f"offloading pays here from {self.awake_bps / 1e6:.3g} Mbit/s on while the radio is awake; waking it"
                f" takes {self.probe_j:.3g} J, and {self.table.limits.horizon_frames:.0f} frames do not earn that"
            )
        return f"offloading pays here from {self.asleep_bps / 1e6:.3g} Mbit/s on"

    def plan(self, horizon_s: float, tail_j: float) -> ProbePlan:
        """How an unused link should be probed.

        A probe of a sleeping radio costs E joules, its whole tail included; noticing a good link late costs up to
        G watts. With a probe every I seconds during an outage of D seconds (the horizon), that is ``E·D/I + G·I/2``
        joules, least at ``I = sqrt(2·E·D/G)``, the interval of Young (CACM 17(9), 1974) for checkpoints. It bounds the
        longest wait; the waits before it double from 1 s, while the radio is still awake and a probe costs little.
        Where even the best link would not pay for one probe within the horizon, none is sent; of a probe that finds
        such a link the tail is not lost, for offloads follow.
        """
        if self.gain_w * horizon_s <= self.probe_j - tail_j:
            return ProbePlan.never()
        return ProbePlan(longest_s=max(8.0, math.sqrt(2 * self.probe_j * horizon_s / self.gain_w)))

    def probe_timeout_s(self, trips_s: float) -> float:
        """Seconds after which a probe is given up, because a link so slow is worth nothing.

        A radio that sends for two seconds on a link that is gone takes up to fifty probes' joules. So a probe has twice
        the time that its bytes and its round trips take at the rate from which an offload pays; from 0.2 s to 2 s.
        """
        sending_s = 0.0 if math.isinf(self.awake_bps) else 8 * PROBE_BYTES / self.awake_bps
        return min(LONGEST_PROBE_S, max(0.2, self.energy.radio.wake_s + 2 * (sending_s + trips_s)))

    def _break_even_bps(self, more_j: float) -> float:
        """The least rate at which an offload that takes so much more is the best point."""
        if not self._pays(_FASTEST_BPS, more_j):
            return math.inf
        slow, fast = math.log(_SLOWEST_BPS), math.log(_FASTEST_BPS)
        for _ in range(_STEPS):
            middle = (slow + fast) / 2
            slow, fast = (slow, middle) if self._pays(math.exp(middle), more_j) else (middle, fast)
        return math.exp(fast)

    def _pays(self, rate_bps: float, more_j: float) -> bool:
        found = predict(self.table, self.energy, RateEstimate(rate_bps, rate_bps), idle_s=0.0)
        local, offload = found.on_time & self.table.local, found.on_time & ~self.table.local
        if not offload.any():
            return False
        return not local.any() or bool(found.steady_j[offload].min() + more_j < found.steady_j[local].min())
