"""Repair of narrower levels without labels: what is a level's own learns from the full width, what is shared stays.

May import: ``levels``; of this part ``batch_norms``, ``batch_norm_fit``, ``image_views``, ``objectives``,
``switchable_affine`` and ``training``.

A level is repaired by training the μ and σ of its batch-norms alone (`SwitchableAffine`): the full width and every
other level stay as they are, bit for bit, and no weight is added. (Training nothing but batch-norm's affine goes far:
Frankle et al., "Training BatchNorm and only BatchNorm", ICLR 2021.)

What is imitated are features and logits, not the predicted distribution: a few hundred images show few of the classes,
so matching the distribution on them suppresses all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from adaedge.distillation.batch_norm_fit import regress
from adaedge.distillation.batch_norms import kept_of, record_activations
from adaedge.distillation.image_views import Augment, ImageViews
from adaedge.distillation.objectives import Backward
from adaedge.distillation.switchable_affine import SwitchableAffine
from adaedge.distillation.training import Plan, Row, train
from adaedge.levels import Elastic

REGRESSED = 96  # images; their features are held in memory


@dataclass(frozen=True, slots=True)
class Crops:
    """A random part of an image, at its own size again, flipped half of the time.

    Attributes:
        smallest: least fraction of the image's area.
    """

    smallest: float = 0.6

    def __call__(self, image: Tensor) -> Tensor:
        """Another view of an image (C, H, W)."""
        size = list(image.shape[-2:])
        views: Tensor = v2.Compose([v2.RandomResizedCrop(size, (self.smallest, 1.0)), v2.RandomHorizontalFlip()])(image)
        return views


def repair(
    elastic: Elastic,
    images: Tensor,
    *,
    widths: Sequence[float] | None = None,
    epochs: int = 12,
    batch: int = 16,
    rate: float = 0.01,
    augment: Augment | None = None,
    seed: int = 0,
) -> dict[float, list[Row]]:
    """Restore narrower levels from a few hundred images without labels.

    Each level's batch-norm statistics are set by least squares first (`regress`); then its shifts and scales learn the
    full width's logits and features on views of the images. The full width and all shared weights stay as they are.

    Args:
        elastic: the levels; left in evaluation mode.
        images: what the network takes, without labels: (N, C, H, W).
        widths: which levels; all but the full width without it.
        epochs: passes over the images.
        batch: images a step.
        rate: highest learning rate, of logarithmic scales and of shifts in standard deviations.
        augment: makes another view of one image; `Crops` without it.
        seed: of order and views.

    Returns:
        The losses of each epoch, by width: squared distances, relative to the full width's spread.

    Raises:
        LevelError: if a level has no batch-norm, which leaves nothing that is its own; train it with `Sandwich` then.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))
        >>> elastic = Elastic(net, (torch.rand(1, 3, 8, 8),), widths=(1.0, 0.5))
        >>> rows = repair(elastic, torch.rand(32, 3, 8, 8), epochs=2)
        >>> list(rows), sorted(rows[0.5][0])
        ([0.5], ['features', 'logits'])
    """
    elastic.eval()
    loader = DataLoader(ImageViews(images, augment or Crops()), batch, shuffle=True, drop_last=len(images) > batch)
    rows = {}
    for width in elastic.widths[1:] if widths is None else widths:
        regress(elastic, width, evenly_spaced(images, REGRESSED))
        own = SwitchableAffine(elastic, width, frozen=True)
        objective = _Imitation(elastic, own, kept_of(elastic, width))
        rows[width] = train(own, loader, objective, Adam(own.parameters(), rate), Plan(epochs, seed=seed))
        own.fold()
    return rows


def evenly_spaced(images: Tensor, count: int) -> Tensor:
    """At most so many images at even distances: a folder is often in the order of its classes.

    Example:
        >>> evenly_spaced(torch.arange(10), 4).tolist()
        [0, 2, 5, 7]
    """
    places = torch.arange(min(count, len(images))) * len(images) // min(count, len(images))
    return images[places]


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Imitation:
    """The full width's logits, and its batch-norm outputs as far as the level has the channels."""

    elastic: Elastic
    own: SwitchableAffine
    kept: Callable[[str, Tensor], Tensor]

    def __call__(self, batch: Tensor, backward: Backward) -> dict[str, Tensor]:
        full, wanted, found = self.elastic.net, dict[str, Tensor](), dict[str, Tensor]()
        with (
            torch.no_grad(),
            record_activations(
                {name: full.get_submodule(name) for name in self.own.norms}, wanted.__setitem__, inputs=False
            ),
        ):
            teacher = full(batch)
        with record_activations(self.own.norms, found.__setitem__, inputs=False):
            student = self.own(batch)
        logits = _distance(_centred(student), _centred(teacher))
        features = torch.stack([_distance(found[name], self.kept(name, wanted[name])) for name in found]).mean()
        backward(logits + features)
        return {"logits": logits.detach(), "features": features.detach()}


def _centred(logits: Tensor) -> Tensor:
    """Without what all classes have in common, which changes no prediction."""
    return logits - logits.mean(-1, keepdim=True)


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance, relative to the spread of what is wanted."""
    return (found - wanted).square().mean() / wanted.var().clamp_min(1e-12)
