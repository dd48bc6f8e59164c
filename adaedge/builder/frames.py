"""Preprocessed: a model that takes a uint8 frame, its normalisation inside.

May import: of ``bundle`` the manifest's ``Preprocessing``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adaedge.bundle import Preprocessing

PREFIX = "net."  # of every module path of the model, seen from outside


class Preprocessed(nn.Module):
    """``net`` on a normalised frame.

    Args:
        net: takes float (N, 3, H, W); its parameters are shared, nothing of it is changed.
        preprocessing: mean and standard deviation of pixels scaled to [0, 1].
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.net = net
        mean, std = torch.tensor(preprocessing.mean).double(), torch.tensor(preprocessing.std).double()
        # (x / 255 - mean) / std as one multiplication and one addition: two passes over the frame instead of four.
        self.register_buffer("scale", (1 / (255 * std)).float()[:, None, None])
        self.register_buffer("shift", (-mean / std).float()[:, None, None])
        self.eval()

    def forward(self, frame: Tensor) -> Any:
        """The model's outputs for uint8 (N, H, W, 3)."""
        return self.net(frame.permute(0, 3, 1, 2).float() * self.scale + self.shift)
