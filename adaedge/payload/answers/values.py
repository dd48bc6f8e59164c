"""Every output, value by value: raw or in half precision, as it is or compressed.

May import: ``errors``; ``payload.compression``; of this part ``checks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from adaedge.errors import PayloadError
from adaedge.payload.answers.checks import check_plain, check_size, only
from adaedge.payload.compression import compress, decompress
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.tensors import read, write_raw

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]
Encoded = tuple[tuple[TensorHeader, ...], tuple[Segment, ...]]


@final
@dataclass(frozen=True, slots=True)
class Values:
    """Every output, value by value.

    Attributes:
        half: whether floating-point values become float16; beyond ±65,504 that is infinity.
        compressed: whether zstd follows.

    Example:
        >>> codec = Values(half=True)
        >>> codec.decode(*codec.encode(codec.reduce([np.array([[1 / 3]])])), 100)[0].tolist()
        [[0.333251953125]]
    """

    half: bool = False
    compressed: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return ("f16" if self.half else "raw") + ("+zstd" if self.compressed else "")

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """The outputs, in half precision if so."""
        return tuple(_halved(one) if self.half and np.issubdtype(one.dtype, np.floating) else one for one in outputs)

    def encode(self, answer: Sequence[Array]) -> Encoded:
        """Headers and the one segment."""
        written = [write_raw(one) for one in answer]
        segment = written[0][1] if len(written) == 1 else b"".join(data for _, data in written)
        return tuple(header for header, _ in written), (compress(segment) if self.compressed else segment,)

    def decode(self, headers: Sequence[TensorHeader], segments: Sequence[Segment], max_bytes: int) -> Arrays:
        """The answer."""
        segment, lengths = only(segments), [header.nbytes for header in headers]
        check_size(sum(lengths), max_bytes)
        for header in headers:
            check_plain(header)
            if self.half and header.dtype in ("float32", "float64"):
                raise PayloadError(f"corrupted payload: {self.name} carries no {header.dtype}")
        data = memoryview(decompress(segment, sum(lengths)) if self.compressed else segment)
        if len(data) != sum(lengths):
            raise PayloadError(f"corrupted payload: its answer takes {sum(lengths)} bytes, its segment has {len(data)}")
        ends = np.cumsum([0, *lengths])
        return tuple(read(header, data[ends[at] : ends[at + 1]]) for at, header in enumerate(headers))


def _halved(tensor: Array) -> Array:
    with np.errstate(over="ignore"):  # documented: infinity
        return tensor.astype(np.float16)
