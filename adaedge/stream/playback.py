"""Playback: both ends of a stream in this process, without a link between them.

May import: ``operating_point``, ``payload``, ``engine``, ``bundle``; of this part ``cached_tail``, ``runners``.
"""

from __future__ import annotations

from typing import final

from adaedge.bundle import Bundle
from adaedge.engine import Arrays, Engine
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Reference, StreamPosition
from adaedge.stream.cached_tail import CachedTail
from adaedge.stream.runners import Runners


@final
class Playback:
    """Frames in order at one operating point, each building upon the one before where its codec can.

    What a codec with a state sends, how good it is and how long it takes is measured so.

    Args:
        bundle: the model.
        point: where the frames cross.
        runners: what computes the bundle's incremental halves; its own by default.
    """

    def __init__(self, bundle: Bundle, point: OperatingPoint, runners: Runners | None = None) -> None:
        self._bundle, self._point = bundle, point
        route = bundle.route(point)
        self._tail = CachedTail(route, runners or Runners(bundle)) if route.has_incremental_tail else None
        self._sequence = 0
        self._held: Reference | None = None  # the terminal's
        self._edge_held: Reference | None = None

    def encode(self, features: Arrays) -> bytes:
        """The payload of the next frame's features."""
        position = StreamPosition(1, self._sequence + 1, self._sequence, 0.0)
        data, self._held = self._bundle.encode_next(self._point, features, position, self._held)
        self._sequence += 1
        return data

    def receive(self, data: bytes) -> tuple[Engine, Arrays]:
        """What the edge server runs for the next payload, and on what; an incremental tail is run once for each."""
        held, self._edge_held = self._edge_held, None
        engine, carried, self._edge_held = self._bundle.receive(self._bundle.read(data), held)
        return self._tail or engine, carried

    @property
    def builds(self) -> bool:
        """Whether the next payload builds upon the last one; the first never does."""
        return self._held is not None
