"""The wire format: pinned by literals, read back exactly, refused whatever is wrong with it."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from adaedge.errors import CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Message, TensorHeader, pack, unpack, wire

BUNDLE = "0123456789abcdef" * 4
POINT = OperatingPoint("blocks.3", width=0.5, codec="u4")
FEATURE = np.array([[[0.0, 1.0], [-1.0, 3.0]]], np.float32)
FEATURES_HEX = (
    "41444145" "0200" "00" "00" "91000000"  # ADAE, version 2, 0, no flags, 145 bytes of header
    "0123456789abcdef0123456789abcdef"  # bundle
    "0000000000000000" "0201000000000000" "0000000000000000"  # no stream, sequence 258, a refresh
    "0000803e" "00000000" "000000000000e03f"  # 0.25 s left, 0 s, width 0.5
    "08626c6f636b732e33" "0466703332" "027534" "0466756c6c"  # blocks.3, fp32, u4, full
    "02"  # two tensors
    "00040103" "010000000200000002000000" "02000000" "0000803f80bf4040"  # float32, 4 bits, axis 1, 1×2×2; 0…1, -1…3
    "0200ff01" "01000000" "00000000"  # int64, raw, no axis, 1; no ranges
    "0100" "0a000000" "33f5fdc7"  # one segment of 10 bytes, its CRC-32
    "aeb22a27"  # CRC-32 of the header
    "0f0f" "0700000000000000"  # levels 0, 15, 0, 15; the integer 7
)  # fmt: skip


def reseal(data: bytes) -> bytes:
    """The same message with the header's checksum made right again."""
    length = struct.unpack_from("<I", data, 8)[0]
    header = data[: length - 4]
    return header + struct.pack("<I", zlib.crc32(header)) + data[length:]


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
    data[4] = 9
    with pytest.raises(PayloadError, match=r"wire format 9; this adaedge reads 2.*Install the same version"):
        unpack(bytes(data))


def test_another_bundle_is_refused_by_name():
    with pytest.raises(PayloadError, match="another bundle: it says 0123456789ab, this is ffffffffffff"):
        unpack(bytes.fromhex(FEATURES_HEX), bundle="f" * 64)


def test_without_a_bundle_the_prefix_is_reported():
    message, _ = unpack(bytes.fromhex(FEATURES_HEX))
    assert message.bundle == BUNDLE[:32]
    message, _ = unpack(bytes.fromhex(FEATURES_HEX), bundle=BUNDLE)
    assert message.bundle == BUNDLE


def test_an_answer_is_not_features():
    with pytest.raises(PayloadError, match=r"an answer came where features belong\. Are the two ends swapped"):
        unpack(b"\xa2" + bytes(200))


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
    with pytest.raises(PayloadError, match="oversized payload: 155 bytes, and at most 154"):
        unpack(data, max_bytes=154)
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
    data = bytearray(forged(headers()))
    struct.pack_into("<d", data, 60, math.nan)
    with pytest.raises(PayloadError, match="width is the fraction of channels kept"):
        unpack(reseal(bytes(data)))


def test_a_point_crosses_whole():
    point = OperatingPoint("s", 0.5, "int8", "u8", "student", incremental=True)
    data = pack(point, [FEATURE], [1], bundle=BUNDLE)
    assert unpack(data)[0].point == point


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (6, 1, "1 and 00000000 are where its header has 0"),
        (7, 2, "its flags are 0x2, of which this adaedge knows 0x1"),
        (44, 7, "number 7 cannot build upon a later frame, number 7"),
        (45, 1, "cannot build upon a later frame"),
        (59, 0x3F, "0 and 0000003f are where its header has 0"),
    ],
)
def test_a_field_that_cannot_be_is_refused(place, value, text):
    data = bytearray(forged(headers(), sequence=7, base=6, stream=1))
    assert wire.decode(bytes(data)).base == 6
    data[place] = value
    with pytest.raises(PayloadError, match=text):
        wire.decode(reseal(bytes(data)))


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_one_segment(count):
    with pytest.raises(PayloadError, match=f"features are in one segment, {count} came"):
        unpack(forged(headers(shape=(2 * count,)), [b"ab"] * count))


def test_a_header_with_bytes_to_spare_is_refused():
    data = forged(headers())
    length = struct.unpack_from("<I", data, 8)[0]
    longer = bytearray(data[: length - 4] + b"\0\0" + data[length - 4 :])
    struct.pack_into("<I", longer, 8, length + 2)
    with pytest.raises(PayloadError, match="2 bytes too many in its header"):
        unpack(reseal(bytes(longer)))


def test_unknown_type_in_a_sealed_header():
    data = bytearray(forged(headers()))
    data[data.index(b"\x04\x00\xff\x01")] = 200
    with pytest.raises(PayloadError, match="no tensor has type 200"):
        unpack(reseal(bytes(data)))


def test_what_does_not_fit_the_table_is_refused_when_written():
    with pytest.raises(CodecError, match="complex64 tensor cannot cross"):
        wire.encode(Message(BUNDLE, 0, POINT, (headers(dtype="complex64"),), ()))
    for changes in ({"sequence": -1}, {"bundle": "xyz"}, {"tensors": (headers(),) * 256}):
        with pytest.raises(CodecError, match="does not fit the wire format"):
            wire.encode(replace(Message(BUNDLE, 0, POINT, (), ()), **changes))
