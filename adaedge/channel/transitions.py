"""Transitions: what the next upload will find, from what followed earlier uploads that went alike.

May import: ``errors``; of this part ``estimators``, ``spread``.

**Why.** A mean of the last rates cannot tell a link that drops a second now and then, after which all is well, from one
that is gone. What followed the earlier time-outs can. So each upload is remembered with the one before it, as a
*transition*, and the next upload is forecast from the transitions that began like now: after an answer, those from a
similar rate; after a time-out, those after as many time-outs in a row. Each counts the less the longer ago it was.

**Distribution.** A transition from log rate x to log rate y, seen from x', forecasts ``y + DRIFT · (x' - x)``: half of
it a rate that this link has had, half a change that it has made. Its weight is
``2 ** (-age / HALF_LIFE) · exp(-((x' - x) / WIDTH)² / 2)``, its age counted in uploads. Where few are alike,
a few assumed ones fill in. An upload that was given up proves only that the rate was at most a bound: it counts as a
rate a third below.

**Conformal correction.** Quantiles of so few samples are too narrow or too wide, the more so where a link changes its
ways. So the logarithms are stretched about their median, and the stretch follows what was found: it grows by
``GAIN · COVERAGE`` after an upload outside the 90 % interval and shrinks by ``GAIN · (1 - COVERAGE)`` after one inside.
Over n uploads the share outside then differs from 10 % by at most the range of the stretch's logarithm over
``GAIN · n``, whatever the link does (online conformal prediction: Gibbs and Candès, "Adaptive conformal inference under
distribution shift", NeurIPS 2021; Angelopoulos, Candès and Tibshirani, "Conformal PID control for time series
prediction", NeurIPS 2023).
"""

from __future__ import annotations

import math
from typing import ClassVar, final

import numpy as np

from adaedge.channel.estimators import RateEstimate, Upload
from adaedge.channel.spread import Column, RateSpread, chances_below
from adaedge.errors import ScheduleError

WINDOW = 64
"""Transitions remembered."""
HALF_LIFE = 32.0
"""Uploads after which one counts half."""
WIDTH = 0.7
"""Of what counts as a similar rate: a factor of two."""
DRIFT = 0.5
COVERAGE = 0.9
GAIN = 0.05
LOW = 0.1
"""The quantile that a deadline is judged by."""
_QUANTILES = np.array([(1 - COVERAGE) / 2, LOW, 0.5, (1 + COVERAGE) / 2]) - 1e-9
_UNFINISHED = math.log(0.7)
_STRETCH = (math.log(0.2), math.log(8.0))
_ASSUMED = np.array([-1.2, -0.5, -0.2, 0.0, 0.05, 0.15, 0.3, 0.7])
_ASSUMED_AFTER_NONE = np.array([0.0, 0.0, -1.0, -0.3, 0.3, 1.0])  # the first two: as before, and the bound
_ASSUMED_WEIGHT = 2.0
_MEMORY = 0.7  # of the usual rate, at each upload
_FADING = 2.0 ** (-1.0 / HALF_LIFE)
_LEAST_S = 1e-6
_ALIKE = 1e-6  # logarithms that differ by rounding
_FASTEST = math.log(1e12)


