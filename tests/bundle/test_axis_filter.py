"""One axis of a picture resized: the same integers in C and in NumPy, Pillow's levels, nothing outside the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adaedge.bundle import axis_filter
from adaedge.bundle.axis_filter import FILTERS, filter_of

KINDS = [axis_filter.Plain] if axis_filter.compiled is None else [axis_filter.Plain, axis_filter.compiled]
only_compiled = pytest.mark.skipif(axis_filter.compiled is None, reason="the extension is not built here")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(256, size=(*shape, 3), dtype=np.uint8)


def test_the_extension_is_built_here():
    """Where there is no compiler the package installs without it; where it is tested, it must be there."""
    assert axis_filter.compiled is not None
    assert axis_filter.PASSES is axis_filter.compiled


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("length", "resized"), [(360, 256), (31, 90), (400, 17), (50, 50), (1, 8), (3, 1)])
def test_the_levels_are_pillows(name, length, resized):
    picture, whole = noise(length, 37), filter_of(length, resized, 0, resized, name)
    kernel = Image.Resampling[name.upper()]
    expected = np.asarray(Image.fromarray(picture).resize((37, resized), kernel)).astype(int)
    for found in (whole.rows(picture), whole.columns(picture.transpose(1, 0, 2)).transpose(1, 0, 2)):
        apart = np.abs(found - expected)
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.05, "where a value lies between two levels"


@pytest.mark.parametrize("name", FILTERS)
def test_a_part_is_that_part_of_the_whole(name):
    picture, whole, part = noise(90, 5), filter_of(90, 61, 0, 61, name), filter_of(90, 61, 20, 41, name)
    assert np.array_equal(part.rows(picture[part.begin : part.end]), whole.rows(picture)[20:41])
    assert part.end - part.begin < 50, "only what is kept is read"


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("length", "resized"), [(360, 256), (31, 90), (400, 17), (7, 7)])
def test_weights_sum_to_one_so_an_even_picture_stays_even(name, length, resized):
    one = filter_of(length, resized, 0, resized, name)
    assert (one.weights.sum(1) == 1 << 14).all()
    for level in (0, 1, 128, 255):
        assert (one.rows(np.full((length, 4, 3), level, np.uint8)) == level).all()


@pytest.mark.parametrize("name", FILTERS)
def test_an_axis_that_keeps_its_length_is_only_cropped(name):
    picture, one = noise(50, 4), filter_of(50, 50, 10, 30, name)
    assert one.weights.shape == (20, 1), "each pixel is read once"
    assert np.array_equal(one.rows(picture[one.begin : one.end]), picture[10:30])


@only_compiled
@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 70),
    across=st.integers(1, 40),
    resized=st.integers(1, 70),
    name=st.sampled_from(list(FILTERS)),
    view=st.sampled_from([np.s_[:], np.s_[::-1], np.s_[:, ::-1], np.s_[:, :, ::-1]]),
    seed=st.integers(0, 9),
)
def test_both_ways_make_the_same_bytes(length, across, resized, name, view, seed):
    one = filter_of(length, resized, resized // 3, resized, name)
    picture = noise(length, across, seed=seed)[one.begin : one.end]
    turned = picture.transpose(1, 0, 2)[view]  # any strides
    down, along = [], []
    for kind in KINDS:
        down.append(np.empty((len(one.first), across, 3), np.uint8))
        kind.rows(picture, one.first, one.weights, down[-1])
        along.append(np.empty((len(turned), len(one.first), 3), np.uint8))
        kind.columns(turned, one.first, one.weights, along[-1])
    assert np.array_equal(*down)
    assert np.array_equal(*along)


@only_compiled
@pytest.mark.parametrize("name", ["rows", "columns"])
@pytest.mark.parametrize(
    "wrong", ["ahead", "behind", "wide", "made", "channels", "type", "number", "levels"], ids=lambda wrong: wrong
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(name, wrong):
    picture, first, weights = noise(9, 9), np.array([0, 3, 6], np.int32), np.full((3, 3), 5461, np.int16)
    made = np.zeros((3, 9, 3) if name == "rows" else (9, 3, 3), np.uint8)
    match wrong:
        case "ahead":
            first[2] = 7
        case "behind":
            first[0] = -1
        case "wide":
            weights = np.zeros((3, 10), np.int16)
        case "made":
            made = made[:, :-1].copy()
        case "channels":
            picture = picture[:, :, :2].copy()
        case "type":
            first = first.astype(np.int64)
        case "number":
            first = first[:2].copy()
        case "levels":
            picture = picture.astype(np.int16)
    with pytest.raises(ValueError, match="the arrays of an axis's filter do not fit each other"):
        getattr(axis_filter.compiled, name)(picture, first, weights, made)
    assert not made.any()
