"""Heads and tails as segments, for the bundle: graphs, a plan, and weights that are stored once.

May import: ``errors``, ``operating_point``, ``engine``, ``bundle``, ``graph``, ``stream``, ``incremental``; of this
part ``bundle_writer``, ``subgraphs``, ``incremental_graphs``, ``level_names``, ``outer_names``, ``partition``,
``space``, ``weight_file``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from adaedge.builder.bundle_writer import BundleWriter
from adaedge.builder.incremental_graphs import SegmentModels, segment_models
from adaedge.builder.level_names import folder_of
from adaedge.builder.outer_names import find_points, give_outer_names
from adaedge.builder.partition import GraphPartitioner
from adaedge.builder.space import Space
from adaedge.builder.subgraphs import serialize
from adaedge.builder.weight_file import Weights
from adaedge.bundle import Cut, IncrementalHalf, Subgraph, TensorSpec
from adaedge.bundle.batches import listed
from adaedge.engine import Arrays
from adaedge.errors import CaptureError
from adaedge.graph import Splittable
from adaedge.graph.capture import Capture
from adaedge.incremental.planner import planned_of
from adaedge.operating_point import FP32, INPUT, OUTPUT, Level, OperatingPoint
from adaedge.stream.incremental import Plan
from adaedge.stream.incremental.storage import to_bytes

AUDIT_EVERY = 50
"""With a tolerance, one frame in so many is computed as a whole as well."""
Calibration = Sequence[Arrays] | None
_log = logging.getLogger(__name__)


def add_heads(
    partitioner: GraphPartitioner,
    splittable: Splittable,
    level: Level,
    space: Space,
    wrapped: bool,
    samples: Calibration,
    stateful: Collection[str] = (),
) -> None:
    """Give the cuts of a level incremental heads, where a space asks for them: at `output` and between the ends.

    Where a codec with a state follows, the tail is there in segments too: in fp32, as every tail.

    Args:
        partitioner: of the level, whose cuts are there.
        splittable: the level's width, captured.
        level: network, width and precision.
        space: of the level's network.
        wrapped: whether the user's model is inside a `Preprocessed`.
        samples: the bundle's inputs, which calibrate int8; ``None`` for fp32.
        stateful: split points where a codec with a state may follow.
    """
    parts = partitioner.parts
    writer = HeadWriter(parts, partitioner.weights, splittable, level, wrapped, space.tolerance)
    for at, cut in enumerate(parts.cuts):
        wanted = cut.level == level and cut.split != INPUT and space.holds(cut.split, level)
        if wanted and True in space.incremental:
            inner = find_points(splittable, [cut.split], wrapped=wrapped)
            name = OUTPUT if cut.split == OUTPUT else inner[1].name
            head, tail = writer.head(name, cut, samples), None
            if head is not None and cut.split in stateful:
                fp32 = replace(level, precision=FP32)
                tail = writer.tail(name, cut) if level == fp32 else parts.cut(cut.split, fp32).incremental_tail
            parts.cuts[at] = replace(cut, incremental=head, incremental_tail=tail)


def points_at(cut: Cut, codecs: Sequence[str]) -> list[OperatingPoint]:
    """The operating points at a cut: with each of its codecs, and incremental too where it has such a head."""
    level = cut.level
    return [
        OperatingPoint(cut.split, level.width, level.precision, codec, level.network, incremental)
        for incremental in ((False, True) if cut.incremental else (False,))
        for codec in codecs
    ]


@dataclass(frozen=True, slots=True, eq=False)
class HeadWriter:
    """Writes the incremental halves of one level into a bundle.

    Attributes:
        parts: takes graphs and plans.
        weights: takes the weights of this level.
        splittable: the level's width, captured.
        level: network, width and precision.
        wrapped: whether the user's model is inside a `Preprocessed`.
        tolerance: what may be left as it was, see `adaedge.Incremental`.
    """

    parts: BundleWriter
    weights: Weights
    splittable: Splittable
    level: Level
    wrapped: bool
    tolerance: float

    def head(self, inner: str, cut: Cut, samples: Calibration) -> IncrementalHalf | None:
        """The head before a split point; ``None``, said in the log, where it cannot be one.

        Args:
            inner: the split point's name in the captured model.
            cut: what the bundle has there.
            samples: the bundle's inputs, which calibrate int8; ``None`` for fp32.
        """
        return self._half("head", cut, lambda: self.splittable.captured_head(inner), samples)

    def tail(self, inner: str, cut: Cut) -> IncrementalHalf | None:
        """The tail behind a split point, in fp32; arguments and the rest as `head`."""
        return self._half("tail", cut, lambda: self.splittable.captured_tail(inner), None)

    def _half(
        self, side: str, cut: Cut, captured: Callable[[], Capture], samples: Calibration
    ) -> IncrementalHalf | None:
        try:
            found = planned_of(captured())
            _check_alike(found.plan, cut.head if side == "head" else cut.tail)
            models = segment_models(found, samples=samples)
        except CaptureError as error:
            _log.warning("%s at %s has no incremental %s: %s", cut.split, self.level, side, error)
            return None
        folder = f"{folder_of(self.level, 'incremental')}{re.sub(r'[^A-Za-z0-9.-]', '_', cut.split)}"
        folder += "-tail" if side == "tail" else ""
        return self._written(models, folder, own_plain=samples is not None)

    def _written(self, models: SegmentModels, folder: str, *, own_plain: bool) -> IncrementalHalf:
        plan = models.plan
        path = f"{folder}/plan.json"
        self.parts.plans[path] = to_bytes(plan)
        segments = tuple(
            self._graph(model, f"{folder}/{at:03}.onnx", plan, segment.inputs, segment.outputs, segment.macs)
            for at, (model, segment) in enumerate(zip(models.segments, plan.segments, strict=True))
        )
        made = tuple(place for place in range(len(plan.held)) if place not in plan.inputs)
        whole = self._graph(models.whole, f"{folder}/whole.onnx", plan, plan.inputs, made, plan.macs)
        plain = None
        if own_plain:
            plain = self._graph(models.plain, f"{folder}/plain.onnx", plan, plan.inputs, plan.outputs, plan.macs)
        every = AUDIT_EVERY if self.tolerance else 0
        return IncrementalHalf(path, segments, whole, plain, self.tolerance, every)

    def _graph(
        self, model: ir.Model, path: str, plan: Plan, inputs: Sequence[int], outputs: Sequence[int], macs: int
    ) -> Subgraph:
        if self.wrapped:
            give_outer_names(model.graph)
        self.parts.graphs[path], names = serialize(model, self.weights)
        taken = _specs(model.graph.inputs, plan, inputs)
        return Subgraph(path, taken, _specs(model.graph.outputs, plan, outputs), macs, names)


def _check_alike(plan: Plan, half: Subgraph | None) -> None:
    """Refuse a plan that returns something else than the half: an output of the model may come twice.

    Raises:
        CaptureError: if it does.
    """
    expected = [(spec.dtype, spec.shape) for spec in half.outputs] if half else []
    found = [(held.dtype, held.shape) for held in (plan.held[place] for place in plan.outputs)]
    if found != expected:
        raise CaptureError(f"it returns {listed(expected)}, its segments {listed(found)}")


def _specs(values: Sequence[ir.Value], plan: Plan, places: Sequence[int]) -> tuple[TensorSpec, ...]:
    pairs = zip(values, [plan.held[place] for place in places], strict=True)
    return tuple(TensorSpec(str(value.name), held.dtype, held.shape) for value, held in pairs)
