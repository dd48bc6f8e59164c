"""Holders: which terminal holds which streams of an edge server, and how many bytes of them.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import final


@dataclass(slots=True, eq=False)
class _Held:
    """Of one terminal: its streams, the one used least recently first, and bytes."""

    names: OrderedDict[int, None] = field(default_factory=OrderedDict)
    nbytes: int = 0


@final
class Holders:
    """Terminals and what they hold, so that one that opens streams without end loses its own. Its owner has the lock.

    Example:
        >>> holders = Holders()
        >>> for name, terminal in enumerate(["robot", "hostile", "hostile"]):
        ...     holders.use(name, terminal)
        >>> holders.first_to_go(by_bytes=False)
        1
    """

    def __init__(self) -> None:
        self._of: OrderedDict[str, _Held] = OrderedDict()  # the terminal that called last is last

    def use(self, name: int, terminal: str) -> None:
        """A stream of a terminal is used now."""
        held = self._of.setdefault(terminal, _Held())
        held.names[name] = None
        held.names.move_to_end(name)
        self._of.move_to_end(terminal)

    def grow(self, terminal: str, nbytes: int) -> None:
        """It holds so many bytes more; fewer below 0."""
        self._of[terminal].nbytes += nbytes

    def drop(self, name: int, terminal: str) -> None:
        """A stream is this terminal's no more; its bytes are taken off already."""
        held = self._of[terminal]
        del held.names[name]
        if not held.names:
            del self._of[terminal]

    def first_to_go(self, *, by_bytes: bool) -> int:
        """The stream used least recently, of the terminal that holds most bytes, or streams, and called longest ago."""
        most = max(self._of.values(), key=lambda held: held.nbytes if by_bytes else len(held.names))
        return next(iter(most.names))

    def of(self, terminal: str) -> tuple[int, int]:
        """How many streams a terminal holds, and bytes."""
        held = self._of.get(terminal, _Held())
        return len(held.names), held.nbytes

    @property
    def terminals(self) -> tuple[str, ...]:
        """The terminals that hold anything; the one that called last is last."""
        return tuple(self._of)
