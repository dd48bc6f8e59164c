"""StreamTeacher: the edge server's end of teaching. It labels frames of a stream, and makes updates of a student.

May import: ``errors``, ``operating_point``, ``engine``, ``bundle``, ``taught``, ``graph``; of this part ``losses``,
``terms``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam

from adaedge.arrays import Array
from adaedge.bundle import Bundle
from adaedge.distillation.losses import SoftTargetMaps
from adaedge.distillation.terms import Loss
from adaedge.engine import Arrays
from adaedge.errors import TrainingError
from adaedge.graph import Splittable
from adaedge.operating_point import INPUT
from adaedge.taught import Delta, HeldWeights, Update, UpdateKey, apply, fingerprint

View = tuple[Tensor, Tensor]
Views = Callable[[Tensor, Tensor], Sequence[View]]


@dataclass(frozen=True, slots=True)
class Lessons:
    """How a student is taught on a stream.

    Attributes:
        steps: of the optimiser between two updates.
        batch: frames of a step.
        rate: learning rate (Adam, whose state lasts over the stream).
        recent: how many of the last labelled frames are recent.
        recent_share: of a batch that is drawn from them; the rest from all frames seen, so that nothing is forgotten.
        held_out: one in so many labelled frames is not learned while it is recent: an update is sent only where it
            gains on those.
        fraction: of the weights that may change in an update, those that moved most (Khani et al., ICCV 2021, 3.1.2).
        seed: of what is drawn.

    Raises:
        TrainingError: if a number cannot be.
    """

    steps: int = 30
    batch: int = 8
    rate: float = 1e-3
    recent: int = 20
    recent_share: float = 0.6
    held_out: int = 5
    fraction: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        whole = min(self.steps, self.batch, self.recent) >= 1 and self.held_out >= 2
        if not (whole and self.rate > 0 and 0 <= self.recent_share <= 1 and 0 < self.fraction <= 1):
            raise TrainingError(
                "lessons have a step, a batch and a recent frame or more, hold out one frame in two or more, a rate"
                f" above 0, and shares in [0, 1]; got {self}"
            )


@dataclass(frozen=True, slots=True)
class _Example:
    """A labelled frame: of each view, what crosses to the part that learns, and what the full network answers."""

    views: tuple[tuple[tuple[Tensor, ...], Tensor], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Weights that a terminal holds, and their version."""

    version: int
    weights: dict[str, Array]


