"""Stream: frames of one camera in order, and what the terminal holds of them.

May import: ``errors``, ``clip``, ``operating_point``, ``payload``, ``bundle``, ``engine``; of this part
``cached_head``, ``change``, ``filtering``, ``held``, ``keeper``, ``runners``, ``window``.

A payload may build only on the last payload that both ends are known to hold. So the reference is taken when a payload
is encoded, and put back only when the edge server has answered it and says that it holds it too: whatever goes wrong
between the two, the next payload is a refresh. A frame that sends nothing leaves the reference as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Any, final

from adaedge.bundle import Bundle
from adaedge.bundle.batches import listed
from adaedge.bundle.frames import inputs_of, is_clip
from adaedge.bundle.route import Route
from adaedge.clip import is_frame
from adaedge.engine import Arrays
from adaedge.errors import SourceError
from adaedge.operating_point import KEPT, REFRESH, Decision, OperatingPoint
from adaedge.payload import Codec, Reference, StreamPosition
from adaedge.stream.cached_head import CachedHead, merged
from adaedge.stream.change import BlockChange, change_between
from adaedge.stream.filtering import Latent
from adaedge.stream.held import HeldPayload
from adaedge.stream.keeper import Keeper, Keeping
from adaedge.stream.runners import Runners
from adaedge.stream.window import Window


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """What a payload left here that both ends hold.

    Attributes:
        sequence: its number.
        reference: this end's half of it.
        look: what a change against its frame is measured on.
        seen: how many frames the window had seen.
        turns: of a window's stride, whose turns crossed since the refresh: windows that take turns share no frame.
    """

    sequence: int
    reference: Reference
    look: Any
    seen: int
    turns: frozenset[int]


@final
class Stream:
    """The terminal's state of one camera's frames; ``Terminal.stream`` opens one. Frames take turns.

    Args:
        bundle: the model.
        keeping: how its answers are kept.
        runners: what computes its incremental heads; its own by default.

    Attributes:
        name: what names it on the link, at random from 64 bits: no two terminals need to agree.
        sent_ratio: of points whose codec has a state, how many times the predicted bytes their payloads really had.
        keeper: the last answer that was computed.
        cached: what is held of the incremental head that ran last.
        step: how much the frame whose changes were asked for last changed against the one before; ``None`` where that
            is not known, or no point needs it.

    Raises:
        ScheduleError: if the detector is not the one that the bundle's kept answers were fitted with.
    """

    def __init__(self, bundle: Bundle, keeping: Keeping | None = None, runners: Runners | None = None) -> None:
        self.name = secrets.randbits(63) + 1  # 0 is no stream
        self.keeper = Keeper(bundle, keeping or Keeping())
        self._bundle = bundle
        self._detector = BlockChange()  # what codecs with a state are profiled by
        self._numbers = count()
        self._stateful = frozenset(point for point in bundle.points if bundle.codecs.is_stateful(point))
        held = [point for point in bundle.points if point in self._stateful]
        self._held: HeldPayload[_Left] | None = HeldPayload(held, self._accepts) if held else None
        self.sent_ratio: dict[OperatingPoint, float] = self._held.sent_ratio if self._held else {}
        self.cached = CachedHead(bundle, runners)
        self.step: float | None = None
        self._preprocessing = bundle.manifest.preprocessing
        self._taken = [(spec.dtype, spec.shape) for spec in bundle.manifest.inputs]
        windows = self._preprocessing is not None and self._preprocessing.frames > 1
        self._window = Window(self._preprocessing) if windows else None  # an image is no window
        self._sequence = 0
        self._look: Any = None
        self._turns: frozenset[int] = frozenset()  # those behind the payload that is under way
        self._turn = Lock()

    def inputs_of(self, frame: Any) -> Arrays:
        """The model's inputs now that this frame has come; where it takes a window, the frame is the newest of it.

        Args:
            frame: what ``Terminal.infer`` takes.

        Raises:
            SourceError: if the frame is nothing that the bundle takes; the window is left as it was.
        """
        inputs = inputs_of(frame, self._preprocessing) if self._window is None else self._window.inputs_of(frame)
        came = [(part.dtype.name, part.shape) for part in inputs]
        if came != self._taken:
            raise SourceError(f"a frame of this bundle is {listed(self._taken)}; got {listed(came)}")
        return inputs

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[bool]:
        """Wait until no other frame of this stream is under way; yields whether that was in time."""
        mine = self._turn.acquire(timeout=max(0.0, timeout_s))
        try:
            yield mine
        finally:
            if mine:
                self._turn.release()

    def changes(self, frame: Any) -> dict[OperatingPoint, float]:
        """How much a frame changed against what is held, for each point that can build upon it.

        That is what both ends hold, for a codec with a state; what was computed, for an incremental head; and the last
        answer, for ``OperatingPoint("kept")``.

        Args:
            frame: uint8 (H, W, 3) as the camera gives it, or a clip, of which the last counts. Of anything else nothing
                is known: all of it changed. Of a window, so much has changed at least as the share of its frames that
                are new, if more than one is.
        """
        newest = _newest(frame)
        if self._held is not None or self.cached.points:
            before, self._look = self._look, None if newest is None else self._detector.look(newest)
            self.step = self.cached.counted(change_between(before, self._look)) if self.cached.points else None
        changes = {} if self._held is None else self._held.changes(self._change_since)
        heads = self.cached.changes(self._change_of_cache)
        changes = merged(changes, heads, self.cached.points, self._stateful)
        if not self.keeper.measures:
            return changes
        change = self.keeper.change(newest, self._new_share(self.keeper.seen), self._look)
        return changes if change is None else {**changes, KEPT: change}

    def head(self, route: Route, inputs: Arrays) -> Arrays:
        """What the terminal's half makes of the frame whose changes were asked for last.

        At an incremental point only what changed since the last such frame is computed.

        Args:
            route: of the point.
            inputs: the model's.
        """
        if not route.point.incremental:
            return route.head.run(inputs)
        return self.cached.run(route, inputs, self._look, self._seen)

    def _change_of_cache(self, look: Any, seen: int) -> float:
        return max(change_between(look, self._look), self._new_share(seen))

    def _change_since(self, left: _Left) -> float:
        known = left.look is not None and self._look is not None
        change = self._detector.change(left.look, self._look) if known else REFRESH
        shown_before = left.seen if self._its_turn in left.turns else 0
        return max(change, self._new_share(shown_before))

    @property
    def _its_turn(self) -> int:
        return 0 if self._preprocessing is None else self._seen % self._preprocessing.stride

    @property
    def _seen(self) -> int:
        return 0 if self._window is None else self._window.seen

    def _new_share(self, before: int) -> float:
        return 0.0 if self._window is None else self._window.new_share(before)

    def number(self) -> int:
        """The number of the next frame, from 0; each call counts one."""
        return next(self._numbers)

    def is_prepared_late(self, frame: Any) -> bool:
        """Whether a frame can wait to be resized until its answer is not kept: not where a window holds it."""
        by_itself = self._preprocessing is not None and self._window is None
        return by_itself and self.keeper.measures and is_frame(frame)

    def answered(
        self,
        answer: Arrays | None,
        number: int,
        point: OperatingPoint,
        *,
        latent: Latent | None = None,
        promised: float | None = None,
    ) -> float | None:
        """Hold the answer to the frame whose changes were asked for last. Returns what an audit found, if it is one.

        Args:
            answer: what was computed; ``None`` where that is worse than its point's: then none is held.
            number: of the frame.
            point: where it was computed.
            latent: what crossed, at a point with a bottleneck.
            promised: of an audit, what the answer that was held scores at least.
        """
        keeper = self.keeper
        score = None if promised is None else keeper.audited(answer, promised)
        keeper.computed(answer, number, point, self._seen, latent)
        return score

    def sent(self, decision: Decision, payload_bytes: int) -> None:
        """Learn from a payload that built upon another how far its predicted length was from the real one."""
        if self._held is not None:
            self._held.sent(decision, payload_bytes)

    def next(self, point: OperatingPoint, codec: Codec, deadline_s: float) -> tuple[StreamPosition, Reference | None]:
        """The next payload's position, and what it may build upon; that is taken, and ``keep`` puts the next in place.

        Args:
            point: where the payload crosses.
            codec: what encodes it.
            deadline_s: seconds that the edge server has left.
        """
        left = None if self._held is None else self._held.take(point)
        self._sequence += 1
        self._turns = frozenset()
        if left is None or not codec.accepts(left.reference):
            return StreamPosition(self.name, self._sequence, 0, deadline_s), None
        self._turns = left.turns
        return StreamPosition(self.name, self._sequence, left.sequence, deadline_s), left.reference

    def keep(self, position: StreamPosition, point: OperatingPoint, reference: Reference | None) -> None:
        """Hold what a payload left, now that the edge server is known to hold it as well."""
        if self._held is not None:
            turns = self._turns | {self._its_turn}
            left = None if reference is None else _Left(position.sequence, reference, self._look, self._seen, turns)
            self._held.keep(point, left)

    def _accepts(self, point: OperatingPoint, left: _Left) -> bool:
        return self._bundle.codec(point).accepts(left.reference)


def _newest(frame: Any) -> Any:
    """The frame that is looked at; ``None`` where there is none."""
    if is_clip(frame) and isinstance(frame, Iterable):
        *_, frame = (None, *frame)
    return frame if is_frame(frame) else None
