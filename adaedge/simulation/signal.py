"""ModelledSignal: what a modem would report along a trace, modelled, so that a replay can tell what it is worth.

May import: ``channel``.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np

from adaedge.channel import LinkSignal, Trace
from adaedge.channel.signal import EFFICIENCIES


@final
class ModelledSignal:
    """A signal that is derived from a trace, not measured: the trace's mean rate over the last second, as CQI.

    A trace of rates holds no signal. Here the rate is taken to follow the signal, so that the efficiency is
    ``rate / bandwidth``; noise is added in dB, and the result is rounded down to a CQI, as a modem reports it. Errors
    of a second are independent. What it leaves out is that other terminals' load changes the rate and not the signal.

    Args:
        trace: the rate of the uplink.
        bandwidth_hz: of the cell; 20 MHz reach from 3 to 111 Mbit/s.
        noise_db: standard deviation of the error of the rate, in dB.
        seed: of the noise.

    Example:
        >>> signal = ModelledSignal(Trace([0.0], [30e6]), bandwidth_hz=20e6, noise_db=0.0)
        >>> signal.at(5.0).cqi, round(signal(5.0) / 1e6)
        (7, 30)
    """

    def __init__(self, trace: Trace, *, bandwidth_hz: float = 20e6, noise_db: float = 2.0, seed: int = 0) -> None:
        self._trace = trace
        self._bandwidth_hz = bandwidth_hz
        self._noise_db = noise_db
        self._seed = seed

    def at(self, time_s: float) -> LinkSignal:
        """What is reported at a time, once a second."""
        second = math.floor(time_s)
        error_db = self._noise_db * np.random.default_rng([self._seed, second % 2**32]).standard_normal()
        seen_bps = 8 * self._trace.bytes_within(max(0.0, second - 1.0), 1.0)
        efficiency = seen_bps * 10 ** (error_db / 10) / self._bandwidth_hz
        return LinkSignal(cqi=int(np.searchsorted(EFFICIENCIES, efficiency, side="right")) - 1)

    def __call__(self, time_s: float) -> float | None:
        """The rate that follows from it, in bit/s."""
        return self.at(time_s).rate_bps(self._bandwidth_hz)
