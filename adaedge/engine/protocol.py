"""What an engine is.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adaedge.arrays import Array

Arrays = tuple[Array, ...]


class Engine(Protocol):
    """Runs one graph."""

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The graph's outputs, in its own order, for inputs in its own order."""
        ...
