"""Run a plan frame by frame: recompute what changed, or all of it where that is cheaper.

May import: ``errors``, ``engine``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from adaedge.arrays import Array, cosine
from adaedge.engine import Arrays, Engine
from adaedge.errors import CacheError
from adaedge.stream.incremental.cache import Cache
from adaedge.stream.incremental.changed_cells import INPUT_CELL, alive_boxes, died_out, moved_boxes, scale_of, spread_of
from adaedge.stream.incremental.costs import Boxes, Costs, Decider
from adaedge.stream.incremental.frame import Frame, is_busy, moved_by, owned
from adaedge.stream.incremental.plan import FrameStats, Kind, Plan
from adaedge.stream.incremental.reach import Box, is_empty, volume

_AS_DENSE = 0.8  # what is predicted to take so much of a dense run takes no less: copying and comparing come on top
_MOST = 0.5  # where more of the input changed, little of what follows can be left
_HOPED = 0.7  # of the work predicted, what is left where changes die out, until a stream has shown it
_SLOWLY = 0.2  # weight of a frame in how much less work than predicted frames take
_CELLS = 32  # of a feature map along its shorter axis


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest change that is not propagated, and how that is audited.

    Attributes:
        change: a change of an input counts where it is larger than this share of the input's own spread. 0: every
            change counts, and outputs equal dense ones but for rounding.
        inside: a change inside the network counts where it is larger than this share of ``change``, of a tensor's root
            mean square.
        audit_every: one frame in so many is computed dense as well; 0 for none.
        floor: the least cosine between the two outputs; below it the tolerance is halved.
    """

    change: float = 0.0
    audit_every: int = 0
    floor: float = 0.98
    inside: float = 0.4


