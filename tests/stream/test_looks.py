"""What is compared of two frames: the same integers in C and in NumPy, and nothing outside the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.stream import BlockChange, MovedBlocks, looks

KINDS = [looks.Plain] if looks.compiled is None else [looks.Plain, looks.compiled]
only_compiled = pytest.mark.skipif(looks.compiled is None, reason="the extension is not built here")


def test_the_extension_is_built_here():
    """Where there is no compiler the package installs without it; where it is tested, it must be there."""
    assert looks.compiled is not None
    assert looks.LOOKS is looks.compiled


@pytest.mark.parametrize("kind", KINDS)
def test_luma_is_that_of_bt_601_and_edges_are_repeated(kind):
    frame = np.zeros((3, 5, 3), np.uint8)
    frame[0, 0], frame[0, 2], frame[0, 4], frame[2] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    made = np.full((4, 4), 7, np.uint8)
    kind.luma(frame, 2, made)
    assert made.tolist() == [[76, 149, 28, 28], [255] * 4, [255] * 4, [255] * 4]


@pytest.mark.parametrize("kind", KINDS)
def test_halves_part_at_the_first_value_that_half_of_all_reach(kind):
    assert kind.halves(np.array([[1, 2], [3, 9]], np.uint8)) == (2, 2, 3, 2, 12)
    assert kind.halves(np.array([[5, 5], [5, 5]], np.uint8)) == (5, 4, 20, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_half_rises_by_its_median(kind):
    before = np.array([[10, 20, 30], [200, 210, 220]], np.uint8)
    after = np.array([[15, 25, 255], [190, 0, 210]], np.uint8)
    assert kind.raised(before, after, 30) == (5, -10)
    assert kind.raised(before, after, 255) == (-10, -255), "of none it is the least"


@pytest.mark.parametrize("kind", KINDS)
def test_halves_of_a_level_go_to_the_even_one(kind):
    made = np.empty(256, np.uint8)
    kind.lit(0.5, 0.0, made)
    assert made[[0, 1, 3, 5, 255]].tolist() == [0, 0, 2, 2, 128]
    kind.lit(2.0, -10.0, made)
    assert made[[0, 5, 6, 132, 133, 255]].tolist() == [0, 0, 2, 254, 255, 255]


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_has_moved_as_far_as_its_farthest_pixel(kind):
    before, largest = np.full((4, 8), 100, np.uint8), np.empty((1, 2), np.uint8)
    after = before.copy()
    after[3, 3], after[0, 4] = 90, 250
    assert kind.apart(before, after, looks.AS_IT_IS, largest) == 0
    assert largest.tolist() == [[10, 150]]
    assert [kind.moved(largest, still, 64) for still in (0.0, 9.9, 10.0, 200.0)] == [74, 74, 64, 0]


@given(seed=st.integers(0, 2**32), height=st.integers(1, 30), width=st.integers(1, 30), step=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_both_find_the_same(seed, height, width, step):
    generator = np.random.default_rng(seed)
    frames = generator.integers(0, 256, (2, height, 3, width), np.uint8).swapaxes(2, 3)[:, ::-1]
    shape = tuple(-(side // -(step * looks.BLOCK)) * looks.BLOCK for side in (height, width))
    gain, offset = generator.uniform(0.5, 1.5), generator.uniform(-50, 50)
    found = []
    for kind in KINDS:
        (before, after), largest = np.full((2, *shape), 3, np.uint8), np.empty((shape[0] // 4, shape[1] // 4), np.uint8)
        kind.luma(frames[0], step, before)
        kind.luma(frames[1], step, after)
        lit = np.empty(256, np.uint8)
        kind.lit(gain, offset, lit)
        figures = kind.halves(before), kind.raised(before, after, 100), kind.apart(before, after, lit, largest)
        found.append((*figures, kind.moved(largest, 20.5, 64), *(one.tolist() for one in (before, lit, largest))))
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("detector", [BlockChange(), MovedBlocks()])
def test_detectors_measure_the_same_by_both(detector, monkeypatch):
    generator, found = np.random.default_rng(0), []
    frames = np.clip(np.cumsum(generator.normal(0, 9, (6, 90, 120, 3)), axis=0) + 128, 0, 255).astype(np.uint8)
    for kind in KINDS:
        monkeypatch.setattr(looks, "LOOKS", kind)
        seen = [detector.look(frame) for frame in frames]
        found.append([detector.change(seen[0], one) for one in seen])
    assert all(one == found[0] for one in found)
    assert len(set(found[0])) > 3


@only_compiled
def test_the_extension_refuses_arrays_that_do_not_fit():
    frame, made = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    lit, largest = looks.AS_IT_IS, np.zeros((2, 2), np.uint8)
    for name, wrong in (
        ("luma", (frame, 0, made)),
        ("luma", (frame, -1, made)),
        ("luma", (frame, 1, made[1:])),
        ("luma", (frame[..., :2], 1, made)),
        ("luma", (frame[:0], 1, made)),
        ("luma", (frame[:, :, 0], 1, made)),
        ("luma", (frame.astype(np.uint16), 1, made)),
        ("raised", (made, made[1:], 5)),
        ("apart", (made[1:], made[1:], lit, largest)),
        ("apart", (made, made[1:], lit, largest)),
        ("apart", (made, made, lit[1:], largest)),
        ("apart", (made, made, lit, largest[1:])),
        ("apart", (made.reshape(-1), made, lit, largest)),
        ("lit", (1.0, 0.0, made)),
    ):
        with pytest.raises(ValueError, match="looks do not fit each other"):
            getattr(looks.compiled, name)(*wrong)
    with pytest.raises(BufferError):
        looks.compiled.luma(frame, 1, bytes(64))
