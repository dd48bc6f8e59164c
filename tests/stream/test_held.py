"""What both ends hold: the two rules, followed by the terminal and by the simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.operating_point import Decision, OperatingPoint
from adaedge.payload import codec_family, get_codec, is_stateful
from adaedge.stream import HeldPayload

COARSE, FINE = (OperatingPoint("input", codec=f"h264@{crf}") for crf in (28, 20))
NARROW, STUDENT = replace(COARSE, width=0.5), replace(COARSE, network="student")
JPEG, LOCAL = OperatingPoint("input", codec="jpeg@90"), OperatingPoint("output")
STATEFUL = [COARSE, FINE, NARROW, STUDENT]


def held() -> HeldPayload[str]:
    return HeldPayload(STATEFUL, lambda point, codec: point.codec == codec)


@pytest.mark.parametrize("other", [NARROW, STUDENT, OperatingPoint("blocks.1", codec="h264@28"), LOCAL])
def test_what_crossed_at_another_place_is_not_built_upon_and_is_gone(other):
    mine = held()
    mine.keep(COARSE, COARSE.codec)
    assert mine.changes(lambda left: 0.25) == {COARSE: 0.25}
    assert mine.take(other) is None
    assert mine.take(COARSE) is None
    assert mine.changes(lambda left: 0.25) == {}


def test_every_point_at_the_place_whose_codec_accepts_it_is_a_successor():
    any_crf = HeldPayload(STATEFUL, lambda point, codec: True)
    any_crf.keep(FINE, FINE.codec)
    assert any_crf.changes(lambda left: 0.5) == {COARSE: 0.5, FINE: 0.5}
    assert any_crf.take(COARSE) == FINE.codec


@given(st.lists(st.tuples(st.sampled_from([*STATEFUL, JPEG, LOCAL]), st.booleans()), max_size=30))
def test_what_is_held_is_what_the_last_payload_left_if_it_was_answered(steps):
    """Against the rule in one line: the last payload, if it was answered and its codec has a state."""
    mine, last = held(), None
    for point, answered in steps:
        successors = {} if last is None else {last: 0.1}
        assert mine.changes(lambda left: 0.1) == successors
        if point is LOCAL:
            continue  # sends nothing
        taken = mine.take(point)
        same = last is not None and (last.split, last.network, last.width) == (point.split, point.network, point.width)
        assert taken == (last.codec if last is not None and same else None)
        if answered:
            mine.keep(point, point.codec if point in STATEFUL else None)
        last = point if answered and point in STATEFUL else None


def test_a_correction_is_learned_from_what_built_upon_another_and_is_bounded():
    mine = held()
    guess = Decision(COARSE, 0.1, 0.1, payload_bytes=100.0, change=0.1)
    mine.sent(guess, 200)
    assert mine.sent_ratio == {COARSE: pytest.approx(2**0.2)}
    mine.sent(replace(guess, change=1.0), 10**6)
    mine.sent(replace(guess, payload_bytes=0.0), 10**6)
    assert mine.sent_ratio == {COARSE: pytest.approx(2**0.2)}
    mine.sent(guess, 0)
    assert mine.sent_ratio[COARSE] == pytest.approx(2**0.16 * 8**-0.2)


def test_families_are_what_video_codecs_accept():
    """Names say what codecs do, so that a simulation, which has names only, is right."""
    frame, names = np.full((1, 32, 32, 3), 90, np.uint8), ["h264@28", "h264@20", "h264-444@28", "hevc@28"]
    for name in names:
        _, reference = get_codec(name).encode([frame], [None])
        assert reference is not None
        for other in names:
            assert get_codec(other).accepts(reference) == (codec_family(name) == codec_family(other))
    assert all(map(is_stateful, names))
    assert codec_family("bottleneck@1") != codec_family("bottleneck@2")
