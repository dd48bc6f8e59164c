"""HeadPlayer: times an incremental head on frames in order, as a stream runs it.

May import: ``operating_point``, ``engine``, ``bundle``, ``stream``; of this part ``player``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
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

    def costs(self, refresh: Cost, refresh_s: float) -> tuple[Cost, ...]:
        """What a frame costs at each change below 1.

        Args:
            refresh: what a refresh costs.
            refresh_s: seconds of it that the head takes.
        """
        found = by_change([*self._seconds[WARM_UP:], (REFRESH, refresh_s)], self._changes, statistics.median)
        beside_s = refresh.head_s - refresh_s
        return tuple(replace(refresh, head_s=beside_s + head_s) for head_s in found[:-1])
