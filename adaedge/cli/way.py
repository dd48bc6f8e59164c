"""The way to the edge server that ``run`` takes: real, simulated, or none.

May import: ``errors``, ``operating_point``; inside the functions: ``bundle``, ``channel``, ``runtime``, ``scheduling``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adaedge.errors import LinkError
from adaedge.operating_point import Profile

if TYPE_CHECKING:
    from adaedge.bundle import Bundle
    from adaedge.channel import Trace
    from adaedge.runtime import Clock, Link
    from adaedge.scheduling import ProbePlan, Scheduler


@dataclass(frozen=True, slots=True)
class Way:
    """A link, and the clock and the probes that go with it.

    Attributes:
        link: the link.
        words: what it is, for people; empty where there is none.
        clock: the time; real where it is ``None``.
        plan: when to probe; the scheduler's where it is ``None``.
    """

    link: Link
    words: str
    clock: Clock | None = None
    plan: ProbePlan | None = None

    def usable(self, costs: Profile) -> Profile:
        """The points that can be used this way: without an edge server those that send nothing."""
        if self.words:
            return costs
        local = {point: cost for point, cost in costs.items() if point.is_local}
        after = {point: knots for point, knots in costs.next_costs.items() if point in local}
        return replace(costs, costs=local, next_costs=after)

    def told(self, scheduler: Scheduler, *, known: bool) -> str:
        """Why frames were computed where they were; ``known``: whether any frame knew of the link."""
        if not self.words:
            return "No --edge and no --link: every frame was computed here."
        about = f"Over {self.words}" if known else "No frame knew of a link"
        return f"{about}: {scheduler.verdict}."


def check(edge: str | None, link: Path | None, token: Path | None, *, insecure: bool) -> None:
    """Refuse options that contradict each other, and an address that is none.

    Raises:
        LinkError: if they do, or it is none.
    """
    from adaedge.runtime.address import check_address

    if edge is not None and link is not None:
        raise LinkError("--link simulates the edge server that --edge names: leave one of them out.")
    if insecure and token is not None:
        raise LinkError("--insecure sends everything in plain text: leave --token out, or leave --insecure out.")
    if edge is not None:
        check_address(edge)


def over_grpc(edge: str, state: Path | None, certificate: Path | None, token: Path | None, insecure: bool) -> Way:
    """A real edge server.

    Raises:
        LinkError: if the certificate or the token cannot be read, or is none.
    """
    from adaedge.runtime import GrpcLink, default_folder
    from adaedge.runtime.credentials import CERTIFICATE, TOKEN

    folder = state or default_folder()
    link = GrpcLink(
        edge,
        certificate=None if insecure else certificate or folder / CERTIFICATE,
        token="" if insecure else _token(token or folder / TOKEN),
        insecure=insecure,
    )
    return Way(link, f"the edge server {edge}")


def simulated(trace: Path, bundle: Bundle) -> Way:
    """An edge server in this process: payloads take the time of a trace, which begins when it is first used.

    Raises:
        TraceError: if it is no trace.
    """
    from adaedge.channel import read_trace
    from adaedge.runtime import EdgeSession, ReplayLink, SkippingClock

    clock, rates = SkippingClock(), _FromFirstUse(read_trace(trace))
    return Way(ReplayLink(rates, EdgeSession(bundle).answer, clock), f"a simulated link, {trace}", clock)


def alone() -> Way:
    """No edge server."""
    from adaedge.runtime import NoLink
    from adaedge.scheduling import ProbePlan

    return Way(NoLink(), "", plan=ProbePlan.never())


@dataclass(slots=True)
class _FromFirstUse:
    """A trace that begins with the first upload, so that what loading takes does not shift it."""

    trace: Trace
    begin_s: float = math.inf

    def transfer_s(self, payload_bytes: float, start_s: float) -> float:
        self.begin_s = min(self.begin_s, start_s)
        return float(self.trace.transfer_s(payload_bytes, start_s - self.begin_s))

    def bytes_within(self, start_s: float, duration_s: float) -> float:
        self.begin_s = min(self.begin_s, start_s)
        return self.trace.bytes_within(start_s - self.begin_s, duration_s)


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LinkError(
            f"cannot read the token {path}: {error}. Copy it from the edge server and name it with --token."
        ) from error
