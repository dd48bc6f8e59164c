"""RateSpread: a predictive distribution of the next upload's rate, and so of its duration.

May import: ``errors``. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from adaedge.errors import ScheduleError

Column = npt.NDArray[np.float64]


def chances_below(shares: Column) -> Column:
    """(n + 1,): running sums, of chances or what they weigh, from 0 on."""
    below = np.empty(len(shares) + 1)
    below[0] = 0.0
    shares.cumsum(out=below[1:])
    return below


@dataclass(frozen=True, eq=False)
class RateSpread:
    """Rates that the next upload may find, and how likely each is.

    Attributes:
        rates_bps: (n,): ascending, above 0.
        shares: (n,): the chance of each; together 1.

    Raises:
        ScheduleError: if they are not of one length, not ascending, or the chances do not add up to 1.

    Example:
        >>> spread = RateSpread(np.array([1e6, 2e6, 8e6]), np.array([0.25, 0.5, 0.25]))
        >>> spread.quantile(0.5), spread.transfer_s(125_000, 0.9)
        (2000000.0, 1.0)
        >>> spread.chance_above(4e6)
        0.25
    """

    rates_bps: Column
    shares: Column

    def __post_init__(self) -> None:
        rates, shares = self.rates_bps, self.shares
        if rates.ndim != 1 or rates.shape != shares.shape or not len(rates):
            raise ScheduleError(f"a spread has one chance per rate; got {rates.shape} rates, {shares.shape} chances")
        ordered = bool((rates[1:] >= rates[:-1]).all()) and rates[0] > 0 and math.isfinite(rates[-1])
        if not (ordered and shares.min() >= 0 and abs(float(shares.sum()) - 1) < 1e-6):
            raise ScheduleError("the rates of a spread ascend above 0 bit/s and their chances add up to 1")

    @classmethod
    def trusted(cls, rates_bps: Column, shares: Column, below: Column) -> Self:
        """A spread that its maker vouches for: a decision has no time to check it again."""
        spread = object.__new__(cls)
        spread.__dict__.update(rates_bps=rates_bps, shares=shares, below=below)
        return spread

    @cached_property
    def below(self) -> Column:
        """(n + 1,): the chance of a rate below each; the last is 1."""
        return chances_below(self.shares)

    @cached_property
    def seconds_below(self) -> Column:
        """(n + 1,): running sums of the seconds that a bit takes at each rate, each times its chance."""
        return chances_below(self.shares / self.rates_bps)

    def quantile(self, share: float) -> float:
        """The least of the rates that is not exceeded with at least that chance, in bit/s."""
        place = int(np.searchsorted(self.below[1:], share - 1e-9))
        return float(self.rates_bps[min(place, len(self.rates_bps) - 1)])

    def chance_above(self, rate_bps: float) -> float:
        """How likely the next upload finds at least that rate."""
        return float(1.0 - self.below[np.searchsorted(self.rates_bps, rate_bps)])

    def transfer_s(self, payload_bytes: float, share: float) -> float:
        """Seconds that a payload's transfer does not exceed with that chance."""
        return 8.0 * payload_bytes / self.quantile(1.0 - share)

    def interval_s(self, payload_bytes: float, coverage: float) -> tuple[float, float]:
        """Between which seconds the transfer lies with that chance, as likely below as above.

        Example:
            >>> spread = RateSpread(np.array([1e6, 2e6, 8e6]), np.array([0.25, 0.5, 0.25]))
            >>> spread.interval_s(1_000_000, 0.9)
            (1.0, 8.0)
        """
        outside = (1.0 - coverage) / 2
        return self.transfer_s(payload_bytes, outside), self.transfer_s(payload_bytes, 1.0 - outside)
