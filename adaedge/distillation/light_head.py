"""A light head: a small encoder in place of a network's head, in front of the same tail.

May import: ``errors``, ``bottleneck``, ``graph``; of this part ``image_views``, ``layer_outputs``,
``light_encoders``, ``refinement``, ``teacher_student`` and ``training``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from adaedge.bottleneck.losses import answer, class_loss, map_loss
from adaedge.bottleneck.output_kinds import known, loss_for
from adaedge.distillation.image_views import Augment, ImageViews
from adaedge.distillation.light_encoders import Replaced, narrower, separable
from adaedge.distillation.refinement import divergence
from adaedge.distillation.teacher_student import distill
from adaedge.distillation.terms import Losses, Weighted
from adaedge.distillation.training import Plan
from adaedge.errors import LevelError, SplitError, TrainingError
from adaedge.graph import Splittable

_TAIL = "tail_of_the_full_network"  # no split point is called so
SOUNDED = 16  # images that encoders are compared on before training


@dataclass(frozen=True, slots=True)
class StrongViews:
    """A random part of an image at its own size, flipped half of the time, each channel brighter or darker.

    A teacher answers for what it is shown, so views need not look natural (Beyer et al., 'Knowledge distillation: a
    good teacher is patient and consistent', CVPR 2022).

    Attributes:
        smallest: least fraction of the image's area.
        gain: most that a channel's contrast changes by, as a fraction.
        shift: most that its mean does, in units of the image's standard deviation.
    """

    smallest: float = 0.25
    gain: float = 0.3
    shift: float = 0.2

    def __call__(self, image: Tensor) -> Tensor:
        """Another view of an image (C, H, W)."""
        size = list(image.shape[-2:])
        view: Tensor = v2.RandomHorizontalFlip()(
            v2.RandomResizedCrop(size, (self.smallest, 1.0), antialias=True)(image)
        )
        draws = 2 * torch.rand(2, len(view), 1, 1, dtype=view.dtype) - 1
        return view * (1 + self.gain * draws[0]) + self.shift * view.std() * draws[1]


@final
class LightHead(nn.Module):
    """A network of a small encoder and another network's tail.

    Called like the network. The encoder stands where the head ended, so the split point has the same name in both, and
    `Space(splits=[NAME], networks={"light": light})` builds partial offload with a cheap head beside the full one. The
    tail is the network's own, value for value: a bundle stores it once.

    Args:
        encoder: one image tensor → what crosses.
        tail: the network behind the split point; copied, and never trained.
        split: name of the split point.
        inner: path of a module inside the one of that name that ends with it: the split point has this name too.

    Attributes:
        split: name of the split point.
        macs: multiply-accumulates of the encoder at one image; 0 until `fit` counted them.
        full_macs: those of the head that it stands in place of.
    """

    def __init__(self, encoder: nn.Module, tail: nn.Module, split: str, inner: str = "") -> None:
        super().__init__()
        self.split, self.macs, self.full_macs = split, 0, 0
        self._path = ".".join(filter(None, (split, inner)))
        for name in reversed(inner.split(".")) if inner else ():
            encoder = _Around(name, encoder)
        *outer, last = split.split(".")
        place: nn.Module = self
        for name in outer:  # the path of the module is the name of the split point
            place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.add_module(last, encoder)
        self.add_module(_TAIL, copy.deepcopy(tail).requires_grad_(False))

    @classmethod
    def fit(
        cls,
        net: nn.Module,
        example_inputs: Sequence[Any],
        *,
        split: str,
        images: Iterable[Any],
        macs_fraction: float = 0.15,
        epochs: int = 20,
        batch: int = 16,
        rate: float = 1e-3,
        augment: Augment | None = None,
        seed: int = 0,
        checkpoint: Path | None = None,
        log: Path | None = None,
    ) -> Self:
        """Train a light head on unlabelled images: it learns the features that cross and what the tail makes of them.

        It begins as the head without the channels that matter least, at full or at half resolution, whichever is
        nearer; where no channels can be left out, as a few separable convolutions. Some hundreds of images teach a
        head of the first stages; the deeper the split point, the more it takes.

        Args:
            net: the network, in evaluation mode; it stays as it is.
            example_inputs: an example of its positional arguments: one image tensor, (1, C, …).
            split: name of the split point, where one tensor with channels crosses.
            images: a tensor (N, C, …), or an iterable of such.
            macs_fraction: most of the head's multiply-accumulates that the encoder takes, in (0, 1).
            epochs: passes over the images.
            batch: images a step.
            rate: highest learning rate, of AdamW.
            augment: makes another view of one image (C, H, W); `StrongViews` without it; other tensors have none.
            seed: of order, views and first weights.
            checkpoint: where the training goes on after a kill, see `Plan`; a finished one returns at once.
            log: see `Plan`.

        Raises:
            SplitError: if there is no such split point, or not one tensor with channels crosses there.
            LevelError: if the fraction is none, or no encoder is that small.
            TrainingError: if there are no images, the network takes more than one tensor, or is in training mode.

        Example:
            >>> _ = torch.manual_seed(0)
            >>> stage = [nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()]
            >>> net = nn.Sequential(*stage, nn.Flatten(), nn.Linear(32 * 64, 10)).eval()
            >>> images = torch.rand(16, 3, 32, 32)
            >>> light = LightHead.fit(net, (images[:1],), split="3", images=images, macs_fraction=0.5, epochs=1)
            >>> light.macs <= 0.5 * light.full_macs, light(images).shape
            (True, torch.Size([16, 10]))
        """
        given = _images(images)
        example = _example(example_inputs)
        if net.training:
            raise TrainingError("the network is in training mode; call `net.eval()` first")
        if not 0 < macs_fraction < 1:
            raise LevelError(f"macs_fraction is a fraction of the head's MACs, in (0, 1); got {macs_fraction}")
        cut = Splittable(net, (example,))
        head, tail = cut.at(split)
        point = cut.point(split)
        axis = point.crossing[0].axis
        if len(point.crossing) != 1 or axis is None or not point.head_macs:
            raise SplitError(
                f"a light head stands before a split point where one tensor with channels crosses, behind some layers;"
                f" {len(point.crossing)} cross {split!r}, shapes {', '.join(str(one.shape) for one in point.crossing)}"
            )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            replaced = Replaced(net, split, head, macs_fraction * point.head_macs, axis)
            inner = max((name for name in point.aliases if name.startswith(f"{point.name}.")), key=len, default="")
            inner = inner.removeprefix(f"{point.name}.")
            light = cls(_nearest(replaced, given), tail, point.name, inner)
        teacher = cls(_First(head), tail.before_argmax(), point.name).eval()
        student = cls(light.encoder, tail.before_argmax(), point.name)
        loader = DataLoader(ImageViews(given, _OfPictures(augment or StrongViews())), batch, shuffle=True)
        losses: Losses = {
            (point.name, point.name): _Relative(),
            (None, None): Weighted(_Prediction(_are_classes(tail, head, given)), 1.0),
        }
        plan = Plan(epochs, seed=seed, checkpoint=checkpoint, log=log)
        distill(student, teacher, loader, losses=losses, plan=plan, ema=0.99, optimizer=partial(AdamW, lr=rate))
        light.to(given.device).eval()
        light.macs, light.full_macs = Splittable(light, (example,)).point(point.name).head_macs, point.head_macs
        return light

    @property
    def encoder(self) -> nn.Module:
        """The encoder in the head's place."""
        return self.get_submodule(self._path)

    def forward(self, image: Tensor) -> Any:
        """The network's answer from the light head's features."""
        return self.get_submodule(_TAIL)(self.get_submodule(self.split)(image))


@final
class _Around(nn.Module):
    """A module that calls the one inside it, and ends with it."""

    def __init__(self, name: str, inside: nn.Module) -> None:
        super().__init__()
        self._name = name
        self.add_module(name, inside)

    def forward(self, image: Tensor) -> Any:
        return self.get_submodule(self._name)(image)


@final
class _First(nn.Module):
    """A head from which one tensor crosses, as a module that returns it."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = copy.deepcopy(head)

    def forward(self, image: Tensor) -> Any:
        return self.head(image)[0]


@final
@dataclass(frozen=True, slots=True)
class _Relative:
    """Mean squared error of features, relative to the variance of the teacher's."""

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student - teacher).square().mean() / teacher.var().clamp_min(1e-12)


