import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError
from adaedge.payload.latent import Layout

F = "float32"


@given(
    grid=st.lists(st.integers(1, 5), min_size=0, max_size=3),
    factors=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    last=st.booleans(),
    positions=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_rows_are_the_tensors_in_another_order(grid, factors, last, positions):
    factors = [1, *factors]
    shapes = [((2, *(f * g for g in grid), 3) if last else (2, 3, *(f * g for g in grid))) for f in factors]
    axes = [len(grid) + 1 if last else 1] * len(shapes)
    layout = Layout.of(shapes, axes, [F] * len(shapes), max_positions=positions)
    generator = np.random.default_rng(0)
    tensors = [generator.random(shape).astype(F) for shape in shapes]
    rows = layout.rows(tensors)
    assert rows.shape == (2, layout.positions, layout.width)
    for found, tensor in zip(layout.tensors(rows), tensors, strict=True):
        assert np.array_equal(found, tensor)


def test_a_position_holds_what_lies_there():
    layout = Layout.of([(1, 2, 4, 4), (1, 5, 2, 2)], [1, 1], [F, F])
    assert layout.grid == (2, 2)
    fine, coarse = np.zeros((1, 2, 4, 4), F), np.zeros((1, 5, 2, 2), F)
    fine[..., :2, 2:], coarse[..., 0, 1] = 1, 1
    assert layout.rows([fine, coarse])[0].sum(axis=1).tolist() == [0, 13, 0, 0]


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((1, 24, 56, 56), (56, 56)),
        ((1, 32, 112, 112), (56, 56)),
        ((1, 80, 14, 14), (14, 14)),
        ((1, 8, 67, 67), (67, 67)),
    ],
)
def test_large_grids_become_patches_where_they_divide(shape, grid):
    assert Layout.of([shape], [1], [F]).grid == grid


@pytest.mark.parametrize(
    ("shapes", "axes", "dtypes", "text"),
    [
        (
            [(1, 4, 6, 6), (1, 4, 4, 4)],
            [1, 1],
            [F, F],
            r"share no grid: float32 \(1, 4, 6, 6\), float32 \(1, 4, 4, 4\)",
        ),
        ([(1, 4, 6, 6), (1, 9, 4)], [1, 2], [F, F], "share no grid"),
        ([(1, 9)], [None], [F], r"a batch and a channel dimension; here cross float32 \(1, 9\)"),
        ([(1, 9, 4)], [2], ["int64"], r"here cross int64 \(1, 9, 4\)"),
        ([], [], [], "floating-point tensors"),
    ],
)
def test_what_has_no_grid_is_refused(shapes, axes, dtypes, text):
    with pytest.raises(CodecError, match=text):
        Layout.of(shapes, axes, dtypes)


def test_a_frame_without_a_channel_dimension_has_it_first():
    assert Layout.of([(1, 3, 8, 8)], [None], [F]).width == 3


def test_a_position_holds_its_patch_row_by_row_each_with_its_channels():
    layout = Layout.of([(1, 2, 4, 2), (1, 1, 2, 1)], [1, 1], [F, F])
    tensor = np.arange(16, dtype=F).reshape(1, 2, 4, 2)  # two channels of 0 … 7 and 8 … 15
    rows = layout.rows([tensor, np.float32([[[[20], [21]]]])])
    assert rows.tolist() == [[[0, 8, 1, 9, 2, 10, 3, 11, 20], [4, 12, 5, 13, 6, 14, 7, 15, 21]]]
    assert np.array_equal(layout.tensors(rows)[0], tensor)


def test_tokens_of_an_image_lie_on_its_grid_behind_the_others():
    def layout(*shape, axis=2):
        return Layout.of([(1, *shape)], [axis], [F])

    assert [(layout(n, 8).sides, layout(n, 8).prefix) for n in (257, 201, 1370, 16)] == [
        ((16, 16), 1), ((14, 14), 5), ((37, 37), 1), ((4, 4), 0),
    ]  # fmt: skip
    assert [(layout(n, 8).sides, layout(n, 8).prefix) for n in (9, 22, 1000, 1)] == [
        ((9,), 0), ((22,), 0), ((), 0), ((), 0),
    ]  # fmt: skip
    assert layout(8, 4, 5, 6, axis=1).sides == (4, 5, 6)
