"""The bottleneck's loops: the same integers in C and in NumPy, and nothing outside the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.payload.latent import loops

LIMIT, ROUNDING = 2**15 - 1, 0.4
KINDS = [loops.Plain] if loops.compiled is None else [loops.Plain, loops.compiled]
BATCH, ALL, SENT = 3, 40, 25


def test_the_extension_is_built_here():
    """Where there is no compiler the package installs without it; where it is tested, it must be there."""
    assert loops.compiled is not None
    assert loops.LOOPS is loops.compiled


def quantised(kind, coefficients, order, scale):
    latents = np.full((len(coefficients), len(order)), 77, np.int32)
    kind.quantise(coefficients, order, scale, ROUNDING, LIMIT, latents)
    return latents


@pytest.mark.parametrize("kind", KINDS)
def test_a_magnitude_is_cut_after_the_rounding_is_added(kind):
    given_ = np.array([[0.59, -0.59, 0.6, -0.6, 1.6, 0.0, -0.0, 1e9, -1e9, 2.5]])
    wanted = [0, 0, 1, -1, 2, 0, 0, LIMIT, -LIMIT, 2]
    assert quantised(kind, given_, np.arange(10), 1.0)[0].tolist() == wanted
    assert quantised(kind, given_ * 8, np.arange(10)[::-1].copy(), 0.125)[0].tolist() == wanted[::-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_that_sends_nothing_has_no_latents(kind):
    assert quantised(kind, np.ones((BATCH, ALL)), np.arange(0), 1.0).shape == (BATCH, 0)


@given(seed=st.integers(0, 2**32), size=st.floats(-3, 14), scale=st.floats(1e-4, 1e4))
@settings(max_examples=200, deadline=None)
def test_both_quantise_to_the_same_integers(seed, size, scale):
    generator = np.random.default_rng(seed)
    coefficients = np.rint(generator.normal(size=(BATCH, ALL)) * 10**size)
    order = generator.permutation(ALL)[:SENT]
    first, *others = (quantised(kind, coefficients, order, scale) for kind in KINDS)
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_beyond_its_table_is_escaped(kind):
    largest = np.array([3, 3, 3, 3, 7, 63, 63, 63, 3], np.int32)
    latents = np.array([-3, 3, 4, -4, 7, 64, -LIMIT, LIMIT, 0], np.int32)
    symbols = np.full(9, 99, np.int32)
    assert kind.symbols(latents, largest, symbols) == 5
    assert symbols.tolist() == [0, 6, 7, 7, 14, 127, 127, 127, 3]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_both_find_the_same_symbols(seed):
    generator = np.random.default_rng(seed)
    largest = generator.choice([3, 7, 15, 31, 63], SENT).astype(np.int32)
    latents = np.rint(generator.standard_cauchy(SENT) * 10).clip(-LIMIT, LIMIT).astype(np.int32)
    found = [(kind.symbols(latents, largest, made := np.zeros(SENT, np.int32)), made.tolist()) for kind in KINDS]
    assert all(one == found[0] for one in found)


@pytest.mark.skipif(loops.compiled is None, reason="the extension is not built here")
def test_the_extension_refuses_arrays_that_do_not_fit():
    coefficients, latents = np.zeros((BATCH, ALL)), np.zeros((BATCH, SENT), np.int32)
    order = np.arange(SENT)
    for wrong in (
        (coefficients, order + ALL, latents),
        (coefficients, order - 1, latents),
        (coefficients.reshape(-1)[1:], order, latents),
        (coefficients, order, latents.reshape(-1)[1:]),
        (coefficients, order[:0], latents),
    ):
        with pytest.raises(ValueError, match="loops do not fit each other"):
            loops.compiled.quantise(*wrong[:2], 1.0, ROUNDING, LIMIT, wrong[2])
    with pytest.raises(ValueError, match="loops do not fit each other"):
        loops.compiled.symbols(latents[0], latents[0][1:], latents[1])
    with pytest.raises(BufferError):
        loops.compiled.symbols(latents[0], latents[0], bytes(4 * SENT))


def of_a_frame(generator, count, size):
    """What is held of coefficients, where they are, and all that is known of them."""
    around = generator.integers(0, count + 1, (4, count)).astype(np.int32)
    near = np.where(around < count // 2, around, count).astype(np.int32)
    held = np.rint(generator.standard_cauchy(count) * size).clip(-LIMIT, LIMIT).astype(np.int32)
    return around, near, held, generator.integers(0, 256, count).astype(np.uint8)


def chosen(kind, seed, count=SENT, size=2.0):
    """A frame's scores, rows, changes, symbols and sizes, and what is held after it."""
    generator = np.random.default_rng(seed)
    around, near, held, activity = of_a_frame(generator, count, size)
    says = [generator.integers(-300, 300, rows).astype(np.int32) for rows in (5, 256, 256, 18)]
    classes, sizes = (generator.integers(0, most, count + 1) for most in (5, 3))
    scores, rows = np.empty(count, np.int32), np.empty(count, np.uint32)
    kind.scores(activity, around, classes[:count].astype(np.int32), *says[:3], scores)
    first_row = 9 * (near < count).any(axis=0).astype(np.uint8)
    sizes[count] = 0
    kind.rows(scores, sizes.astype(np.uint8), near, first_row, says[3], held, 512, 4, 48, rows)
    apart = np.where(generator.random(count) < 0.5, generator.normal(size=count), generator.standard_cauchy(count) * 99)
    where = (held[::-1] + apart) * 3.0, np.arange(count)[::-1].copy(), 1 / 3.0, held, rows
    thresholds = generator.uniform(0.55, 3, 96).astype(np.float32)
    changes, symbols, made = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.uint8)
    counts = kind.choose(*where, thresholds, LIMIT, 23, changes, symbols, made)
    after, active = np.empty(count, np.int16), np.empty(count, np.uint8)
    counts += (kind.after(held, changes, activity, after, active),)
    return counts, [one.tolist() for one in (scores, rows, changes, symbols, made, after, active)]


