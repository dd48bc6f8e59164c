"""Refinement of a fitted bottleneck: its linear maps learn the network's own answers, at all rates together.

May import: ``errors``, ``bottleneck``, ``payload.latent``; of this part ``level_repair``,
``straight_through`` and ``training``.

The analytic transform is the best one where errors are small, for its metric is a second derivative. Where few bytes
are left, errors are large, and descending the loss itself finds better maps. The network is frozen and no graph is
added: what is trained lands in the same integers, steps and tables, so a bundle takes it as any other bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from adaedge.bottleneck import Bottleneck
from adaedge.bottleneck.fisher import Sample
from adaedge.bottleneck.fit import integer_latents
from adaedge.bottleneck.losses import answer, class_loss, map_loss
from adaedge.bottleneck.output_kinds import known, loss_for
from adaedge.distillation.image_views import Augment
from adaedge.distillation.level_repair import Crops, evenly_spaced
from adaedge.distillation.objectives import Backward
from adaedge.distillation.straight_through import DifferentiableBottleneck
from adaedge.distillation.training import Plan, train
from adaedge.errors import CodecError, SplitError
from adaedge.payload.latent import Layout

Apart = Callable[[Tensor, Tensor], Tensor]

SOUNDED = 64  # samples that each rate's bits and loss are measured on before training
TABLED = 256  # samples that the tables are fitted on after it
WORST = 1 / 3  # of what sending nothing loses: rates that lose more are not trained, their gradients are noise
LEAST = 1 / 500  # of the same: smaller losses count as this, for a fraction of nothing is worth nothing


def refine(
    bottleneck: Bottleneck,
    images: Iterable[Any],
    *,
    epochs: int = 3,
    views: int = 3,
    batch: int = 8,
    rate: float = 1e-3,
    augment: Augment | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
) -> Bottleneck:
    """A bottleneck that takes fewer bytes for the same answers, learned from unlabelled images.

    Args:
        bottleneck: the fitted one; it stays as it is.
        images: one batch of one sample each, as `Bottleneck.fit` takes them; a few hundred. Only their features at the
            split point are kept in memory.
        epochs: passes over all views.
        views: further views of each image tensor (1, C, H, W), through the head once; other inputs have none.
        batch: views a step.
        rate: highest learning rate, of matrices that start at zero.
        augment: makes another view of one image (C, H, W); `Crops` without it.
        seed: of views, order, rates and noise.
        checkpoint: where the training goes on after a kill, see `Plan`. Delete it to start anew.

    Returns:
        A bottleneck with the same steps; it refuses the other's streams.

    Raises:
        CodecError: if there are no images.
        TrainingError: if a loss is not finite, or the checkpoint is of another training.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)).eval()
        >>> images = [torch.rand(1, 3, 32, 32) for _ in range(8)]
        >>> bottleneck = Bottleneck.fit(net, (images[0],), split="1", images=images, rates=6)
        >>> refined = refine(bottleneck, images, epochs=1, views=1)
        >>> refined.rates == bottleneck.rates, refined.latents.fingerprint == bottleneck.latents.fingerprint
        (True, False)
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = list(_features(bottleneck, images, views, augment or Crops()))
    if not found:
        raise CodecError("no images came to refine the bottleneck with; a few hundred unlabelled ones are enough")
    rows, wanted = (torch.cat(parts) for parts in zip(*found, strict=True))
    relaxed = DifferentiableBottleneck(bottleneck.latents)
    tail = _FrozenTail(bottleneck)
    classes = known(loss_for(bottleneck.tail.before_argmax()), wanted) in (class_loss, map_loss)
    objective = _Refinement.of(
        relaxed,
        tail,
        partial(divergence, classes=classes),
        evenly_spaced(rows, SOUNDED),
        evenly_spaced(wanted, SOUNDED),
    )
    optimizer = torch.optim.Adam(relaxed.groups(rate))
    loader = DataLoader(TensorDataset(rows, wanted), batch, shuffle=True)
    train(relaxed, loader, objective, optimizer, Plan(epochs, seed=seed, checkpoint=checkpoint))
    sample = Sample(evenly_spaced(rows, TABLED).double().numpy(), np.zeros((0, 0, 0)))
    latents = bottleneck.latents
    fineness = np.rint(4 * np.log2(latents.sizes.astype(np.float64))).astype(np.int64)
    return bottleneck.with_latents(integer_latents(sample, relaxed.cpu().transform(), latents.layout, fineness))


