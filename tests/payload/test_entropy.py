"""The entropy coder: what was pushed is popped, by either implementation of its loops, in the same words."""

from __future__ import annotations

import zlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.entropy import TOTAL, FrequencyTables, Stack, plain, stack

LOOPS = {"C": stack.compiled, "Python": plain}
KINDS = [name for name, loops in LOOPS.items() if loops]
PAIRS = list(product(KINDS, KINDS))
TABLES = FrequencyTables(
    np.array([[TOTAL - 7, *[1] * 7], [1, TOTAL - 1, *[0] * 6], [2**14, 2**14, 2**15, *[0] * 5], [2**13] * 8])
)
SIZES = np.array([8, 2, 3, 8])


def use(monkeypatch, kind):
    monkeypatch.setattr(stack, "LOOPS", LOOPS[kind])


def drawn(seed, count):
    """Rows, and symbols about as frequent as their tables say; now and then a rare one."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, len(TABLES.edges), count)
    slots = generator.integers(0, TOTAL, count)
    symbols = [np.searchsorted(TABLES.edges[row], slot, "right") - 1 for row, slot in zip(rows, slots, strict=True)]
    rare = generator.random(count) < 0.05
    return np.where(rare, generator.integers(0, SIZES[rows]), np.array(symbols, int)), rows


def pushed(symbols, rows):
    made = Stack()
    made.push(symbols, rows, TABLES)
    return made


def test_the_extension_is_built_here():
    """Where there is no compiler the package installs without it; where it is tested, it must be there."""
    assert stack.compiled is not None
    assert stack.LOOPS is stack.compiled


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 300), more=st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_what_one_pushes_the_other_pops(writer, reader, seed, count, more):
    (symbols, rows), (others, of) = drawn(seed, count), drawn(seed + 1, more)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, writer)
        made = pushed(symbols, rows)
        made.push(others, of, TABLES)
        use(patch, reader)
        read = Stack.of(made.words())
        assert np.array_equal(read.pop(of, TABLES), others)  # what was pushed last comes first
        assert np.array_equal(read.pop(rows, TABLES), symbols)
        assert read.is_empty()


@given(seed=st.integers(0, 2**32), count=st.integers(0, 300))
@settings(max_examples=30, deadline=None)
def test_both_write_the_same_words(seed, count):
    symbols, rows = drawn(seed, count)
    words = []
    for kind in KINDS:
        with pytest.MonkeyPatch.context() as patch:
            use(patch, kind)
            words.append(pushed(symbols, rows).words().tolist())
    assert words[0] == words[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_words_are_these(monkeypatch, kind):
    """A format is pinned by a literal, the same on every machine."""
    use(monkeypatch, kind)
    assert pushed([1], [2]).words().tolist() == [2**14]  # 0 // f · 2**16 + 0 % f + the edge
    assert pushed([0, 7, 1, 2, 5], [0, 0, 1, 2, 3]).words().tolist() == WORDS
    rows = np.arange(500) % len(TABLES.edges)
    assert zlib.crc32(pushed(np.arange(500) // 4 % SIZES[rows], rows).words().astype("<u4")) == MANY_WORDS_CRC
    assert pushed([], []).words().tolist() == []


WORDS = [1, 2685296737]
MANY_WORDS_CRC = 77555844


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_at_a_limit_gives_and_takes_a_word_at_the_same_place(kind):
    """Frequencies of 2**15: a word leaves a state of 2**63, and comes back below 2**32, not at it."""
    edges, firsts = (getattr(FrequencyTables(np.array([[2**15, 2**15]])), name) for name in ("edges", "firsts"))
    words, symbols, rows = np.zeros(1, np.uint32), np.zeros(1, np.int32), np.zeros(1, np.uint32)
    assert LOOPS[kind].push(2**63, words, 0, symbols, rows, edges) == (2**32, 1)
    assert LOOPS[kind].pop(2**32, words, 1, symbols, rows, edges, firsts, False) == (2**63, 0, 1)
    assert LOOPS[kind].push(2**63 - 2**48, words, 0, symbols, rows, edges) == (2**64 - 2**49, 0)
    assert LOOPS[kind].pop(2**33, words, 1, symbols, rows, edges, firsts, False) == (2**32, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_leading_words_hold_leading_symbols_and_nothing_wrong(monkeypatch, kind):
    use(monkeypatch, kind)
    symbols, rows = drawn(3, 2000)
    words, held = pushed(symbols, rows).words(), []
    for count in range(len(words)):
        part = Stack.of(words[:count], whole=False)
        found = np.concatenate([part.pop(rows[:700], TABLES), part.pop(rows[700:], TABLES)])
        assert np.array_equal(found, symbols[: len(found)])
        held.append(len(found))
    assert held[:2] == [0, 0]  # the first two words are one state
    assert (np.diff(held) >= 0).all()
    assert held[-1] > 0.9 * len(symbols)
    assert min(np.diff(held[2:])) >= 2  # a word of 32 bits holds two symbols of at most 16


@pytest.mark.parametrize("kind", KINDS)
def test_behind_a_word_that_is_missing_nothing_is_popped(monkeypatch, kind):
    use(monkeypatch, kind)
    symbols, rows = drawn(4, 400)
    words = pushed(symbols, rows).words()
    part = Stack.of(words[:9], whole=False)
    count = len(part.pop(rows, TABLES))
    again = Stack.of(words[:9], whole=False)
    assert np.array_equal(again.pop(rows[:count], TABLES), symbols[:count])  # exactly as many as there are
    assert len(again.pop(rows[count:], TABLES)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_comes_near_the_entropy(monkeypatch, kind):
    use(monkeypatch, kind)
    symbols, rows = drawn(5, 5000)
    bits = -np.log2(TABLES.frequencies[rows, symbols] / TOTAL).sum()
    assert 32 * len(pushed(symbols, rows).words()) == pytest.approx(bits, abs=40)


@pytest.mark.parametrize("kind", KINDS)
def test_other_words_are_told_from_those_of_these_symbols(monkeypatch, kind):
    use(monkeypatch, kind)
    symbols, rows = drawn(6, 500)
    words = pushed(symbols, rows).words()
    for wrong in (words[:-1], np.append(words, np.uint32(7)), words ^ np.uint32(1 << 20)):
        read = Stack.of(wrong)
        read.pop(rows, TABLES)
        assert not read.is_empty()
    with pytest.raises(PayloadError, match="its words do not decode: the first is 0"):
        Stack.of(np.zeros(3, np.uint32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("symbol", "row"), [(8, 0), (-1, 0), (2, 1), (0, 4)])
def test_a_symbol_that_is_in_no_table_is_refused(monkeypatch, kind, symbol, row):
    use(monkeypatch, kind)
    with pytest.raises(ValueError, match="symbol 1 is in no table, or has no frequency there"):
        pushed([0, symbol, 0], [0, row, 0])
    hole = FrequencyTables(np.array([[2**15, 0, 2**15]]))
    with pytest.raises(ValueError, match="symbol 0 is in no table, or has no frequency there"):
        Stack().push([1], [0], hole)


@pytest.mark.skipif(stack.compiled is None, reason="the extension is not built here")
def test_the_extension_refuses_arrays_that_do_not_fit():
    words, symbols, rows = np.zeros(9, np.uint32), np.zeros(2, np.int32), np.zeros(2, np.uint32)
    edges, firsts = TABLES.edges, TABLES.firsts
    for wrong in (
        (0, words, 0, symbols[:1], rows, edges),
        (0, words, 10, symbols, rows, edges),
        (0, words, -1, symbols, rows, edges),
        (0, words, 0, symbols, rows, edges.reshape(-1)),
        (0, words, 0, symbols, rows, edges[:, :1].copy()),
    ):
        with pytest.raises(ValueError, match="do not fit each other"):
            stack.compiled.push(*wrong)
        with pytest.raises(ValueError, match="do not fit each other"):
            stack.compiled.pop(*wrong, firsts, False)
    with pytest.raises(ValueError, match="do not fit each other"):
        stack.compiled.pop(0, words, 0, symbols, rows, edges, firsts[1:], False)
    with pytest.raises(ValueError, match="symbol 1 is in no table"):
        stack.compiled.pop(0, words, 0, symbols, np.array([0, 9], np.uint32), edges, firsts, False)
    with pytest.raises(ValueError, match="symbol 0 is in no table"):  # edges that do not end at the total
        stack.compiled.pop(2**16 - 1, words, 0, symbols, rows, edges // 2, firsts, False)
    with pytest.raises(BufferError):
        stack.compiled.push(0, bytes(36), 0, symbols, rows, edges)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([[TOTAL, 0]], "two frequencies or more"),
        ([[TOTAL + 1, -1]], "two frequencies or more"),
        ([TOTAL // 2, TOTAL // 2], r"got shape \(2,\)"),
        ([[TOTAL // 2, TOTAL // 2], [1, 2]], "adds up to 65536"),
    ],
)
def test_tables_that_cannot_be_are_refused(rows, text):
    with pytest.raises(CodecError, match=text):
        FrequencyTables(np.array(rows))


@pytest.mark.slow
@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_a_hundred_thousand_round_trips(monkeypatch, writer, reader):
    for seed in range(100_000 // len(PAIRS)):
        symbols, rows = drawn(seed, 1 + seed % 16)
        use(monkeypatch, writer)
        words = pushed(symbols, rows).words()
        use(monkeypatch, reader)
        read = Stack.of(words)
        assert np.array_equal(read.pop(rows, TABLES), symbols)
        assert read.is_empty()
