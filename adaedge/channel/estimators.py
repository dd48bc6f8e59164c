"""Estimators: from the uploads that happened to the rate of the next one. They hold a few numbers and no clock.

May import: ``errors``; of this part ``spread``.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol, final

from adaedge.channel.spread import RateSpread
from adaedge.errors import ScheduleError

_LEAST_S = 1e-6
_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload that happened.

    Attributes:
        time_s: when it ended.
        payload_bytes: bytes that crossed.
        duration_s: seconds that they took on the link, the edge server's computing excluded.
        completed: ``False`` where it was given up: then ``payload_bytes`` is what was offered, and the link's rate was
            at most ``8 * payload_bytes / duration_s``.
    """

    time_s: float
    payload_bytes: int
    duration_s: float
    completed: bool = True


@dataclass(frozen=True, slots=True)
class RateEstimate:
    """The link as far as it is known.

    Attributes:
        rate_bps: expected rate of the next upload.
        low_bps: a rate that the next upload will probably exceed; a deadline is judged by it.
        round_trip_s: seconds that an empty message takes there and back.
        time_s: when the newest upload behind the estimate ended.
        spread: how likely each rate is, where the estimator says so; ``None`` where it does not.

    Raises:
        ScheduleError: if a figure is negative or not finite.
    """

    rate_bps: float
    low_bps: float
    round_trip_s: float = 0.0
    time_s: float = 0.0
    spread: RateSpread | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        known = (self.rate_bps, self.low_bps, self.round_trip_s)
        if not (min(known) >= 0 and math.isfinite(sum(known))) or math.isnan(self.time_s):
            raise ScheduleError(
                f"a rate estimate is of finite numbers, at least 0; got {self}. Where nothing is known, give None."
            )


class RateEstimator(Protocol):
    """Learns from uploads what the next one will find."""

    def observe(self, upload: Upload) -> None:
        """Learn from an upload, completed or given up."""
        ...

    def estimate(self, now_s: float) -> RateEstimate | None:
        """What is known at ``now_s``; ``None`` before any upload. Its ``time_s`` says how old that is."""
        ...


@final
class HarmonicMean:
    """Bits over seconds of the last uploads: their harmonic mean, each weighted by its bytes.

    So a small upload, whose duration says little of the rate, counts little. ``low_bps`` is the mean divided by
    1 + the largest relative error of the last predictions, as in RobustMPC (Yin et al., SIGCOMM 2015). There the error
    is relative to the rate found; here to the larger of the two rates, and it ages as uploads do: a link that is not
    used because its estimate is low gives no upload that could raise it again.

    An upload that was given up proves that the rate was at most ``8 * payload_bytes / duration_s``. Where the estimate
    was higher, the link has changed: everything before it is forgotten and that bound becomes the estimate. The next
    upload that completes replaces the bound.

    Args:
        window: number of uploads remembered.
        window_s: uploads and errors older than this, seen from the newest, are forgotten.
        round_trip_s: seconds of each upload's duration that are not transfer; 0 where they are subtracted already.

    Example:
        >>> estimator = HarmonicMean()
        >>> estimator.estimate(now_s=0.0) is None
        True
        >>> estimator.observe(Upload(time_s=1.0, payload_bytes=125_000, duration_s=0.1))
        >>> estimator.estimate(now_s=1.5).rate_bps
        10000000.0
    """

    def __init__(self, window: int = 5, window_s: float = 1.0, round_trip_s: float = 0.0) -> None:
        self._window_s = window_s
        self._round_trip_s = round_trip_s
        self._samples: deque[tuple[float, float, float]] = deque(maxlen=window)  # when, bits, seconds
        self._errors: deque[tuple[float, float]] = deque(maxlen=window)  # when, relative
        self._weak = False  # the only sample is a bound, or mostly round trip: the next good one replaces it
        self._estimate: RateEstimate | None = None

    def observe(self, upload: Upload) -> None:
        """Learn from an upload, completed or given up."""
        bits, seconds = 8.0 * upload.payload_bytes, _transfer_s(upload, self._round_trip_s)
        round_trip = _is_round_trip(upload, self._round_trip_s)
        if bits <= 0 or not math.isfinite(seconds) or (round_trip and self._samples and not self._weak):
            return  # it tells the round trip, or nothing, but not the rate
        known, found = self._estimate, bits / seconds
        if not upload.completed and known is not None and found >= known.rate_bps:
            self._estimate = RateEstimate(known.rate_bps, known.low_bps, self._round_trip_s, upload.time_s)
            return  # the bound is above what was expected: nothing new
        if known is not None:
            self._errors.append((upload.time_s, abs(known.rate_bps - found) / max(known.rate_bps, found)))
        weak = round_trip or not upload.completed
        if weak or self._weak:
            self._samples.clear()
        self._weak = weak
        self._samples.append((upload.time_s, bits, seconds))
        self._forget(upload.time_s - self._window_s)
        self._estimate = self._learned(upload.time_s)

    def estimate(self, now_s: float) -> RateEstimate | None:
        """What is known; it does not change while nothing is sent, so look at its ``time_s``."""
        del now_s
        return self._estimate

    def _forget(self, before_s: float) -> None:
        while self._samples[0][0] < before_s:
            self._samples.popleft()
        while self._errors and self._errors[0][0] < before_s:
            self._errors.popleft()

    def _learned(self, time_s: float) -> RateEstimate:
        _, bits, seconds = zip(*self._samples, strict=True)
        rate_bps = sum(bits) / sum(seconds)
        low_bps = rate_bps / (1 + max([error for _, error in self._errors], default=0.0))
        return RateEstimate(rate_bps, low_bps, self._round_trip_s, time_s)