def _features(
    bottleneck: Bottleneck, images: Iterable[Any], views: int, augment: Augment
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and answer of every view of every image; before an argmax, where one ends the network."""
    scored = bottleneck.tail.before_argmax()
    for image in track(list(images), description="features", console=Console(stderr=True)):
        seen = [image]
        if isinstance(image, Tensor) and image.dim() == 4:
            seen += [augment(image[0])[None] for _ in range(views)]
        for view in seen:
            with torch.no_grad():
                features = bottleneck.head(*(view if isinstance(view, tuple) else (view,)))
                wanted = answer(scored(*features))
            rows = bottleneck.latents.layout.rows([feature.cpu().numpy() for feature in features])
            yield torch.from_numpy(rows.astype(np.float32)), wanted.cpu()


def divergence(found: Tensor, wanted: Tensor, *, classes: bool) -> Tensor:
    """How far each sample's answer is from the wanted one, (N,), in the units in which `Bottleneck.fit` weighs errors.

    Args:
        found: answers (N, …).
        wanted: the network's own.
        classes: whether they are logits, classes along dimension 1: then nats between the predictions, of a map the
            mean over its positions; else 1 − cosine.

    Example:
        >>> divergence(torch.tensor([[0.0, 1.0]]), torch.tensor([[3.0, 4.0]]), classes=True).item()
        0.0
    """
    if classes:
        soft, target = found.log_softmax(1), wanted.log_softmax(1)
        nats = functional.kl_div(soft, target, reduction="none", log_target=True).sum(1)
        return nats if nats.dim() == 1 else nats.flatten(1).mean(1)
    return 1 - functional.cosine_similarity(found.flatten(1).float(), wanted.flatten(1).float())


@final
class _FrozenTail:
    """Rows → answers, differentiable in the rows alone."""

    def __init__(self, bottleneck: Bottleneck) -> None:
        self.tail = bottleneck.tail.before_argmax()
        state = [*self.tail.named_parameters(), *self.tail.named_buffers()]
        self.state = {name: tensor.detach() for name, tensor in state}
        layout = bottleneck.latents.layout
        numbered = np.arange(layout.positions * layout.width).reshape(1, layout.positions, layout.width)
        whole = Layout(tuple(replace(plane, dtype="int64") for plane in layout.planes))
        self.places = [torch.from_numpy(place[0]) for place in whole.tensors(numbered)]
        self.dtypes = [getattr(torch, plane.dtype) for plane in layout.planes]
        self.one_by_one = False

    def __call__(self, rows: Tensor) -> Tensor:
        flat = rows.flatten(1)
        planes = zip(self.places, self.dtypes, strict=True)
        features = [flat[:, place.to(rows.device)].to(dtype) for place, dtype in planes]
        if not self.one_by_one:
            try:
                return self._run(features)
            except SplitError:  # captured at one sample
                self.one_by_one = True
        return torch.cat([self._run([part[at : at + 1] for part in features]) for at in range(len(rows))])

    def _run(self, features: list[Tensor]) -> Tensor:
        self.state = {name: tensor.to(features[0].device) for name, tensor in self.state.items()}
        return answer(functional_call(self.tail, self.state, tuple(features)))


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Refinement:
    """Divergence and bits of one batch, each sample at a rate of its own.

    Both count as fractions of what the rate had before training. A percent of divergence is worth ``exchange`` percent
    of bits: as much as it is along the analytic curve, so that no rate gains by becoming its neighbour.
    """

    relaxed: DifferentiableBottleneck
    tail: Callable[[Tensor], Tensor]
    apart: Apart
    trained: Tensor
    losses: Tensor
    bits: Tensor
    exchange: float

    @classmethod
    def of(
        cls,
        relaxed: DifferentiableBottleneck,
        tail: Callable[[Tensor], Tensor],
        apart: Apart,
        rows: Tensor,
        wanted: Tensor,
    ) -> _Refinement:
        """The objective, from how each rate does on these samples."""
        losses, bits = [], []
        with torch.no_grad(), torch.random.fork_rng():
            nothing = apart(tail(relaxed.offset.expand_as(rows)), wanted).mean()
            for rate in range(relaxed.rates):
                rebuilt, sent = relaxed(rows, torch.full((len(rows),), rate))
                losses.append(apart(tail(rebuilt), wanted).mean())
                bits.append(sent.mean())
        lost, sent = torch.stack(losses), torch.stack(bits)
        trained = torch.nonzero(lost <= WORST * nothing).flatten()
        trained = trained if len(trained) > 1 else torch.arange(relaxed.rates)
        lost, sent = lost.clamp_min(float(LEAST * nothing) + 1e-9), sent.clamp_min(1.0)
        first, last = int(trained[0]), int(trained[-1])
        exchange = (sent[last] / sent[first]).log() / (lost[first] / lost[last]).log().clamp_min(1e-3)
        return cls(relaxed, tail, apart, trained, lost, sent, float(exchange.clamp(0.1, 2.0)))

    def __call__(self, batch: tuple[Tensor, Tensor], backward: Backward) -> dict[str, Tensor]:
        rows, wanted = batch
        rates = self.trained[torch.randint(len(self.trained), (len(rows),))]
        rebuilt, bits = self.relaxed(rows, rates)
        lost = (self.apart(self.tail(rebuilt), wanted) / self.losses[rates].to(rows.device)).mean()
        sent = (bits / self.bits[rates].to(rows.device)).mean()
        backward(self.exchange * lost + sent)
        return {"divergence": lost.detach(), "bits": sent.detach()}
