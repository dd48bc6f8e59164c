"""Law 7: whatever bytes arrive, either the tensors that the header declares come out, or a PayloadError."""

from __future__ import annotations

import struct
import zlib

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import PayloadError, StaleReferenceError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Message, TensorHeader, get_codec, pack, unpack, wire
from adaedge.payload.fields import Reader

BUNDLE = "ab" * 32
LIMIT = 1 << 16
CODECS = ["raw", "u1", "u3", "u8", "u5+zstd", "raw+zstd", "jpeg@80"]


def payload(codec):
    rng = np.random.default_rng(5)
    if codec.startswith("jpeg"):
        tensors, axes = [rng.integers(0, 256, (2, 9, 11, 3)).astype(np.uint8)], [None]
    else:
        tensors = [rng.normal(size=(1, 3, 5, 5)).astype(np.float32), np.arange(4)]
        axes = [1, None]
    return pack(OperatingPoint("blocks.3", codec=codec), tensors, axes, bundle=BUNDLE, sequence=np.int64(3))


PAYLOADS = {codec: payload(codec) for codec in CODECS}
some_codec = st.sampled_from(CODECS)


def refused_or_sound(data):
    """What arrives is refused, or it is what its own header says and within the limit."""
    try:
        message, tensors = unpack(data, max_bytes=LIMIT)
    except (PayloadError, StaleReferenceError):
        return
    assert [(tensor.dtype.name, tensor.shape) for tensor in tensors] == [
        (header.dtype, header.shape) for header in message.tensors
    ]
    assert sum(tensor.nbytes for tensor in tensors) <= LIMIT


@pytest.mark.parametrize("codec", CODECS)
def test_an_untouched_payload_is_read(codec):
    message, _ = unpack(PAYLOADS[codec], bundle=BUNDLE)
    assert message.point.codec == codec
    assert message.sequence == 3


@pytest.mark.parametrize("codec", CODECS)
def test_truncated_anywhere(codec):
    data = PAYLOADS[codec]
    for length in range(0, len(data), 3):
        with pytest.raises(PayloadError):
            unpack(data[:length])


@settings(deadline=None, max_examples=400)
@given(some_codec, st.data())
def test_one_changed_byte_anywhere(codec, data):
    changed = bytearray(PAYLOADS[codec])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PayloadError):
        unpack(bytes(changed))


@given(st.binary(max_size=300), st.booleans())
def test_foreign_bytes(data, with_magic):
    with pytest.raises(PayloadError):
        unpack(b"ADAE\x01\x00\x00\x00" + data if with_magic else data)


@settings(deadline=None, max_examples=600)
@given(some_codec, st.data())
def test_a_changed_header_with_its_checksum_made_right(codec, data):
    changed = bytearray(PAYLOADS[codec])
    reader = Reader(memoryview(PAYLOADS[codec]), 2)
    length = reader.number() + reader.position
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(reader.position, length - 5))] = data.draw(st.integers(0, 255))
    struct.pack_into("<I", changed, length - 4, zlib.crc32(changed[: length - 4]))
    refused_or_sound(bytes(changed))


@settings(deadline=None, max_examples=600)
@given(some_codec, st.data())
def test_a_changed_segment_with_its_checksums_made_right(codec, data):
    message = wire.decode(PAYLOADS[codec])
    segment = bytearray(message.segments[0])
    for _ in range(data.draw(st.integers(1, 4))):
        segment[data.draw(st.integers(0, len(segment) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(segment)))
    for body in (bytes(segment), bytes(segment[:cut])):
        forged = Message(BUNDLE, 0, message.point, message.tensors, (body,))
        refused_or_sound(wire.encode(forged))


tensor_headers = st.builds(
    TensorHeader,
    dtype=st.sampled_from(wire.DTYPES),
    shape=st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1)), max_size=5).map(tuple)
    | hnp.array_shapes(max_dims=4, max_side=5),
    bits=st.integers(0, 9),
    axis=st.none() | st.integers(0, 254),
    ranges=st.integers(0, 6).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n)),
)


@settings(deadline=None, max_examples=600)
@given(
    st.lists(tensor_headers, max_size=3),
    st.lists(st.binary(max_size=64), max_size=2),
    some_codec | st.text(max_size=8),
)
def test_forged_messages(headers, segments, codec):
    message = Message(BUNDLE, 0, OperatingPoint("s", codec=codec), tuple(headers), tuple(segments))
    refused_or_sound(wire.encode(message))


@settings(deadline=None, max_examples=200)
@given(hnp.array_shapes(min_dims=0, max_dims=4, max_side=5), st.integers(1, 8), st.data())
def test_a_quantised_message_of_any_levels_and_ranges(shape, bits, data):
    axis = data.draw(st.sampled_from([None, *range(len(shape))]))
    ranges = data.draw(st.binary(min_size=4, max_size=4)) * (1 if axis is None else shape[axis])
    header = TensorHeader("float16", shape, bits, axis, ranges)
    length = -(-int(np.prod(shape)) * bits // 8)
    body = data.draw(st.binary(min_size=length, max_size=length))
    message = Message(BUNDLE, 0, OperatingPoint("s", codec=f"u{bits}"), (header,), (body,))
    refused_or_sound(wire.encode(message))


def test_a_codec_that_is_not_the_headers():
    message = wire.decode(PAYLOADS["u3"])
    for codec in ("raw", "u8", "u3+zstd", "jpeg@80", "bottleneck@0"):
        forged = Message(BUNDLE, 0, OperatingPoint("s", codec=codec), message.tensors, message.segments)
        with pytest.raises(PayloadError, match=r"corrupted payload|cannot read: no codec 'bottleneck@0' here"):
            unpack(wire.encode(forged))


def test_several_threads_may_share_a_codec():
    from concurrent.futures import ThreadPoolExecutor

    codec = get_codec("u4+zstd")
    features = [np.random.default_rng(seed).normal(size=(1, 8, 20, 20)).astype(np.float32) for seed in range(8)]
    alone = [bytes(codec.encode([feature], [1])[0][1][0]) for feature in features]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda feature: bytes(codec.encode([feature], [1])[0][1][0]), features * 8))
    assert together == alone * 8
