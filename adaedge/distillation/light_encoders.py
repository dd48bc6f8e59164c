"""Small encoders that may stand in place of a head, before they are trained.

May import: ``errors``, ``graph``, ``levels``; of this part ``losses``.

The best start is the head itself, narrower: the channels that the prediction depends on least are left out, and what is
left is mapped onto the head's own features by least squares. The same at half the resolution spares memory traffic as
well, which is what bounds the first layers of most networks. Where no channel can be left out, an encoder of
depthwise-separable convolutions starts from random weights.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaedge.errors import AdaedgeError, LevelError
from adaedge.graph import Splittable
from adaedge.graph.capture import evaluating
from adaedge.graph.subgraphs import Head
from adaedge.levels import Elastic, Taylor
from adaedge.levels.batch_norm import recalibrate
from adaedge.levels.budget import count_macs
from adaedge.levels.slices import make_level

STEPS = 32  # widths that are tried are multiples of 1/32
SCORED = 24  # images that channels are scored on
FITTED = 32  # images that the last map is fitted on
ROWS = 16384  # positions of them
RIDGE = 1e-4  # of the mean variance of a channel


@dataclass(frozen=True, slots=True)
class Replaced:
    """The head that an encoder replaces.

    Attributes:
        net: the network.
        split: name of the split point.
        head: the network before it.
        macs: what the encoder may cost, at one image.
        axis: dimension of the channels of what crosses.
    """

    net: nn.Module
    split: str
    head: Head
    macs: float
    axis: int


@final
class NarrowEncoder(nn.Module):
    """A narrower head on a smaller image, and a map from its channels to those of the full one.

    Args:
        head: the narrower head; returns one tensor.
        linear: maps its channels.
        axis: of the channels.
        shrink: how many pixels of a side become one.
        sides: of the map that crosses, (h, w); only where the image is made smaller.
    """

    def __init__(self, head: nn.Module, linear: nn.Linear, axis: int, shrink: int, sides: Sequence[int]) -> None:
        super().__init__()
        self.head, self.linear, self.axis, self.shrink, self.sides = head, linear, axis, shrink, tuple(sides)

    def forward(self, image: Tensor) -> Tensor:
        """What crosses."""
        features: Tensor
        (features,) = self.head(shrunk(image, self.shrink))
        if self.axis == 1 and features.dim() == 4:
            features = functional.conv2d(features, self.linear.weight[:, :, None, None], self.linear.bias)
        else:
            features = self.linear(features.movedim(self.axis, -1)).movedim(-1, self.axis)
        if self.shrink > 1:
            features = functional.interpolate(features, self.sides, mode="bilinear", align_corners=False)
        return features


def shrunk(image: Tensor, by: int) -> Tensor:
    """An image whose sides are divided, by means of blocks."""
    return image if by == 1 else functional.avg_pool2d(image, by, ceil_mode=True)


def narrower(replaced: Replaced, images: Tensor) -> Iterator[NarrowEncoder]:
    """Encoders within the budget from the network's own first stages, at full and at half resolution; none may come.

    Args:
        replaced: what they stand in place of.
        images: unlabelled, (N, C, …).
    """
    scored = images[:: max(1, len(images) // SCORED)][:SCORED]
    try:
        elastic = Elastic(replaced.net, (images[:1],), (1.0,), importance=Taylor(torch.split(scored, 1), SCORED))
    except LevelError:
        return
    for shrink in (1, 2) if images.dim() == 4 else (1,):
        example = shrunk(images[:1], shrink)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what cannot be captured at this resolution is no candidate
            try:
                encoder = _at(replaced, elastic, images, example, shrink)
            except (AdaedgeError, RuntimeError):  # no width is within the budget, or the network takes no such image
                continue
        yield encoder


def _at(replaced: Replaced, elastic: Elastic, images: Tensor, example: Tensor, shrink: int) -> NarrowEncoder:
    """The widest encoder within the budget at one resolution."""
    with torch.no_grad():
        (crossing,) = replaced.head(images[:1])
    channels, positions = crossing.shape[replaced.axis], _positions(crossing, replaced.axis) // shrink**2

    def cut(width: float) -> tuple[nn.Module, Splittable]:
        level = make_level(elastic.net, elastic.groups, elastic.kept(width), shared=False).eval()
        return level, Splittable(level, (example,))

    def cost(width: float) -> float:
        point = cut(width)[1].point(replaced.split)
        (tensor,) = point.crossing
        return float(point.head_macs + tensor.shape[replaced.axis] * channels * positions)

    level, _ = cut(_widest(cost, replaced.macs))
    every = max(1, len(images) // FITTED)
    fitted = images[::every][:FITTED]
    recalibrate(level, torch.split(shrunk(fitted, shrink), 8))
    head, _ = Splittable(level, (example,)).at(replaced.split)
    linear = _fitted(replaced, head, fitted, shrink)
    return NarrowEncoder(head, linear, replaced.axis, shrink, crossing.shape[2:] if shrink > 1 else ())


def _widest(cost: Callable[[float], float], budget: float) -> float:
    low, high = 0, STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle / STEPS) <= budget else (low, middle)
    if low == 0:
        raise LevelError(f"no width costs at most {budget:g} MACs")
    return low / STEPS


def _fitted(replaced: Replaced, head: Head, images: Tensor, shrink: int) -> nn.Linear:
    """The linear map from a narrow head's features to the full one's: least squares with a little ridge."""
    found: list[Tensor] = []
    wanted: list[Tensor] = []
    with torch.no_grad():
        for image in torch.split(images, 1):
            (narrow,), (full,) = head(shrunk(image, shrink)), replaced.head(image)
            if shrink > 1:
                narrow = functional.interpolate(narrow, full.shape[2:], mode="bilinear", align_corners=False)
            for rows, tensor in ((found, narrow), (wanted, full)):
                rows.append(tensor.movedim(replaced.axis, -1).flatten(0, -2).float())
    known, sought = torch.cat(found).double(), torch.cat(wanted).double()
    every = max(1, len(known) // ROWS)
    known, sought = known[::every], sought[::every]
    mean, target = known.mean(0), sought.mean(0)
    known, sought = known - mean, sought - target
    gram = known.T @ known
    gram += RIDGE * gram.diagonal().mean().clamp_min(1e-12) * torch.eye(len(gram), dtype=gram.dtype)
    weight = torch.linalg.solve(gram, known.T @ sought).T
    linear = nn.Linear(known.shape[1], sought.shape[1])
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(target - weight @ mean)
    return linear


def separable(replaced: Replaced, images: Tensor) -> nn.Module:
    """An encoder of depthwise-separable convolutions with random weights, as wide as the budget allows.

    Raises:
        LevelError: if no map of at most the image's size crosses, or even the narrowest exceeds the budget.
    """
    with torch.no_grad():
        (crossing,) = replaced.head(images[:1])
    maps = crossing.dim() == images.dim() == 4 and replaced.axis == 1
    if not maps or any(there > here for there, here in zip(crossing.shape[2:], images.shape[2:], strict=True)):
        raise LevelError(
            f"the head before {replaced.split!r} has no channels that can be left out, and what crosses there,"
            f" {tuple(crossing.shape)}, is no map that convolutions make of an image; split elsewhere"
        )

    def cost(width: int) -> int:
        encoder = _separable(width, crossing, images).requires_grad_(False)
        with evaluating(encoder):
            return int(count_macs(encoder, (images[:1],), {}))

    width = 4
    if cost(width) > replaced.macs:
        raise LevelError(
            f"an encoder in place of the head before {replaced.split!r} costs {cost(width):,} MACs at least; the"
            f" fraction allows {replaced.macs:,.0f}. Give a larger `macs_fraction`, or split later."
        )
    while cost(width + 4) <= replaced.macs:
        width += 4
    return _separable(width, crossing, images)


def _separable(width: int, crossing: Tensor, images: Tensor) -> nn.Module:
    halvings = max(1, round(math.log2(min(images.shape[2] / crossing.shape[2], images.shape[3] / crossing.shape[3]))))
    layers: list[nn.Module] = [*_step(nn.Conv2d(images.shape[1], width, 3, 2, 1, bias=False), width)]
    for _ in range(halvings - 1):
        layers += _step(nn.Conv2d(width, width, 3, 2, 1, groups=width, bias=False), width)
        layers += _step(nn.Conv2d(width, 2 * width, 1, bias=False), 2 * width)
        width *= 2
    layers += _step(nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False), width)
    return nn.Sequential(*layers, nn.Conv2d(width, crossing.shape[1], 1), _Sized(crossing.shape[2:]))


def _step(convolution: nn.Conv2d, width: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(width), nn.ReLU()]


@final
class _Sized(nn.Module):
    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        self.sides = tuple(sides)

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[2:] == self.sides:
            return maps
        return functional.interpolate(maps, self.sides, mode="bilinear", align_corners=False)


def _positions(tensor: Tensor, axis: int) -> int:
    return tensor[:1].numel() // tensor.shape[axis]
