"""Put the weights of a graph into its ONNX file, for an engine that cannot take them from outside.

May import: ``errors``. A terminal has no ``onnx`` package: of the protocol buffer only the way to each initializer is
read (https://protobuf.dev/programming-guides/encoding, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto):
``ModelProto.graph`` is field 7, ``GraphProto.initializer`` 5, and of a ``TensorProto`` ``dims`` is 1, ``name`` 8,
``raw_data`` 9, ``external_data`` 13 and ``data_location`` 14. Everything else is copied as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.errors import BundleError

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 8, 9, 13, 14
_EXTERNAL = b"\x01"
_FIXED_BYTES = {1: 8, 5: 4}
_VARINT, _BYTES = 0, 2


def filled(graph: bytes, weights: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The same ONNX file with its external initializers inside.

    Args:
        graph: bytes of an ONNX model whose large initializers are marked external.
        weights: name → array of each of these initializers.

    Raises:
        BundleError: if it is no such file, a weight is missing, is none of the graph's, or has another shape.
    """
    left = dict(weights)
    try:
        model = b"".join(
            _field(_GRAPH, _graph(value, left)) if number == _GRAPH else bytes(whole)
            for number, value, whole in _fields(memoryview(graph))
        )
    except (IndexError, ValueError) as error:
        raise BundleError(f"cannot load a graph: it is no ONNX file ({error}). Build the bundle again.") from error
    if left:
        raise BundleError(f"cannot load a graph: it has no weights {', '.join(left)}. Build the bundle again.")
    return model


def _graph(data: memoryview, left: dict[str, npt.NDArray[Any]]) -> bytes:
    return b"".join(
        _field(_INITIALIZER, _initializer(value, left)) if number == _INITIALIZER else bytes(whole)
        for number, value, whole in _fields(data)
    )


def _initializer(data: memoryview, left: dict[str, npt.NDArray[Any]]) -> bytes:
    """A tensor; where its data is outside, with it, which is taken out of ``left``."""
    fields = list(_fields(data))
    found = {number: bytes(value) for number, value, _ in fields}
    if found.get(_DATA_LOCATION) != _EXTERNAL:
        return bytes(data)
    name = found.get(_NAME, b"").decode()
    array = left.pop(name, None)
    shape = tuple(size for number, value, _ in fields if number == _DIMS for size in _varints(value))
    if array is None or array.shape != shape:
        came = "nothing" if array is None else f"one of {array.shape}"
        raise BundleError(
            f"cannot load a graph: its weight {name!r} of {shape} was given {came}. Build the bundle again."
        )
    kept = (bytes(whole) for number, _, whole in fields if number not in (_EXTERNAL_DATA, _DATA_LOCATION))
    return b"".join(kept) + _field(_RAW_DATA, np.ascontiguousarray(array).tobytes())


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, value and all bytes of each field of a message; the value of a number is its bytes.

    Raises:
        IndexError: if it ends within a field.
        ValueError: if a field is of no kind that ONNX uses.
    """
    at = 0
    while at < len(data):
        begin = at
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind == _VARINT:
            length = _varint(data, at)[1] - at
        elif kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
        else:
            raise ValueError(f"a field of kind {kind}")
        if length > len(data) - at:
            raise IndexError("it ends within a field")
        yield tag >> 3, data[at : at + length], data[begin : at + length]
        at += length


def _varints(data: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and where it ends."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _field(number: int, data: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(data)) + data


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
