"""What is known of the link: uploads that happened, and the rate estimated from them.

May import: ``errors``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from adaedge.errors import ScheduleError


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
    """

    rate_bps: float
    low_bps: float
    round_trip_s: float = 0.0
    time_s: float = 0.0

    def __post_init__(self) -> None:
        rates = (self.rate_bps, self.low_bps, self.round_trip_s)
        if not all(0 <= value < math.inf for value in rates) or math.isnan(self.time_s):
            raise ScheduleError(
                f"a rate estimate is of finite numbers, at least 0; got {self}. Where nothing is known, give None."
            )
