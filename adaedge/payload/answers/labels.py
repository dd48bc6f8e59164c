"""Logits of a map → the class of each position.

May import: ``errors``; of this part ``interpolation``, ``label_maps``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import CodecError
from adaedge.payload.answers.interpolation import bilinear
from adaedge.payload.message import Segment, TensorHeader

Arrays = tuple[Array, ...]
Encoded = tuple[tuple[TensorHeader, ...], Segment]


@final
@dataclass(frozen=True, slots=True)
class LabelMap:
    """The class of each position, losslessly compressed by `label_maps`.

    Attributes:
        size: (H, W) to which logits are interpolated before; ``None`` for their own.
        aligned: whether the centres of the corners fall on each other then.

    Raises:
        CodecError: if a side is not 1 to 99,999, or corners are aligned without a size.

    Example:
        >>> logits = np.zeros((1, 3, 2, 2), np.float32)
        >>> logits[0, 2, :, 1] = 1.0
        >>> codec = LabelMap((2, 4))
        >>> codec.reduce([logits])[0].tolist()
        [[[0, 2, 2, 2], [0, 2, 2, 2]]]
    """

    size: tuple[int, int] | None = None
    aligned: bool = False
    LARGEST_SIDE: ClassVar[int] = 99_999

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= self.LARGEST_SIDE for side in self.size):
            raise CodecError(f"the size of a label map is (H, W), each 1 to {self.LARGEST_SIDE}; got {self.size}")
        if self.aligned and self.size is None:
            raise CodecError("aligned corners need a size to interpolate to: labels-aligned@HxW")

    @property
    def name(self) -> str:
        """The codec's name, such as ``labels@129x129``."""
        if self.size is None:
            return "labels"
        return f"labels{'-aligned' if self.aligned else ''}@{self.size[0]}x{self.size[1]}"

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """The label map (N, H, W): uint8 up to 256 classes, int32 beyond; of equal logits the first class."""
        if len(outputs) != 1 or not is_logits_map(outputs[0].dtype.name, outputs[0].shape):
            got = ", ".join(f"{one.dtype} {one.shape}" for one in outputs)
            raise CodecError(
                f"{self.name} takes one floating-point output (N, C, h, w) of C >= 2 classes; got {got}."
                " Let the model return its logits only, or use raw+zstd."
            )
        logits = outputs[0].astype(np.float32, copy=False)
        if self.size is not None:
            logits = bilinear(logits, self.size, aligned=self.aligned)
        return (_classes(logits),)

    def encode(self, answer: Sequence[Array]) -> Encoded:
        """The header and the segment."""
        if len(answer) != 1 or not self._is_ours(answer[0].dtype.name, answer[0].shape):
            got = ", ".join(f"{one.dtype} {one.shape}" for one in answer)
            raise CodecError(f"{self.name} writes one label map (N, H, W); got {got}. Reduce the outputs first.")
        from adaedge.payload.answers import label_maps  # late: its tables take as long as three of these files

        (maps,) = answer
        return (TensorHeader(maps.dtype.name, maps.shape),), label_maps.encode(maps)

    def decoder(self, headers: Sequence[TensorHeader]) -> Callable[[Segment], Arrays]:
        """What makes label maps of their bytes."""
        from adaedge.payload.answers import label_maps

        (header,) = headers
        return lambda segment: (label_maps.decode(segment, header.dtype, header.shape),)

    def _is_ours(self, dtype: str, shape: Sequence[int]) -> bool:
        fits = self.size is None or tuple(shape[1:]) == self.size
        return dtype in ("uint8", "int32") and len(shape) == 3 and 0 not in shape and fits


def is_logits_map(dtype: str, shape: Sequence[int]) -> bool:
    """Whether an output of this type and shape can be the logits of a map."""
    floating = np.issubdtype(np.dtype(dtype), np.floating)
    return bool(floating) and len(shape) == 4 and shape[1] >= 2 and 0 not in shape


def _classes(logits: Array) -> Array:
    """The argmax over axis 1, one class at a time: several times faster than NumPy's across planes."""
    best = logits[:, 0].copy()
    classes = np.zeros(best.shape, np.uint8 if logits.shape[1] <= 256 else np.int32)
    for index in range(1, logits.shape[1]):
        better = logits[:, index] > best
        classes[better] = index
        np.maximum(best, logits[:, index], out=best)
    return classes
