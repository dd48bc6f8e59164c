"""EdgeSession: answers payloads, and holds references and caches of their streams.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``, ``stream``. Knows no network.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, final

import numpy as np

from adaedge.bundle import Bundle
from adaedge.engine import Arrays, Engine, return_freed_memory
from adaedge.errors import BundleError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Message, Reference
from adaedge.payload.answers import wire
from adaedge.payload.answers.wire import AnswerHeader
from adaedge.runtime.holders import Holders
from adaedge.stream import Runners

if TYPE_CHECKING:
    from adaedge.stream.incremental import Cache

MAX_STREAMS = 1024
MAX_BYTES = 256 * 2**20
# What was forgotten is free, but resident until it is returned, and streams that come do not fit into it exactly. So
# many bytes are let come together, for returning them takes some milliseconds.
FORGOTTEN_BYTES = 32 * 2**20


@dataclass(slots=True, eq=False)
class _Stream:
    """What is held of one stream: its last payload's sequence number and place, and what the next may build upon.

    Attributes:
        cache: of an incremental tail at that place, as of the last payload that it answered; those at dense points
            leave it.
        reference_bytes: what the reference takes of memory.
        cache_bytes: what the cache takes.
    """

    terminal: str
    lock: Lock = field(default_factory=Lock)
    sequence: int = 0
    place: tuple[str, str, float] | None = None
    reference: Reference | None = None
    cache: Cache | None = None
    reference_bytes: int = 0
    cache_bytes: int = 0

    @property
    def held_bytes(self) -> int:
        return self.reference_bytes + self.cache_bytes


@final
class EdgeSession:
    """Answers payloads: decode, run the tail, reduce and encode its outputs. Safe to use from several threads.

    Of each stream it holds the reference that the last payload left, so that the next need not be a refresh. Where
    there are too many, the terminal that holds most loses the stream that it used least recently: one that opens
    streams without end loses its own. A payload that builds upon a forgotten one is refused by a
    ``StaleReferenceError``, and the terminal sends a refresh. ``EdgeSession(bundle).answer`` is an edge server for a
    ``ReplayLink``.

    At an incremental point whose codec has a state it holds the tail's tensors too, and recomputes what changed of the
    features. They are dropped where a payload builds upon nothing that is held, at another place, or for lack of room,
    before any reference is: the next payload is then answered by the whole tail.

    Args:
        bundle: the model.
        max_streams: the most streams of which anything is held.
        max_bytes: the most bytes that all references and caches together may take.

    Attributes:
        computed_by: of payloads at such points, how many tails ran ``incremental``, ``dense``, as a ``refresh``, an
            ``audit``, or not at all, because features were ``unchanged``.

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
        self.computed_by: Counter[str] = Counter()
        self._runners = Runners(bundle)
        self._streams: OrderedDict[int, _Stream] = OrderedDict()
        self._holders = Holders()
        self._held_bytes = self._cache_bytes = self._forgotten_bytes = 0
        self._lock = Lock()

    def answer(
        self,
        payload: bytes | Message,
        queue_s: float = 0.0,
        read_s: float = 0.0,
        terminal: str = "",
        heard: Callable[[Arrays, Arrays], None] | None = None,
    ) -> bytes:
        """The answer to one payload; it says how many seconds decoding, the tail and the answer's codec took.

        Args:
            payload: what came, or what `Bundle.read` made of it.
            queue_s: seconds that it waited before it was this payload's turn.
            read_s: seconds that reading it took, where it was read before.
            terminal: whose it is.
            heard: is given what the tail was run on, and its outputs.

        Raises:
            PayloadError: if the payload is truncated, foreign, oversized, corrupted, or not of a point of this bundle.
            StaleReferenceError: if it builds upon a payload that is not held here.
            CodecError: if the bundle's answer codec makes no answer of the outputs.
        """
        start_s = time.perf_counter() - read_s
        message = payload if isinstance(payload, Message) else self._bundle.read(payload)
        engine, carried, held, cache = self._received(message, terminal)
        answers = self._bundle.answers
        if held and self._bundle.route(message.point).has_incremental_tail:
            outputs, cache = self._computed(message, carried, cache)
        else:
            outputs = engine.run(carried)
        if cache is not None:
            self._put_back(message, cache)
        if heard is not None:
            heard(carried, outputs)
        segment = answers.write(answers.reduce(outputs))
        edge_s = time.perf_counter() - start_s
        return wire.encode(message.request, AnswerHeader(edge_s, queue_s, held, message.lost_segments), segment)

    @property
    def held_bytes(self) -> int:
        """About how many bytes all references and caches take."""
        return self._held_bytes

    def preload(self, points: Iterable[OperatingPoint]) -> None:
        """Load the incremental tails of these points, and measure what their segments cost on this machine."""
        for route in map(self._bundle.route, points):
            if route.has_incremental_tail and route.edge_half is not None:
                zeros = [np.zeros(spec.shape, spec.dtype) for spec in route.edge_half.inputs]
                self._runners.measure_tail(route, zeros)

    def _received(self, message: Message, terminal: str) -> tuple[Engine, Arrays, bool, Cache | None]:
        """What is to be run, on what, whether the next payload may build upon this one, and the tail's cache."""
        if not message.stream:
            return *self._bundle.receive(message)[:2], False, None
        stream = self._stream(message.stream, terminal)
        with stream.lock:
            known = (stream.sequence, stream.place) == (message.base, message.point.place)
            held = stream.reference if message.base and known else None
            cache = stream.cache if held is not None else None
            self._hold(message.stream, stream, None)  # used up, whatever becomes of it
            engine, carried, reference = self._bundle.receive(message, held)
            stream.sequence, stream.place = message.sequence, message.point.place
            held_now = self._hold(message.stream, stream, reference)
        return engine, carried, held_now, cache

    def _computed(self, message: Message, features: Arrays, cache: Cache | None) -> tuple[Arrays, Cache | None]:
        """The outputs of a tail that computes what changed, and what the next one takes."""
        from adaedge.stream.incremental.finite import run_finite

        runner = self._runners.tail_of(self._bundle.route(message.point))
        outputs, after, stats = run_finite(runner, features, cache)
        with self._lock:
            self.computed_by[stats.path] += 1
        return outputs, after

    def _put_back(self, message: Message, cache: Cache) -> None:
        """Hold a tail's cache, unless a later payload has come or the stream was forgotten."""
        with self._lock:
            stream = self._streams.get(message.stream)
            if stream is not None and stream.reference is not None and stream.sequence == message.sequence:
                self._put(stream, stream.reference, cache)
            due = self._made_room()
        if due:
            return_freed_memory()

    def _stream(self, name: int, terminal: str) -> _Stream:
        with self._lock:
            stream = self._streams.get(name)
            if stream is None:
                stream = self._streams[name] = _Stream(terminal)
            self._streams.move_to_end(name)
            self._holders.use(name, terminal)
            if stream.terminal != terminal:  # it comes over a new connection
                self._holders.grow(terminal, stream.held_bytes)
                self._holders.grow(stream.terminal, -stream.held_bytes)
                self._holders.drop(name, stream.terminal)
                stream.terminal = terminal
            return stream

    def _hold(self, name: int, stream: _Stream, reference: Reference | None) -> bool:
        """Hold a reference, and no cache; forget until both limits are kept.

        A stream that was forgotten while its payload was decoded stays so.

        Returns:
            Whether it is held.
        """
        with self._lock:
            if self._streams.get(name) is not stream:
                return False
            self._put(stream, reference, None)
            due = self._made_room()
            held = stream.reference is not None
        if due:
            return_freed_memory()
        return held

    def _put(self, stream: _Stream, reference: Reference | None, cache: Cache | None) -> None:
        before_bytes = stream.held_bytes
        self._held_bytes -= before_bytes
        self._cache_bytes -= stream.cache_bytes
        stream.reference, stream.reference_bytes = reference, 0 if reference is None else reference.nbytes
        stream.cache, stream.cache_bytes = cache, 0 if cache is None else cache.length_bytes
        self._held_bytes += stream.held_bytes
        self._cache_bytes += stream.cache_bytes
        self._holders.grow(stream.terminal, stream.held_bytes - before_bytes)

    def _made_room(self) -> bool:
        """Forget until both limits are kept, caches first; whether so much was that its memory is to be returned."""
        while len(self._streams) > self._max_streams or self._held_bytes > self._max_bytes:
            before_bytes = self._held_bytes
            if self._cache_bytes and len(self._streams) <= self._max_streams:
                oldest = next(stream for stream in self._streams.values() if stream.cache_bytes)
                self._put(oldest, oldest.reference, None)
            else:
                name = self._holders.first_to_go(by_bytes=len(self._streams) <= self._max_streams)
                forgotten = self._streams.pop(name)
                self._put(forgotten, None, None)
                self._holders.drop(name, forgotten.terminal)
            self._forgotten_bytes += before_bytes - self._held_bytes
        due = self._forgotten_bytes >= FORGOTTEN_BYTES
        self._forgotten_bytes = 0 if due else self._forgotten_bytes
        return due
