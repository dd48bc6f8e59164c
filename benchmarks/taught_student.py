"""A student for DeepLabV3's camera: the segmenter's own first stages at half its sides, and a small head that learns.

Takes the segmenter's input and answers in its form, so both stand in one bundle.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import deeplabv3

SIDE = 249
STAGES = 4
WIDTH = 64
CLASSES = 21


class Trunk(nn.Module):
    """Images at 513² to features at 32² and 16²: the segmenter's stem and first four stages at 249²."""

    def __init__(self, segmenter: deeplabv3.DeepLabV3) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = segmenter.conv_stem, segmenter.bn1
        self.stages = nn.ModuleList(segmenter.blocks[at] for at in range(STAGES))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What the head takes: fine features (N, 32, 32, 32), and coarse ones (N, 64, 16, 16)."""
        small = functional.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=True)
        features = self.bn1(self.conv_stem(small))
        for stage in self.stages[:-1]:
            features = stage(features)
        return features, self.stages[-1](features)


class Mix(nn.Module):
    """Two depthwise-separable convolutions beside a short cut."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layer for _ in range(2) for layer in _separable()))

    def forward(self, features: Tensor) -> Tensor:
        """The same shape."""
        return (features + self.layers(features)).relu()


def _separable() -> list[nn.Module]:
    return [nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU()]


class Head(nn.Module):
    """Features to logits (N, 21, 33, 33)."""

    def __init__(self) -> None:
        super().__init__()
        self.glimpse, self.coarse, self.fine = nn.Linear(64, WIDTH), nn.Conv2d(64, WIDTH, 1), nn.Conv2d(32, WIDTH, 1)
        self.coarse_mix, self.fine_mix = Mix(), Mix()
        self.classes = nn.Conv2d(WIDTH, CLASSES, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """The logits."""
        everywhere = self.glimpse(coarse.mean((2, 3)))[:, :, None, None]
        mixed = self.coarse_mix((everywhere + self.coarse(coarse)).relu())
        larger = functional.interpolate(mixed, fine.shape[2:], mode="bilinear", align_corners=True)
        logits = self.classes(self.fine_mix((larger + self.fine(fine)).relu()))
        return functional.interpolate(logits, (33, 33), mode="bilinear", align_corners=True)


class Student(nn.Module):
    """Images (N, 3, 513, 513), normalised, to logits (N, 21, 33, 33). ``trunk`` ends where ``head`` begins."""

    def __init__(self, segmenter: deeplabv3.DeepLabV3 | None = None) -> None:
        super().__init__()
        self.trunk, self.head = Trunk(segmenter or deeplabv3.load()), Head()
        self.trunk.requires_grad_(False)
        self.trunk.stages[-1].requires_grad_(True)

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        return self.head(*self.trunk(image))


def student(seed: int = 0) -> Student:
    """One that has learned nothing yet."""
    torch.manual_seed(seed)
    return Student().eval()


class Still(nn.Module):
    """A part that learns in evaluation mode: its batch-norm statistics stay the segmenter's."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *features: Tensor) -> Tensor:
        """The part's own."""
        return self.part(*features)

    def train(self, _mode: bool = True) -> Still:
        """Stays as it is."""
        return self


def mirrored(inputs: Tensor, answer: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The mirror image, and its answer."""
    return [(inputs.flip(3), answer.flip(3))]
