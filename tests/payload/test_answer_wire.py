"""The wire format of answers: pinned by a literal, few bytes, and believed only by whoever asked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Request, pack
from adaedge.payload.answers import answer_codec
from adaedge.payload.answers.wire import OVERHEAD_BYTES, AnswerHeader, decode, encode
from adaedge.payload.message import Message

BUNDLE = "0123456789abcdef" * 4
POINT = OperatingPoint("blocks.3", width=0.5, codec="u4")
ASKED = Request(BUNDLE, 7, 258, POINT)
HEADER = AnswerHeader(0.125, 0.0625, reference_held=True, lost_segments=3)
SEGMENT = bytes.fromhex("0000c03f000000c0")  # 1.5, -2
ANSWER_HEX = (
    "a3" "01" "03"  # an answer of wire format 3; the payload is held as a reference; 3 segments were lost
    "0000003e" "0000803d"  # it took 0.125 s, the payload waited 0.0625 s before
    "0000c03f000000c0"
    "b1823291321abe20"  # the seal
)  # fmt: skip


def resealed(data, request=ASKED):
    """An answer whose seal was made right again."""
    from adaedge.payload.answers.wire import _seal

    return bytes(data) + _seal(request, bytes(data))


def test_answers_are_these_bytes():
    assert encode(ASKED, HEADER, SEGMENT).hex() == ANSWER_HEX
    header, segment = decode(bytes.fromhex(ANSWER_HEX), ASKED, max_bytes=27)
    assert (header, bytes(segment)) == (HEADER, SEGMENT)
    assert len(ANSWER_HEX) // 2 == OVERHEAD_BYTES + len(SEGMENT)


def test_the_best_five_of_a_thousand_take_less_than_forty_bytes():
    codec = answer_codec("best@5")
    scores = np.random.default_rng(0).normal(size=(1, 1000)).astype(np.float32)
    _, segment = codec.encode(codec.reduce([scores]))
    assert len(encode(ASKED, HEADER, segment)) == 39


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 259},
        {"stream": 8},
        {"bundle": "f" * 64},
        {"point": replace(POINT, split="blocks.4")},
        {"point": replace(POINT, width=0.25)},
        {"point": replace(POINT, precision="int8")},
        {"point": replace(POINT, codec="u8")},
        {"point": replace(POINT, network="student")},
        {"point": replace(POINT, incremental=True)},
        {"point": replace(POINT, split="blocks.3f", precision="p32")},
    ],
)
def test_an_answer_to_something_else_is_refused(changes):
    other = replace(ASKED, **changes)
    text = f"seal does not match.*answer to another frame: number {other.sequence} of stream {other.stream:016x} at "
    with pytest.raises(PayloadError, match=text):
        decode(bytes.fromhex(ANSWER_HEX), other, max_bytes=100)


def test_both_ends_ask_for_the_same():
    """What the terminal remembers, and what the edge server reads of the payload, with or without the whole hash."""
    message = Message(BUNDLE, 258, POINT, (), (), stream=7, base=9, deadline_s=1.0)
    assert message.request == ASKED
    assert decode(encode(replace(ASKED, bundle=BUNDLE[:16]), HEADER, SEGMENT), ASKED, max_bytes=100)[0] == HEADER


def test_every_flipped_bit_is_refused():
    data = bytes.fromhex(ANSWER_HEX)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PayloadError):
            decode(changed, ASKED, max_bytes=100)


def test_every_truncation_and_every_byte_too_many_is_refused():
    data = bytes.fromhex(ANSWER_HEX)
    for length in range(len(data)):
        with pytest.raises(PayloadError, match=r"truncated payload|seal does not match"):
            decode(data[:length], ASKED, max_bytes=100)
    with pytest.raises(PayloadError, match="seal does not match"):
        decode(data + b"\0", ASKED, max_bytes=100)
    with pytest.raises(PayloadError, match="oversized payload: 27 bytes, and at most 26 are accepted"):
        decode(data, ASKED, max_bytes=26)


@settings(max_examples=300)
@given(st.binary(max_size=80), st.booleans())
def test_foreign_bytes_are_refused(data, with_start):
    with pytest.raises(PayloadError):
        decode(b"\xa3" + data if with_start else data, ASKED, max_bytes=100)


def test_what_else_may_come_is_told():
    features = pack(POINT, [np.zeros((1, 3), np.float32)], [1], bundle=BUNDLE)
    with pytest.raises(PayloadError, match=r"features came where an answer belongs\. Are the two ends swapped"):
        decode(features, ASKED, max_bytes=1000)
    with pytest.raises(PayloadError, match=r"foreign payload: it starts with b'\\x89PNG', adaedge's answers with 0xa3"):
        decode(b"\x89PNG" + bytes(30), ASKED, max_bytes=1000)
    with pytest.raises(PayloadError, match=r"an answer of wire format 2; this adaedge reads 3.*Install the same"):
        decode(b"\xa2" + bytes(30), ASKED, max_bytes=1000)


@pytest.mark.parametrize("name", ["edge_s", "queue_s"])
@pytest.mark.parametrize("time_s", [math.nan, math.inf, -math.inf, -1e-9])
def test_times_that_are_no_numbers_are_refused(name, time_s):
    data = encode(ASKED, replace(HEADER, **{name: time_s}), SEGMENT)
    with pytest.raises(PayloadError, match="its times are finite and not negative; got"):
        decode(data, ASKED, max_bytes=100)


def test_flags_that_are_none_are_refused_though_the_seal_is_right():
    data = bytearray.fromhex(ANSWER_HEX)[:-8]
    data[1] = 2
    with pytest.raises(PayloadError, match="an answer's flags are 0x2, of which this adaedge knows 1"):
        decode(resealed(data), ASKED, max_bytes=100)


def test_what_does_not_fit_is_refused_when_written():
    for changes in ({"lost_segments": 256}, {"lost_segments": -1}, {"edge_s": 1e39}):
        with pytest.raises(CodecError, match="this answer does not fit the wire format"):
            encode(ASKED, replace(HEADER, **changes), SEGMENT)
    with pytest.raises(CodecError, match="this answer does not fit the wire format"):
        encode(replace(ASKED, bundle="xyz"), HEADER, SEGMENT)


def test_an_answer_without_a_segment_is_an_answer():
    header, segment = decode(encode(ASKED, HEADER, b""), ASKED, max_bytes=100)
    assert (header, bytes(segment)) == (HEADER, b"")
