"""CachedTail: an incremental tail on the features of one stream, in order.

May import: ``engine``, ``bundle``; of this part ``incremental``, ``runners``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from adaedge.arrays import Array
from adaedge.bundle.route import Route
from adaedge.engine import Arrays
from adaedge.stream.runners import Runners

if TYPE_CHECKING:
    from adaedge.stream.incremental import Cache, FrameStats


@final
class CachedTail:
    """An engine that computes what changed since its last run. Its frames take turns.

    Args:
        route: of an incremental point whose codec has a state.
        runners: what computes the bundle's incremental halves.

    Attributes:
        stats: what was computed of the last frame; ``None`` before the first.
    """

    def __init__(self, route: Route, runners: Runners) -> None:
        self.stats: FrameStats | None = None
        self._runner = runners.tail_of(route)
        self._cache: Cache | None = None

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The outputs for a frame's features."""
        from adaedge.stream.incremental.finite import run_finite

        cache, self._cache = self._cache, None
        outputs, self._cache, self.stats = run_finite(self._runner, inputs, cache)
        return outputs
