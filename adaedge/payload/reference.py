"""Reference: what both ends of a link hold of one payload, so that the next may build upon it.

May import: of this part ``message``.
"""

from __future__ import annotations

from typing import Protocol

from adaedge.payload.message import Segment, TensorHeader

Encoded = tuple[tuple[TensorHeader, ...], tuple[Segment, ...]]
"""How tensors are written, and the bytes."""


class StandsAlone:
    """A codec whose payloads each stand by themselves: none builds upon another."""

    __slots__ = ()

    def accepts(self, reference: Reference) -> bool:
        """Never: every payload stands by itself."""
        del reference
        return False


class Reference(Protocol):
    """One end's half of what both ends hold. It is used once: encoding or decoding with it gives the next, or none."""

    @property
    def nbytes(self) -> int:
        """About how much memory it takes; an edge server bounds the sum over its streams."""
        ...
