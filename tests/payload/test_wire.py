"""The wire format: pinned by literals, read back exactly, refused whatever is wrong with it."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Message, TensorHeader, pack, unpack, wire
from adaedge.payload.fields import Reader, number

BUNDLE = "0123456789abcdef" * 4
POINT = OperatingPoint("blocks.3", width=0.5, codec="u4")
FEATURE = np.array([[[0.0, 1.0], [-1.0, 3.0]]], np.float32)
FEATURES_HEX = (
    "f3" "02" "4d"  # features of wire format 3; a width follows; 77 bytes of header do
    "0123456789abcdef" "0000000000000000" "0000803e"  # bundle, no stream, 0.25 s left
    "8202" "00"  # sequence 258, a refresh
    "000000000000e03f" "08626c6f636b732e33" "027534"  # width 0.5, blocks.3, u4
    "02"  # two tensors
    "0401" "03010202" "02" "0000803f80bf4040"  # float32, 4 bits, axis 1, 1×2×2; 2 ranges: 0…1, -1…3
    "20ff" "0101" "00"  # int64, raw, no axis, 1; no ranges
    "01" "0a000000" "33f5fdc7"  # one segment of 10 bytes, its CRC-32
    "bd4381f4"  # CRC-32 of the header
    "0f0f" "0700000000000000"  # levels 0, 15, 0, 15; the integer 7
)  # fmt: skip


def ends(data: bytes) -> tuple[int, int]:
    """Where the header's length ends, and where the header does."""
    reader = Reader(memoryview(data), 2)
    length = reader.number()
    return reader.position, reader.position + length


def reseal(data: bytes, more: bytes = b"") -> bytes:
    """The same message with more at the end of its header, whose length and checksum are made right again."""
    start, end = ends(data)
    rest = data[start : end - 4] + more
    header = data[:2] + number(len(rest) + 4) + rest
    return header + struct.pack("<I", zlib.crc32(header)) + data[end:]


def test_features_are_these_bytes():
    data = pack(POINT, [FEATURE, np.array([7], np.int64)], [1, None], bundle=BUNDLE, sequence=258, deadline_s=0.25)
    assert data.hex() == FEATURES_HEX
    message, (feature, token) = unpack(bytes.fromhex(FEATURES_HEX), bundle=BUNDLE)
    assert (message.point, message.sequence, message.deadline_s) == (POINT, 258, 0.25)
    np.testing.assert_array_equal(feature, FEATURE)
    assert token.dtype == np.int64
    assert token.tolist() == [7]


def test_magic_of_something_else_is_foreign():
    with pytest.raises(PayloadError, match="foreign payload: it starts with b'\\\\x89PNG'"):
        unpack(b"\x89PNG" + bytes(200))


def test_a_version_from_elsewhere_names_both():
    data = bytearray.fromhex(FEATURES_HEX)
    data[0] = 0xF9
    with pytest.raises(PayloadError, match=r"wire format 9; this adaedge reads 3.*Install the same version"):
        unpack(bytes(data))
    with pytest.raises(PayloadError, match=r"wire format 2; this adaedge reads 3.*Install the same version"):
        unpack(b"ADAE\2\0" + bytes(100))


def test_another_bundle_is_refused_by_name():
    with pytest.raises(PayloadError, match="another bundle: it says 0123456789ab, this is ffffffffffff"):
        unpack(bytes.fromhex(FEATURES_HEX), bundle="f" * 64)


def test_without_a_bundle_the_prefix_is_reported():
    message, _ = unpack(bytes.fromhex(FEATURES_HEX))
    assert message.bundle == BUNDLE[:16]
    message, _ = unpack(bytes.fromhex(FEATURES_HEX), bundle=BUNDLE)
    assert message.bundle == BUNDLE


def test_an_answer_is_not_features():
    with pytest.raises(PayloadError, match=r"an answer came where features belong\. Are the two ends swapped"):
        unpack(b"\xa3" + bytes(200))


def test_every_truncation_is_refused():
    data = bytes.fromhex(FEATURES_HEX)
    for length in range(len(data)):
        with pytest.raises(PayloadError, match="truncated payload"):
            unpack(data[:length])


def test_every_flipped_bit_is_refused():
    data = bytes.fromhex(FEATURES_HEX)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PayloadError):
            unpack(bytes(changed))


def test_bytes_after_the_end_are_refused():
    with pytest.raises(PayloadError, match="oversized payload: its segments should hold 10 bytes, 11 came"):
        unpack(bytes.fromhex(FEATURES_HEX) + b"\0")


def test_a_limit_on_what_comes_and_on_what_it_becomes():
    data = bytes.fromhex(FEATURES_HEX)
    with pytest.raises(PayloadError, match="oversized payload: 90 bytes, and at most 89"):
        unpack(data, max_bytes=89)
    point = OperatingPoint("input", codec="u1+zstd")
    small = pack(point, [np.zeros(100_000, np.float32)], [None], bundle=BUNDLE)
    assert len(small) < 300
    with pytest.raises(PayloadError, match=r"a tensor of shape \(100000,\) takes 400000 bytes"):
        unpack(small, max_bytes=399_999)
    two = pack(point, [np.zeros(50_000, np.float32)] * 2, [None] * 2, bundle=BUNDLE)
    with pytest.raises(PayloadError, match="oversized payload: 400000 bytes decoded"):
        unpack(two, max_bytes=399_999)


