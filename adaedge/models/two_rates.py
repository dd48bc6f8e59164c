"""A network that takes a clip at two rates, as one that takes the clip: SlowFast of pytorchvideo.

May import: ``errors``.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from adaedge.errors import ModelError


@final
class TwoRates(nn.Module):
    """``net([slow, fast])`` of one clip: fast is all its frames, slow a few, evenly spaced, the last among them.

    The frames are chosen as pytorchvideo's tutorials do it, and inside the module, so that a split model takes one
    input and a window's frames cross once.

    Args:
        net: takes a list of two clips, float (N, 3, T / alpha, H, W) and (N, 3, T, H, W).
        frames: T, of the clip.
        alpha: how many frames of the fast clip there are for one of the slow.

    Raises:
        ModelError: if there are fewer frames than alpha.

    Example:
        >>> class Means(nn.Module):
        ...     def forward(self, clips):
        ...         return torch.stack([clip.mean((1, 3, 4))[0, -1] for clip in clips])
        >>> TwoRates(Means(), frames=8, alpha=4)(torch.arange(8.0).reshape(1, 1, 8, 1, 1))
        tensor([7., 7.])
    """

    slow: Tensor

    def __init__(self, net: nn.Module, frames: int, alpha: int = 4) -> None:
        super().__init__()
        if not 1 <= alpha <= frames:
            raise ModelError(f"of {frames} frames the slow clip has one in alpha, 1 to {frames}; got {alpha}")
        self.net = net
        self.register_buffer("slow", torch.linspace(0, frames - 1, frames // alpha).long(), persistent=False)

    def forward(self, clip: Tensor) -> Any:
        """The network's outputs for float (N, 3, T, H, W)."""
        return self.net([clip.index_select(2, self.slow), clip])
