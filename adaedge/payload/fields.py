"""Fields of a header whose length is not fixed: numbers and texts, written and read.

May import: ``errors``.
"""

from __future__ import annotations

from functools import lru_cache

from adaedge.errors import PayloadError


@lru_cache(256)
def number(value: int) -> bytes:
    """A number as a payload has it.

    Raises:
        ValueError: if it is negative, or 2**64 and more.

    Example:
        >>> number(5).hex(), number(300).hex()
        ('05', 'ac02')
    """
    if not 0 <= value < 2**64:
        raise ValueError(f"a number is in [0, 2**64); got {value}")
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


class Reader:
    """A position in a header; reading past its end is an error, never a short read.

    Raises:
        PayloadError: from every read, if the header ends early or a number takes more than 64 bits.
    """

    def __init__(self, view: memoryview, position: int) -> None:
        self._view = view
        self.position = position

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        if self.position + count > len(self._view):
            raise PayloadError("truncated payload: its header ends in the middle of a field")
        self.position += count
        return self._view[self.position - count : self.position]

    def number(self) -> int:
        """A number, as `number` writes it."""
        value = shift = 0
        while value < 2**64 and shift < 70:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80 and value < 2**64:
                return value
            shift += 7
        raise PayloadError("corrupted payload: a number in its header takes more than 64 bits")

    def text(self) -> str:
        """A text of at most 255 bytes, after its length."""
        return str(self.take(self.take(1)[0]), "utf-8")
