"""Light and noise are no motion; what moves is, a camera too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import SourceError
from adaedge.operating_point import REFRESH
from adaedge.stream import Audit, BlockChange, MovedBlocks
from adaedge.stream.detectors import DETECTORS, look_by

DETECTOR = MovedBlocks()


def change(before, after, detector=DETECTOR):
    return detector.change(detector.look(before), detector.look(after))


def scene(seed=0, height=360, width=640):
    """Patches of light between 40 and 190."""
    rng = np.random.default_rng(seed)
    small = rng.integers(40, 190, (height // 24 + 1, width // 24 + 1, 3), dtype=np.uint8)
    return small.repeat(24, 0).repeat(24, 1)[:height, :width]


def noisy(frame, deviation, seed=1):
    noise = np.random.default_rng(seed).normal(0, deviation, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def lit(frame, gain, offset):
    return np.clip(np.rint(frame * gain + offset), 0, 255).astype(np.uint8)


def with_object(frame, at=(100, 200), side=120):
    found = frame.copy()
    y, x = at
    found[y : y + side, x : x + side] = 255 - found[y : y + side, x : x + side]
    return found


@settings(max_examples=30, deadline=None)
@given(st.floats(0.8, 1.25), st.floats(-25, 25))
def test_a_lamp_is_no_motion(gain, offset):
    """What is left is the rounding of two pictures, a grey level or so."""
    after = lit(scene(), gain, offset)
    assert change(scene(), after) <= 1.5 / 64
    if abs(gain - 1) > 0.15:
        assert change(scene(), after, BlockChange()) > 0.05, "to the other detector it is"


@pytest.mark.parametrize(("deviation", "most"), [(1, 0.05), (3, 0.01), (6, 0.01)])
def test_noise_is_no_motion(deviation, most):
    """Noise below two levels is left in: in a video the answer may follow what small it is."""
    assert change(noisy(scene(), deviation), noisy(scene(), deviation, seed=2)) <= most
    assert change(noisy(scene(), 3), noisy(scene(), 3, seed=2), BlockChange()) > 0.05, "to the other detector it is"


@pytest.mark.parametrize(("gain", "deviation"), [(1.0, 0), (1.0, 4), (1.2, 0), (0.85, 4)])
def test_what_moves_in_changed_light_and_noise_still_counts(gain, deviation):
    before = noisy(scene(), deviation)
    moved = with_object(scene())
    share = 120 * 120 / (360 * 640)
    found = change(before, noisy(lit(moved, gain, 5), deviation, seed=2))
    assert 0.4 * share < found < 1.5 * share


def test_a_moving_camera_moves_most_of_it():
    assert change(scene(), np.roll(scene(), 16, axis=1)) > 0.4
    assert change(scene(0), scene(1)) > 0.4
    assert change(noisy(scene(0), 4), noisy(scene(1), 4)) > 0.4


def test_more_of_an_object_is_more_change():
    found = [change(scene(), with_object(scene(), side=side)) for side in (0, 24, 60, 120, 200)]
    assert found == sorted(found)
    assert found[0] == 0 < found[1]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 255), st.integers(0, 255))
def test_any_two_frames_are_compared(height, width, level, other):
    rng = np.random.default_rng(level)
    one, two = (rng.integers(0, top + 1, (height, width, 3), dtype=np.uint8) for top in (level, other))
    assert 0 <= change(one, two) <= 1
    assert change(one, one) == 0


def test_frames_of_other_sizes_have_nothing_in_common():
    assert change(scene(), scene(height=180)) == REFRESH
    with pytest.raises(SourceError, match="a frame is uint8"):
        DETECTOR.look(np.zeros((4, 4)))


def test_a_uniform_frame_has_a_light_too():
    grey = np.full((48, 64, 3), 90, np.uint8)
    assert change(grey, grey + 30) == 0.0
    assert change(grey, with_object(grey, (8, 8), 16)) > 0


@given(st.lists(st.floats(0, 1), max_size=200), st.floats(0.5, 1.0))
def test_audits_stay_within_bounds_and_average_to_what_was_promised(scores, promised):
    audit, inner = Audit(every=2, reach=0.1), True
    short = 0.0
    for score in scores:
        audit = audit.passed().found(score, promised)
        assert 0 <= audit.correction <= 0.125
        inner &= 0 < audit.correction < 0.125
        short += promised - score
        if inner:
            assert short == pytest.approx(audit.correction / 0.05)


def test_one_in_so_many_is_due():
    audit, due = Audit(every=3), []
    for _ in range(9):
        due.append(audit.due)
        audit = audit.missed() if audit.due else audit.passed()
    assert due == [False, False, True] * 3
    assert not Audit(every=0, seen=100).due


class Mean:
    """A detector of one's own."""

    name = unit = "mean"

    def look(self, frame):
        return float(frame.mean())

    def change(self, before, after):
        return abs(before - after) / 255


@pytest.mark.parametrize("detector", [*DETECTORS, Mean()], ids=lambda detector: detector.name)
def test_a_frame_whose_luma_is_at_hand_looks_the_same(detector, monkeypatch):
    before, after = scene(), with_object(scene())
    looks = detector.look(before), detector.look(after)
    luma = BlockChange().look(after)
    if detector in DETECTORS:
        monkeypatch.setattr(BlockChange, "look", None)  # it is not asked again
    assert detector.change(looks[0], look_by(detector, after, luma)) == detector.change(*looks) > 0
    assert detector.change(looks[1], look_by(detector, after, luma)) == 0