@final
class StreamTeacher:
    """Teaches a copy of the terminal's student, and says what of its weights to change there.

    What the bundle keeps inside the graph, such as biases of a few values, stays as it is.

    Args:
        bundle: the one that the terminal runs.
        network: the student's name in it.
        student: its module, with the weights that the bundle has; it learns in place.
        example: the module's arguments, as it was built with.
        key: signs the updates.
        after: split point of the student: what lies before it stays as it is, and is computed once for each labelled
            frame. Without it all of the student learns.
        loss: of the student's answer and the full network's.
        lessons: how it is taught.
        views: a labelled frame (its inputs and the full network's answer) as several, such as its mirror image.

    Raises:
        TrainingError: if the student's weights are not those of the bundle, or none of them learns.
        SplitError: if the student has no such split point.
        BundleError: if the bundle has no such network.

    Example:
        >>> import adaedge
        >>> from adaedge.taught import UpdateKey
        >>> net, small = torch.nn.Linear(8, 4).eval(), torch.nn.Linear(8, 4).eval()
        >>> example, key = (torch.zeros(1, 8),), UpdateKey("a secret that both ends share")
        >>> bundle = adaedge.build(net, example, adaedge.Space([], networks={"small": small}))
        >>> teacher = StreamTeacher(bundle, "small", small, example, key, loss=adaedge.SoftTargets())
        >>> teacher.version, teacher.labelled  # `adaedge.teach` plays a whole stream
        (0, 0)
    """

    def __init__(
        self,
        bundle: Bundle,
        network: str,
        student: nn.Module,
        example: tuple[Any, ...],
        key: UpdateKey,
        *,
        after: str = INPUT,
        loss: Loss | None = None,
        lessons: Lessons | None = None,
        views: Views | None = None,
    ) -> None:
        self.network, self.lessons = network, lessons or Lessons()
        self._digest, self._key, self._loss, self._views = bundle.digest, key, loss or SoftTargetMaps(), views
        self._trunk, self._learner = Splittable(student.eval(), example).at(after)
        learning = {id(each) for each in self._learner.parameters()}
        named = {name: each for name, each in student.named_parameters() if id(each) in learning}
        own, wanted = _weights_of(bundle, network), [name for name, each in named.items() if each.requires_grad]
        self._parameters = {f"{network}/{name}": named[name] for name in wanted if f"{network}/{name}" in own}
        _check(own, self._parameters, network)
        self._held = self._before = _Held(0, own)
        self._newest = 0
        self._optimizer = Adam([*self._parameters.values()], lr=self.lessons.rate)
        self._drawn = torch.Generator().manual_seed(self.lessons.seed)
        self._all: list[_Example] = []
        self._recent: deque[_Example] = deque(maxlen=self.lessons.recent)
        self._waiting: deque[_Example] = deque()
        self._labelled = 0
        self._preprocessing = bundle.manifest.preprocessing

    @property
    def version(self) -> int:
        """The version that the next update builds upon: the terminal's, if it took the last one."""
        return self._held.version

    @property
    def holding(self) -> HeldWeights:
        """What a terminal says that it holds, if it took the last one."""
        return HeldWeights(self.network, self._held.version, self._held.version, fingerprint(self._held.weights).hex())

    @property
    def labelled(self) -> int:
        """How many frames of the stream were labelled."""
        return self._labelled

    def remember(self, inputs: Tensor, answer: Tensor) -> None:
        """A labelled frame from before the stream, such as one that the student learned from: not to be forgotten."""
        self._all.append(self._example(inputs, answer))

    def label(self, inputs: Tensor, answer: Tensor) -> None:
        """A frame of the stream as it arrived, and the full network's answer to it.

        Raises:
            TrainingError: if the answer is not finite.
        """
        example, self._labelled = self._example(inputs, answer), self._labelled + 1
        if self._labelled % self.lessons.held_out == 0:
            self._waiting.append(example)
        else:
            self._recent.append(example)
            self._all.append(example)
        if len(self._waiting) > max(1, self.lessons.recent // self.lessons.held_out):
            self._all.append(self._waiting.popleft())

    def label_seen(self, inputs: Arrays, outputs: Arrays) -> None:
        """As `label`, of a frame as the bundle takes it, and all that the full network gives for it."""
        about, (seen, *_) = self._preprocessing, [torch.from_numpy(np.array(each)) for each in inputs]
        if about is not None:  # pixels (N, H, W, 3) into normalised images (N, 3, H, W)
            mean, std = (torch.tensor(values).view(3, 1, 1) for values in (about.mean, about.std))
            seen = (seen.permute(0, 3, 1, 2) / 255 - mean) / std
        self.label(seen, torch.from_numpy(np.array(outputs[0])))

    def update(self) -> bytes | None:
        """Teach for a while. Returns the update to send; ``None`` where it would gain nothing on held-out frames.

        Until a frame is held out, nothing is known of what it gains, and it is sent.

        Raises:
            TrainingError: if a loss is not finite; the weights are then those that the terminal holds.
        """
        if not self._recent:
            return None
        for _ in range(self.lessons.steps):
            self._step()
        deltas = self._deltas()
        after = apply(self._held.weights, deltas)
        if not deltas or not self._gains(after):
            return None
        self._newest += 1
        held, made = self._held, _Held(self._newest, after)
        before = fingerprint(held.weights)
        update = Update(self._digest, self.network, held.version, made.version, before, fingerprint(after), deltas)
        self._before, self._held = held, made
        return update.to_bytes(self._key)

    def lost(self) -> None:
        """The last update did not reach the terminal, or was rolled back there: the next builds upon what was before.

        Its version is not used again.
        """
        self._held = self._before

    def _example(self, inputs: Tensor, answer: Tensor) -> _Example:
        if not bool(torch.isfinite(answer).all()):
            raise TrainingError("the full network's answer to a frame is not finite; such a frame cannot teach")
        pairs = [(inputs, answer), *(self._views(inputs, answer) if self._views else ())]
        with torch.no_grad():
            return _Example(tuple((tuple(self._trunk(one)), other) for one, other in pairs))

    def _step(self) -> None:
        lessons = self.lessons
        recent = round(lessons.batch * lessons.recent_share) if len(self._all) > len(self._recent) else lessons.batch
        chosen = self._draw(self._recent, recent) + self._draw(self._all, lessons.batch - recent)
        self._optimizer.zero_grad()
        loss = self._loss_of(chosen)
        if not bool(torch.isfinite(loss)):
            self._load(self._held.weights)
            raise TrainingError(f"the loss became {loss.item()}; lower the learning rate. The terminal's weights stand")
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _draw(self, examples: Sequence[_Example], count: int) -> list[tuple[tuple[Tensor, ...], Tensor]]:
        def number(most: int) -> int:
            return int(torch.randint(most, (), generator=self._drawn))

        drawn = [examples[number(len(examples))].views for _ in range(count)]
        return [views[number(len(views))] for views in drawn]

    def _loss_of(self, chosen: Sequence[tuple[tuple[Tensor, ...], Tensor]]) -> Tensor:
        features = [torch.cat(parts) for parts in zip(*(each for each, _ in chosen), strict=True)]
        return self._loss(self._learner(*features), torch.cat([wanted for _, wanted in chosen]))

    def _deltas(self) -> dict[str, Delta]:
        """What moved most since the weights that the terminal holds."""
        moved = {
            name: each.detach().cpu().numpy() - self._held.weights[name] for name, each in self._parameters.items()
        }
        sizes = np.concatenate([np.abs(change).ravel() for change in moved.values()])
        count = max(1, round(self.lessons.fraction * sizes.size))
        least = max(float(np.partition(sizes, sizes.size - count)[sizes.size - count]), np.finfo(np.float32).tiny)
        chosen = {name: np.abs(change) >= least for name, change in moved.items()}
        return {name: Delta.of(moved[name], places) for name, places in chosen.items() if places.any()}

    def _gains(self, after: dict[str, Array]) -> bool:
        if not self._waiting:
            return True
        held_out = [example.views[0] for example in self._waiting]
        learned = {name: each.detach().clone() for name, each in self._parameters.items()}
        losses = []
        with torch.no_grad():
            for weights in (self._held.weights, after):
                self._load(weights)
                losses.append(float(self._loss_of(held_out)))
            for name, each in self._parameters.items():
                each.copy_(learned[name])
        return losses[1] < losses[0]

    def _load(self, weights: dict[str, Array]) -> None:
        with torch.no_grad():
            for name, each in self._parameters.items():
                each.copy_(torch.from_numpy(weights[name]))


def _weights_of(bundle: Bundle, network: str) -> dict[str, Array]:
    """A copy of the weights that the bundle's own student has."""
    from adaedge.taught import TaughtNetwork

    fresh = TaughtNetwork(bundle.with_threads(1), network, UpdateKey(bytes(16)))
    return {name: np.array(array) for name, array in fresh.weights.items()}


def _check(own: dict[str, Array], parameters: dict[str, nn.Parameter], network: str) -> None:
    """Refuse a student that is not the bundle's, or does not learn."""
    if not parameters:
        raise TrainingError("none of the student's weights learns: choose an earlier split point, or set requires_grad")
    for name, each in parameters.items():
        if not np.array_equal(own[name], each.detach().cpu().numpy()):
            raise TrainingError(
                f"the student's weight {name.removeprefix(network + '/')!r} is not the bundle's. Build the bundle from"
                " this very student, without training it in between."
            )
