"""Message: what crosses the link, before it is bytes.

May import: ``operating_point``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adaedge.operating_point import OperatingPoint

MAX_BYTES = 64 * 2**20
DTYPES = ("float32", "float16", "int64", "int32", "uint8", "bool", "int8", "float64", "uint16")
"""Types that cross, each written as its place in this list."""

Segment = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """How one tensor is written in the segments.

    Attributes:
        dtype: NumPy name of the tensor's own type, one of ``DTYPES``.
        shape: its dimensions.
        bits: bits per value of a uniform quantisation, 1 to 8; 0 where the values are raw.
        axis: dimension along which every index has a range of its own; ``None`` for one range for all.
        ranges: bytes of a uint16 array (R, 2): bfloat16 bit patterns of each range's lowest and highest value.
    """

    dtype: str
    shape: tuple[int, ...]
    bits: int = 0
    axis: int | None = None
    ranges: bytes = b""

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor in its own type."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Request:
    """The request that an answer is tied to. Both ends know it, so an answer bears only a hash of it.

    Attributes:
        bundle: SHA-256 of the bundle, in hexadecimal.
        stream: which stream the frame is of.
        sequence: number of the frame in it.
        point: the operating point, its split point by the name that the bundle uses.
    """

    bundle: str
    stream: int
    sequence: int
    point: OperatingPoint


@dataclass(frozen=True, slots=True)
class Message:
    """A terminal's message: one frame's features. Its answer is `adaedge.payload.answers.wire`.

    Attributes:
        bundle: SHA-256 of the bundle, in hexadecimal; its first 16 digits cross the link.
        sequence: number of the frame in its stream, from 1.
        point: the operating point that the tensors belong to.
        tensors: how each tensor is written.
        segments: the bytes that a codec wrote.
        stream: which stream the frame is of, below 2**64; 0 where there is none, and nothing is held.
        base: sequence number of the payload that this one builds upon; 0 where it is a refresh.
        deadline_s: seconds that the edge server has left.
        lost_segments: how many of its last segments did not come whole, which is found when they are read; only a
            progressive codec's may be lost.

    Example:
        >>> message = Message("ab" * 32, 7, OperatingPoint("blocks.3"), (TensorHeader("uint8", (1, 3)),), (b"abc",),
        ...                   deadline_s=0.1)
        >>> message.tensors[0].nbytes
        3
    """

    bundle: str
    sequence: int
    point: OperatingPoint
    tensors: tuple[TensorHeader, ...]
    segments: tuple[Segment, ...]
    stream: int = 0
    base: int = 0
    deadline_s: float = 0.0
    lost_segments: int = 0

    @property
    def request(self) -> Request:
        """What its answer is tied to."""
        return Request(self.bundle, self.stream, self.sequence, self.point)


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """A frame's place in its stream.

    Attributes:
        stream: which stream, below 2**64.
        sequence: number of the frame, from 1.
        base: sequence number of the last payload that both ends hold; 0 where there is none.
        deadline_s: seconds that the edge server has left.
    """

    stream: int
    sequence: int
    base: int = 0
    deadline_s: float = 0.0
