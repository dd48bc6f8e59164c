"""Affinity: which replica a payload goes to.

May import: nothing of adaedge. It knows no network.

One rule: **a payload that builds upon another goes to the replica that holds it; a refresh goes to the replica with the
fewest payloads under way.** So a stream stays on its replica while it has a reference there. It moves freely when it
sends a refresh: after a replica was lost, after one refused because it was overloaded, or because its codec keeps no
references.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import final

MAX_STREAMS = 65_536
"""So many streams' replicas are remembered; the ones used least recently are forgotten, and cost a refresh."""


@final
class Affinity:
    """Streams and the replicas that hold them. Safe to use from many threads.

    Args:
        max_streams: the most streams that are remembered.

    Example:
        >>> affinity = Affinity()
        >>> affinity.join("a")
        >>> affinity.join("b")
        >>> with affinity.turn(stream=7, base=0) as first, affinity.turn(stream=8, base=0) as second:
        ...     first, second
        ('a', 'b')
        >>> with affinity.turn(stream=8, base=1) as where:
        ...     where
        'b'
    """

    def __init__(self, max_streams: int = MAX_STREAMS) -> None:
        self._max_streams = max_streams
        self._lock = Lock()
        self._under_way: dict[str, int] = {}  # of each replica that there is
        self._streams: OrderedDict[int, str] = OrderedDict()
        self._held: Counter[str] = Counter()  # streams of each replica

    @property
    def replicas(self) -> tuple[str, ...]:
        """The replicas that there are."""
        with self._lock:
            return tuple(self._under_way)

    @property
    def streams(self) -> int:
        """How many streams are remembered."""
        return len(self._streams)

    def join(self, replica: str) -> None:
        """A replica is there from now on."""
        with self._lock:
            self._under_way.setdefault(replica, 0)

    def leave(self, replica: str) -> None:
        """It is there no more, and what it held is gone."""
        with self._lock:
            self._under_way.pop(replica, None)

    @contextmanager
    def turn(self, stream: int, base: int, without: Collection[str] = ()) -> Iterator[str | None]:
        """Send a payload: the replica that it goes to; ``None`` where there is none.

        Args:
            stream: whose payload it is; 0 for no stream.
            base: sequence number of the payload that it builds upon; 0 for a refresh.
            without: replicas that were tried for it already.
        """
        with self._lock:
            replica = self._choose(stream, base, without)
            if replica is not None:
                self._under_way[replica] += 1
        try:
            yield replica
        finally:
            with self._lock:
                if replica in self._under_way:
                    self._under_way[replica] = max(0, self._under_way[replica] - 1)  # it may have left and come again

    def _choose(self, stream: int, base: int, without: Collection[str]) -> str | None:
        there = [name for name in self._under_way if name not in without]
        held = self._streams.get(stream)
        if not there:
            return None
        if base and held in there:
            chosen = held
        else:
            chosen = min(there, key=lambda name: (self._under_way[name], name != held, self._held[name]))
        if stream:
            self._remember(stream, chosen)
        return chosen

    def _remember(self, stream: int, replica: str) -> None:
        before = self._streams.pop(stream, None)
        self._streams[stream] = replica
        if before != replica:
            self._held[replica] += 1
            self._forget(before)
        if len(self._streams) > self._max_streams:
            self._forget(self._streams.popitem(last=False)[1])

    def _forget(self, replica: str | None) -> None:
        if replica is not None:
            self._held[replica] -= 1
            if self._held[replica] <= 0:
                del self._held[replica]
