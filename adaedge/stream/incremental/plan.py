"""A network as segments that can be computed in part: which tensors are held, and what each depends on.

May import: nothing of adaedge. A plan is data: it says nothing of how a segment is computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from adaedge.stream.incremental.reach import Box, Reaches, hull, is_empty


class Kind(StrEnum):
    """How a segment can be computed.

    ``PART``: any box of it, from a part of its inputs. ``RESIZE``: as a whole, but what changed stays where it was.
    ``WHOLE``: as a whole, and all of it changes with any of its inputs.
    """

    PART = "part"
    RESIZE = "resize"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor that is kept between frames.

    Attributes:
        shape: of it.
        axes: its dimensions along which it can be computed in part; none where it cannot.
        dtype: NumPy's name of its type.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...] = ()
    dtype: str = "float32"

    @property
    def lengths(self) -> tuple[int, ...]:
        """Along its axes."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def everything(self) -> Box:
        """The box of the whole tensor."""
        return tuple((0, length) for length in self.lengths)

    def at(self, box: Box) -> tuple[slice, ...]:
        """Where a box is, as an index."""
        found = [slice(None)] * len(self.shape)
        for axis, span in zip(self.axes, box, strict=True):
            found[axis] = slice(*span)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Way:
    """A way from an input of a segment to an output.

    Attributes:
        source: place of the input among the segment's inputs.
        target: place of the output among its outputs.
        reaches: along each axis.
    """

    source: int
    target: int
    reaches: Reaches


Units = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a network that runs at once.

    A part of it is a box on a grid that all its tensors are multiples of: a tensor of unit 2 has two elements where the
    grid has one. So a box that begins at a place of the grid begins at an element of every tensor.

    Attributes:
        kind: how it can be computed.
        inputs: held tensors that it takes.
        outputs: held tensors that it makes.
        ways: of a ``PART``, from its inputs to its outputs. An input without one is taken as a whole.
        units: of a ``PART``, for each input, then each output, along each axis; empty for one that is taken as a whole.
        macs: multiply-accumulates of all of it.
        work: what all of it costs, in the unit of multiply-accumulates: memory that is touched counts as well.
    """

    kind: Kind
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ways: tuple[Way, ...] = ()
    units: tuple[Units, ...] = ()
    macs: int = 0
    work: float = 0.0

    def source_units(self, source: int) -> Units:
        """The units of an input."""
        return self.units[source]

    def target_units(self, target: int) -> Units:
        """The units of an output."""
        return self.units[len(self.inputs) + target]


@dataclass(frozen=True, slots=True)
class Plan:
    """The segments of a network, in the order in which they run.

    Attributes:
        held: the tensors that are kept; segments speak of them by their places here.
        segments: in order.
        inputs: the network's.
        outputs: what it returns.
        name: of the network, with its weights: a cache of another is refused.
    """

    held: tuple[Held, ...]
    segments: tuple[Segment, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str = ""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole network."""
        return sum(segment.macs for segment in self.segments)

    @property
    def content_hash(self) -> str:
        """A short hash of all of it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    @property
    def partial_macs(self) -> int:
        """Multiply-accumulates in segments that can be computed in part."""
        return sum(segment.macs for segment in self.segments if segment.kind is Kind.PART)

    def grid_box(self, segment: Segment, changed: Sequence[Sequence[Box]]) -> list[Box]:
        """Boxes on a segment's grid that cover all outputs that depend on what changed.

        Args:
            segment: a ``PART``.
            changed: for each input that is taken in part, boxes of it.
        """
        found: dict[Box, None] = {}
        for way in segment.ways:
            target = self.held[segment.outputs[way.target]]
            units = segment.target_units(way.target)
            for box in changed[way.source]:
                reached = tuple(
                    reach.changed(span, length)
                    for reach, span, length in zip(way.reaches, box, target.lengths, strict=True)
                )
                if not is_empty(reached):
                    found[_coarser(reached, units)] = None
        return list(found)

    def output_box(self, segment: Segment, target: int, box: Box) -> Box:
        """The part of an output that a box on the grid covers."""
        lengths = self.held[segment.outputs[target]].lengths
        units = segment.target_units(target)
        return tuple(
            (min(start * unit, length), min(stop * unit, length))
            for (start, stop), unit, length in zip(box, units, lengths, strict=True)
        )

    def crop(self, segment: Segment, box: Box) -> Box:
        """The box on the grid that a box's outputs depend on."""
        needed = []
        for way in segment.ways:
            source = self.held[segment.inputs[way.source]]
            output = self.output_box(segment, way.target, box)
            if is_empty(output):
                continue
            spans = tuple(
                reach.needed(span, length)
                for reach, span, length in zip(way.reaches, output, source.lengths, strict=True)
            )
            needed.append(_coarser(spans, segment.source_units(way.source)))
        return hull([*needed, box])

    def input_box(self, segment: Segment, source: int, crop: Box) -> Box:
        """The part of an input that a box on the grid covers."""
        lengths = self.held[segment.inputs[source]].lengths
        units = segment.source_units(source)
        return tuple(
            (min(start * unit, length), min(stop * unit, length))
            for (start, stop), unit, length in zip(crop, units, lengths, strict=True)
        )

    def grid(self, segment: Segment) -> Box:
        """The box of a segment's whole grid."""
        return hull(
            [
                _coarser(self.held[index].everything, segment.target_units(at))
                for at, index in enumerate(segment.outputs)
            ]
        )

    def resized(self, segment: Segment, box: Box) -> Box:
        """The part of a ``RESIZE``'s output that a changed box of its input reaches: two elements more on each side."""
        source, target = self.held[segment.inputs[0]], self.held[segment.outputs[0]]
        found = []
        for (start, stop), length, size in zip(box, source.lengths, target.lengths, strict=True):
            ratio, margin = size / length, 2 * max(1.0, length / size) + 1
            found.append((max(0, int((start - margin) * ratio) - 1), min(size, int((stop + margin) * ratio) + 2)))
        return tuple(found)


def _coarser(box: Box, units: Units) -> Box:
    return tuple((start // unit, -(-stop // unit)) for (start, stop), unit in zip(box, units, strict=True))


@dataclass(frozen=True, slots=True)
class FrameStats:
    """The statistics of a computed frame.

    Attributes:
        changed: share of the input that counted as changed, in [0, 1].
        macs_share: multiply-accumulates that were spent, as a share of the whole network's.
        path: ``refresh`` where nothing was held, ``dense`` where that was cheaper, ``incremental``, ``tokens``
            (approximate), ``unchanged``; ``audit`` where dense and incremental were compared.
        boxes: of the first input, what counted as changed.
        parts: calls of segments.
    """

    changed: float
    macs_share: float
    path: str
    boxes: tuple[Box, ...] = field(default=())
    parts: int = 0