@final
@dataclass(frozen=True, slots=True)
class _Prediction:
    """How far the answers are from each other, in nats where they are classes; see `divergence`."""

    classes: bool

    def __call__(self, student: Any, teacher: Any) -> Tensor:
        return divergence(answer(student).float(), answer(teacher).float(), classes=self.classes).mean()


@final
@dataclass(frozen=True, slots=True)
class _OfPictures:
    """Augments what is a picture, and leaves everything else."""

    augment: Augment

    def __call__(self, image: Tensor) -> Tensor:
        return self.augment(image) if image.dim() == 3 else image


def _nearest(replaced: Replaced, images: Tensor) -> nn.Module:
    """Of the encoders that there are, the one whose features are nearest before training."""
    found: list[nn.Module] = [*narrower(replaced, images)]
    found = found or [separable(replaced, images)]
    if len(found) == 1:
        return found[0].requires_grad_(True)
    sounded = torch.split(images[:: max(1, len(images) // SOUNDED)][:SOUNDED], 1)

    def apart(encoder: nn.Module) -> float:
        with torch.no_grad():
            return sum(float(_Relative()(encoder(image), replaced.head(image)[0])) for image in sounded)

    return min(found, key=apart).requires_grad_(True)


def _are_classes(tail: Any, head: nn.Module, images: Tensor) -> bool:
    scored = tail.before_argmax()
    with torch.no_grad():
        return known(loss_for(scored), answer(scored(*head(images[:1])))) in (class_loss, map_loss)


def _example(inputs: Sequence[Any]) -> Tensor:
    if not isinstance(inputs, tuple | list) or len(inputs) != 1 or not isinstance(inputs[0], Tensor):
        raise TrainingError(
            "a light head takes a network of one image tensor, given as (image,); wrap yours in a module that takes one"
        )
    return inputs[0][:1]


def _images(images: Iterable[Any]) -> Tensor:
    found = [images] if isinstance(images, Tensor) else [*images]
    if not found or not all(isinstance(image, Tensor) and len(image) for image in found):
        raise TrainingError("no images came to teach a light head with: give a tensor (N, C, …), or several of them")
    return torch.cat(found)
