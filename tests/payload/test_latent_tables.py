import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.payload import entropy
from adaedge.payload.latent import tables
from adaedge.payload.latent.tables import (
    HIGHEST_CLASS,
    LARGEST,
    LIMIT,
    LOWEST_CLASS,
    SHIFTS,
    SYMBOLS,
    TOTAL,
    Classes,
    Tables,
    shifted,
)

pytestmark = pytest.mark.usefixtures("either_loops")

CLASSES = HIGHEST_CLASS - LOWEST_CLASS + 1
TABLES = Tables.fit(np.zeros((CLASSES, SYMBOLS)))


def drawn(seed, count=300, batch=1, escapes=0):
    generator = np.random.default_rng(seed)
    classes = np.sort(generator.integers(LOWEST_CLASS, HIGHEST_CLASS + 1, count))[::-1]
    latents = np.rint(generator.laplace(size=(batch, count)) * 2 ** (classes / 4) / 1.4).astype(np.int64)
    latents.reshape(-1)[generator.integers(0, latents.size, escapes)] = generator.integers(-LIMIT, LIMIT + 1, escapes)
    return latents, Classes(classes)


@given(seed=st.integers(0, 2**32), batch=st.integers(1, 3), escapes=st.integers(0, 5), count=st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_latents_come_back(seed, batch, escapes, count):
    latents, classes = drawn(seed, count, batch, escapes if count else 0)
    assert (TABLES.decode(TABLES.encode(latents, classes), classes, batch) == latents).all()


@given(seed=st.integers(0, 2**32), escapes=st.integers(0, 5), kept=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_what_a_cut_stream_still_says_is_right(seed, escapes, kept):
    latents, classes = drawn(seed, escapes=escapes)
    words = TABLES.encode(latents, classes)
    found = TABLES.decode(words[: int(kept * len(words))], classes, 1, whole=False)
    assert ((found == latents) | (found == 0)).all()


def test_a_cut_stream_says_nearly_all_that_it_holds():
    latents, classes = drawn(0, 2000)
    words = TABLES.encode(latents, classes)
    right = [
        np.argmin(np.append((TABLES.decode(words[:count], classes, 1, whole=False) == latents)[0], False))
        for count in range(0, len(words) + 1, 8)
    ]
    assert (np.diff(right) >= 0).all()
    bits = [TABLES.bits(latents[:, :count], Classes(classes.each[:count])) for count in right]
    escaped = np.abs(latents[0]) > classes.largest  # their values come before everything
    first = [16 * escaped[count:].sum() for count in right]
    spent = range(0, 32 * len(words) + 1, 8 * 32)
    assert all(held - bit - early < 96 for held, bit, early in zip(spent[1:], bits[1:], first[1:], strict=True))


def test_the_words_are_these():
    """A format is pinned by a literal: other words would not decode on a machine with another version."""
    latents, classes = np.array([[3, -1, 0, 200, 0, 1]]), Classes(np.array([8, 4, 4, 4, 0, -8]))
    assert TABLES.encode(latents, classes).tolist() == WORDS


WORDS = [14, 1666381871, 3481323448]


def test_a_table_is_as_good_as_its_entropy():
    latents, classes = drawn(1, 5000)
    assert 32 * len(TABLES.encode(latents, classes)) == pytest.approx(TABLES.bits(latents, classes), abs=64)


def test_every_table_is_whole_numbers_that_add_up():
    counts = np.zeros((CLASSES, SYMBOLS))
    counts[:, 70] = 1e9
    tables = Tables.fit(counts).frequencies
    assert (tables.sum(axis=1) == TOTAL).all()
    for row, largest in zip(tables, LARGEST, strict=True):
        assert (row[: 2 * largest + 2] >= 1).all()
        assert not row[2 * largest + 2 :].any()
        if largest < 7:
            assert row[2 * largest + 1] > 0.99 * TOTAL  # 7 is escaped
        else:
            assert abs(row[largest + 7] - row[largest - 7]) < 200


def test_a_table_reaches_ten_standard_deviations():
    spreads = 2 ** (np.arange(LOWEST_CLASS, HIGHEST_CLASS + 1) / 4)
    assert ((10 * spreads < LARGEST + 1) | (LARGEST == 63)).all()
    assert SYMBOLS == 128


def test_every_value_near_the_edge_of_its_table_comes_back():
    each = np.repeat(np.arange(HIGHEST_CLASS, LOWEST_CLASS - 1, -1), 4)
    classes = Classes(each)
    latents = (classes.largest + np.tile([0, 1, 0, 1], CLASSES)) * np.tile([1, 1, -1, -1], CLASSES)
    for batch in (1, 2):
        many = np.stack([latents, -latents][:batch])
        assert np.array_equal(TABLES.decode(TABLES.encode(many, classes), classes, batch), many)


def test_tables_that_do_not_add_up_are_refused():
    wrong = TABLES.frequencies.copy()
    wrong[0, 0] += 1
    with pytest.raises(CodecError, match="adds up to 65536"):
        Tables(wrong)
    with pytest.raises(CodecError, match=r"of shape \(33, 128\)"):
        Tables(wrong[:, :5])
    wrong[0, 0] -= 1
    wrong[0, -2:] = 1, -1  # beyond the seven values and the escape of the narrowest class
    with pytest.raises(CodecError, match="probability tables are positive"):
        Tables(wrong)


@pytest.mark.parametrize("wider", [-9, -4, 0, 3, 6])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_shift_finds_how_wide_latents_are(wider, batch):
    each = np.sort(np.random.default_rng(3).integers(-6, 12, 4000))[::-1]
    classes = Classes(each)
    spreads = 2.0 ** ((each + wider) / 4)
    latents = np.rint(np.random.default_rng(4).laplace(scale=spreads / 2**0.5, size=(batch, len(each)))).astype(int)
    shift = TABLES.shift(latents, classes)
    taken = {other: TABLES.bits(latents, shifted(classes, other)) for other in SHIFTS}
    assert taken[shift] <= 1.02 * min(taken.values())
    assert abs(shift - wider) <= 2
    words = TABLES.encode(latents, shifted(classes, shift))
    assert np.array_equal(TABLES.decode(words, shifted(classes, shift), batch), latents)


def test_zeros_are_of_the_narrowest_classes():
    assert TABLES.shift(np.zeros((1, 9), int), Classes(np.arange(9)[::-1])) == SHIFTS[0]


def test_words_that_are_no_stream_are_refused():
    latents, classes = drawn(2, 2000)
    words = TABLES.encode(latents, classes)
    for wrong in (np.full(3, 2**32 - 1, np.uint32), words[:-1], np.append(words, 7).astype(np.uint32)):
        with pytest.raises(PayloadError, match=r"do not decode with this bottleneck's tables|latents are escaped"):
            TABLES.decode(wrong, classes, 1)
    first = np.array([[9, 0, 0]])  # one of class −6 that is escaped; the tables of the other class reach further
    words = TABLES.encode(first, Classes(np.array([-6, -6, -6])))
    with pytest.raises(PayloadError, match=r"latents are escaped|do not decode"):
        TABLES.decode(words, Classes(np.array([12, 12, 12])), 1)
    with pytest.raises(PayloadError, match="do not decode: the first is 0"):
        TABLES.decode(np.zeros(3, np.uint32), classes, 1)


@pytest.mark.parametrize("escapes", [62, 63, 64, 126, 2000])
def test_any_number_may_be_escaped(escapes):
    latents, classes = drawn(2, 2000)
    latents[0, :escapes] = 5000
    words = TABLES.encode(latents, classes)
    assert np.array_equal(TABLES.decode(words, classes, 1), latents)
    for held in (0, 1, 9, 30):  # the cut is among what is escaped: nothing behind it is known
        assert not TABLES.decode(words[:held], classes, 1, whole=False).any()


def test_a_stream_that_says_that_more_are_escaped_than_there_are_is_not_followed(monkeypatch):
    classes, made, pops = Classes(np.zeros(100, int)), entropy.Stack(), []
    made.push(np.full(5000, 63), np.zeros(5000), tables._DIGITS)
    pop = entropy.Stack.pop
    monkeypatch.setattr(entropy.Stack, "pop", lambda *given: pops.append(given) or pop(*given))
    with pytest.raises(PayloadError, match="corrupted payload"):
        TABLES.decode(made.words(), classes, 1)
    assert len(pops) < 10


@pytest.mark.slow
def test_a_hundred_thousand_random_latents_come_back():
    for seed in range(100):
        latents, classes = drawn(seed, 1000, escapes=3)
        assert (TABLES.decode(TABLES.encode(latents, classes), classes, 1) == latents).all()
