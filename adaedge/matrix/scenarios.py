"""Scenarios: what is asked of a stream of frames, by clause of 3GPP; and links by name.

May import: ``errors``, ``channel``, ``scheduling``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaedge.channel import MovingTerminal, Trace, UrbanMicrocell, read_trace, synthesize
from adaedge.errors import ScheduleError, TraceError
from adaedge.scheduling import Limits

TRACE_S = 300.0
NATS = 0.1


@dataclass(frozen=True, slots=True)
class Scenario3gpp:
    """The requirements on every frame.

    Attributes:
        name: for people and the command line.
        clause: of which document it is an example (TS 22.261 in V20.1.0), and what is assumed.
        period_s: seconds from a frame to the next.
        deadline_s: seconds to its answer.
    """

    name: str
    clause: str
    period_s: float
    deadline_s: float

    def limits(self, floor: float) -> Limits:
        """The limits of a run under an accuracy floor."""
        return Limits.of(self.deadline_s, floor, self.period_s)


SCENARIOS = {
    one.name: one
    for one in (
        Scenario3gpp(
            "robot-video",
            "TR 22.874, split inference of a robot that understands its video; 5 frames/s and 0.2 s are assumed",
            0.2,
            0.2,
        ),
        Scenario3gpp(
            "media-recognition",
            "TS 22.261 Table 7.10.1-1, enhanced media recognition: 100 ms on the uplink, 1.5 Mbit/s; here 100 ms to"
            " the answer, and 10 frames/s, are assumed",
            0.1,
            0.1,
        ),
        Scenario3gpp(
            "image-recognition",
            "TS 22.261 Table 7.10.1-1, split image recognition: 0.27 MB in 15 ms on the uplink, 144 Mbit/s; here"
            " 15 ms to the answer, and 10 frames/s, are assumed",
            0.1,
            0.015,
        ),
        Scenario3gpp(
            "video-clip",
            "TR 22.874, split inference over windows of a video; a window each 0.5 s and 0.5 s to its answer are"
            " assumed",
            0.5,
            0.5,
        ),
        Scenario3gpp("query", "TR 22.874, one query now and then: every 10 s and 1 s to its answer are assumed", 10, 1),
    )
}
"""By the names that the command line takes."""

_STREET = UrbanMicrocell(bandwidth_hz=5e6, loss_db=25.0)
_WALKS = {
    "umi-walk": MovingTerminal(((20.0, 30.0), (20.0, 250.0)), 1.4),
    "umi-drive": MovingTerminal(((20.0, 30.0), (20.0, 400.0)), 12.0),
    "umi-blocked": MovingTerminal(((10.0, 20.0), (10.0, 60.0)), 0.8, ((40.0, 60.0), (150.0, 180.0))),
}
LINKS = tuple(_WALKS)
"""Links of 3GPP TR 38.901's urban microcell that are synthesised, each of the same seed every time."""


def scenario_named(name: str) -> Scenario3gpp:
    """The scenario of that name.

    Raises:
        ScheduleError: naming those that there are.
    """
    if name not in SCENARIOS:
        raise ScheduleError(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def link_named(name: str) -> Trace:
    """A link: one of `LINKS`, a rate in Mbit/s as ``4mbps``, or the path of a trace.

    Raises:
        TraceError: if it is none of these.

    Example:
        >>> link_named("4mbps").mean_bps
        4000000.0
    """
    if name in _WALKS:
        return synthesize(_WALKS[name], TRACE_S, rng=np.random.default_rng(LINKS.index(name)), radio=_STREET)
    rate = name.removesuffix("mbps")
    if rate != name:
        return _constant(name, rate)
    if not Path(name).exists():
        raise TraceError(f"no link {name!r}: name a file, a rate such as 4mbps, or one of {', '.join(LINKS)}")
    return read_trace(name)


def _constant(name: str, rate: str) -> Trace:
    try:
        mbps = float(rate)
    except ValueError:
        mbps = math.nan
    if not 0 < mbps < math.inf:
        raise TraceError(f"a link of one rate is written as 4mbps; got {name!r}")
    return Trace([0.0], [1e6 * mbps])