@final
class Transitions:
    """A rate estimator with a distribution, see the module.

    ``rate_bps`` is the median, ``low_bps`` the 10 % quantile; ``time_s`` says when the last upload ended, so how stale
    both are. Nothing is forgotten with time alone: a link that was not used is taken to be as it was.

    Attributes:
        patience: time-outs in a row after which the link counts as down (see `LinkState`): more than where an estimate
            is a mean, because this one knows what follows a time-out.

    Example:
        >>> estimator = Transitions()
        >>> for time_s in range(30):
        ...     estimator.observe(Upload(float(time_s), 125_000, 0.1 if time_s % 2 else 0.2))
        >>> estimate = estimator.estimate(now_s=30.0)
        >>> round(estimate.rate_bps / 1e6), estimate.time_s
        (5, 29.0)
    """

    patience: ClassVar[int] = 16

    def __init__(self) -> None:
        # Transitions after an answer, and after one to many failed uploads: what each began with, what it says of the
        # next, and what it weighs by its age.
        self._from, self._to, self._weight = np.zeros((2, WINDOW)), np.zeros((2, WINDOW)), np.zeros((2, WINDOW))
        self._count = [0, 0]
        self._now: tuple[float, float, int] | None = None  # when, log rate, failed in a row
        self._usual: float | None = None
        self._stretch = 0.0  # its logarithm
        self._spread: RateSpread | None = None
        self._quantiles_bps: list[float] = []  # of the spread, at each of `_QUANTILES`

    @property
    def stretch(self) -> float:
        """The factor by which the spread is stretched about its median now."""
        return math.exp(self._stretch)

    def observe(self, upload: Upload) -> None:
        """Learn from an upload, completed or given up.

        Raises:
            ScheduleError: if its time runs backwards or is no number.
        """
        if not math.isfinite(upload.time_s):
            raise ScheduleError(f"an upload ends at a finite time; got {upload.time_s} s")
        if upload.payload_bytes <= 0 or not 0 <= upload.duration_s < math.inf:
            return
        rate = math.log(8.0 * upload.payload_bytes / max(upload.duration_s, _LEAST_S))
        if self._now is not None:
            self._correct(rate, bound=not upload.completed)
        rate += 0.0 if upload.completed else _UNFINISHED
        in_vain = 0
        if self._now is not None:
            _, before, in_vain = self._now
            kind = int(in_vain > 0)
            place = self._count[kind] % WINDOW
            self._count[kind] += 1
            self._weight *= _FADING
            self._weight[kind, place] = 1.0
            self._from[kind, place] = math.log2(1 + in_vain) if in_vain else before
            self._to[kind, place] = rate if in_vain else rate - DRIFT * before
        self._now = upload.time_s, rate, 0 if upload.completed else in_vain + 1
        if upload.completed:
            self._usual = rate if self._usual is None else self._usual + (1 - _MEMORY) * (rate - self._usual)
        self._spread = None

    def estimate(self, now_s: float) -> RateEstimate | None:
        """What is known; it does not change while nothing is sent, so look at its ``time_s``."""
        del now_s
        if self._now is None:
            return None
        spread, (low_bps, rate_bps) = self._forecast(), self._quantiles_bps[1:3]
        return RateEstimate(rate_bps, low_bps, 0.0, self._now[0], spread)

    def _forecast(self) -> RateSpread:
        if self._spread is None:
            assert self._now is not None  # else nothing was seen
            logs, weights = self._alike(self._now[1], self._now[2])
            order = logs.argsort()
            logs, weights = logs[order], weights[order]
            below = chances_below(weights)
            weights /= below[-1]
            below /= below[-1]
            places = np.minimum(below[1:].searchsorted(_QUANTILES), len(logs) - 1)
            stretch = math.exp(self._stretch)
            logs *= stretch
            logs += (1.0 - stretch) / stretch * logs[places[2]]
            if not 0.0 < logs[0] <= logs[-1] < _FASTEST:
                logs = np.minimum(np.maximum(logs, 0.0), _FASTEST)
            rates = np.exp(logs)
            self._spread = RateSpread.trusted(rates, weights, below)
            self._quantiles_bps = rates[places].tolist()
        return self._spread

    def _alike(self, rate: float, in_vain: int) -> tuple[Column, Column]:
        """Log rates that may follow, and what each weighs."""
        kind = int(in_vain > 0)
        assumed = _ASSUMED_AFTER_NONE if in_vain else _ASSUMED
        logs, weights = np.empty(WINDOW + len(assumed)), np.empty(WINDOW + len(assumed))
        weights[WINDOW:] = _ASSUMED_WEIGHT / len(assumed)
        if in_vain:
            usual = rate if self._usual is None else self._usual
            logs[:WINDOW] = self._to[kind]
            np.add(assumed, usual, out=logs[WINDOW:])
            logs[WINDOW : WINDOW + 2] = rate, rate - _UNFINISHED
            away = np.abs(self._from[kind] - math.log2(1 + in_vain))
            away *= -math.log(2)
        else:
            np.add(self._to[kind], DRIFT * rate, out=logs[:WINDOW])
            np.add(assumed, rate, out=logs[WINDOW:])
            away = self._from[kind] - rate
            away *= away
            away *= -0.5 / WIDTH**2
        np.exp(away, out=away)
        np.multiply(away, self._weight[kind], out=weights[:WINDOW])
        return logs, weights

    def _correct(self, rate: float, *, bound: bool) -> None:
        """Whether the interval held what was found."""
        if self._spread is None:
            self._forecast()
        low, high = math.log(self._quantiles_bps[0]), math.log(self._quantiles_bps[3])
        # Of an upload that was given up, only a bound is known: the interval held it if it reaches below.
        inside = low <= rate + _ALIKE if bound else low - _ALIKE <= rate <= high + _ALIKE
        step = -GAIN * (1 - COVERAGE) if inside else GAIN * COVERAGE
        self._stretch = min(_STRETCH[1], max(_STRETCH[0], self._stretch + step))
