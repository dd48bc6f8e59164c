"""What a split point is: a place in execution order, and the tensors that cross there.

May import: nothing of adaedge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class CrossingTensor:
    """A tensor that goes from the head to the tail.

    Attributes:
        dtype: its type, as NumPy writes it (``float32``; ``bfloat16`` as PyTorch does).
        shape: at the example's batch.
        axis: the channel dimension; ``None`` where there is none.
    """

    dtype: str
    shape: tuple[int, ...]
    axis: int | None = None

    @property
    def length_bytes(self) -> int:
        """Bytes of its values."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return math.prod(self.shape) * dtype.itemsize


@dataclass(frozen=True, slots=True)
class SplitPoint:
    """A place where the model can be cut.

    Attributes:
        name: path of the outermost module that ends here (``layer2.0``; ``act@1`` where ``act`` is called a second
            time); between modules, ``PATH:OPERATOR`` or ``PATH:OPERATOR_1`` …; ``input`` and ``output`` are the ends.
        payload_bytes: the crossing tensors' own bytes at the example's batch and type, without a header.
        head_macs: multiply-accumulates before this place, at the example's batch.
        tail_macs: multiply-accumulates after it.
        crossing: the tensors that cross, in the order in which the head returns them.
        aliases: every other module path that ends here.

    Example:
        >>> SplitPoint("layer1", 8, 10, 20, (CrossingTensor("float32", (1, 2), axis=1),)).payload_bytes
        8
    """

    name: str
    payload_bytes: int
    head_macs: int
    tail_macs: int
    crossing: tuple[CrossingTensor, ...]
    aliases: tuple[str, ...] = ()
