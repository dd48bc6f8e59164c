"""Runners: what computes the incremental heads and tails of a bundle.

May import: ``errors``, ``operating_point``, ``engine``, ``bundle``; of this part ``incremental``.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, final

from adaedge.arrays import Array
from adaedge.bundle import Bundle
from adaedge.bundle.route import IncrementalEngines, Route
from adaedge.errors import BundleError

# Imported by what runs one: a terminal whose bundle has no incremental head starts 20 ms sooner.
if TYPE_CHECKING:
    from adaedge.stream.incremental import IncrementalRunner

_Key = tuple[str, str, object]


@final
class Runners:
    """The runners of a bundle's incremental halves, each made when it is first asked for, then kept. Thread-safe.

    They hold nothing of any stream, so all of a terminal's, or of an edge server's, share them.

    Args:
        bundle: the model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._made: dict[_Key, IncrementalRunner] = {}
        self._measured: set[_Key] = set()
        self._lock = Lock()

    def of(self, route: Route) -> IncrementalRunner:
        """What runs the head of an incremental point.

        Raises:
            BundleError: if the point is none, or its plan does not fit its graphs.
        """
        with self._lock:
            key = _head(route)
            if key not in self._made:
                self._made[key] = _runner(route, route.incremental)
            return self._made[key]

    def tail_of(self, route: Route) -> IncrementalRunner:
        """What runs the tail of an incremental point whose codec has a state: one for all precisions of the head.

        Raises:
            BundleError: if the point is none, the bundle has no such tail there, or its plan does not fit its graphs.
        """
        with self._lock:
            key = _tail(route)
            if key not in self._made:
                self._made[key] = _runner(route, route.incremental_tail)
            return self._made[key]

    def measure(self, route: Route, inputs: Sequence[Array]) -> None:
        """Measure, once, what a head's segments cost here: by that parts, segments and the whole are chosen.

        Until then they are estimated from multiply-accumulates. It takes about eight runs of the network.
        """
        self._measure(_head(route), self.of(route), inputs)

    def measure_tail(self, route: Route, features: Sequence[Array]) -> None:
        """The same of a tail."""
        self._measure(_tail(route), self.tail_of(route), features)

    def _measure(self, key: _Key, runner: IncrementalRunner, inputs: Sequence[Array]) -> None:
        with self._lock:
            if key not in self._measured:
                from adaedge.stream.incremental.segment_costs import measure_segments

                runner.costs = measure_segments(runner, inputs, rounds=1)
                self._measured.add(key)


def _head(route: Route) -> _Key:
    return "head", route.point.split, route.point.level


def _tail(route: Route) -> _Key:
    return "tail", route.point.split, (route.point.network, route.point.width)


def _runner(route: Route, found: IncrementalEngines | None) -> IncrementalRunner:
    from adaedge.stream.incremental import IncrementalRunner, Tolerance
    from adaedge.stream.incremental.storage import from_bytes

    if found is None:
        raise BundleError(f"{route.point} is not incremental")
    plan, about = from_bytes(found.plan), found.about
    if len(plan.segments) != len(found.segments):
        raise BundleError(
            f"{about.plan} is a plan of {len(plan.segments)} segments, and the bundle has {len(found.segments)} graphs"
            " for it. Build the bundle again."
        )
    tolerance = Tolerance(about.tolerance, about.audit_every, about.floor)
    return IncrementalRunner(plan, found.segments, found.whole, tolerance, plain=found.plain)
