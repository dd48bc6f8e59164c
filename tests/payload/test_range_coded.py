"""Uniform levels and an entropy coder: what comes back, how few bytes, and what is refused."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.payload import get_codec
from adaedge.payload.range_coder import FittedRange, RangeCoded

pytestmark = pytest.mark.usefixtures("either_loops")

LIMIT = 2**24
arrays = hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=7), elements=st.floats(-1e4, 1e4, width=32))


def features(seed=0, count=1):
    generator = np.random.default_rng(seed)
    return [(generator.laplace(size=(1, 8, 14, 14)).astype(np.float32),) for _ in range(count)]


@settings(deadline=None, max_examples=60)
@given(arrays, st.integers(1, 8), st.data())
def test_what_comes_back_is_what_uniform_bits_bring(values, bits, data):
    axis = data.draw(st.sampled_from([None, *range(values.ndim)]))
    plain, ranged = get_codec(f"u{bits}"), get_codec(f"u{bits}+range")
    assert ranged == RangeCoded(bits)
    headers, segments = ranged.encode([values], [axis])[0]
    assert headers == plain.encode([values], [axis])[0][0]
    (found,) = ranged.decode(headers, segments, LIMIT)[0]
    (expected,) = plain.decode(*plain.encode([values], [axis])[0], LIMIT)[0]
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_coder_comes_near_the_entropy(bits):
    (tensor,) = features()[0]
    _, (segment,) = RangeCoded(bits).encode([tensor], [1])[0]
    _, (zstd,) = get_codec(f"u{bits}+zstd").encode([tensor], [1])[0]
    assert len(segment) < (1.0 if bits == 8 else 0.9) * len(zstd)


def test_the_words_are_these():
    """A format is pinned by a literal."""
    _, (segment,) = RangeCoded(2).encode([np.arange(12, dtype=np.float32).reshape(1, 2, 6) % 5], [1])[0]
    assert bytes(segment).hex() == WORDS


WORDS = "02b0000000de24491c"


def test_several_tensors_share_one_stream():
    tensors = [features()[0][0], np.float16(features(1)[0][0])]
    headers, segments = RangeCoded(5).encode(tensors, [1, None])[0]
    found = RangeCoded(5).decode(headers, segments, LIMIT)[0]
    assert [(one.dtype, one.shape) for one in found] == [(one.dtype, one.shape) for one in tensors]


def test_what_is_not_its_writing_is_refused():
    codec = RangeCoded(3)
    headers, (segment,) = codec.encode(list(features()[0]), [1])[0]
    for wrong in (segment[:-4], segment[:-2], segment + bytes(4), segment[:1] + bytes(4) + segment[5:], b""):
        with pytest.raises(PayloadError, match="corrupted payload"):
            codec.decode(headers, [wrong], LIMIT)
    for old, version in ((segment[1:], 1), (b"\x03" + segment[1:], 3)):
        with pytest.raises(PayloadError, match=f"levels of format {version}; this adaedge reads 2. Install the same"):
            codec.decode(headers, [old], LIMIT)
    with pytest.raises(PayloadError, match="levels are in one segment; 2 came"):
        codec.decode(headers, [segment, segment], LIMIT)
    with pytest.raises(PayloadError, match="oversized payload"):
        codec.decode(headers, [segment], 100)
    with pytest.raises(PayloadError, match="not what u4"):
        RangeCoded(4).decode(headers, [segment], LIMIT)
    with pytest.raises(CodecError, match="carries floating-point tensors; got int64"):
        codec.encode([np.arange(3)], [None])
    with pytest.raises(CodecError, match="need as many axes"):
        codec.encode(list(features()[0]), [])


@pytest.mark.parametrize("levels", [2, 5, 64, 256])
def test_fitted_tables_are_within_half_a_step_and_near_the_entropy(levels):
    codec = FittedRange.fit(features(0, 20), [1], levels=levels)
    (tensor,) = features(0, 20)[3]
    headers, (segment,) = codec.encode([tensor])[0]
    (found,) = codec.decode(headers, [segment], LIMIT)[0]
    assert (np.abs(found - tensor) <= codec.steps[0].reshape(1, -1, 1, 1) * 0.5001).all()
    chances = codec.frequencies[0] / codec.frequencies[0].sum(axis=1, keepdims=True)
    entropy = -(chances * np.log2(chances)).sum(axis=1).mean() * tensor.size / 8
    assert len(segment) == pytest.approx(entropy, rel=0.15, abs=8)


def test_what_lies_outside_the_fitted_range_is_clipped():
    codec = FittedRange.fit(features(0, 5), [1], levels=16)
    headers, segments = codec.encode([features()[0][0] * 100])[0]
    assert codec.decode(headers, segments, LIMIT)[0][0].max() <= max(row[0].max() for row in features(0, 5)) + 1e-3
    with pytest.raises(CodecError, match="fitted for other tensors"):
        codec.encode([np.zeros((1, 9, 2, 2), np.float32)])
    with pytest.raises(PayloadError, match="a byte and whole words of 4"):
        codec.decode(headers, [segments[0][:-2]], LIMIT)[0]