@given(seed=st.integers(0, 2**32), size=st.floats(0.1, 9999))
@settings(max_examples=100, deadline=None)
def test_both_choose_the_same_changes(seed, size):
    first, *others = (chosen(kind, seed, size=size) for kind in KINDS)
    assert all(other == first for other in others)
    (moved, escaped, counted), (*_, changes, symbols, sizes, after, _) = first
    assert moved == counted == sum(change != 0 for change in changes)
    assert escaped == symbols.count(23)
    assert max(map(abs, after)) <= LIMIT
    assert sizes == [min(abs(change), 2) for change in changes]


@pytest.mark.parametrize("kind", KINDS)
def test_a_coefficient_moves_from_its_threshold_on(kind):
    held, rows = np.array([0, 0, 0, 5, -5, LIMIT, 0, 0], np.int32), np.array([0, 0, 1, 0, 0, 0, 0, 0], np.uint32)
    at = np.array([0.59, 0.61, 0.61, 3.4, -7.0, 1e9, -40.0, np.float64(2**60)])
    changes, symbols, sizes = np.full(8, 9, np.int32), np.full(8, 9, np.int32), np.full(8, 9, np.uint8)
    thresholds = np.array([0.6, 0.7], np.float32)
    counts = kind.choose(at, np.arange(8), 1.0, held, rows, thresholds, LIMIT, 23, changes, symbols, sizes)
    assert changes.tolist() == [0, 1, 0, -2, -2, 0, -40, LIMIT]
    assert symbols.tolist() == [0, 1, 0, 3, 4, 0, 23, 23]
    assert (counts, sizes.tolist()) == ((5, 2), [0, 1, 0, 2, 2, 0, 2, 2])


@pytest.mark.skipif(loops.compiled is None, reason="the extension is not built here")
def test_the_extension_refuses_changes_that_do_not_fit():
    n = 8
    whole, bytes_, rows, order = np.zeros(n, np.int32), np.zeros(n, np.uint8), np.zeros(n, np.uint32), np.arange(n)
    near, says = np.zeros((3, n), np.int32), np.zeros(256, np.int32)
    fitting = {
        "scores": (bytes_, near, whole, says, says, says, whole),
        "rows": (whole, bytes_, near, bytes_, says, whole, 0, 4, 48, rows),
        "choose": (
            np.zeros(n),
            order,
            1.0,
            whole,
            rows,
            np.ones(1, np.float32),
            LIMIT,
            23,
            whole.copy(),
            whole,
            bytes_,
        ),
        "after": (whole, whole, bytes_, np.zeros(n, np.int16), bytes_),
    }
    for name, given_ in fitting.items():
        loop = getattr(loops.compiled, name)
        loop(*given_)
        for at, one in enumerate(given_):
            shorter = one.reshape(-1)[1:] if isinstance(one, np.ndarray) else None
            if shorter is None or (name, at) in {("scores", 3), ("rows", 1), ("rows", 4), ("choose", 0)}:
                continue  # these may be of any length
            with pytest.raises(ValueError, match="loops do not fit each other"):
                loop(*given_[:at], shorter, *given_[at + 1 :])
    beyond = np.full(n, 256, np.int32)
    for name, at, wrong in (
        ("scores", 2, beyond),
        ("scores", 2, -beyond),
        ("rows", 3, bytes_ + 129),
        ("choose", 1, order + 1),
        ("choose", 1, order - 1),
        ("choose", 4, rows + 1),
    ):
        with pytest.raises(ValueError, match="loops do not fit each other"):
            getattr(loops.compiled, name)(*fitting[name][:at], wrong, *fitting[name][at + 1 :])
