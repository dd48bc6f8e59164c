"""HandoverLink: a link whose edge server changes while a terminal runs.

May import: nothing of adaedge but this part.

The new edge server holds nothing of the terminal's streams. A payload that builds upon something is stale there, so the
terminal sends a refresh within the same deadline, as after a restart: no frame is lost, and nothing else is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from adaedge.runtime.link import Link, Reply


@final
class HandoverLink:
    """A `Link` over another one, which may be replaced at any time. Safe to use from several threads.

    Args:
        link: the way to the first edge server.

    Example:
        >>> from adaedge.channel import Trace
        >>> from adaedge.runtime import ReplayLink
        >>> home, street = (ReplayLink(Trace([0.0], [8e6]), server) for server in (bytes.lower, bytes.upper))
        >>> link = HandoverLink(home)
        >>> before = link.exchange(b"Frame", 1.0).data
        >>> link.hand_over(street, bundle="ab" * 32)
        >>> before, link.exchange(b"Frame", 1.0).data
        (b'frame', b'FRAME')
    """

    def __init__(self, link: Link) -> None:
        self._lock = threading.Lock()
        self._link = link
        self._calls: dict[Link, int] = {link: 0}  # under way; of a link that was left, until the last is through

    def hand_over(self, link: Link, bundle: str, timeout_s: float = 2.0) -> None:
        """Go on over another link. It is connected and greeted first, while frames still cross the old one.

        Call it as soon as the next edge server is known, from any thread. The old link is closed once its last call is
        through.

        Args:
            link: the way to the next edge server.
            bundle: the bundle's digest.
            timeout_s: seconds that connecting may take.

        Raises:
            LinkError: if the next edge server cannot be reached or has another bundle; then nothing changes.
        """
        link.hello(bundle, timeout_s)
        with self._lock:
            left, self._link = self._link, link
            self._calls.setdefault(link, 0)
        self._close_if_left(left)

    def hello(self, bundle: str, timeout_s: float) -> None:
        """Pass it to the present link."""
        with self._used() as link:
            link.hello(bundle, timeout_s)

    def exchange(self, payload: bytes, timeout_s: float) -> Reply:
        """Pass it to the present link."""
        with self._used() as link:
            return link.exchange(payload, timeout_s)

    def probe(self, size_bytes: int, timeout_s: float) -> Reply:
        """Pass it to the present link."""
        with self._used() as link:
            return link.probe(size_bytes, timeout_s)

    def close(self) -> None:
        """Close the present link."""
        self._link.close()

    @contextmanager
    def _used(self) -> Iterator[Link]:
        with self._lock:
            link = self._link
            self._calls[link] += 1
        try:
            yield link
        finally:
            with self._lock:
                self._calls[link] -= 1
            self._close_if_left(link)

    def _close_if_left(self, link: Link) -> None:
        with self._lock:
            done = link is not self._link and self._calls.get(link) == 0
            if done:
                del self._calls[link]
        if done:
            link.close()
