import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.latent.tables import ESCAPE, HIGHEST_CLASS, LIMIT, LOWEST_CLASS, TOTAL, Tables

CLASSES = HIGHEST_CLASS - LOWEST_CLASS + 1
TABLES = Tables.fit(np.zeros((CLASSES, ESCAPE + 1)))


def drawn(seed, count=300, batch=1, escapes=0):
    generator = np.random.default_rng(seed)
    classes = np.sort(generator.integers(LOWEST_CLASS, HIGHEST_CLASS + 1, count))[::-1]
    latents = np.rint(generator.laplace(size=(batch, count)) * 2 ** (classes / 4) / 1.4).astype(np.int64)
    latents.reshape(-1)[generator.integers(0, latents.size, escapes)] = generator.integers(-LIMIT, LIMIT + 1, escapes)
    return latents, classes


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
    latents = np.clip(latents, -60, 60)  # an escape is not known before its whole run is
    words = TABLES.encode(latents, classes)
    right = [
        np.argmin(np.append((TABLES.decode(words[:count], classes, 1, whole=False) == latents)[0], False))
        for count in range(0, len(words) + 1, 8)
    ]
    assert (np.diff(right) >= 0).all()
    bits = [TABLES.bits(latents[:, :count], classes[:count]) for count in right]
    assert all(32 * held - bit < 64 for held, bit in zip(range(0, len(words) + 1, 8), bits, strict=True))


def test_the_words_are_these():
    """A format is pinned by a literal: other words would not decode on a machine with another version."""
    latents, classes = np.array([[3, -1, 0, 200, 0, 1]]), np.array([8, 4, 4, 4, 0, -8])
    assert TABLES.encode(latents, classes).tolist() == WORDS


WORDS = [3491511319, 3212049787]


def test_a_table_is_as_good_as_its_entropy():
    latents, classes = drawn(1, 5000)
    assert 32 * len(TABLES.encode(latents, classes)) == pytest.approx(TABLES.bits(latents, classes), abs=64)


def test_every_table_is_whole_numbers_that_add_up():
    counts = np.zeros((CLASSES, ESCAPE + 1))
    counts[:, 70] = 1e9
    tables = Tables.fit(counts).frequencies
    assert (tables >= 1).all()
    assert (tables.sum(axis=1) == TOTAL).all()
    assert (tables[:, 70] == tables[:, 56]).all() or abs(tables[0, 70] - tables[0, 56]) < 200  # 70 is +7, 56 is -7


def test_tables_that_do_not_add_up_are_refused():
    wrong = TABLES.frequencies.copy()
    wrong[0, 0] += 1
    with pytest.raises(CodecError, match="adds up to 65536"):
        Tables(wrong)
    with pytest.raises(CodecError, match=r"of shape \(33, 128\)"):
        Tables(wrong[:, :5])


def test_words_that_are_no_stream_are_refused():
    _, classes = drawn(2, 2000)
    words = np.full(3, 2**32 - 1, np.uint32)
    with pytest.raises(PayloadError, match="do not decode"):
        TABLES.decode(words, classes, 1)


@pytest.mark.slow
def test_a_hundred_thousand_random_latents_come_back():
    for seed in range(100):
        latents, classes = drawn(seed, 1000, escapes=3)
        assert (TABLES.decode(TABLES.encode(latents, classes), classes, 1) == latents).all()
