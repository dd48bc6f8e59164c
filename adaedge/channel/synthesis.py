"""Synthesised traces: a terminal that moves past a base station, and the rate that a radio model gives it there.

May import: ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

from adaedge.channel.propagation import (
    Floats,
    fading_gain,
    noise_dbm,
    shadowing,
    shannon_bps,
    umi_los_db,
    umi_nlos_db,
)
from adaedge.channel.trace import Trace
from adaedge.errors import TraceError

Flags = npt.NDArray[np.bool_]

_SUBSTEPS = 20  # fading is finer than a sample of the trace: a sample is the mean of so many rates


@dataclass(frozen=True, slots=True)
class MovingTerminal:
    """A terminal that walks to and fro along a path. The base station stands at (0, 0).

    Attributes:
        waypoints_m: corners (x, y) of its path; one corner stands still.
        speed_mps: how fast it moves.
        blocked_s: intervals (begin, end) in which something stands between it and the base station.

    Raises:
        TraceError: if the path has no corner, the speed is below 0, or an interval ends before it begins.

    Example:
        >>> walk = MovingTerminal(waypoints_m=((30.0, 0.0), (30.0, 200.0)), speed_mps=2.0)
        >>> walk.travelled_m(np.array([0.0, 50.0])).tolist(), walk.distance_m(np.array([100.0])).round(1).tolist()
        ([0.0, 100.0], [202.2])
    """

    waypoints_m: tuple[tuple[float, float], ...] = ((20.0, 30.0), (20.0, 400.0))
    speed_mps: float = 1.4
    blocked_s: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.waypoints_m or not np.isfinite(self.waypoints_m).all():
            raise TraceError(f"a path has at least one corner (x, y) in metres; got {self.waypoints_m}")
        if not (np.isfinite(self.speed_mps) and self.speed_mps >= 0):
            raise TraceError(f"speed_mps is at least 0; got {self.speed_mps}")
        if any(not begin <= end for begin, end in self.blocked_s):
            raise TraceError(f"an interval in blocked_s ends after it begins; got {self.blocked_s}")

    def travelled_m(self, times_s: Floats) -> Floats:
        """Metres walked until each time."""
        return self.speed_mps * times_s

    def distance_m(self, times_s: Floats) -> Floats:
        """Horizontal distance to the base station at each time."""
        corners = np.array(self.waypoints_m, dtype=np.float64)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
        length_m = along[-1]
        walked = np.mod(self.travelled_m(times_s), 2 * length_m) if length_m else np.zeros_like(times_s)
        place = np.minimum(walked, 2 * length_m - walked)
        distance: Floats = np.hypot(np.interp(place, along, corners[:, 0]), np.interp(place, along, corners[:, 1]))
        return distance

    def in_sight(self, times_s: Floats) -> Flags:
        """Whether the base station is in line of sight at each time."""
        sight = np.ones(len(times_s), dtype=np.bool_)
        for begin, end in self.blocked_s:
            sight &= (times_s < begin) | (times_s >= end)
        return sight


class RadioModel(Protocol):
    """Where the terminal is → the rate of its uplink there. A plain function with these parameters is one."""

    def __call__(
        self,
        distance_m: Floats,
        travelled_m: Floats,
        in_sight: Flags,
        rng: np.random.Generator,
    ) -> Floats:
        """The rate in bit/s at each sample.

        Args:
            distance_m: horizontal distance to the base station.
            travelled_m: distance walked so far.
            in_sight: whether the base station is in line of sight.
            rng: the only source of randomness, so that a seed repeats a trace.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class UrbanMicrocell:
    """Uplink to a base station above a street: path loss, shadowing, fading, Shannon's rate.

    Path loss and the statistics are 3GPP TR 38.901's for UMi street canyon (tables 7.4.1-1 and 7.5-6): shadowing of
    4 dB over 10 m in line of sight and 7.82 dB over 13 m without, Rician K of 9 dB in line of sight.

    Attributes:
        carrier_hz: carrier.
        bandwidth_hz: bandwidth that the terminal is given, which its power is spread over.
        transmit_dbm: radiated power; 23 dBm is a handset's (3GPP power class 3).
        noise_figure_db: of the base station's receiver.
        most_bps_per_hz: what the best modulation carries; 7.4063 is 256-QAM at rate 948/1024 (3GPP TS 38.214).
        base_m: height of the base station.
        terminal_m: height of the terminal.
        loss_db: what else is lost, such as a wall, a hand or interference; nothing by default.

    Example:
        >>> UrbanMicrocell().mean_snr_db(np.array([100.0]), np.array([True])).round(1).tolist()
        [36.7]
    """

    carrier_hz: float = 3.5e9
    bandwidth_hz: float = 10e6
    transmit_dbm: float = 23.0
    noise_figure_db: float = 5.0
    most_bps_per_hz: float = 7.4063
    base_m: float = 10.0
    terminal_m: float = 1.5
    loss_db: float = 0.0

    def mean_snr_db(self, distance_m: Floats, in_sight: Flags) -> Floats:
        """Signal to noise at a horizontal distance, without shadowing and fading."""
        apart_m = np.hypot(distance_m, self.base_m - self.terminal_m)
        place = (apart_m, self.carrier_hz, self.base_m, self.terminal_m)
        loss_db = np.where(in_sight, umi_los_db(*place), umi_nlos_db(*place))
        snr_db: Floats = self.transmit_dbm - loss_db - self.loss_db - noise_dbm(self.bandwidth_hz, self.noise_figure_db)
        return snr_db

    def __call__(
        self,
        distance_m: Floats,
        travelled_m: Floats,
        in_sight: Flags,
        rng: np.random.Generator,
    ) -> Floats:
        """The rate in bit/s at each sample."""
        shadow_db = np.where(in_sight, 4.0, 7.82) * shadowing(travelled_m, np.where(in_sight, 10.0, 13.0), rng)
        gain = fading_gain(travelled_m, self.carrier_hz, np.where(in_sight, 10**0.9, 0.0), rng)
        snr_db = self.mean_snr_db(distance_m, in_sight) + shadow_db + 10 * np.log10(np.maximum(gain, 1e-12))
        rate: Floats = shannon_bps(snr_db, self.bandwidth_hz, self.most_bps_per_hz)
        return rate


