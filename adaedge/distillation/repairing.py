"""Repair of narrower levels without labels: what is a level's own learns from the full width, what is shared stays.

May import: ``errors``, ``levels``; of this part ``lessons``, ``losses``, ``schedules`` and ``training``.

A batch-norm computes γ · (x − μ) / σ + β. γ and β belong to all levels, μ and σ to one; in evaluation mode μ and σ are
a shift and a scale of every channel, free to be something else than mean and deviation. So a level is repaired by
training its μ and σ alone: the full width and every other level stay as they are, bit for bit, and no weight is added.
(Training nothing but batch-norm's affine goes far: Frankle et al., "Training BatchNorm and only BatchNorm", ICLR 2021.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast, final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from adaedge.distillation.lessons import Backward
from adaedge.distillation.losses import SoftTargets
from adaedge.distillation.training import Plan, Row, train
from adaedge.errors import LevelError
from adaedge.levels import Elastic

Augment = Callable[[Tensor], Tensor]
BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True, slots=True)
class Crops:
    """A random part of an image, at its own size again, flipped half of the time.

    Attributes:
        smallest: least fraction of the image's area.
    """

    smallest: float = 0.35

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
    epochs: int = 20,
    batch: int = 16,
    rate: float = 0.02,
    augment: Augment | None = None,
    seed: int = 0,
) -> dict[float, list[Row]]:
    """Restore narrower levels from a few hundred images without labels.

    Each level gets batch-norm statistics from the images first (`Elastic.recalibrate`); then its own shifts and scales
    learn the full width's predictions and its features. The full width and all shared weights stay as they are.

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
        The losses of each epoch, by width.

    Raises:
        LevelError: if a level has no batch-norm, which leaves nothing that is its own; train it with `Sandwich` then.
    """
    elastic.eval()
    elastic.recalibrate(torch.split(images, batch), widths)
    loader = DataLoader(_Views(images, augment or Crops()), batch, shuffle=True, drop_last=len(images) > batch)
    rows = {}
    for width in elastic.widths[1:] if widths is None else widths:
        own = _Own(elastic, width)
        optimizer = Adam(own.parameters(), rate)
        rows[width] = train(own, loader, _Imitation(elastic.net, own), optimizer, Plan(epochs, seed=seed))
        own.fold()
    return rows


@dataclass(frozen=True, slots=True)
class _Views(Dataset[Tensor]):
    images: Tensor
    augment: Augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Tensor:
        return self.augment(self.images[place])


@final
class _Own(nn.Module):
    """A level with a logarithmic scale and a shift of its own for every channel of every batch-norm."""

    def __init__(self, elastic: Elastic, width: float) -> None:
        super().__init__()
        self._level = (elastic.level(width),)  # in a tuple: its parameters are not trained
        self.norms = {name: norm for name, norm in self._level[0].named_modules() if _has_statistics(norm)}
        if not self.norms:
            raise LevelError(
                f"width {width:g} has no batch-norm, so nothing of it is its own: repairing it would change the full"
                " width. Train all widths together with `adaedge.distillation.Sandwich`."
            )
        kept = elastic.indices(width)
        self.kept = {name: kept.get(f"{name}.weight", (None,))[0] for name in self.norms}
        zeros = [torch.zeros_like(norm.weight) for norm in self.norms.values()]
        self.scales = nn.ParameterList(zeros)
        self.shifts = nn.ParameterList([zero.clone() for zero in zeros])

    def forward(self, images: Tensor) -> Any:
        """The level, in evaluation mode, as if μ and σ were what `fold` makes of them."""
        changed = {name: parameter.detach() for name, parameter in self._level[0].named_parameters()}
        for (name, norm), scale, shift in zip(self.norms.items(), self.scales, self.shifts, strict=True):
            changed[f"{name}.weight"] = norm.weight.detach() * scale.exp()
            changed[f"{name}.bias"] = norm.bias.detach() - changed[f"{name}.weight"] * shift
        return functional_call(self._level[0], changed, (images,))

    def fold(self) -> None:
        """Write scales and shifts into the level's statistics: μ + shift · σ, and σ / exp(scale)."""
        with torch.no_grad():
            for norm, scale, shift in zip(self.norms.values(), self.scales, self.shifts, strict=True):
                mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
                deviation = (variance + norm.eps).sqrt()
                mean += shift * deviation
                variance.copy_((deviation / scale.exp()).square() - norm.eps)


def _has_statistics(module: nn.Module) -> TypeGuard[BatchNorm]:
    return isinstance(module, BatchNorm) and module.track_running_stats and module.affine


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Imitation:
    """The full width's predictions and batch-norm outputs, as far as the level has the channels."""

    full: nn.Module
    own: _Own
    features: float = 1.0

    def __call__(self, batch: Tensor, backward: Backward) -> dict[str, Tensor]:
        with torch.no_grad(), _Outputs(self.full, self.own.norms) as wanted:
            teacher = self.full(batch)
        with _Outputs(self.own._level[0], self.own.norms) as found:
            predictions = SoftTargets()(self.own(batch), teacher)
        features = torch.stack([self._distance(found[name], wanted[name], name) for name in found]).mean()
        backward(predictions + self.features * features)
        return {"predictions": predictions.detach(), "features": features.detach()}

    def _distance(self, found: Tensor, wanted: Tensor, name: str) -> Tensor:
        """Squared distance relative to the full width's spread, a mean over the channels that the level has."""
        positions = self.own.kept[name]
        wanted = wanted if positions is None else wanted[:, positions]
        return (found - wanted).square().mean() / wanted.var().clamp_min(1e-12)


class _Outputs(dict[str, Tensor]):
    """What named modules return while a network runs."""

    def __init__(self, net: nn.Module, names: Iterable[str]) -> None:
        super().__init__()
        modules = dict(net.named_modules())
        self._hooks = [modules[name].register_forward_hook(self._keeper(name)) for name in names]

    def _keeper(self, name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _arguments: Any, output: Tensor) -> None:
            self[name] = output

        return keep

    def __enter__(self) -> _Outputs:
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()
