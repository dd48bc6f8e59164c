"""Which elements of a tensor an operator's output depends on, along one axis.

May import: nothing of adaedge.

Output element ``i`` depends on input elements ``i · stride - before`` to ``i · stride + after``, both included. What
lies outside of the tensor is padding. Composing operators composes these three numbers, so of any chain of
convolutions and pools they say exactly what a change reaches, and what a part of the output needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int]
Box = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an output element reaches into the input, along one axis.

    Example:
        >>> convolution = Reach(stride=2, before=1, after=1)  # 3 wide, stride 2, padding 1
        >>> convolution.then(convolution)
        Reach(stride=4, before=3, after=3)
        >>> convolution.changed((4, 5), 8), convolution.needed((2, 3), 16)
        ((2, 3), (3, 6))
    """

    stride: int = 1
    before: int = 0
    after: int = 0

    def then(self, following: Reach) -> Reach:
        """The reach of this operator with another one after it."""
        return Reach(
            self.stride * following.stride,
            following.before * self.stride + self.before,
            following.after * self.stride + self.after,
        )

    def joined(self, other: Reach) -> Reach | None:
        """The reach of two ways from the same input to the same output; ``None`` where their strides differ."""
        if self.stride != other.stride:
            return None
        return Reach(self.stride, max(self.before, other.before), max(self.after, other.after))

    def changed(self, span: Span, length: int) -> Span:
        """The output elements, of ``length``, that depend on input elements of ``span``; empty where none does."""
        first = -(-(span[0] - self.after) // self.stride)
        last = (span[1] - 1 + self.before) // self.stride
        return max(0, first), min(length, last + 1)

    def needed(self, span: Span, length: int) -> Span:
        """The input elements, of ``length``, that output elements of ``span`` depend on."""
        return (
            max(0, span[0] * self.stride - self.before),
            min(length, (span[1] - 1) * self.stride + self.after + 1),
        )


Reaches = tuple[Reach, ...]
"""One for each axis."""


def is_empty(box: Box) -> bool:
    """Whether a box holds nothing."""
    return any(stop <= start for start, stop in box)


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around boxes."""
    if len(boxes) == 1:
        return boxes[0]
    if len(boxes) == 2:
        one, other = boxes
        return tuple([(min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True)])
    return tuple((min(span[0] for span in spans), max(span[1] for span in spans)) for spans in zip(*boxes, strict=True))


def volume(box: Box) -> int:
    """How many elements a box holds."""
    product = 1
    for start, stop in box:
        product *= max(0, stop - start)
    return product
