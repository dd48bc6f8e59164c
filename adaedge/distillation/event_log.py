"""A log of numbers in the format that TensorBoard reads, without TensorBoard.

May import: nothing of adaedge.

A file is a row of records: length (uint64), its checksum, the bytes, their checksum, little endian (TensorFlow's record
format). The bytes are a protocol buffer of type ``Event``: field 1 the wall time (double), 2 the step (varint), 3 the
text ``brain.Event:2`` in the first record, 5 a ``Summary``, whose fields 1 are values of a tag (1) and a float (2). A
checksum is a CRC-32C, rotated right by 15 bits, plus 0xA282EAD8.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, final

_VERSION = b"brain.Event:2"
_POLYNOMIAL, _MASK = 0x82F63B78, 0xA282EAD8


@final
class EventLog:
    """Numbers by step.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with EventLog.opened(Path(folder)) as log:
        ...         log.write(7, {"loss": 0.5})
        ...     (file,) = Path(folder).iterdir()
        ...     b"loss" in file.read_bytes()
        True
    """

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file

    @classmethod
    @contextmanager
    def opened(cls, folder: Path | None) -> Iterator[EventLog]:
        """A log in a file of its own in this folder; without a folder, one that keeps nothing."""
        if folder is None:
            yield cls(None)
            return
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}").open("xb") as file:
            file.write(_record(_event(0, _field(3, _VERSION))))
            yield cls(file)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Note these numbers at a step."""
        if self._file is not None:
            named = (_field(1, tag.encode()) + struct.pack("<Bf", 2 << 3 | 5, value) for tag, value in values.items())
            self._file.write(_record(_event(step, _field(5, b"".join(_field(1, value) for value in named)))))
            self._file.flush()


def _event(step: int, what: bytes) -> bytes:
    return struct.pack("<Bd", 1 << 3 | 1, time.time()) + bytes([2 << 3]) + _varint(step) + what


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", _checksum(length)) + content + struct.pack("<I", _checksum(content))


def _checksum(content: bytes) -> int:
    found = 0xFFFFFFFF
    for byte in content:
        found = _TABLE[(found ^ byte) & 255] ^ found >> 8
    found ^= 0xFFFFFFFF
    return (found >> 15 | found << 17) + _MASK & 0xFFFFFFFF


def _table() -> Iterator[int]:
    for byte in range(256):
        found = byte
        for _ in range(8):
            found = found >> 1 ^ _POLYNOMIAL * (found & 1)
        yield found


_TABLE = tuple(_table())
