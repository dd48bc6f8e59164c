"""CachedHead: what a stream holds of an incremental head between its frames, and by how much the next one changed.

May import: ``operating_point``, ``engine``, ``bundle``; of this part ``incremental``, ``runners``.

One cache is held, that of the head that ran last. Frames at other points leave it as it is: what the next one at its
point has to compute is what differs from it, however old it is. It is dropped where another incremental head runs, a
frame fails, or nothing asked for it for so long that its memory is better free.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from adaedge.bundle import Bundle
from adaedge.bundle.route import Route
from adaedge.engine import Arrays
from adaedge.operating_point import REFRESH, Level, OperatingPoint
from adaedge.stream.runners import Runners

# Imported by what runs one: a terminal whose bundle has no incremental head starts 20 ms sooner.
if TYPE_CHECKING:
    from adaedge.stream.incremental import Box, Cache, FrameStats

GAP = 100
"""After so many frames at other points the cache is dropped."""
_DENSE = frozenset({"dense", "refresh"})
_NEW = 0.2  # weight of the last frame in how often a head that was held ran dense
_FORGOTTEN = 0.9  # of that is left after a frame

_Place = tuple[str, Level]


def _place(route: Route) -> _Place:
    return route.point.split, route.point.level


@dataclass(slots=True, eq=False)
class _Held:
    """A cache, and what a change against its frame is measured on.

    Attributes:
        seen: how many frames the window had seen.
        unused: how many frames came since.
    """

    place: _Place
    cache: Cache
    look: Any
    seen: int
    unused: int = 0


@final
class CachedHead:
    """The cache of the incremental head that a stream ran last. Its frames take turns.

    Args:
        bundle: the model.
        runners: what computes its incremental heads.

    Attributes:
        points: the bundle's incremental points.
        stats: what was computed of the frame that ran last; ``None`` where it was not at an incremental point.
        dense: how often a head that was held ran dense all the same, lately, in [0, 1]: then a change counts for more.
    """

    def __init__(self, bundle: Bundle, runners: Runners | None = None) -> None:
        self.points = tuple(point for point in bundle.points if point.incremental)
        self.stats: FrameStats | None = None
        self.dense = 0.0
        self._runners = runners or Runners(bundle)
        self._held: _Held | None = None
        self._lengths: tuple[int, ...] = ()  # of the first input, along the axes that its boxes have

    @property
    def length_bytes(self) -> int:
        """What the cache takes of memory."""
        return self._held.cache.length_bytes if self._held else 0

    @property
    def measured(self) -> dict[str, Any]:
        """What a frame's `Measurement` says of it; nothing where it was not at an incremental point."""
        stats = self.stats
        if stats is None:
            return {}
        found: dict[str, Any] = {"computed_by": stats.path, "macs_share": stats.macs_share}
        in_part = stats.path == "incremental" and len(self._lengths) == 2
        return found | ({"recomputed": tuple(map(self._share, stats.boxes))} if in_part else {})

    def _share(self, box: Box) -> tuple[float, ...]:
        """A box of the first input in shares of its height and width."""
        sides = zip(box, self._lengths, strict=True)
        return tuple(round(end / length, 4) for span, length in sides for end in span)

    def changes(self, since: Callable[[Any, int], float]) -> dict[OperatingPoint, float]:
        """How much counts as changed of the next frame, for each point whose head is held.

        Args:
            since: the change against a frame, of which there are its look and how many the window had seen.
        """
        held = self._held
        self.stats, self.dense = None, self.dense * _FORGOTTEN
        if held is None:
            return {}
        held.unused += 1
        if held.unused > GAP:
            self._held = None
            return {}
        change = self.counted(since(held.look, held.seen))
        return {point: change for point in self.points if (point.split, point.level) == held.place}

    def counted(self, change: float) -> float:
        """What a change counts as, for what this stream has shown: its head may run dense though little changed."""
        return change + self.dense * (REFRESH - change)

    def run(self, route: Route, inputs: Arrays, look: Any, seen: int) -> Arrays:
        """What crosses at an incremental point, or the outputs: only what changed is computed.

        Args:
            route: of the point.
            inputs: the model's.
            look: what a change against this frame is measured on.
            seen: how many frames the window has seen.
        """
        held, self._held = self._held, None
        from adaedge.stream.incremental.finite import run_finite

        cache = held.cache if held is not None and held.place == _place(route) else None
        runner = self._runners.of(route)
        self._lengths = runner.plan.held[runner.plan.inputs[0]].lengths
        outputs, after, self.stats = run_finite(runner, inputs, cache)
        if after is None:
            return outputs
        if cache is not None:
            self.dense += _NEW * ((after.stats.path in _DENSE) - self.dense)
        self._held = _Held(_place(route), after, look, seen)
        return outputs


def merged(
    codecs: Mapping[OperatingPoint, float],
    heads: Mapping[OperatingPoint, float],
    incremental: Collection[OperatingPoint],
    stateful: Collection[OperatingPoint],
) -> dict[OperatingPoint, float]:
    """How much a frame changed for each point, where a codec and a head hold different frames.

    A point whose head is incremental refreshes if the head is not held, and if its codec has a state that is not held
    either; where both are, the larger change counts.

    Args:
        codecs: against what both ends hold.
        heads: against what the terminal's heads hold.
        incremental: all points whose head is.
        stateful: all points whose codec has a state.

    Example:
        >>> dense, point = (OperatingPoint("a", codec="delta@1", incremental=one) for one in (False, True))
        >>> found = merged({dense: 0.1, point: 0.1}, {point: 0.2}, [point], [dense, point])
        >>> found == {dense: 0.1, point: 0.2}
        True
        >>> merged({dense: 0.1, point: 0.1}, {}, [point], [dense, point]) == {dense: 0.1}
        True
    """
    found = dict(codecs)
    for point in incremental:
        change = max(heads.get(point, REFRESH), codecs.get(point, REFRESH) if point in stateful else 0.0)
        if change < REFRESH:
            found[point] = change
        else:
            found.pop(point, None)
    return found
