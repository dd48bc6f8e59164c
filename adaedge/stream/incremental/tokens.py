"""Transformers: only tokens that changed go through the blocks; keys and values of all are held.

May import: ``errors``, ``engine``.

This is approximate, whatever the tolerance: every token attends to every other, so in truth all outputs change. Tokens
that are not recomputed keep the values, keys and outputs that they had when they last were. So tokens are chosen by
change *and* by age: those whose embedding moved, and each frame the oldest few besides, so that after `Choice.rounds`
frames every token was recomputed. An audit holds the result against a dense run now and then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array, cosine
from adaedge.engine import Arrays, Engine
from adaedge.errors import CacheError
from adaedge.stream.incremental.cache import Cache
from adaedge.stream.incremental.changed_cells import scale_of
from adaedge.stream.incremental.plan import FrameStats, Held
from adaedge.stream.incremental.runner import Tolerance


@dataclass(frozen=True, slots=True)
class Stage:
    """The operators between one attention and the next.

    Attributes:
        rows: names of tensors of which it takes the recomputed tokens' rows.
        whole: names of tensors of which it takes all rows: keys and values.
        outputs: names of the rows that it makes.
        order: the graph's inputs, of both kinds.
        macs: for all tokens.
    """

    rows: tuple[str, ...]
    whole: tuple[str, ...]
    outputs: tuple[str, ...]
    order: tuple[str, ...]
    macs: int = 0


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """A transformer as stages.

    Attributes:
        inputs: the network's.
        axes: name of a tensor that has rows → the dimension that they are along.
        first: name of the embedded tokens, which the front makes.
        last: name of the tokens that leave the last stage, which the finish takes.
        kept: names of tensors of which all rows are held: keys and values, ``first`` and ``last``.
        constants: names of tensors of the network's own that have a row for each token, such as positions.
        stages: in order.
        tokens: how many.
        always: tokens that are recomputed on every frame: those that no pixel goes into, such as a class token.
        macs: of the whole network.
        name: of the network, with its weights.
    """

    inputs: tuple[Held, ...]
    axes: Mapping[str, int]
    first: str
    last: str
    kept: tuple[str, ...]
    constants: tuple[str, ...]
    stages: tuple[Stage, ...]
    tokens: int
    always: tuple[int, ...]
    macs: int
    name: str = ""

    @property
    def content_hash(self) -> str:
        """A short hash of all of it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    @property
    def staged_macs(self) -> int:
        """Multiply-accumulates that go with the number of tokens."""
        return sum(stage.macs for stage in self.stages)


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines that compute a `TokenPlan`.

    Attributes:
        front: the network's inputs → the embedded tokens.
        stages: one for each.
        finish: the tokens that leave the last stage → the network's outputs; ``None`` where they are its output.
        whole: the network's inputs → the kept tensors, in their order, then the network's outputs.
        constants: all rows of each constant.
    """

    front: Engine
    stages: tuple[Engine, ...]
    finish: Engine | None
    whole: Engine
    constants: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which tokens are recomputed.

    Attributes:
        rounds: after so many frames each token was recomputed; 0 recomputes none for its age.
        most: the largest share of all tokens; where more changed, the frame runs dense, which refreshes all.
    """

    rounds: int = 50
    most: float = 0.6


