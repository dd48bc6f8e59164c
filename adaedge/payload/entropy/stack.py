"""A stack of symbols in 32-bit words: what was pushed last is popped first.

May import: ``errors``; of this part ``tables``, ``plain``, the extension ``_ans``.

A state, below 2**64, and words below it hold everything. To push a symbol of frequency f whose edge is c, where the
frequencies add up to 2**16: if the state is at least f·2**48, its lower 32 bits become a word; then
state = (state // f)·2**16 + state % f + c. To pop, state % 2**16 says the symbol (the edges it lies between), then
state = f·(state // 2**16) + state % 2**16 − c; if that is below 2**32, the state takes a word, as long as there is
one. An empty stack is of state 0 and no words. All is in integers, so every machine makes the same words.

The words of a stack are sent from the top: first those of the state (none if it is 0, one below 2**32, otherwise two),
then the word pushed last. So leading words hold the symbols that were pushed last.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import PayloadError
from adaedge.payload.entropy import plain
from adaedge.payload.entropy.tables import FrequencyTables

compiled: ModuleType | None
try:
    compiled = import_module("adaedge.payload.entropy._ans")
except ImportError:  # it is optional, and nobody compiled it here
    compiled = None

Words = npt.NDArray[np.uint32]

LOOPS: Any = compiled or plain
_LEAST = 2**32


@final
class Stack:
    """Symbols on top of each other.

    Example:
        >>> tables = FrequencyTables(np.array([[60000, 5000, 536]]))
        >>> stack = Stack()
        >>> stack.push([0, 2, 0, 1], [0, 0, 0, 0], tables)
        >>> stack.words().tolist()
        [8802360]
        >>> Stack.of(stack.words()).pop([0, 0, 0, 0], tables).tolist()
        [0, 2, 0, 1]
    """

    def __init__(self) -> None:
        self._state = 0
        self._words: Words = np.empty(0, np.uint32)
        self._used = 0
        self._cut = False
        self._ended = False

    @classmethod
    def of(cls, words: Words, *, whole: bool = True) -> Self:
        """A stack to pop from.

        Args:
            words: from the top, as ``words()`` gives them.
            whole: whether these are all words, or leading ones.

        Raises:
            PayloadError: if no stack has these words.
        """
        stack = cls()
        top = words[:2].tolist()
        if whole and top and not top[0]:
            raise PayloadError("corrupted payload: its words do not decode: the first is 0")
        stack._cut = not whole
        stack._ended = not whole and len(top) < 2  # half a state says nothing
        if not stack._ended:
            for word in top:
                stack._state = stack._state << 32 | word
            stack._words = np.ascontiguousarray(words[:1:-1], np.uint32)
            stack._used = len(stack._words)
        return stack

    def push(self, symbols: npt.ArrayLike, rows: npt.ArrayLike, tables: FrequencyTables) -> None:
        """Put symbols on top, so that ``pop`` gives them back in this order.

        Args:
            symbols: integers (n,).
            rows: (n,), which of the tables each is of.
            tables: the tables.

        Raises:
            ValueError: if a symbol is not in its table.
        """
        given, of = _given(symbols, np.int32), _given(rows, np.uint32)
        room = self._used + len(given) // 2 + 2  # a symbol takes 16 bits at most
        if len(self._words) < room:
            self._words = np.concatenate([self._words[: self._used], np.empty(room, np.uint32)])
        self._state, self._used = LOOPS.push(self._state, self._words, self._used, given, of, tables.edges)

    def pop(self, rows: npt.ArrayLike, tables: FrequencyTables) -> npt.NDArray[np.int32]:
        """Take symbols from the top; of leading words those that are certain, which may be fewer.

        Args:
            rows: (n,), which of the tables each is of.
            tables: the tables.
        """
        of = _given(rows, np.uint32)
        symbols = np.empty(len(of), np.int32)
        if self._ended:
            return symbols[:0]
        self._state, self._used, count = LOOPS.pop(
            self._state, self._words, self._used, symbols, of, tables.edges, tables.firsts, self._cut
        )
        self._ended = self._cut and self._state < _LEAST  # it wanted a word that was cut off
        return symbols[:count]

    def words(self) -> Words:
        """The words from the top."""
        high, low = self._state >> 32, self._state & 0xFFFFFFFF
        top = [high, low] if high else [low] if low else []
        return np.concatenate([np.array(top, np.uint32), self._words[: self._used][::-1]])

    def is_empty(self) -> bool:
        """Whether nothing is on it: after the last ``pop``, whether the words were those of these symbols."""
        return not (self._state or self._used)


def _given(values: npt.ArrayLike, kind: npt.DTypeLike) -> Array:
    return np.ascontiguousarray(values, kind)
