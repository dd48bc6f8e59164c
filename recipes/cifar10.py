"""CIFAR-10 from a tar of JPEGs (``train/CLASS/NAME.jpg``, ``test/CLASS/NAME.jpg``), decoded once and kept as arrays."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from PIL import Image
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2.functional import pil_to_tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Arrays = dict[str, Tensor]


def read(tar: Path, cache: Path) -> Arrays:
    """``train_images`` and ``test_images`` as uint8 (N, 3, 32, 32), ``train_labels`` and ``test_labels`` as int64 (N,).

    The archive is decoded once, in the order of its members' names; the arrays are kept in ``cache`` as safetensors.
    """
    kept = cache / f"{tar.stem}.safetensors"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        save_file(_decode(tar), partial)
        partial.replace(kept)
    return load_file(kept)


def synthetic(images: int = 64) -> Arrays:
    """Noise in place of photographs, for a run that only shows that a recipe works."""
    generator = torch.Generator().manual_seed(0)
    arrays = {}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator)
        arrays[f"{part}_labels"] = torch.randint(10, (images,), generator=generator)
    return arrays


def normalise(images: Tensor) -> Tensor:
    """Floats of uint8 images, with ImageNet's mean and standard deviation, channels last in memory."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, STD))
    return ((images / 255 - mean) / std).to(memory_format=torch.channels_last)


def loader(images: Tensor, labels: Tensor, batch: int) -> DataLoader[tuple[Tensor, Tensor]]:
    """Shuffled, normalised, augmented batches: crop from a border of four mean pixels, flip half."""
    # The batch is made at once, from its positions; there is nothing left to collate.
    return DataLoader(_Augmented(images, labels), batch, shuffle=True, drop_last=True, collate_fn=lambda made: made)


@dataclass(frozen=True, slots=True)
class _Augmented(Dataset[tuple[Tensor, Tensor]]):
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, positions: list[int]) -> tuple[Tensor, Tensor]:
        return augment(normalise(self.images[positions])), self.labels[positions]


def augment(images: Tensor) -> Tensor:
    """Every image with a crop and a flip of its own; one gather in place of a loop."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (4, 4, 4, 4))
    rows = torch.randint(9, (count, 1)) + torch.arange(height)
    columns = torch.randint(9, (count, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    place = torch.arange(count).view(-1, 1, 1)
    cropped = padded.permute(0, 2, 3, 1)[place, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory


def _decode(tar: Path) -> Arrays:
    images: dict[str, list[Tensor]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    with tarfile.open(tar) as archive:
        members = sorted((m for m in archive.getmembers() if m.isfile()), key=lambda member: member.name)
        classes = sorted({PurePosixPath(member.name).parts[1] for member in members})
        for member in track(members, description="decode CIFAR-10"):
            part, name, _ = PurePosixPath(member.name).parts
            content = archive.extractfile(member)
            assert content is not None, "a file of a tar has content"
            images[part].append(pil_to_tensor(Image.open(io.BytesIO(content.read())).convert("RGB")))
            labels[part].append(classes.index(name))
    return {f"{part}_images": torch.stack(images[part]) for part in images} | {
        f"{part}_labels": torch.tensor(labels[part]) for part in labels
    }
