"""Bodies: payloads that have been announced and have not come yet, and how many and how long that may be.

May import: ``errors``. A call holds a thread of the edge server from its header on. Without a bound, whoever begins
calls and does not end them, or sends a byte a second, would keep all threads, and every other terminal out.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, final

from adaedge.errors import OverloadError

LONGEST_S = 5.0
"""So long a payload may take to come, once its header has."""
MOST = 32
"""So many payloads of one terminal may be on their way at once: a quarter of what the edge server takes."""


@final
class Bodies:
    """Bounds what is on its way. Safe to use from many threads.

    Args:
        longest_s: seconds after which a call whose payload has not come is ended.
        most: payloads of one terminal at once.
        now_s: the time; that of the machine by default.

    Example:
        >>> bodies = Bodies(most=1)
        >>> with bodies.coming("robot", context=None):
        ...     with bodies.coming("robot", context=None):
        ...         pass
        Traceback (most recent call last):
            ...
        adaedge.errors.OverloadError: robot has 1 payloads on their way, and no more are taken before one has come
    """

    def __init__(
        self, longest_s: float = LONGEST_S, most: int = MOST, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest_s, self._most, self._now_s = longest_s, most, now_s
        self._lock = Lock()
        self._begun: OrderedDict[object, tuple[float, Any]] = OrderedDict()  # oldest first: when, and gRPC's context
        self._of: Counter[str] = Counter()

    @contextmanager
    def coming(self, terminal: str, context: Any) -> Iterator[None]:
        """A terminal's payload is on its way until the block ends.

        Raises:
            OverloadError: if too many of that terminal are.
        """
        key = object()
        with self._lock:
            if self._of[terminal] >= self._most:
                raise OverloadError(
                    f"{terminal} has {self._most} payloads on their way, and no more are taken before one has come"
                )
            self._of[terminal] += 1
            self._begun[key] = (self._now_s(), context)
        try:
            yield
        finally:
            with self._lock:
                self._begun.pop(key, None)
                self._of[terminal] -= 1
                if not self._of[terminal]:
                    del self._of[terminal]

    def sweep(self) -> None:
        """End the calls that have waited too long. Every call that begins does it, one without a thread too."""
        ended = []
        with self._lock:
            latest_s = self._now_s() - self._longest_s
            while self._begun and (oldest := next(iter(self._begun.values())))[0] < latest_s:
                self._begun.popitem(last=False)
                ended.append(oldest[1])
        for context in ended:
            context.cancel()
