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
