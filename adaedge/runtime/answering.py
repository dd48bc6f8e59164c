"""What an edge server does with one payload, and what the runtime asks of a bundle.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``. Knows no network.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

from adaedge.bundle.manifest import Manifest, TensorSpec
from adaedge.engine import Array, Engine
from adaedge.errors import BundleError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import MAX_BYTES, pack_answer, unpack


class Deployed(Protocol):
    """What the runtime asks of a bundle: ``adaedge.Bundle``, or a test's own."""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 that names the bundle, in hexadecimal."""
        ...

    @property
    def points(self) -> tuple[OperatingPoint, ...]:
        """Every operating point."""
        ...

    def head(self, split: str, width: float = ..., precision: str = ...) -> Engine:
        """What the terminal runs."""
        ...

    def tail(self, split: str, width: float = ..., precision: str = ...) -> Engine:
        """What finishes the frame."""
        ...

    def preprocess(self, frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A frame (H, W, 3) of any size as the model's input."""
        ...


def answer(bundle: Deployed, payload: bytes, *, max_bytes: int = MAX_BYTES) -> bytes:
    """The answer to one payload: decode, tail, pack. It says how many seconds decoding and the tail took.

    Raises:
        PayloadError: if the payload is truncated, foreign, oversized or corrupted, or its tensors do not fit the
            operating point that it names, or the bundle has no such point.
    """
    start_s = time.perf_counter()
    message, features = unpack(payload, bundle=bundle.digest, max_bytes=max_bytes)
    point = message.point
    try:
        half = bundle.manifest.cut(point.split, point.width, point.precision).tail
        tail = bundle.tail(point.split, point.width, point.precision)
    except BundleError as error:
        raise PayloadError(f"a payload for {point}, which cannot be answered here: {error}") from error
    if half is None:
        raise PayloadError(f"a payload for {point}, where nothing is left to compute")
    check_fit(features, half.inputs)
    outputs = tail.run(features)
    edge_s = time.perf_counter() - start_s
    return pack_answer(point, outputs, bundle=bundle.digest, sequence=message.sequence, edge_s=edge_s)


def check_fit(tensors: Sequence[Array], specs: Sequence[TensorSpec]) -> None:
    """Refuse tensors that a graph does not take. The first dimension, the batch, is free.

    Raises:
        PayloadError: naming what came and what is taken.
    """
    came = [(str(tensor.dtype), tensor.shape) for tensor in tensors]
    taken = [(spec.dtype, tuple(spec.shape)) for spec in specs]
    if [(dtype, len(shape), shape[1:]) for dtype, shape in came] != [(d, len(s), s[1:]) for d, s in taken]:
        raise PayloadError(f"tensors that do not fit: {_listed(came)} came, {_listed(taken)} are taken")


def _listed(kinds: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for dtype, shape in kinds) or "none"