@final
class IncrementalRunner:
    """A plan with the engines that compute its segments. It holds nothing of any stream: caches come in and go out.

    Args:
        plan: see `Plan`.
        engines: one for each segment.
        whole: takes the network's inputs and returns all other held tensors, in the order of their places.
        tolerance: see `Tolerance`.
        plain: takes the network's inputs and returns its outputs only. Where frames are busy one after the other, it
            runs, and nothing is held but the input.
        costs: as measured on this machine; without them, estimated.
    """

    def __init__(
        self,
        plan: Plan,
        engines: Sequence[Engine],
        whole: Engine,
        tolerance: Tolerance | None = None,
        costs: Costs | None = None,
        plain: Engine | None = None,
    ) -> None:
        self.plan, self.engines, self.whole, self.plain = plan, tuple(engines), whole, plain
        self.tolerance = tolerance or Tolerance()
        self.costs = costs or Costs.estimated(plan)
        self.content_hash = plan.content_hash
        self._grids = [volume(plan.grid(one)) if one.kind is Kind.PART else 1 for one in plan.segments]
        self._made = tuple(place for place in range(len(plan.held)) if place not in plan.inputs)

    @property
    def costs(self) -> Costs:
        """What decides between parts, whole segments and the whole network."""
        return self._costs

    @costs.setter
    def costs(self, costs: Costs) -> None:
        self._costs, self._decider = costs, Decider(self.plan, costs)

    def run(self, inputs: Sequence[Array], cache: Cache | None = None) -> tuple[Arrays, Cache]:
        """The network's outputs for a frame, and what the next one takes.

        Args:
            inputs: the frame; nothing of it is kept but copies.
            cache: what the last frame returned; ``None`` for a first one, or to refresh.

        Raises:
            CacheError: if the cache is of another network or was used already, or an input is none of this network's.
        """
        self._check(inputs)
        if cache is None:
            return self._dense(inputs, "refresh", 1.0, None)
        tensors, scales = cache.take(self.content_hash, self.plan.held)
        if cache.is_busy:
            busy = self._is_busy(tensors, scales, inputs)
            return self._plain(inputs, scales, cache) if busy else self._dense(inputs, "refresh", 1.0, cache)
        frame = Frame(tensors, scales, self.tolerance.change * cache.tightened, {})
        for place, value in zip(self.plan.inputs, inputs, strict=True):
            frame.changed[place] = self._moved(frame, place, value)
        share = self._share(frame)
        if all(frame.changed[place] == [] for place in self.plan.inputs):
            return self._answer(frame), self._handed_back(frame, cache, FrameStats(0.0, 0.0, "unchanged"))
        predicted = self._decider.predicted(frame.changed)
        if share > _MOST or predicted * cache.saved >= _AS_DENSE * self.costs.whole:
            if share > _MOST and self.plain is not None and self._is_busy(tensors, scales, inputs):
                return self._plain(inputs, scales, cache)
            return self._dense(inputs, "dense", share, cache)
        boxes = tuple(frame.changed[self.plan.inputs[0]] or ())
        self._propagate_inputs(frame, inputs)
        for index in range(len(self.plan.segments)):
            self._segment(frame, index)
        stats = FrameStats(share, frame.macs / max(1, self.plan.macs), "incremental", boxes, frame.parts)
        after = self._handed_back(frame, cache, stats)
        after.saved = cache.saved + _SLOWLY * (min(1.0, frame.spent / max(predicted, 1e-12)) - cache.saved)
        if self.tolerance.audit_every and after.frames % self.tolerance.audit_every == 0:
            return self._audited(inputs, self._answer(frame), after)
        return self._answer(frame), after

    def _check(self, inputs: Sequence[Array]) -> None:
        expected = [self.plan.held[place] for place in self.plan.inputs]
        given = [(tuple(value.shape), str(value.dtype)) for value in inputs]
        if given != [(held.shape, held.dtype) for held in expected]:
            wanted = ", ".join(f"{held.dtype} {held.shape}" for held in expected)
            came = ", ".join(f"{dtype} {shape}" for shape, dtype in given)
            raise CacheError(
                f"this network was made incremental for {wanted}; got {came}. Wrap it again for another size or type."
            )

    def _moved(self, frame: Frame, place: int, value: Array) -> Boxes:
        held, before = self.plan.held[place], frame.tensors[place]
        threshold = frame.tolerance * frame.scales[place]
        if not held.axes:
            return [] if died_out(before, value, 0.0) else None
        return moved_boxes(before, value, held, threshold, INPUT_CELL)

    def _share(self, frame: Frame) -> float:
        shares = []
        for place in self.plan.inputs:
            boxes, held = frame.changed[place], self.plan.held[place]
            of = max(1, volume(held.everything))
            shares.append(1.0 if boxes is None else min(1.0, sum(map(volume, boxes)) / of))
        return max(shares, default=1.0)

    def _propagate_inputs(self, frame: Frame, inputs: Sequence[Array]) -> None:
        for place, value in zip(self.plan.inputs, inputs, strict=True):
            boxes = frame.changed[place]
            if boxes is None:
                frame.tensors[place] = value.copy()
            for box in boxes or ():
                where = self.plan.held[place].at(box)
                frame.tensors[place][where] = value[where]

    def _segment(self, frame: Frame, index: int) -> None:
        segment = self.plan.segments[index]
        boxes, price = self._decider.proposed(index, frame.changed)
        if boxes == []:
            frame.changed |= {output: [] for output in segment.outputs}
            return
        frame.spent += price
        if boxes is None:
            self._all_of(frame, index)
            return
        found: dict[int, list[Box]] = {output: [] for output in segment.outputs}
        share = 0.0
        for box in boxes:
            crop = self.plan.crop(segment, box)
            share += volume(crop) / max(1, self._grids[index])
            self._box(frame, index, box, crop, found)
        frame.macs += segment.macs * min(1.0, share)
        frame.changed |= found

    def _all_of(self, frame: Frame, index: int) -> None:
        segment = self.plan.segments[index]
        frame.macs += segment.macs
        frame.parts += 1
        given = [frame.tensors[place] for place in segment.inputs]
        made = self.engines[index].run(given)
        for at, (output, value) in enumerate(zip(segment.outputs, made, strict=True)):
            threshold = self.tolerance.inside * frame.tolerance * frame.scales[output]
            reached = self._decider.reached(segment, at, None, frame.changed)
            if threshold > 0 and self.plan.held[output].axes and value.dtype.kind == "f":
                frame.changed[output] = self._kept_alive(frame, output, value, threshold)
                continue
            if died_out(frame.tensors[output], value, threshold):
                frame.changed[output] = []
                continue
            frame.changed[output] = reached
            frame.tensors[output] = owned(value, given)

    def _kept_alive(self, frame: Frame, output: int, value: Array, threshold: float) -> list[Box]:
        """Take over of a whole tensor what is still alive; boxes of it."""
        held, old = self.plan.held[output], frame.tensors[output]
        boxes = alive_boxes(old, value, held.axes, threshold, self._cell(output))
        for box in boxes:
            old[held.at(box)] = value[held.at(box)]
        return boxes

    def _cell(self, place: int) -> int:
        return max(1, min(self.plan.held[place].lengths) // _CELLS)

    def _box(self, frame: Frame, index: int, box: Box, crop: Box, found: dict[int, list[Box]]) -> None:
        """Compute one box of a segment, and keep of it what is still alive."""
        segment, plan = self.plan.segments[index], self.plan
        given = []
        for at, place in enumerate(segment.inputs):
            tensor = frame.tensors[place]
            where = plan.held[place].at(plan.input_box(segment, at, crop)) if segment.source_units(at) else ()
            given.append(np.ascontiguousarray(tensor[where]) if where else tensor)
        frame.parts += 1
        made = self.engines[index].run(given)
        for at, (output, value) in enumerate(zip(segment.outputs, made, strict=True)):
            target = plan.output_box(segment, at, box)
            if is_empty(target):
                continue
            held, units = plan.held[output], segment.target_units(at)
            start = [span[0] * unit for span, unit in zip(crop, units, strict=True)]
            local = tuple((a - first, b - first) for (a, b), first in zip(target, start, strict=True))
            part, old = value[held.at(local)], frame.tensors[output][held.at(target)]
            threshold = self.tolerance.inside * frame.tolerance * frame.scales[output]
            if threshold <= 0 or part.dtype.kind != "f":
                old[...] = part
                found[output].append(target)
                continue
            for alive in alive_boxes(old, part, held.axes, threshold, self._cell(output)):
                inside = held.at(alive)
                old[inside] = part[inside]
                found[output].append(moved_by(alive, target))

    def _answer(self, frame: Frame) -> Arrays:
        return tuple(frame.tensors[place].copy() for place in self.plan.outputs)

    def _handed_back(self, frame: Frame, cache: Cache, stats: FrameStats) -> Cache:
        return Cache(
            self.content_hash,
            frame.tensors,
            frame.scales,
            stats,
            saved=cache.saved,
            tightened=cache.tightened,
            frames=cache.frames + 1,
        )

    def _dense(self, inputs: Sequence[Array], path: str, share: float, cache: Cache | None) -> tuple[Arrays, Cache]:
        made = dict(zip(self._made, self.whole.run(inputs), strict=True))
        tensors: list[Array] = []
        for place in range(len(self.plan.held)):
            value = made[place] if place in made else inputs[self.plan.inputs.index(place)].copy()
            tensors.append(owned(value, [*tensors, *inputs]))
        scales = [
            spread_of(tensor) if place in self.plan.inputs else scale_of(tensor) for place, tensor in enumerate(tensors)
        ]
        stats = FrameStats(share, 1.0, path, (self.plan.held[self.plan.inputs[0]].everything,), 1)
        found = Cache(self.content_hash, tensors, scales, stats, saved=_HOPED if self.tolerance.change else 1.0)
        if cache is not None:
            found.tightened, found.frames = cache.tightened, cache.frames + 1
            found.saved = cache.saved + 0.05 * (found.saved - cache.saved)
        return tuple(tensors[place].copy() for place in self.plan.outputs), found

    def _is_busy(self, tensors: Sequence[Array], scales: Sequence[float], inputs: Sequence[Array]) -> bool:
        found = [
            is_busy(tensors[place], value, self.plan.held[place], self.tolerance.change * scales[place])
            for place, value in zip(self.plan.inputs, inputs, strict=True)
        ]
        return any(found)

    def _plain(self, inputs: Sequence[Array], scales: list[float], cache: Cache) -> tuple[Arrays, Cache]:
        """Where all moves, holding what will be of no use costs time."""
        assert self.plain is not None
        made = self.plain.run(inputs)
        tensors = [np.zeros(0, np.uint8) for _ in self.plan.held]
        for place, value in zip(self.plan.inputs, inputs, strict=True):
            tensors[place] = value.copy()
        stats = FrameStats(1.0, 1.0, "dense", (self.plan.held[self.plan.inputs[0]].everything,), 1)
        found = Cache(self.content_hash, tensors, scales, stats, saved=1.0, frames=cache.frames + 1)
        found.tightened, found.is_busy = cache.tightened, True
        return made, found

    def _audited(self, inputs: Sequence[Array], answer: Arrays, cache: Cache) -> tuple[Arrays, Cache]:
        """The dense answer in place of the incremental one, and a tolerance that follows from both."""
        dense, found = self._dense(inputs, "audit", cache.stats.changed, cache)
        agreement = min((cosine(*pair) for pair in zip(answer, dense, strict=True)), default=1.0)
        tightened = cache.tightened * 0.5 if agreement < self.tolerance.floor else min(1.0, cache.tightened * 1.25)
        found.stats = replace(cache.stats, path="audit", macs_share=1.0 + cache.stats.macs_share)
        found.tightened, found.saved = tightened, cache.saved
        return dense, found
