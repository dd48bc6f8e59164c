"""TwoAnswers: what a scheduler and a terminal ask of a cascade.

May import: ``operating_point``.
"""

from __future__ import annotations

from typing import Any, Protocol

from adaedge.operating_point import OperatingPoint


class TwoAnswers(Protocol):
    """The protocol of a cascade, such as `adaedge.Cascade`, as a scheduler sees it."""

    @property
    def first(self) -> OperatingPoint:
        """A local point, whose answer is given where it is sure."""
        ...

    @property
    def then(self) -> OperatingPoint:
        """Where other frames go on."""
        ...

    @property
    def point(self) -> OperatingPoint:
        """The name by which the two together are chosen."""
        ...

    @property
    def share(self) -> float:
        """Fraction of the frames that get the first answer."""
        ...

    @property
    def floor(self) -> float:
        """What the mean score against the full network's answers is expected to be at least."""
        ...

    @property
    def threshold(self) -> float:
        """The least sureness at which the first answer is given."""
        ...

    def first_answer(self, bundle: Any, inputs: Any) -> Any:
        """Whether the first answer to a frame ``stands``, its ``sureness``, and the ``answer`` where it does."""
        ...