@final
class LastUpload:
    """The rate of the last upload, with a fixed margin below it; the simplest estimator, for comparison.

    Args:
        margin: ``low_bps`` is this fraction of the rate.
        round_trip_s: seconds of each upload's duration that are not transfer; 0 where they are subtracted already.

    Example:
        >>> estimator = LastUpload(margin=0.5)
        >>> estimator.observe(Upload(time_s=1.0, payload_bytes=125_000, duration_s=0.1))
        >>> estimator.estimate(now_s=1.5).low_bps
        5000000.0
    """

    def __init__(self, margin: float = 0.7, round_trip_s: float = 0.0) -> None:
        self._margin = margin
        self._round_trip_s = round_trip_s
        self._estimate: RateEstimate | None = None

    def observe(self, upload: Upload) -> None:
        """Learn from an upload; one that was given up can only lower the estimate."""
        if upload.payload_bytes <= 0 or not math.isfinite(upload.duration_s):
            return
        if self._estimate and _is_round_trip(upload, self._round_trip_s):
            return
        rate_bps = 8.0 * upload.payload_bytes / _transfer_s(upload, self._round_trip_s)
        if not upload.completed and self._estimate is not None:
            rate_bps = min(rate_bps, self._estimate.rate_bps)
        self._estimate = RateEstimate(rate_bps, self._margin * rate_bps, self._round_trip_s, upload.time_s)

    def estimate(self, now_s: float) -> RateEstimate | None:
        """What is known; it does not change while nothing is sent, so look at its ``time_s``."""
        del now_s
        return self._estimate


def _is_round_trip(upload: Upload, round_trip_s: float) -> bool:
    """Whether so much of an upload's duration is the round trip that the rest says nothing of the rate."""
    return upload.completed and upload.duration_s - round_trip_s < _LEAST_SHARE * upload.duration_s


def _transfer_s(upload: Upload, round_trip_s: float) -> float:
    """Seconds of the transfer itself: at least a tenth of the duration, for a round trip varies."""
    return max(upload.duration_s - round_trip_s, _LEAST_SHARE * upload.duration_s, _LEAST_S)
