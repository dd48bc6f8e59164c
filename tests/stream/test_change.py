"""How much a frame differs from another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.errors import SourceError
from adaedge.operating_point import REFRESH
from adaedge.stream import BlockChange
from adaedge.stream.change import by_change

DETECTOR = BlockChange()


def change(before, after):
    return DETECTOR.change(DETECTOR.look(before), DETECTOR.look(after))


def grey(height=360, width=640, level=100):
    return np.full((height, width, 3), level, np.uint8)


def test_nothing_changed_is_0_and_everything_is_1():
    assert change(grey(), grey()) == 0.0
    assert change(grey(level=0), grey(level=255)) == 1.0


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 255), st.integers(0, 255))
def test_a_uniform_step_counts_alike_at_every_size(height, width, level, other):
    found = change(grey(height, width, level), grey(height, width, other))
    assert found == pytest.approx(min(abs(level - other), 64) / 64, abs=1 / 64)
    assert found == change(grey(height, width, other), grey(height, width, level))


def test_the_share_of_the_picture_that_moved_counts():
    before, after = grey(), grey()
    after[:, :160] += 64
    assert change(before, after) == 0.25


def test_one_pixel_of_a_block_moves_its_block():
    before, after = grey(88, 88), grey(88, 88)
    after[:4, :4] += 64
    alone = change(before, after)
    after = grey(88, 88)
    after[0, 0] += 64
    assert change(before, after) == alone > 0


def test_blocks_at_the_right_and_lower_border_count():
    before, after = grey(90, 91), grey(90, 91)
    after[-1, -1] += 64
    assert change(before, after) > 0


def test_colour_counts_by_its_luma():
    before, red, green = (grey(level=100) for _ in range(3))
    red[..., 0] += 20
    green[..., 1] += 20
    assert 0 < change(before, red) < change(before, green)


def test_large_frames_are_looked_at_as_coarsely_as_small_ones():
    assert DETECTOR.look(grey(1080, 1920)).size < 2 * DETECTOR.look(grey(360, 640)).size


def test_frames_of_another_size_have_nothing_in_common():
    assert change(grey(360, 640), grey(480, 640)) == REFRESH


def test_what_is_looked_at_does_not_follow_the_callers_buffer():
    buffer = grey()
    before = DETECTOR.look(buffer)
    buffer += 64
    assert DETECTOR.change(before, DETECTOR.look(buffer)) == 1.0


@pytest.mark.parametrize(
    "frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(SourceError, match=r"a frame is uint8 \(height, width, 3\); got"):
        DETECTOR.look(frame)


def test_figures_are_those_of_the_nearest_amount_of_change():
    assert by_change([(0.1, 4), (0.2, 6), (1.0, 90)], (0.15, 1.0)) == (5.0, 90.0)
    assert by_change([(1.0, 90), (0.9, 70)], (0.1, 0.8, 1.0)) == (70.0, 70.0, 90.0)
