"""Views of images: another one each time that an image is asked for.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.utils.data import Dataset

Augment = Callable[[Tensor], Tensor]
"""An image (channels, height, width) → a view of it, of the same shape."""


@final
@dataclass(frozen=True, slots=True)
class ImageViews(Dataset[Tensor]):
    """A set of images, of which each is augmented when it is asked for.

    Attributes:
        images: (N, …).
        augment: makes a view of one.

    Example:
        >>> import torch
        >>> ImageViews(torch.zeros(2, 3, 8, 8), lambda image: image + 1)[1].mean().item()
        1.0
    """

    images: Tensor
    augment: Augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Tensor:
        return self.augment(self.images[place])
