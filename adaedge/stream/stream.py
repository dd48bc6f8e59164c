"""Stream: frames of one camera in order, and what the terminal holds of them.

May import: ``errors``, ``operating_point``, ``payload``, ``bundle``; of this part ``standing``.

A payload may build only on the last payload that both ends are known to hold. So the reference is taken when a payload
is encoded, and put back only when the edge server has answered it and says that it holds it too: whatever goes wrong
between the two, the next payload is a refresh.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import final

from adaedge.bundle import Bundle
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Codec, Reference, StreamPosition
from adaedge.stream.standing import StandingAnswer


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """What both ends hold: of which payload, where it crossed, and this end's half of it."""

    sequence: int
    point: OperatingPoint
    reference: Reference


@final
class Stream:
    """What the terminal holds of one camera's frames; ``Terminal.stream`` opens one. Frames take turns.

    Args:
        bundle: the model.
        tolerance: see ``Terminal``.

    Attributes:
        name: what names it on the link, at random from 64 bits: no two terminals need to agree.
        standing: the last answer that was computed, where the tolerance lets it stand.

    Raises:
        ScheduleError: if the tolerance is no number from 0.
    """

    def __init__(self, bundle: Bundle, tolerance: float = 0.0) -> None:
        self.name = secrets.randbits(63) + 1  # 0 is no stream
        self.standing = StandingAnswer(bundle, tolerance)
        self._sequence = 0
        self._held: _Held | None = None
        self._turn = Lock()

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[bool]:
        """Wait until no other frame of this stream is under way; whether that came to be in time."""
        mine = self._turn.acquire(timeout=max(0.0, timeout_s))
        try:
            yield mine
        finally:
            if mine:
                self._turn.release()

    def next(self, point: OperatingPoint, codec: Codec, deadline_s: float) -> tuple[StreamPosition, Reference | None]:
        """The next payload's position, and what it may build upon; that is taken, and ``keep`` puts the next in place.

        Args:
            point: where the payload crosses.
            codec: what encodes it.
            deadline_s: seconds that the edge server has left.
        """
        held, self._held = self._held, None
        self._sequence += 1
        usable = held is not None and _place(held.point) == _place(point) and codec.accepts(held.reference)
        if held is None or not usable:
            return StreamPosition(self.name, self._sequence, 0, deadline_s), None
        return StreamPosition(self.name, self._sequence, held.sequence, deadline_s), held.reference

    def keep(self, position: StreamPosition, point: OperatingPoint, reference: Reference | None) -> None:
        """Hold what a payload left, now that the edge server is known to hold it as well."""
        self._held = None if reference is None else _Held(position.sequence, point, reference)


def _place(point: OperatingPoint) -> tuple[str, str, float]:
    """What must not change between a payload and the one that it builds upon; the codec looks at the rest."""
    return point.split, point.network, point.width
