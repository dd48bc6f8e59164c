"""Teaching: what an edge server asks of whoever teaches a student; it knows no training.

May import: ``engine``, ``taught``.
"""

from __future__ import annotations

from typing import Protocol

from adaedge.engine import Arrays
from adaedge.taught.held_weights import HeldWeights


class Teaching(Protocol):
    """Takes labelled frames and gives updates. Safe to use from several threads; neither method waits for training."""

    def label(self, inputs: Arrays, outputs: Arrays) -> None:
        """A frame as the edge server saw it, and what the full network answers."""
        ...

    def update(self, holding: HeldWeights) -> bytes:
        """The update upon what a terminal holds; empty where there is none now.

        Raises:
            PayloadError: if there never will be one upon that.
        """
        ...
