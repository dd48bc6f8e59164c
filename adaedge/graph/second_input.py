"""A second random input like the example, of any batch size, to hold a capture against its original.

May import: nothing of adaedge.
"""

from __future__ import annotations

import torch

from adaedge.graph.signature import Signature


def resized(signature: Signature, batch: int | None) -> list[torch.Tensor]:
    """The example's own values, repeated or cut to this batch size."""
    return [
        _rows(leaf, batch) if batch is not None and signature.is_batched(leaf) else leaf.clone()
        for leaf in signature.tensors
    ]


def randomised(signature: Signature, batch: int | None, seed: int = 0) -> list[torch.Tensor]:
    """Random tensors of the example's types and ranges, at this batch size."""
    generator = torch.Generator().manual_seed(seed)
    return [_random_like(leaf, generator) for leaf in resized(signature, batch)]


def _rows(tensor: torch.Tensor, batch: int) -> torch.Tensor:
    times = -(-batch // tensor.shape[0])
    return torch.cat([tensor] * times)[:batch].clone()


def _random_like(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Keeps what a model reads as structure: masks of one value, integer ranges, infinities."""
    if tensor.numel() == 0 or tensor.is_complex():
        return tensor
    if tensor.is_floating_point():
        low, high = tensor.min().item(), tensor.max().item()
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            return tensor
        if low == high:  # An example of zeros or ones stands for any image.
            low, high = min(low, 0.0), max(high, 1.0)
        drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * (high - low) + low
    else:
        whole = tensor.long()
        drawn = torch.randint(int(whole.min()), int(whole.max()) + 1, tuple(tensor.shape), generator=generator)
    return drawn.to(tensor.dtype).to(tensor.device)
