"""LinkPrior: the rates that were seen at a place, as a few counts that are kept between runs.

May import: ``errors``. Pure, but for `LinkPrior.save` and `LinkPrior.load`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from adaedge.errors import ScheduleError

LOWEST_BPS = 1e3
PER_OCTAVE = 2
BINS = 48
"""Half octaves from 1 kbit/s to 17 Gbit/s."""
_FORMAT = "adaedge link prior 1"
_KEPT = 1000.0  # so many rates weigh as much as all before them: a place changes


@dataclass(frozen=True, slots=True)
class LinkPrior:
    """How often each rate was seen.

    Attributes:
        counts: rates seen in each half octave, from 1 kbit/s on; old ones fade once there are a thousand.

    Raises:
        ScheduleError: if there are not 48 counts, or one is below 0.

    Example:
        >>> prior = LinkPrior()
        >>> prior.quantile(0.9) is None
        True
        >>> for rate_bps in (1e6, 1e6, 8e6):
        ...     prior = prior.seen(rate_bps)
        >>> prior.count, round(prior.quantile(0.5) / 1e6, 1), round(prior.quantile(0.9) / 1e6, 1)
        (3.0, 0.9, 6.9)
    """

    counts: tuple[float, ...] = (0.0,) * BINS

    def __post_init__(self) -> None:
        if len(self.counts) != BINS or min(self.counts) < 0 or not math.isfinite(sum(self.counts)):
            raise ScheduleError(f"a prior of the link is {BINS} finite counts, at least 0; got {self.counts}")

    @property
    def count(self) -> float:
        """Rates that it knows of."""
        return sum(self.counts)

    def seen(self, rate_bps: float) -> LinkPrior:
        """The prior once another rate was seen; a rate below 1 kbit/s counts as that."""
        octaves = math.log2(max(rate_bps, LOWEST_BPS) / LOWEST_BPS)
        place = min(BINS - 1, int(octaves * PER_OCTAVE))
        fading = min(1.0, _KEPT / (self.count + 1))
        counts = [count * fading for count in self.counts]
        counts[place] += 1
        return LinkPrior(tuple(counts))

    def quantile(self, share: float) -> float | None:
        """A rate that that share of those seen does not exceed: the middle of its half octave; ``None`` of none."""
        left = share * self.count
        for place, count in enumerate(self.counts):
            left -= count
            if count and left <= 1e-9:
                return float(LOWEST_BPS * 2 ** ((place + 0.5) / PER_OCTAVE))
        return None

    def save(self, path: str | Path) -> None:
        """Write it as JSON: the format's name, and the counts by the lowest rate of their half octave, in bit/s."""
        counts = {
            f"{LOWEST_BPS * 2 ** (place / PER_OCTAVE):.0f}": round(count, 3)
            for place, count in enumerate(self.counts)
            if count
        }
        Path(path).write_text(json.dumps({"format": _FORMAT, "counts": counts}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a file that is not there yet is an empty prior.

        Raises:
            ScheduleError: if the file holds something else.
        """
        path = Path(path)
        if not path.exists():
            return cls()
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["format"] != _FORMAT:
                raise ValueError(known["format"])
            counts = [0.0] * BINS
            for rate_bps, count in known["counts"].items():
                counts[round(math.log2(float(rate_bps) / LOWEST_BPS) * PER_OCTAVE)] += float(count)
            return cls(tuple(counts))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ScheduleError(f"{path} is no prior of a link ({error}). Delete it, and it is learned anew.") from None