@final
class TokenRunner:
    """A transformer frame by frame. It holds nothing of any stream: caches come in and go out.

    Args:
        plan: see `TokenPlan`.
        engines: see `Engines`.
        tolerance: a token changed where its embedding moved by more than this share of their root mean square.
        choice: see `Choice`.
    """

    def __init__(self, plan: TokenPlan, engines: Engines, tolerance: Tolerance, choice: Choice | None = None) -> None:
        self.plan, self.engines, self.tolerance, self.choice = plan, engines, tolerance, choice or Choice()
        self.content_hash = plan.content_hash

    def run(self, inputs: Sequence[Array], cache: Cache | None = None) -> tuple[Arrays, Cache]:
        """The network's outputs for a frame, and what the next one takes.

        Raises:
            CacheError: if the cache is of another network or was used already, or an input is none of this network's.
        """
        given = [(tuple(value.shape), str(value.dtype)) for value in inputs]
        wanted = [(held.shape, held.dtype) for held in self.plan.inputs]
        if given != wanted:
            raise CacheError(f"this network was made incremental for {wanted}; got {given}. Wrap it again.")
        if cache is None:
            return self._dense(inputs, "refresh", 1.0, None)
        (embedded,) = self.engines.front.run(inputs)
        tensors, scales = cache.take(self.content_hash)
        *kept, ages = tensors
        values = dict(zip(self.plan.kept, kept, strict=True))
        moved = self._moved(values[self.plan.first], embedded, self.tolerance.change * cache.tightened * scales[0])
        share = float(moved.mean())
        chosen = self._chosen(moved, ages)
        if len(chosen) > self.choice.most * self.plan.tokens or not np.isfinite(embedded).all():
            return self._dense(inputs, "dense", share, cache)
        self._stages(values, embedded, chosen)
        ages += 1
        ages[chosen] = 0
        ratio = len(chosen) / self.plan.tokens
        spent = (self.plan.macs - self.plan.staged_macs + self.plan.staged_macs * ratio) / max(1, self.plan.macs)
        stats = FrameStats(share, spent, "tokens", parts=len(self.plan.stages))
        after = Cache(self.content_hash, tensors, scales, stats, tightened=cache.tightened, frames=cache.frames + 1)
        answer = self._finished(values)
        if self.tolerance.audit_every and after.frames % self.tolerance.audit_every == 0:
            return self._audited(inputs, answer, after)
        return answer, after

    def _moved(self, before: Array, after: Array, threshold: float) -> npt.NDArray[np.bool_]:
        """Tokens whose embedding moved, root mean square, by more than a threshold since it was propagated."""
        axis = self.plan.axes[self.plan.first]
        others = tuple(place for place in range(after.ndim) if place != axis)
        found: npt.NDArray[np.bool_] = ~(np.sqrt(np.mean(np.square(after - before), axis=others)) <= threshold)
        return found

    def _chosen(self, moved: npt.NDArray[np.bool_], ages: Array) -> npt.NDArray[np.intp]:
        wanted = moved.copy()
        wanted[list(self.plan.always)] = True
        if self.choice.rounds:
            oldest = -(-self.plan.tokens // self.choice.rounds)
            wanted[np.argpartition(-ages, oldest - 1)[:oldest]] = True
        return np.nonzero(wanted)[0]

    def _stages(self, values: dict[str, Array], embedded: Array, chosen: npt.NDArray[np.intp]) -> None:
        plan = self.plan
        rows: dict[str, Array] = {plan.first: np.take(embedded, chosen, plan.axes[plan.first])}
        for name in plan.constants:
            rows[name] = np.take(self.engines.constants[name], chosen, plan.axes[name])
        self._scatter(values, plan.first, rows[plan.first], chosen)
        for stage, engine in zip(plan.stages, self.engines.stages, strict=True):
            made = engine.run([values[name] if name in stage.whole else rows[name] for name in stage.order])
            for name, part in zip(stage.outputs, made, strict=True):
                if name in values:
                    self._scatter(values, name, part, chosen)
                rows[name] = part

    def _scatter(self, values: dict[str, Array], name: str, rows: Array, chosen: npt.NDArray[np.intp]) -> None:
        where: list[Any] = [slice(None)] * rows.ndim
        where[self.plan.axes[name]] = chosen
        values[name][tuple(where)] = rows

    def _finished(self, values: dict[str, Array]) -> Arrays:
        last = values[self.plan.last]
        if self.engines.finish is None:
            return (last.copy(),)
        return tuple(value.copy() for value in self.engines.finish.run([last]))

    def _dense(self, inputs: Sequence[Array], path: str, share: float, cache: Cache | None) -> tuple[Arrays, Cache]:
        made = self.engines.whole.run(inputs)
        kept = [np.array(value, order="C") for value in made[: len(self.plan.kept)]]
        first = kept[self.plan.kept.index(self.plan.first)]
        stats = FrameStats(share, 1.0, path, parts=1)
        found = Cache(self.content_hash, [*kept, np.zeros(self.plan.tokens, np.int64)], [scale_of(first)], stats)
        if cache is not None:
            found.tightened, found.frames = cache.tightened, cache.frames + 1
        return tuple(value.copy() for value in made[len(self.plan.kept) :]), found

    def _audited(self, inputs: Sequence[Array], answer: Arrays, cache: Cache) -> tuple[Arrays, Cache]:
        dense, found = self._dense(inputs, "audit", cache.stats.changed, cache)
        agreement = min(map(cosine, answer, dense), default=1.0)
        found.frames = cache.frames
        found.tightened = cache.tightened * (0.5 if agreement < self.tolerance.floor else 1.25)
        found.tightened = min(1.0, found.tightened)
        return dense, found
