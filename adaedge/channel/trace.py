"""Trace: the rate of a link along time, constant between samples, repeated for ever.

May import: ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.errors import TraceError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Rates of a link. A sample holds until the next one; after ``duration_s`` the trace begins again.

    Attributes:
        times_s: when each sample begins, not decreasing; shifted so that the first is at 0.
        rates_bps: rate of each sample.
        duration_s: when the trace begins again; by default the last sample lasts as long as samples typically do.

    Example:
        >>> trace = Trace([0.0, 1.0], [8e6, 0.0])  # one megabyte in the first second, nothing in the second
        >>> trace.transfer_s(500_000, start_s=0.75)  # a quarter second, the pause, and another quarter
        1.5
        >>> trace.bytes_within(start_s=0.75, duration_s=1.5)
        500000.0
    """

    times_s: Floats
    rates_bps: Floats
    duration_s: float = 0.0
    _edges_s: Floats = field(init=False, repr=False)
    _bits: Floats = field(init=False, repr=False)

    def __init__(self, times_s: npt.ArrayLike, rates_bps: npt.ArrayLike, duration_s: float | None = None) -> None:
        """A trace of the given samples.

        Raises:
            TraceError: if there are no samples, a rate is negative or not a number, time goes back, or all is zero.
        """
        times = np.array(times_s, dtype=np.float64)
        rates = np.array(rates_bps, dtype=np.float64)
        _check(times, rates)
        times -= times[0]
        end_s = times[-1] + _step_s(times) if duration_s is None else float(duration_s)
        if not (np.isfinite(end_s) and end_s >= times[-1] and end_s > 0):
            raise TraceError(f"a trace begins again after its last sample, at {times[-1]} s; got duration_s {end_s}")
        edges = np.append(times, end_s)
        bits = np.concatenate([[0.0], np.cumsum(rates * np.diff(edges))])
        if bits[-1] <= 0:
            raise TraceError("a trace whose rates are all zero carries nothing, ever; give it a rate above zero")
        for array in (times, rates):
            array.setflags(write=False)
        values = {"times_s": times, "rates_bps": rates, "duration_s": end_s, "_edges_s": edges, "_bits": bits}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def mean_bps(self) -> float:
        """Mean rate over one repetition."""
        return float(self._bits[-1] / self.duration_s)

    def rate_at(self, time_s: Any) -> Any:
        """Rate at a time, or at each of an array of times."""
        index = np.searchsorted(self._edges_s, np.mod(time_s, self.duration_s), side="right") - 1
        rate = self.rates_bps[np.minimum(index, len(self.rates_bps) - 1)]
        return rate if np.ndim(time_s) else float(rate)

    def transfer_s(self, payload_bytes: Any, start_s: Any) -> Any:
        """Seconds that a payload takes when it starts at ``start_s``: the least t with that many bytes in it.

        Exact for the piecewise constant rate. Takes arrays as well, which broadcast.
        """
        phase_s = np.mod(start_s, self.duration_s)
        target = self._bits_until(phase_s) + np.multiply(payload_bytes, 8.0)
        rounds = np.maximum(np.ceil(target / self._bits[-1]) - 1, 0)
        rest = np.minimum(target - rounds * self._bits[-1], self._bits[-1])
        index = np.maximum(np.searchsorted(self._bits, rest, side="left") - 1, 0)
        # The transfer ends in a sample where the bits grow, so its rate is above zero; an empty payload has none.
        rate = self.rates_bps[index]
        inside_s = np.divide(rest - self._bits[index], rate, out=np.zeros_like(rest), where=rate > 0)
        lasted_s = rounds * self.duration_s + self._edges_s[index] + inside_s - phase_s
        result = np.where(np.equal(payload_bytes, 0), 0.0, np.maximum(lasted_s, 0.0))
        return result if result.ndim else float(result)

    def bytes_within(self, start_s: float, duration_s: float) -> float:
        """Bytes that cross in ``duration_s`` seconds from ``start_s``."""
        phase_s = start_s % self.duration_s
        rounds, end_s = divmod(phase_s + duration_s, self.duration_s)
        bits = rounds * self._bits[-1] + self._bits_until(end_s) - self._bits_until(phase_s)
        return float(max(bits, 0.0)) / 8

    def _bits_until(self, phase_s: Any) -> Any:
        return np.interp(phase_s, self._edges_s, self._bits)


def _check(times: Floats, rates: Floats) -> None:
    if times.ndim != 1 or times.shape != rates.shape:
        raise TraceError(f"a trace has one rate for each time; got shapes {times.shape} and {rates.shape}")
    if not len(times):
        raise TraceError("a trace has at least one sample; got no samples")
    if not (np.isfinite(times).all() and np.isfinite(rates).all()):
        index = int(np.argmin(np.isfinite(times) & np.isfinite(rates)))
        raise TraceError(f"sample {index} is not a number: {times[index]} s, {rates[index]} bit/s")
    if rates.min() < 0:
        index = int(np.argmin(rates))
        raise TraceError(f"sample {index} has a negative rate, {rates[index]} bit/s; a rate is at least 0")
    if len(times) > 1 and (steps := np.diff(times)).min() < 0:
        index = int(np.argmin(steps)) + 1
        raise TraceError(f"time goes back at sample {index}: {times[index - 1]} s, then {times[index]} s")


def _step_s(times: Floats) -> float:
    """How long the last sample lasts: as long as the typical one, or a second where it is the only one."""
    steps = np.diff(times)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