def headers(**changes):
    return TensorHeader(**({"dtype": "uint8", "shape": (2,)} | changes))


def forged(header, segments=(b"ab",), **changes):
    message = Message(BUNDLE, 0, OperatingPoint("s"), (header,), tuple(segments))
    return wire.encode(replace(message, **changes))


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (headers(shape=(3,)), "its tensors take 3 bytes, its segment has 2"),
        (headers(shape=(2**31, 2**31, 0)), "oversized"),
        (headers(shape=(2**32 - 1,) * 20), "oversized"),
        (headers(shape=(1,) * 33), "33 dimensions"),
        (headers(axis=0), "not what its codec writes"),
        (headers(ranges=b"abcd"), "not what its codec writes"),
        (headers(bits=4), "not what its codec writes"),
    ],
)
def test_headers_that_contradict_themselves_are_refused(header, text):
    with pytest.raises(PayloadError, match=text):
        unpack(forged(header))


def test_times_and_widths_that_are_no_numbers_are_refused():
    for time_s in (math.nan, math.inf, -math.inf, -1e-9):
        with pytest.raises(PayloadError, match="its deadline is finite and not negative; got"):
            unpack(forged(headers(), deadline_s=time_s))
    data = bytearray(forged(headers(), point=OperatingPoint("s", 0.5)))
    place = data.index(struct.pack("<d", 0.5))
    struct.pack_into("<d", data, place, math.nan)
    with pytest.raises(PayloadError, match="width is the fraction of channels kept"):
        unpack(reseal(bytes(data)))


def test_a_point_crosses_whole():
    point = OperatingPoint("s", 0.5, "int8", "u8", "student", incremental=True)
    data = pack(point, [FEATURE], [1], bundle=BUNDLE)
    assert unpack(data)[0].point == point


def test_what_most_points_have_takes_no_byte():
    usual = len(pack(OperatingPoint("s", codec="u8"), [FEATURE], [1], bundle=BUNDLE))
    for changes, more in (({"width": 0.5}, 8), ({"precision": "int8"}, 5), ({"network": "student"}, 8)):
        data = pack(OperatingPoint("s", codec="u8", **changes), [FEATURE], [1], bundle=BUNDLE)
        assert len(data) == usual + more


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (1, 0x10, "its flags are 0x10, of which this adaedge knows 0xf"),
        (24, 7, "number 7 cannot build upon a later frame, number 7"),
        (24, 0x7F, "cannot build upon a later frame"),
        (26, 0xFF, "its header does not read as one"),  # a name that is no UTF-8
    ],
)
def test_a_field_that_cannot_be_is_refused(place, value, text):
    data = bytearray(forged(headers(), sequence=7, base=6, stream=1))
    assert data[23:28] == bytes((7, 6, 1, ord("s"), 3))
    assert wire.decode(bytes(data)).base == 6
    data[place] = value
    with pytest.raises(PayloadError, match=text):
        wire.decode(reseal(bytes(data)))


@given(st.integers(0, 2**64 - 1))
def test_a_number_comes_back(value):
    data = number(value)
    reader = Reader(memoryview(data), 0)
    assert (reader.number(), reader.position) == (value, len(data))
    assert len(data) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\x80" * 11, b"\xff" * 9 + b"\x02"])
def test_a_number_that_does_not_end_or_is_too_large_is_refused(data):
    with pytest.raises(PayloadError, match=r"truncated payload|a number in its header takes more than 64 bits"):
        Reader(memoryview(data), 0).number()


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_number_that_has_no_place_is_refused(value):
    with pytest.raises(ValueError, match=r"a number is in \[0, 2\*\*64\); got"):
        number(value)


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_one_segment(count):
    with pytest.raises(PayloadError, match=f"features are in one segment, {count} came"):
        unpack(forged(headers(shape=(2 * count,)), [b"ab"] * count))


def test_a_header_with_bytes_to_spare_is_refused():
    with pytest.raises(PayloadError, match="2 bytes too many in its header"):
        unpack(reseal(forged(headers()), b"\0\0"))


def test_unknown_type_in_a_sealed_header():
    data = bytearray(forged(headers()))
    data[data.index(b"\x40\xff\x01")] = 0xC0
    with pytest.raises(PayloadError, match="no tensor has type 12"):
        unpack(reseal(bytes(data)))


def test_what_does_not_fit_the_table_is_refused_when_written():
    with pytest.raises(CodecError, match="complex64 tensor cannot cross"):
        wire.encode(Message(BUNDLE, 0, POINT, (headers(dtype="complex64"),), ()))
    for changes in ({"sequence": -1}, {"bundle": "xyz"}, {"tensors": (headers(bits=16),)}, {"stream": 2**64}):
        with pytest.raises(CodecError, match="does not fit the wire format"):
            wire.encode(replace(Message(BUNDLE, 0, POINT, (), ()), **changes))


def test_whoever_passes_a_payload_on_reads_its_place_alone():
    data = forged(headers(), stream=2**63, sequence=300, base=299)
    assert wire.place_in_stream(data) == (2**63, 299)
    with pytest.raises(PayloadError, match="the checksum of its header does not match"):
        wire.place_in_stream(data[:-10] + b"?" + data[-9:])