def synthesize(
    terminal: MovingTerminal,
    duration_s: float,
    *,
    rng: np.random.Generator,
    radio: RadioModel | None = None,
    step_s: float = 0.1,
) -> Trace:
    """The rate that a moving terminal finds.

    Args:
        terminal: how it moves.
        duration_s: length of the trace.
        rng: source of randomness; the same seed gives the same trace.
        radio: from places to rates; ``UrbanMicrocell()`` by default.
        step_s: length of a sample; each is the mean of 20 rates inside it, for fading is faster.

    Raises:
        TraceError: if the duration is shorter than a step, or the radio model gives no rates.

    Example:
        >>> walk = MovingTerminal(((20.0, 150.0), (20.0, 400.0)), speed_mps=8.0, blocked_s=((10.0, 20.0),))
        >>> trace = synthesize(walk, 30.0, rng=np.random.default_rng(1))
        >>> len(trace.rates_bps), trace.rate_at(15.0) < trace.rate_at(5.0)
        (300, True)
        >>> flat = synthesize(walk, 30.0, rng=np.random.default_rng(1), radio=lambda distance_m, *_: 1e9 / distance_m)
        >>> flat.rate_at(0.0) > flat.rate_at(29.0)
        True
    """
    if not (np.isfinite(duration_s) and step_s > 0 and duration_s >= step_s):
        raise TraceError(f"a trace of {duration_s} s has no room for a sample of {step_s} s")
    count = round(duration_s / step_s)
    fine_s: Floats = (np.arange(count * _SUBSTEPS) + 0.5) * np.float64(step_s / _SUBSTEPS)
    model = UrbanMicrocell() if radio is None else radio
    rates = np.asarray(
        model(terminal.distance_m(fine_s), terminal.travelled_m(fine_s), terminal.in_sight(fine_s), rng),
        dtype=np.float64,
    )
    if rates.shape != fine_s.shape:
        raise TraceError(f"a radio model gives one rate for each place; got shape {rates.shape} for {fine_s.shape}")
    return Trace(np.arange(count) * step_s, rates.reshape(count, _SUBSTEPS).mean(axis=1), count * step_s)
