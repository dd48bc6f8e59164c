"""Boxes as an answer: 11 bytes each, corners as near as promised, rows without a box left out."""

from __future__ import annotations

import numpy as np
import pytest

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.answers import Boxes

BOXES = np.array([[[1.0, 2.0, 30.0, 40.5], [9, 9, 9, 9], [0, 0, 16.25, 20]]], np.float32)
SCORES, LABELS = np.array([[0.75, 0.9, 0.5]], np.float32), np.array([[3, -1, 90]])
ANSWER_HEX = (
    "f6" "01"  # steps of 2**-10 pixel, labels of one byte
    "0200"  # two boxes
    "0002" "0004" "003c" "0051" "0000" "0000" "8020" "0028"  # their corners
    "003a" "0038"  # scores, float16
    "035a"  # labels
)  # fmt: skip


def test_boxes_are_these_bytes():
    codec = Boxes()
    answer = codec.reduce([BOXES / 2, SCORES, LABELS])
    headers, segment = codec.encode(answer)
    boxes, scores, labels = codec.decoder(headers)(bytes(segment))
    assert boxes[0, :2].tolist() == [[0.5, 1.0, 15.0, 20.25], [0.0, 0.0, 8.125, 10.0]]
    assert (scores.tolist(), labels.tolist()) == ([[0.75, 0.5, -1.0]], [[3, 90, -1]])
    assert len(segment) == 4 + 2 * 11
    assert bytes(segment).hex() == ANSWER_HEX


@pytest.mark.parametrize("side", [0.5, 320, 640, 1333, 8191.9, 40000])
def test_a_corner_is_off_by_half_a_step_at_most(side):
    boxes = np.random.default_rng(0).uniform(-0.01 * side, side, (1, 50, 4)).astype(np.float32)
    given = [boxes, np.full((1, 50), 0.3, np.float32), np.arange(50)[None]]
    once = Boxes().reduce(given)
    assert np.abs(once[0] - boxes).max() <= side / 2**15
    for one, other in zip(Boxes().reduce(once), once, strict=True):
        assert one.tobytes() == other.tobytes(), "what was reduced stays"


def test_no_box_and_many_classes():
    codec = Boxes()
    nothing = codec.reduce([BOXES, SCORES, np.full((1, 3), -1)])
    headers, segment = codec.encode(nothing)
    assert len(segment) == 4
    assert (codec.decoder(headers)(segment)[2] == -1).all()
    for largest, width in ((255, 1), (256, 2), (65536, 4)):
        headers, segment = codec.encode(codec.reduce([BOXES, SCORES, np.array([[largest, -1, -1]])]))
        assert len(segment) == 4 + 10 + width
        assert codec.decoder(headers)(segment)[2][0, 0] == largest
    odd = codec.reduce([np.where(BOXES == 30, np.inf, BOXES), SCORES, LABELS])
    assert odd[0][0, 0].tolist() == [1.0, 2.0, 0.0, 40.5]


def test_what_is_none_is_refused():
    codec = Boxes()
    with pytest.raises(
        CodecError, match=r"boxes takes boxes \(N, M, 4\), .*; got float32 \(1, 3, 4\), float32 \(1, 3\)\. B"
    ):
        codec.reduce([BOXES, SCORES])
    with pytest.raises(CodecError, match=r"boxes takes .* got float32 \(1, 3, 4\), float32 \(1, 3\), float32 \(1, 3\)"):
        codec.reduce([BOXES, SCORES, SCORES])
    with pytest.raises(CodecError, match=r"boxes writes .*int64 \(1, 3\)\. Reduce the outputs first"):
        codec.encode([BOXES, SCORES, LABELS])
    headers, segment = codec.encode(codec.reduce([BOXES, SCORES, LABELS]))
    decode = codec.decoder(headers)
    with pytest.raises(PayloadError, match="4 boxes, where 3 are the most"):
        decode(segment[:2] + b"\4\0" + segment[4:])
    with pytest.raises(PayloadError, match=r"boxes in steps of 2\*\*-9, labels of 3 bytes"):
        decode(segment[:1] + b"\3" + segment[2:])
    with pytest.raises(PayloadError, match="1 bytes follow its answer"):
        decode(segment + b"x")
    with pytest.raises(PayloadError, match="truncated payload: boxes take 2 bytes where 1 are left"):
        decode(segment[:-1])
