"""Every output, value by value: raw or in half precision, as it is or compressed.

May import: ``errors``; ``payload.compression``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import final

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import PayloadError
from adaedge.payload.compression import compress, decompress
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.tensors import read, write_raw

Arrays = tuple[Array, ...]
Encoded = tuple[tuple[TensorHeader, ...], Segment]


@final
@dataclass(frozen=True, slots=True)
class Values:
    """Every output, value by value.

    Attributes:
        half: whether floating-point values become float16; beyond ±65,504 that is infinity.
        compressed: whether zstd follows.

    Raises:
        PayloadError: from a decoder, if the segment has another length than the answer takes.

    Example:
        >>> codec = Values(half=True)
        >>> headers, segment = codec.encode(codec.reduce([np.array([[1 / 3]])]))
        >>> codec.decoder(headers)(segment)[0].tolist()
        [[0.333251953125]]
    """

    half: bool = False
    compressed: bool = False

    @property
    def name(self) -> str:
        """The codec's name, such as ``f16+zstd``."""
        return ("f16" if self.half else "raw") + ("+zstd" if self.compressed else "")

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """The outputs, in half precision if so."""
        return tuple(_halved(one) if self.half and np.issubdtype(one.dtype, np.floating) else one for one in outputs)

    def encode(self, answer: Sequence[Array]) -> Encoded:
        """Headers and the one segment."""
        written = [write_raw(one) for one in answer]
        segment = written[0][1] if len(written) == 1 else b"".join(data for _, data in written)
        return tuple(header for header, _ in written), compress(segment) if self.compressed else segment

    def decoder(self, headers: Sequence[TensorHeader]) -> Callable[[Segment], Arrays]:
        """What makes answers of their bytes."""
        ends = [0, *accumulate(header.nbytes for header in headers)]
        places = [*zip(headers, map(slice, ends, ends[1:]), strict=True)]
        total = ends[-1]

        def decode(segment: Segment) -> Arrays:
            data = memoryview(decompress(segment, total) if self.compressed else segment)
            if len(data) != total:
                raise PayloadError(f"corrupted payload: its answer takes {total} bytes, its segment has {len(data)}")
            return tuple([read(header, data[place]) for header, place in places])

        return decode


def _halved(tensor: Array) -> Array:
    with np.errstate(over="ignore"):  # documented: infinity
        return tensor.astype(np.float16)
