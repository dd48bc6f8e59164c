"""HeadPlayer: times an incremental head on frames in order, as a stream runs it.

May import: ``operating_point``, ``engine``, ``bundle``, ``stream``; of this part ``player``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, pairwise
from typing import Any, final

from adaedge.bundle import Bundle
from adaedge.engine import Arrays
from adaedge.operating_point import REFRESH, Cost, OperatingPoint
from adaedge.profiling.player import WARM_UP, route_through
from adaedge.stream import BlockChange, CachedHead, Runners
from adaedge.stream.change import by_change, change_between, picture_of


@final
class HeadPlayer:
    """A head frame after frame: forwards and back, at strides that take turns. Looking at the frame is part of it.

    Args:
        bundle: the model.
        point: an incremental one.
        changes: the amounts of change that are asked about, ascending; the last is 1, a refresh.
        played: the frames as the model's inputs.
        frames: the same as the camera gave them, or ``None`` each.
        runners: what computes heads, what they cost on this machine measured.
    """

    def __init__(
        self,
        bundle: Bundle,
        point: OperatingPoint,
        changes: Sequence[float],
        played: Sequence[Arrays],
        frames: Sequence[Any],
        runners: Runners,
    ) -> None:
        self._route, self._changes = bundle.route(point), changes
        self._played = played
        self._pictures = [picture_of(frame, inputs) for frame, inputs in zip(frames, played, strict=True)]
        self._detector = BlockChange()
        order = route_through(len(played))
        self._steps = cycle([at for _, at in pairwise((*order, order[0]))])
        self._cached = CachedHead(bundle, runners)
        self._look: Any = None
        self._seconds: list[tuple[float, float]] = []

    def time(self, turn: int) -> None:
        """Time the next frame."""
        del turn
        at = next(self._steps)
        before, picture = self._look, self._pictures[at]
        start_s = time.perf_counter()
        self._look = None if picture is None else self._detector.look(picture)
        change = change_between(before, self._look)
        self._cached.run(self._route, self._played[at], self._look, 0)
        self._seconds.append((change, time.perf_counter() - start_s))

    def costs(self, refresh: Cost, refresh_s: float, after: Sequence[Cost] = ()) -> tuple[Cost, ...]:
        """What a frame costs at each change below 1.

        Args:
            refresh: what a refresh costs.
            refresh_s: seconds of it that the head takes.
            after: of a point whose codec has a state, what a frame costs there if its head refreshes.
        """
        found = by_change([*self._seconds[WARM_UP:], (REFRESH, refresh_s)], self._changes, statistics.median)[:-1]
        beside_s = refresh.head_s - refresh_s
        known = after or [refresh] * len(found)
        return tuple(replace(one, head_s=beside_s + head_s) for one, head_s in zip(known, found, strict=True))


def head_players(
    bundle: Bundle, played: Sequence[Arrays], frames: Sequence[Any], runners: Runners
) -> tuple[dict[str, HeadPlayer], dict[str, Callable[[Arrays], object]]]:
    """The timers of each incremental head frame after frame, and of its refreshes; by `refresh_key`.

    Where a bundle knows no amounts of change, there are refreshes only.

    Args:
        bundle: the model.
        played: the frames as the model's inputs.
        frames: the same as the camera gave them, or ``None`` each.
        runners: what computes heads; what they cost on this machine is measured.
    """
    changes = bundle.manifest.changes
    players: dict[str, HeadPlayer] = {}
    refreshes: dict[str, Callable[[Arrays], object]] = {}
    for point in (entry.point for entry in bundle.manifest.points if entry.point.incremental):
        route, key = bundle.route(point), refresh_key(point)
        if key not in refreshes:
            runners.measure(route, played[0])
            refreshes[key] = runners.of(route).run
            players[key] = HeadPlayer(bundle, point, changes, played, frames, runners)
    return (players if len(changes) > 1 else {}), refreshes


def refresh_key(point: OperatingPoint) -> str:
    """The name of the head of an incremental point."""
    return f"refresh {point.split} {point.level}"
