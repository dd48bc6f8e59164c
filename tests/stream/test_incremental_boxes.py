"""Reaches and boxes, held against what they stand for."""

import numpy as np
import pytest

from adaedge.stream.incremental.boxes import MOST, boxes_of, merged
from adaedge.stream.incremental.changed_cells import alive_boxes, died_out, moved_boxes
from adaedge.stream.incremental.plan import Held
from adaedge.stream.incremental.reach import Reach, hull, volume


def window(kernel, stride, padding, dilation):
    return Reach(stride, padding, dilation * (kernel - 1) - padding)


def reads(reach, place, length):
    """The elements that an output reads, listed one by one."""
    first, last = place * reach.stride - reach.before, place * reach.stride + reach.after
    return {at for at in range(first, last + 1) if 0 <= at < length}


@pytest.mark.parametrize("kernel", [(1, 1, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1), (7, 2, 3, 1), (3, 1, 2, 2), (2, 2, 0, 1)])
def test_what_changes_and_what_is_needed_is_what_the_window_reads(kernel):
    reach, length = window(*kernel), 23
    outputs = (length + 2 * kernel[2] - kernel[3] * (kernel[0] - 1) - 1) // kernel[1] + 1
    for start in range(length):
        for stop in range(start + 1, min(start + 4, length) + 1):
            changed = {at for at in range(outputs) if reads(reach, at, length) & set(range(start, stop))}
            first, last = reach.changed((start, stop), outputs)
            assert set(range(first, last)) == changed
    for start in range(outputs):
        for stop in range(start + 1, min(start + 3, outputs) + 1):
            needed = set().union(*(reads(reach, at, length) for at in range(start, stop)))
            first, last = reach.needed((start, stop), length)
            assert needed <= set(range(first, last))
            assert (min(needed), max(needed) + 1) == (first, last)


def test_two_windows_in_a_row_reach_as_far_as_both():
    one, other = window(3, 2, 1, 1), window(5, 1, 2, 1)
    both = one.then(other)
    assert both == Reach(2, 5, 5)
    assert one.joined(window(1, 2, 0, 1)) == one
    assert one.joined(other) is None


@pytest.mark.parametrize("seed", range(40))
def test_boxes_cover_all_that_changed_and_little_else(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(tuple(rng.integers(1, 12, rng.integers(1, 4)))) < rng.choice([0.02, 0.1, 0.5])
    boxes = boxes_of(mask)
    covered = np.zeros_like(mask)
    for box in boxes:
        covered[tuple(slice(*span) for span in box)] = True
    assert (covered | ~mask).all()
    assert len(boxes) <= MOST
    if mask.any():
        assert sum(map(volume, boxes)) <= volume(hull(boxes))


def test_two_far_corners_are_two_boxes_and_two_neighbours_are_one():
    mask = np.zeros((20, 20), bool)
    mask[0, 0] = mask[19, 19] = True
    assert sorted(boxes_of(mask)) == [((0, 1), (0, 1)), ((19, 20), (19, 20))]
    mask[:] = False
    mask[3:5, 3:9] = True
    assert boxes_of(mask) == [((3, 5), (3, 9))]
    assert boxes_of(mask & False) == []


def test_boxes_are_merged_where_one_call_is_cheaper():
    near, far = ((0, 4), (0, 4)), ((90, 94), (90, 94))
    beside = ((0, 4), (5, 9))
    assert sorted(merged([near, beside, far], lambda box: 10 + volume(box))) == [((0, 4), (0, 9)), far]
    assert sorted(merged([near, beside, far], lambda box: 1 + volume(box))) == sorted([near, beside, far])
    assert merged([near, beside, far], lambda box: 1e6 + volume(box)) == [((0, 94), (0, 94))]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_change_counts_by_the_root_mean_square_of_its_cell(dtype):
    before = np.full((1, 20, 30, 3), 100, dtype)
    after = before.copy()
    after[0, 9, 12] = 164  # one pixel of 64, by 64: a root mean square of 8
    after[0, 19, 29, 0] = 101  # in the last cell, of 4 by 6 pixels
    held = Held(before.shape, (1, 2), dtype)
    assert sorted(moved_boxes(before, after, held, 0.0, 8)) == [((8, 16), (8, 16)), ((16, 20), (24, 30))]
    assert moved_boxes(before, after, held, 7.9, 8) == [((8, 16), (8, 16))]
    assert moved_boxes(before, after, held, 8.0, 8) == []
    assert moved_boxes(after, before, held, 7.9, 8) == [((8, 16), (8, 16))]


def test_what_is_not_a_number_has_changed():
    before, after = np.zeros((1, 2, 8, 8), np.float32), np.zeros((1, 2, 8, 8), np.float32)
    after[0, 0, 5, 5] = np.nan
    held = Held(before.shape, (2, 3))
    for threshold in (0.0, 100.0):
        assert moved_boxes(before, after, held, threshold, 4) == [((4, 8), (4, 8))]
        assert not died_out(before, after, threshold)
    assert alive_boxes(before, after, (2, 3), 100.0, 2) == [((4, 6), (4, 6))]


def test_a_change_has_died_out_by_its_root_mean_square():
    before, after = np.zeros((1, 4, 8, 8), np.float32), np.zeros((1, 4, 8, 8), np.float32)
    after[0, :, :2, :2] = 3.0
    after[0, 0, 6, 6] = 4.0  # of 16 numbers of its cell: 1
    assert alive_boxes(before, after, (2, 3), 0.9, 2) == [((6, 8), (6, 8)), ((0, 2), (0, 2))]
    assert alive_boxes(before, after, (2, 3), 1.1, 2) == [((0, 2), (0, 2))]
    assert died_out(before, after, 1.0)
    assert not died_out(before, after, 0.1)
    assert not died_out(before, after, 0.0)
