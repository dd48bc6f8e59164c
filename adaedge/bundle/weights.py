"""The one weight file, safetensors, read as views, and the slices of its tensors that narrower levels take.

May import: ``errors``; of this part ``manifest``.

The format (https://huggingface.co/docs/safetensors): a little-endian uint64 N, N bytes of JSON
``{name: {"dtype", "shape", "data_offsets": [start, end]}}``, then the tensors' bytes, which the offsets count from.
The library's own reader copies every tensor, which a terminal's memory would show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.bundle.entries import Slice
from adaedge.bundle.manifest import NAME, WEIGHTS
from adaedge.errors import IntegrityError

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}


def views(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Name → array of every tensor in the file; read-only views of ``data``.

    Raises:
        IntegrityError: if it is not a safetensors file.

    Example:
        >>> import safetensors.numpy
        >>> views(safetensors.numpy.save({"bias": np.arange(3, dtype=np.float32)}))["bias"].tolist()
        [0.0, 1.0, 2.0]
    """
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(data[8:start])
        return {name: _view(data, start, entry) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{WEIGHTS} is not a safetensors file ({error}). Build the bundle again.") from error


def _view(data: bytes, start: int, entry: dict[str, Any]) -> npt.NDArray[Any]:
    shape = tuple(entry["shape"])
    offset = start + entry["data_offsets"][0]
    return np.frombuffer(data, _DTYPES[entry["dtype"]], math.prod(shape), offset).reshape(shape)


def part(stored: Mapping[str, npt.NDArray[Any]], which: Slice) -> npt.NDArray[Any]:
    """The slice of a stored tensor, in C order: a view where its bytes lie together, otherwise a copy.

    Raises:
        IntegrityError: if the file has no such tensor, or the tensor no such positions.

    Example:
        >>> full = {"conv.weight": np.arange(6).reshape(3, 2)}
        >>> part(full, Slice("conv.weight", ((0, 1, 2, 3), (0, 1)))).tolist()
        [[0], [4]]
    """
    array = stored.get(which.tensor)
    if array is None or len(which.kept) not in (0, array.ndim) or not all(map(_fits, which.kept, array.shape)):
        found = "no such tensor" if array is None else f"a tensor of shape {array.shape}"
        raise IntegrityError(
            f"{NAME} names the part {which.kept} of {which.tensor!r}, and {WEIGHTS} has {found}."
            " Build the bundle again."
        )
    for dim, bounds in enumerate(which.kept):
        before = (slice(None),) * dim
        runs = [array[(*before, slice(*run))] for run in zip(bounds[::2], bounds[1::2], strict=True)]
        array = np.concatenate(runs, axis=dim) if len(runs) > 1 else (runs or [array])[0]
    return np.asarray(array, order="C")


def _fits(bounds: tuple[int, ...], length: int) -> bool:
    runs = zip(bounds[::2], bounds[1::2], strict=False)
    return len(bounds) % 2 == 0 and all(0 <= start < stop <= length for start, stop in runs)
