"""Player: times a codec with a state on frames in order, as a stream runs it.

May import: ``operating_point``, ``engine``, ``bundle``, ``stream``.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from typing import Any

from adaedge.bundle import Bundle, PointEntry
from adaedge.engine import Arrays
from adaedge.operating_point import REFRESH, Cost
from adaedge.stream import Playback, Runners, Window
from adaedge.stream.change import by_change, change_between, look_of

_STRIDES = (1, 4, 1)
_MEDIAN = statistics.median
WARM_UP = 3
"""So many frames of each are not counted."""


@dataclass(slots=True)
class Side:
    """One end of the link: what it does with the next frame."""

    run: Callable[[], None]

    def time(self, turn: int) -> None:
        """Time the next frame."""
        del turn
        self.run()


class Player:
    """Both ends of a point, frame after frame: forwards and back, at strides that take turns.

    Args:
        bundle: the model.
        entry: a point whose codec has a state.
        changes: the amounts of change that are asked about, ascending, below 1.
        played: the frames as the model's inputs.
        frames: the same as the camera gave them, or ``None`` each.
        runners: what computes incremental halves, what they cost on this machine measured; its own by default.
    """

    def __init__(
        self,
        bundle: Bundle,
        entry: PointEntry,
        changes: Sequence[float],
        played: Sequence[Arrays],
        frames: Sequence[Any],
        runners: Runners | None = None,
    ) -> None:
        self._entry, self._changes = entry, changes
        head = bundle.head(entry.point.split, entry.point.level)
        self._features = [head.run(inputs) for inputs in played]
        self._preprocessing = bundle.manifest.preprocessing
        self._window = Window(self._preprocessing)
        looks = [look_of(frame, inputs) for frame, inputs in zip(frames, played, strict=True)]
        order = route_through(len(played))
        steps = [(at, change_between(looks[before], looks[at])) for before, at in pairwise((*order, order[0]))]
        self._steps = cycle(steps)
        self._playback = Playback(bundle, entry.point, runners)
        self._in_parts = bundle.route(entry.point).has_incremental_tail
        self._tail_s: list[tuple[float, float]] = []
        self._sent: deque[tuple[bytes, float]] = deque()
        self._encode_s: list[tuple[float, float]] = []
        self._decode_s: list[tuple[float, float]] = []
        self.sides = Side(self._encode), Side(self._decode)

    def costs(self, refresh: Cost, read_s: float, write_s: float, reduce_s: float = 0.0) -> tuple[Cost, ...]:
        """What a frame costs at each change.

        Args:
            refresh: what a refresh costs.
            read_s: seconds of it that reading the answer takes.
            write_s: seconds of it that writing the answer takes.
            reduce_s: seconds of it that making the answer of the outputs takes.
        """
        beside_s = {"encode_s": read_s, "decode_s": write_s} | ({"tail_s": reduce_s} if self._in_parts else {})
        timed = {"encode_s": self._encode_s, "decode_s": self._decode_s, "tail_s": self._tail_s}
        changes = (*self._changes, REFRESH)
        sides = {
            name: by_change([*timed[name][WARM_UP:], (REFRESH, getattr(refresh, name) - more_s)], changes, _MEDIAN)
            for name, more_s in beside_s.items()
        }
        return tuple(
            replace(
                refresh,
                payload_bytes=next_bytes,
                **{name: sides[name][at] + more_s for name, more_s in beside_s.items()},
            )
            for at, next_bytes in enumerate(self._entry.next_bytes)
        )

    def _encode(self) -> None:
        at, change = next(self._steps)
        change = change if self._playback.builds else REFRESH
        features = self._features_of(at)
        start_s = time.perf_counter()
        data = self._playback.encode(features)
        self._encode_s.append((change, time.perf_counter() - start_s))
        self._sent.append((data, change))

    def _features_of(self, at: int) -> Arrays:
        """What crosses for a frame; where it is a window, of the frames as they are played, not as they came."""
        if self._preprocessing is None or self._preprocessing.frames == 1:
            return self._features[at]
        frame = self._features[at][0][:, -1].copy()
        frame[0, 0, 0] = self._window.seen % 256  # a frame that was played before is new all the same
        return self._window.add(frame)

    def _decode(self) -> None:
        if not self._sent:
            self._encode()
        data, change = self._sent.popleft()
        start_s = time.perf_counter()
        engine, carried = self._playback.receive(data)
        received_s = time.perf_counter()
        self._decode_s.append((change, received_s - start_s))
        if self._in_parts:
            engine.run(carried)
            self._tail_s.append((change, time.perf_counter() - received_s))


def route_through(count: int) -> list[int]:
    """Places of frames forwards and back, at strides that take turns, so that each amount of change comes often.

    Example:
        >>> route_through(10)[:10]
        [0, 1, 5, 6, 7, 3, 2, 1, 5, 6]
    """
    order, forwards = [0], True
    for stride in _STRIDES * count:
        step = min(stride, max(1, count - 1))
        if not 0 <= order[-1] + (step if forwards else -step) < count:
            forwards = not forwards
        order.append(min(max(0, order[-1] + (step if forwards else -step)), count - 1))
    return order
