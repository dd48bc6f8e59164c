"""The entropy coder's loops in Python, for a machine that `_ans.c` was not built for: the same words, slower.

May import: nothing of adaedge. ``push`` and ``pop`` take and give what those of the extension do.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array

Words = npt.NDArray[np.uint32]

_BITS = 16
_LEAST = 2**32


def push(state: int, words: Words, used: int, symbols: Array, rows: Array, edges: Array) -> tuple[int, int]:
    """Symbols onto the stack, the last one first: the state, and how many words are in use.

    Args:
        state: of the coder.
        words: room for the stack's words, filled in.
        used: how many of them are on the stack.
        symbols: int32 (n,).
        rows: uint32 (n,), which table each is of.
        edges: uint32 (tables, symbols + 1), of ``FrequencyTables``.

    Raises:
        ValueError: if a symbol is in no table.
    """
    tables, out = edges.tolist(), []
    for at, (symbol, row) in reversed(list(enumerate(zip(symbols.tolist(), rows.tolist(), strict=True)))):
        if not (row < len(tables) and 0 <= symbol < len(tables[row]) - 1):
            raise ValueError(f"symbol {at} is in no table, or has no frequency there")
        start, stop = tables[row][symbol : symbol + 2]
        if stop == start:
            raise ValueError(f"symbol {at} is in no table, or has no frequency there")
        if state >= (stop - start) << 64 - _BITS:
            out.append(state & _LEAST - 1)
            state >>= 32
        quotient, rest = divmod(state, stop - start)
        state = (quotient << _BITS) + rest + start
    words[used : used + len(out)] = out
    return state, used + len(out)


def pop(
    state: int, words: Words, used: int, symbols: Array, rows: Array, edges: Array, firsts: Array, stop: bool
) -> tuple[int, int, int]:
    """The next symbols from the stack: the state, how many words are left, and how many symbols were found.

    Args:
        state: of the coder.
        words: the stack.
        used: how many of the words are on it.
        symbols: int32 (n,), filled in.
        rows: uint32 (n,), which table each is of.
        edges: uint32 (tables, symbols + 1), of ``FrequencyTables``.
        firsts: not needed here.
        stop: where a word is missing, instead of taking this for the bottom of the stack.
    """
    del firsts
    tables, left = edges.tolist(), words[:used].tolist()
    found, mask = [], (1 << _BITS) - 1
    for row in rows.tolist():
        table, slot = tables[row], state & mask
        symbol = bisect_right(table, slot) - 1
        start = table[symbol]
        found.append(symbol)
        state = (table[symbol + 1] - start) * (state >> _BITS) + slot - start
        if state < _LEAST:
            if left:
                state = state << 32 | left.pop()
            elif stop:
                break
    symbols[: len(found)] = found
    return state, len(left), len(found)
