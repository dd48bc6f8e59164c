"""EdgeSession: what an edge server does with payloads, and what it remembers of the streams they are of.

May import: ``errors``, ``payload``, ``engine``, ``bundle``. Knows no network.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import final

from adaedge.bundle import Bundle
from adaedge.engine import Arrays, Engine, return_freed_memory
from adaedge.errors import BundleError
from adaedge.payload import Message, Reference
from adaedge.payload.answers import wire
from adaedge.payload.answers.wire import AnswerHeader

MAX_STREAMS = 1024
MAX_BYTES = 256 * 2**20
# What was forgotten is free, but resident until it is returned, and streams that come do not fit into it exactly. So
# many bytes are let come together, for returning them takes some milliseconds.
FORGOTTEN_BYTES = 32 * 2**20


@dataclass(slots=True, eq=False)
class _Stream:
    """What is held of one stream: its last payload's sequence number and place, and what the next may build upon."""

    terminal: str
    lock: Lock = field(default_factory=Lock)
    sequence: int = 0
    place: tuple[str, str, float] | None = None
    reference: Reference | None = None
    held_bytes: int = 0


@dataclass(slots=True, eq=False)
class _Held:
    """What is held of one terminal's streams: their names, the one used least recently first, and bytes."""

    names: OrderedDict[int, None] = field(default_factory=OrderedDict)
    nbytes: int = 0


@final
class EdgeSession:
    """Answers payloads: decode, run the tail, reduce and encode its outputs. Safe to use from several threads.

    Of each stream it holds the reference that the last payload left, so that the next need not be a refresh. Where
    there are too many, the terminal that holds most loses the stream that it used least recently: one that opens
    streams without end loses its own. A payload that builds upon a forgotten one is refused by a
    ``StaleReferenceError``, and the terminal sends a refresh. ``EdgeSession(bundle).answer`` is an edge server for a
    ``ReplayLink``.

    Args:
        bundle: the model.
        max_streams: the most streams of which anything is held.
        max_bytes: the most bytes that all references together may take.

    Raises:
        BundleError: if a limit is below 0.

    Example:
        >>> EdgeSession.__init__.__kwdefaults__["max_streams"]
        1024
    """

    def __init__(self, bundle: Bundle, *, max_streams: int = MAX_STREAMS, max_bytes: int = MAX_BYTES) -> None:
        if max_streams < 0 or max_bytes < 0:
            raise BundleError(f"limits are numbers from 0; got {max_streams} streams and {max_bytes} bytes")
        self._bundle = bundle
        self._max_streams, self._max_bytes = max_streams, max_bytes
        self._streams: dict[int, _Stream] = {}
        self._of: OrderedDict[str, _Held] = OrderedDict()  # the terminal that called last is last
        self._held_bytes = self._forgotten_bytes = 0
        self._lock = Lock()

    def answer(self, payload: bytes | Message, queue_s: float = 0.0, read_s: float = 0.0, terminal: str = "") -> bytes:
        """The answer to one payload; it says how many seconds decoding, the tail and the answer's codec took.

        Args:
            payload: what came, or what `Bundle.read` made of it.
            queue_s: seconds that it waited before it was this payload's turn.
            read_s: seconds that reading it took, where it was read before.
            terminal: whose it is.

        Raises:
            PayloadError: if the payload is truncated, foreign, oversized, corrupted, or not of a point of this bundle.
            StaleReferenceError: if it builds upon a payload that is not held here.
            CodecError: if the bundle's answer codec makes no answer of the outputs.
        """
        start_s = time.perf_counter() - read_s
        message = payload if isinstance(payload, Message) else self._bundle.read(payload)
        engine, carried, held = self._received(message, terminal)
        answers = self._bundle.answers
        segment = answers.write(answers.reduce(engine.run(carried)))
        edge_s = time.perf_counter() - start_s
        return wire.encode(message.request, AnswerHeader(edge_s, queue_s, held, message.lost_segments), segment)

    @property
    def held_bytes(self) -> int:
        """About how many bytes all references take."""
        return self._held_bytes

    def _received(self, message: Message, terminal: str) -> tuple[Engine, Arrays, bool]:
        """What is to be run, on what, and whether the next payload may build upon this one."""
        if not message.stream:
            return *self._bundle.receive(message)[:2], False
        stream = self._stream(message.stream, terminal)
        with stream.lock:
            known = (stream.sequence, stream.place) == (message.base, message.point.place)
            held = stream.reference if message.base and known else None
            self._hold(message.stream, stream, None)  # used up, whatever becomes of it
            engine, carried, reference = self._bundle.receive(message, held)
            stream.sequence, stream.place = message.sequence, message.point.place
            held_now = self._hold(message.stream, stream, reference)
        return engine, carried, held_now

    def _stream(self, name: int, terminal: str) -> _Stream:
        with self._lock:
            stream = self._streams.setdefault(name, _Stream(terminal))
            if stream.terminal != terminal:  # it comes over a new connection
                self._left(name, stream)
                stream.terminal = terminal
                self._of.setdefault(terminal, _Held()).nbytes += stream.held_bytes
            held = self._of.setdefault(terminal, _Held())
            held.names[name] = None
            held.names.move_to_end(name)
            self._of.move_to_end(terminal)
            return stream

    def _left(self, name: int, stream: _Stream) -> None:
        """A stream is its terminal's no more."""
        held = self._of[stream.terminal]
        held.names.pop(name, None)
        held.nbytes -= stream.held_bytes
        if not held.names:
            del self._of[stream.terminal]

    def _hold(self, name: int, stream: _Stream, reference: Reference | None) -> bool:
        """Hold a reference, and forget streams until both limits are kept; whether it is held.

        A stream that was forgotten while its payload was decoded stays so.
        """
        with self._lock:
            if self._streams.get(name) is not stream:
                return False
            taken_bytes = 0 if reference is None else reference.nbytes
            self._held_bytes += taken_bytes - stream.held_bytes
            self._of[stream.terminal].nbytes += taken_bytes - stream.held_bytes
            stream.reference, stream.held_bytes = reference, taken_bytes
            while (many := len(self._streams) > self._max_streams) or self._held_bytes > self._max_bytes:
                self._forget_one(many)
            held = stream.reference is not None
            due = self._forgotten_bytes >= FORGOTTEN_BYTES
            self._forgotten_bytes = 0 if due else self._forgotten_bytes
        if due:
            return_freed_memory()
        return held

    def _forget_one(self, many: bool) -> None:
        """Forget a stream of whoever holds most: streams where these are too many, else bytes."""
        most = max(self._of.values(), key=lambda held: len(held.names) if many else held.nbytes)
        name = next(iter(most.names))
        forgotten = self._streams.pop(name)
        self._left(name, forgotten)
        self._held_bytes -= forgotten.held_bytes
        self._forgotten_bytes += forgotten.held_bytes
        forgotten.reference, forgotten.held_bytes = None, 0
