"""What a name becomes, and the examples and labels that every source shares.

May import: ``bundle.manifest``; of this part ``object_detectors``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from adaedge.bundle.preprocessing import Preprocessing
from adaedge.models.object_detectors import detector_of


@dataclass(frozen=True, slots=True)
class Model:
    """A model and what is needed to run it.

    Attributes:
        name: what it was loaded by.
        module: the model, in evaluation mode.
        args: an example of its positional arguments; an image is float (1, 3, H, W), a clip (1, 3, frames, H, W), or
            of transformers (1, frames, 3, H, W).
        kwargs: an example of its keyword arguments.
        preprocessing: geometry and normalisation of its image or clip; ``None`` where the input is neither, or unknown.
        labels: name of each class; empty where there are none.
        trained: whether the weights were trained, or random.
    """

    name: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    trained: bool = False

    def for_capture(self) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
        """What can be captured of it, with an example of its arguments: all, but of a detector its raw heads."""
        found = detector_of(self.module, self.args, self.kwargs)
        return (self.module, self.args, self.kwargs) if found is None else (found.heads, found.args, {})


def random_example(shape: Iterable[int]) -> torch.Tensor:
    """One float example of this shape in [0, 1), the same each time; the global random state is not touched."""
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))


def imagenet_labels(classes: int) -> tuple[str, ...]:
    """ImageNet's names for a classifier of 1,000 classes, nothing for any other."""
    from timm.data.imagenet_info import ImageNetInfo

    if classes != 1000:
        return ()
    names = ImageNetInfo()
    return tuple(names.index_to_description(index) for index in range(classes))


def known_interpolation(name: str) -> str:
    """``bilinear`` or ``bicubic``; anything else becomes the former."""
    return name if name in ("bilinear", "bicubic") else "bilinear"
