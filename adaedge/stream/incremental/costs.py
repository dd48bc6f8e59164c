"""What computing in part costs, and so what is computed in part.

May import: nothing of adaedge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from adaedge.stream.incremental.boxes import merged
from adaedge.stream.incremental.plan import Kind, Plan, Segment
from adaedge.stream.incremental.reach import Box, is_empty

Boxes = list[Box] | None
"""What changed of a tensor: boxes of it; ``None`` for all of it, of one that is not taken in part."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of computing on a machine: measured in seconds, or estimated from multiply-accumulates.

    Attributes:
        whole: the whole network at once.
        segments: each segment, all of it.
        call: of a call of a segment, whatever its size.
    """

    whole: float
    segments: tuple[float, ...]
    call: float

    @classmethod
    def estimated(cls, plan: Plan, call: float = 2e6) -> Costs:
        """Costs from the plan alone, in multiply-accumulates; a call costs about a tenth of a millisecond."""
        works = tuple(segment.work + call for segment in plan.segments)
        return cls(sum(segment.work for segment in plan.segments) + call, works, call)

    def prices(self, plan: Plan) -> tuple[Price, ...]:
        """The price of computing a box on each segment's grid."""
        return tuple(
            Price.of(plan, segment, self.call, dense)
            for segment, dense in zip(plan.segments, self.segments, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Price:
    """The cost of a box on a segment's grid: a call, and the box with the surroundings that its outputs depend on.

    Attributes:
        call: of a call, whatever its size.
        rate: of an element of the grid.
        halo: along each axis, how much more is computed than the box holds.
        lengths: of the grid.
        dense: of all of it.
    """

    call: float
    rate: float
    halo: tuple[int, ...]
    lengths: tuple[int, ...]
    dense: float

    @classmethod
    def of(cls, plan: Plan, segment: Segment, call: float, dense: float) -> Price:
        """The price of a segment's boxes, from what all of it costs."""
        if segment.kind is not Kind.PART:
            return cls(call, 0.0, (), (), dense)
        lengths = tuple(stop - start for start, stop in plan.grid(segment))
        middle = tuple((length // 2, length // 2 + 1) for length in lengths)
        crop = plan.crop(segment, middle)
        halo = tuple(stop - start - 1 for start, stop in crop)
        return cls(call, max(0.0, dense - call) / math.prod(lengths), halo, lengths, dense)

    def __call__(self, box: Box) -> float:
        """Of a box."""
        count = 1
        for (start, stop), more, length in zip(box, self.halo, self.lengths, strict=True):
            count *= min(stop - start + more, length)
        return self.call + self.rate * count


@final
class Decider:
    """Which boxes of which segments to compute, by what they cost.

    Args:
        plan: see `Plan`.
        costs: see `Costs`.
    """

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self.plan, self.costs, self.prices = plan, costs, costs.prices(plan)

    def predicted(self, inputs: dict[int, Boxes]) -> float:
        """What the frame costs if no change dies out on its way, and no boxes are merged."""
        changed, cost = dict(inputs), 0.0
        for index, segment in enumerate(self.plan.segments):
            boxes = self._boxes(segment, changed)
            if boxes == []:
                changed |= {output: [] for output in segment.outputs}
                continue
            price = self.prices[index]
            cost += price.dense if boxes is None else min(price.dense, sum(map(price, boxes)))
            for at, output in enumerate(segment.outputs):
                changed[output] = self.reached(segment, at, boxes, changed)
        return cost

    def proposed(self, index: int, changed: dict[int, Boxes]) -> tuple[Boxes, float]:
        """Boxes on the segment's grid to compute, ``None`` for all of it, and what that costs."""
        price = self.prices[index]
        boxes = self._boxes(self.plan.segments[index], changed)
        if boxes is None or boxes == []:
            return boxes, price.dense if boxes is None else 0.0
        boxes = merged(boxes, price) if len(boxes) > 1 else boxes
        cost = sum(map(price, boxes))
        return (boxes, cost) if cost < price.dense else (None, price.dense)

    def _boxes(self, segment: Segment, changed: dict[int, Boxes]) -> Boxes:
        """Boxes on the segment's grid that changed; ``None`` where all of it may have."""
        if all(changed.get(place, []) == [] for place in segment.inputs):
            return []
        if segment.kind is not Kind.PART:
            return None
        in_part = {way.source for way in segment.ways}
        for at, place in enumerate(segment.inputs):
            boxes = changed.get(place, [])
            if boxes is None or (boxes and at not in in_part):
                return None
        return self.plan.grid_box(segment, [changed.get(place) or [] for place in segment.inputs])

    def reached(self, segment: Segment, at: int, boxes: Boxes, changed: dict[int, Boxes]) -> Boxes:
        """What changes of an output; ``boxes`` are on the grid, ``None`` where the segment is computed as a whole."""
        held = self.plan.held[segment.outputs[at]]
        if segment.kind is Kind.RESIZE:
            given = changed[segment.inputs[0]]
            return None if given is None else [self.plan.resized(segment, box) for box in given]
        if segment.kind is Kind.WHOLE or not held.axes:
            return [held.everything] if held.axes else None
        boxes = self._boxes(segment, changed) if boxes is None else boxes
        if boxes is None:
            return [held.everything]
        found = [self.plan.output_box(segment, at, box) for box in boxes]
        return [box for box in found if not is_empty(box)]
