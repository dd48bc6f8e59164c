"""Stream: frames of one camera in order, and what the terminal holds of them.

May import: ``errors``, ``operating_point``, ``payload``, ``bundle``, ``engine``; of this part ``change``,
``standing``, ``window``.

A payload may build only on the last payload that both ends are known to hold. So the reference is taken when a payload
is encoded, and put back only when the edge server has answered it and says that it holds it too: whatever goes wrong
between the two, the next payload is a refresh.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, final

import numpy as np

from adaedge.bundle import Bundle
from adaedge.bundle.frames import is_clip
from adaedge.engine import Arrays
from adaedge.operating_point import REFRESH, Decision, OperatingPoint
from adaedge.payload import Codec, Reference, StreamPosition
from adaedge.stream.change import BlockChange, ChangeDetector
from adaedge.stream.standing import StandingAnswer
from adaedge.stream.window import Window

_NEW = 0.2  # weight of the last payload in what is learned of a stream's lengths, on a logarithmic scale
_MOST = 8.0  # a prediction is corrected by at most so much


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """What both ends hold: of which payload, where it crossed, and this end's half of it.

    Attributes:
        look: what a change against its frame is measured on.
        seen: how many frames the window had seen.
        successors: the points that can build upon it.
    """

    sequence: int
    point: OperatingPoint
    reference: Reference
    look: Any
    seen: int
    successors: list[OperatingPoint]


@final
class Stream:
    """What the terminal holds of one camera's frames; ``Terminal.stream`` opens one. Frames take turns.

    Args:
        bundle: the model.
        tolerance: see ``Terminal``.
        detector: measures how much a frame changed; `BlockChange` unless told.

    Attributes:
        name: what names it on the link, at random from 64 bits: no two terminals need to agree.
        sent_ratio: of points whose codec has a state, how many times the predicted bytes their payloads really had.
        standing: the last answer that was computed, where the tolerance lets it stand; ``None`` where that is 0.

    Raises:
        ScheduleError: if the tolerance is no number from 0.
    """

    def __init__(self, bundle: Bundle, tolerance: float = 0.0, detector: ChangeDetector | None = None) -> None:
        self.name = secrets.randbits(63) + 1  # 0 is no stream
        self.standing = StandingAnswer(bundle, tolerance) if tolerance else None
        self.sent_ratio: dict[OperatingPoint, float] = {}
        self._bundle = bundle
        self._detector: ChangeDetector = BlockChange() if detector is None else detector
        self._stateful = [point for point in bundle.points if bundle.codecs.is_stateful(point)]
        self._window = Window(bundle.manifest.preprocessing)
        self._sequence = 0
        self._look: Any = None
        self._held: _Held | None = None
        self._turn = Lock()

    def inputs_of(self, frame: Any) -> Arrays:
        """The model's inputs now that this frame has come; where it takes a window, the frame is the newest of it.

        Args:
            frame: what ``Terminal.infer`` takes.

        Raises:
            SourceError: if the frame is nothing that the bundle takes; the window is left as it was.
        """
        return self._window.inputs_of(frame)

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[bool]:
        """Wait until no other frame of this stream is under way; whether that came to be in time."""
        mine = self._turn.acquire(timeout=max(0.0, timeout_s))
        try:
            yield mine
        finally:
            if mine:
                self._turn.release()

    def changes(self, frame: Any) -> dict[OperatingPoint, float]:
        """How much a frame changed against what both ends hold, for each point that can build upon it.

        Args:
            frame: uint8 (H, W, 3) as the camera gives it, or a clip, of which the last counts. Of anything else nothing
                is known: all of it changed. Of a window, so much has changed at least as the share of its frames that
                are new, if more than one is.
        """
        if not self._stateful:
            return {}
        newest = _newest(frame)
        self._look = None if newest is None else self._detector.look(newest)
        held = self._held
        if held is None:
            return {}
        known = held.look is not None and self._look is not None
        change = self._detector.change(held.look, self._look) if known else REFRESH
        change = max(change, self._window.new_share(held.seen))
        return dict.fromkeys(held.successors, change)

    def sent(self, decision: Decision, payload_bytes: int) -> None:
        """Learn from a payload that built upon another how far its predicted length was from the real one."""
        point, known = decision.point, self.sent_ratio.get(decision.point, 1.0)
        if decision.change < REFRESH and decision.payload_bytes > 0:
            found = known * payload_bytes / decision.payload_bytes
            self.sent_ratio[point] = known ** (1 - _NEW) * min(max(found, 1 / _MOST), _MOST) ** _NEW

    def next(self, point: OperatingPoint, codec: Codec, deadline_s: float) -> tuple[StreamPosition, Reference | None]:
        """The next payload's position, and what it may build upon; that is taken, and ``keep`` puts the next in place.

        Args:
            point: where the payload crosses.
            codec: what encodes it.
            deadline_s: seconds that the edge server has left.
        """
        held, self._held = self._held, None
        self._sequence += 1
        usable = held is not None and held.point.place == point.place and codec.accepts(held.reference)
        if held is None or not usable:
            return StreamPosition(self.name, self._sequence, 0, deadline_s), None
        return StreamPosition(self.name, self._sequence, held.sequence, deadline_s), held.reference

    def keep(self, position: StreamPosition, point: OperatingPoint, reference: Reference | None) -> None:
        """Hold what a payload left, now that the edge server is known to hold it as well."""
        if reference is None:
            self._held = None
            return
        places = [other for other in self._stateful if other.place == point.place]
        successors = [other for other in places if self._bundle.codec(other).accepts(reference)]
        self._held = _Held(position.sequence, point, reference, self._look, self._window.seen, successors)


def _newest(frame: Any) -> Any:
    """The frame that is looked at; ``None`` where there is none."""
    if is_clip(frame) and isinstance(frame, Iterable):
        *_, frame = (None, *frame)
    is_frame = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
    return frame if is_frame else None
