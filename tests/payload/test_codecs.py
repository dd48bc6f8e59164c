"""Codecs: what comes back, how many bytes it takes, and what is refused."""

from __future__ import annotations

import io
import struct
import sys

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adaedge.errors import CodecError, PayloadError
from adaedge.payload import Features, Jpeg, TensorHeader, get_codec
from adaedge.payload.tensors import from_bfloat16

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 2**24
NAMES = [base + tail for base in ("raw", *(f"u{bits}" for bits in range(1, 9))) for tail in ("", "+zstd")]


def there_and_back(name, tensors, axes):
    codec = get_codec(name)
    headers, segments = codec.encode(tensors, axes)[0]
    assert len(segments) == 1
    return codec.decode(headers, [bytes(segment) for segment in segments], LIMIT)[0], headers, segments


@pytest.mark.parametrize("name", NAMES)
def test_names_say_what_they_are(name):
    bits = 0 if name.startswith("raw") else int(name[1])
    assert get_codec(name) == Features(bits, name.endswith("+zstd"))
    assert get_codec("jpeg@100") == Jpeg(100)


@pytest.mark.parametrize(
    "name",
    ["", "RAW", "u0", "u9", "u04", "u4+gzip", "zstd", "jpeg", "jpeg@0", "jpeg@101", "jpeg@90+zstd", "raw\n", "u٤"],
)
def test_other_names_are_refused_with_the_forms(name):
    with pytest.raises(
        CodecError, match=r"no codec .*; there are raw, u1 to u8, each with or without \+zstd, u1\+range to"
    ):
        get_codec(name)


ordinary = st.floats(-1e4, 1e4, width=32)
arrays = hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=7), elements=ordinary)


@settings(deadline=None)
@given(arrays, st.integers(1, 8), st.booleans(), st.data())
def test_quantised_values_are_within_half_a_step(values, bits, compress, data):
    axis = data.draw(st.sampled_from([None, *range(values.ndim)]))
    (back,), (header,), (segment,) = there_and_back(f"u{bits}{'+zstd' * compress}", [values], [axis])
    assert (back.dtype, back.shape) == (values.dtype, values.shape)
    if not compress:
        assert len(segment) == -(-values.size * bits // 8)
    low, high = from_bfloat16(np.frombuffer(header.ranges, "<u2").reshape(-1, 2)).astype(np.float64).T
    shape = [1] * values.ndim
    if axis is not None:
        shape[axis] = -1
    half_step = ((high - low) / (2**bits - 1) / 2).reshape(shape)
    largest = np.maximum(abs(low), abs(high)).reshape(shape)
    assert (abs(back.astype(np.float64) - values) <= half_step + 1e-6 * largest + 1e-35).all()


@settings(deadline=None)
@given(arrays, st.integers(1, 8))
def test_both_ends_see_the_same(values, bits):
    codec = get_codec(f"u{bits}")
    headers, segments = codec.encode([values], [None])[0]
    assert codec.encode([values.copy()], [None])[0][0] == headers
    once, again = (codec.decode(headers, segments, LIMIT)[0][0] for _ in range(2))
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1001])
def test_levels_are_packed_as_numpy_packs_bits(bits, count):
    levels = np.random.default_rng(count).integers(0, 2**bits, count).astype(np.float32)
    levels[:2] = [0, 2**bits - 1][:count]  # the range is then exact, a step is 1
    _, (segment,) = get_codec(f"u{bits}").encode([levels], [None])[0]
    expected = np.packbits(np.unpackbits(levels.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :])
    if count >= 2:
        assert bytes(segment) == expected.tobytes()
    assert len(segment) == len(expected)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["float32", "float16", "int64", "int32", "uint8", "bool", "int8", "float64"]).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["raw", "raw+zstd"]),
)
def test_raw_tensors_come_back_bit_for_bit(tensors, name):
    back, *_ = there_and_back(name, tensors, [None] * len(tensors))
    for mine, theirs in zip(back, tensors, strict=True):
        assert (mine.dtype, mine.shape, mine.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())
        assert mine.flags.writeable
        assert mine.flags.aligned


def test_decoded_tensors_do_not_share_memory_with_what_was_received():
    codec = get_codec("raw")
    headers, (segment,) = codec.encode([np.arange(4, dtype=np.float32)], [None])[0]
    received = bytearray(segment)
    (back,) = codec.decode(headers, [received], LIMIT)[0]
    received[:] = bytes(len(received))
    assert back.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["u1", "u4+zstd"])
def test_integers_and_masks_cross_as_they_are(name):
    tokens, mask = np.array([[101, 2**40]], np.int64), np.array([True, False])
    feature = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 3, 4)
    (first, second, third), headers, _ = there_and_back(name, [tokens, feature, mask], [None, 1, None])
    assert (first == tokens).all()
    assert (third == mask).all()
    assert [header.bits for header in headers] == [0, int(name[1]), 0]
    assert second.shape == feature.shape


def test_each_channel_has_its_own_range():
    feature = np.stack([np.linspace(0, 1, 16), np.linspace(0, 1000, 16)]).astype(np.float32)[None]
    (alone,), (header,), _ = there_and_back("u8", [feature], [1])
    (shared,), *_ = there_and_back("u8", [feature], [None])
    assert len(header.ranges) == 8
    assert abs(alone[0, 0] - feature[0, 0]).max() < 0.003
    assert abs(shared[0, 0] - feature[0, 0]).max() > 0.1
    (negative,), (header,), _ = there_and_back("u8", [feature], [-2])
    assert header.axis == 1
    np.testing.assert_array_equal(negative, alone)


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1000.5, 1e-40, -7e-39, 65504.0])
@pytest.mark.parametrize("name", ["u1", "u8"])
def test_a_constant_channel_stays_within_bfloat16(value, name):
    (back,), *_ = there_and_back(name, [np.full((2, 3), value, np.float32)], [1])
    assert abs(back - np.float32(value)).max() <= max(abs(value) * 2**-7, 1e-37)
    if value in (0.0, 1.0, -2.5):
        assert (back == value).all()


def test_a_range_rounded_up_does_not_overflow_float16():
    values = np.array([0, 65504], np.float16)  # bfloat16 rounds it to 65536, which float16 does not have
    (back,), *_ = there_and_back("u8", [values], [None])
    assert back.tolist() == [0, 65504]
    assert back.dtype == np.float16


def test_float64_features_are_quantised_too():
    (back,), (header,), _ = there_and_back("u8", [np.linspace(-1, 1, 9)], [None])
    assert (back.dtype, header.bits) == (np.float64, 8)
    assert abs(back - np.linspace(-1, 1, 9)).max() <= 1 / 255 + 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [None, 0])
def test_what_cannot_be_quantised_is_refused(bad, axis):
    feature = np.ones((2, 3), np.float32)
    feature[1, 1] = bad
    with pytest.raises(CodecError, match=r"hold NaN, infinity .* Use codec 'raw', or repair the model's head"):
        get_codec("u4").encode([feature], [axis])


@pytest.mark.parametrize(
    "feature", [np.array([3e38, -3e38], np.float32), np.array([1e300]), np.array([3.4e38], np.float32)]
)
def test_a_range_beyond_float32_is_refused(feature):
    with pytest.raises(CodecError, match="no float32 range spans"):
        get_codec("u8").encode([feature], [None])


def test_an_axis_that_is_not_there_and_axes_that_are_missing():
    with pytest.raises(CodecError, match=r"no axis 2 in a tensor of shape \(2, 3\)"):
        get_codec("u4").encode([np.ones((2, 3), np.float32)], [2])
    with pytest.raises(CodecError, match="2 tensors need as many axes"):
        get_codec("raw").encode([np.ones(1)] * 2, [None])
    with pytest.raises(CodecError, match=r"a complex128 tensor cannot cross the link; it carries float32"):
        get_codec("raw").encode([np.ones(1, complex)], [None])


def test_memory_order_and_byte_order_do_not_matter():
    feature = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    expected, *_ = there_and_back("raw", [feature], [None])
    for other in (np.asfortranarray(feature), feature.astype(">f4"), np.repeat(feature, 2, axis=2)[:, :, ::2]):
        for name in ("raw", "u8"):
            (back,), *_ = there_and_back(name, [other], [1])
            assert back.dtype == np.dtype("<f4")
            np.testing.assert_allclose(back, expected[0], atol=0 if name == "raw" else 0.05)


def test_encoding_leaves_the_features_alone():
    feature = np.random.default_rng(0).normal(size=(1, 4, 5)).astype(np.float32)
    before = feature.copy()
    for name in NAMES:
        there_and_back(name, [feature], [1])
    np.testing.assert_array_equal(feature, before)


def test_zstd_shrinks_what_repeats():
    feature = np.zeros((1, 64, 32, 32), np.float32)
    _, _, (plain,) = there_and_back("u4", [feature], [1])
    _, _, (small,) = there_and_back("u4+zstd", [feature], [1])
    assert len(plain) == 32768
    assert len(small) < 64


FLOAT = TensorHeader("float32", (2, 4), 4, 1, np.array([[0, 0x3F80]] * 4, "<u2").tobytes())


def changed(**changes):
    fields = {name: getattr(FLOAT, name) for name in ("dtype", "shape", "bits", "axis", "ranges")}
    return TensorHeader(**(fields | changes))


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (changed(bits=5), "not what its codec writes"),
        (changed(bits=0), "not what its codec writes"),
        (changed(axis=2), "not what its codec writes"),
        (changed(axis=2, ranges=FLOAT.ranges[:4]), "not what its codec writes"),
        (changed(axis=0), "not what its codec writes"),
        (changed(axis=None), "not what its codec writes"),
        (changed(ranges=b""), "not what its codec writes"),
        (changed(ranges=FLOAT.ranges + b"1234"), "not what its codec writes"),
        (changed(ranges=np.array([[0, 0x7F80]] * 4, "<u2").tobytes()), "not finite, or upside down"),
        (changed(ranges=np.array([[0x7FC0, 0]] * 4, "<u2").tobytes()), "not finite, or upside down"),
        (changed(ranges=np.array([[0x3F80, 0]] * 4, "<u2").tobytes()), "not finite, or upside down"),
        (changed(shape=(3, 4)), "its tensors take 6 bytes, its segment has 4"),
        (changed(shape=(1, 4)), "its tensors take 2 bytes, its segment has 4"),
        (changed(dtype="int32"), "not what its codec writes"),
    ],
)
def test_a_forged_quantisation_is_refused(header, text):
    assert get_codec("u4").decode([FLOAT], [b"\x0f" * 4], LIMIT)[0][0].tolist() == [[0, 1, 0, 1]] * 2
    with pytest.raises(PayloadError, match=text):
        get_codec("u4").decode([header], [b"\x0f" * 4], LIMIT)


def test_a_forged_mask_is_still_a_mask():
    (mask,) = get_codec("raw").decode([TensorHeader("bool", (3,))], [b"\x00\x01\x7f"], LIMIT)[0]
    assert mask.view(np.uint8).tolist() == [0, 1, 1]


def compressed(data, options=None):
    return zstd.compress(data, options=options)


NO_SIZE = {zstd.CompressionParameter.content_size_flag: 0}


def hundred(claimed):
    """A frame of one block, a byte that repeats 100 times, which claims another size (RFC 8878, 3.1.1)."""
    return bytes.fromhex("28b52ffd20") + bytes([claimed]) + (1 | 1 << 1 | 100 << 3).to_bytes(3, "little") + b"\0"


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        (b"", "does not decompress"),
        (b"not zstd at all", "does not decompress"),
        (compressed(bytes(1000)), "its zstd frame holds 1000 bytes, at most 8 belong there"),
        (compressed(bytes(8))[:-1], "does not decompress"),
        (compressed(bytes(8)) + b"x", "does not decompress"),
        (compressed(bytes(8)) * 2, "does not decompress"),
        (compressed(bytes(8), NO_SIZE), "its zstd frame holds None bytes, at most 8 belong there"),
        (hundred(claimed=8), "does not decompress"),
        (hundred(claimed=0), "does not decompress"),
    ],
)
def test_a_forged_zstd_frame_is_refused(segment, text):
    header = TensorHeader("float64", (1,))
    assert get_codec("raw+zstd").decode([header], [compressed(bytes(8))], LIMIT)[0][0].tolist() == [0]
    assert zstd.decompress(hundred(claimed=100)) == bytes(100)
    with pytest.raises(PayloadError, match=text):
        get_codec("raw+zstd").decode([header], [segment], LIMIT)


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def photograph(height=48, width=64, count=1):
    rows, columns = np.mgrid[:height, :width]
    frame = np.stack([rows * 5 % 256, columns * 4 % 256, (rows + columns) * 2 % 256], axis=-1).astype(np.uint8)
    return np.stack([np.roll(frame, 8 * index, axis=1) for index in range(count)])


def jpeg_file(height=48, width=64, mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, options.pop("format", "JPEG"), **options)
    return file.getvalue()


def segment_of(*files):
    return b"".join(struct.pack("<I", len(file)) + file for file in files)


def test_frames_come_back_nearly_as_they_were():
    frames = photograph(count=3)
    (back,), (header,), (segment,) = there_and_back("jpeg@90", [frames], [None])
    assert (back.shape, back.dtype, header.shape) == (frames.shape, np.uint8, frames.shape)
    assert abs(back.astype(int) - frames).mean() < 8
    _, _, (worse,) = there_and_back("jpeg@20", [frames], [None])
    assert len(worse) < len(segment)
    for frame, alone in zip(frames, back, strict=True):
        (one,), *_ = there_and_back("jpeg@90", [frame[None]], [None])
        np.testing.assert_array_equal(one[0], alone)


def test_chroma_is_halved_both_ways():
    _, (segment,) = get_codec("jpeg@75").encode([photograph()], [None])[0]
    with Image.open(io.BytesIO(segment[4:])) as image:
        assert [(h, v) for _, h, v, _ in image.layer] == [(2, 2), (1, 1), (1, 1)]


@pytest.mark.parametrize(
    "tensors",
    [
        [np.zeros((1, 3, 8, 8), np.uint8)],
        [np.zeros((8, 8, 3), np.uint8)],
        [np.zeros((1, 8, 8, 3), np.float32)],
        [np.zeros((1, 0, 8, 3), np.uint8)],
        [np.zeros((1, 8, 65501, 3), np.uint8)],
        [np.zeros((1, 8, 8, 3), np.uint8)] * 2,
        [],
    ],
)
def test_only_one_batch_of_frames_is_a_jpeg(tensors):
    with pytest.raises(CodecError, match=r"a JPEG carries one uint8 tensor \(N, H, W, 3\).*Use it at split 'input'"):
        get_codec("jpeg@90").encode(tensors, [None] * len(tensors))


HEADER = TensorHeader("uint8", (1, 48, 64, 3))


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        (b"", "should hold 1 images, it holds 0"),
        (b"\x01\x00", "should hold 1 images"),
        (struct.pack("<I", 2**32 - 1) + b"abc", "image 0 has 4294967295 bytes, fewer came"),
        (segment_of(jpeg_file()) + b"x", "1 bytes follow its last image"),
        (segment_of(jpeg_file(), jpeg_file()), "bytes follow its last image"),
        (segment_of(jpeg_file(48, 65)), "RGB JPEG of 48 × 65 pixels, its header says RGB of 48 × 64"),
        (segment_of(jpeg_file(64, 48)), "64 × 48 pixels"),
        (segment_of(jpeg_file(mode="L")), "a L JPEG"),
        (segment_of(jpeg_file(mode="CMYK")), "a CMYK JPEG"),
        (segment_of(jpeg_file(format="PNG")), "its JPEG does not decode"),
        (segment_of(b""), "its JPEG does not decode"),
        (segment_of(jpeg_file()[:200]), "its JPEG does not decode"),
        (segment_of(jpeg_file()[:-200]), "its JPEG does not decode"),
    ],
)
def test_a_forged_jpeg_is_refused(segment, text):
    assert get_codec("jpeg@90").decode([HEADER], [segment_of(jpeg_file())], LIMIT)[0][0].shape == HEADER.shape
    with pytest.raises(PayloadError, match=text):
        get_codec("jpeg@90").decode([HEADER], [segment], LIMIT)


def test_a_huge_jpeg_is_refused_before_its_pixels_are_decoded(monkeypatch):
    bomb = bytearray(jpeg_file())
    at = bomb.index(b"\xff\xc0") + 5
    bomb[at : at + 4] = struct.pack(">HH", 65500, 65500)  # over Pillow's limit, where it would warn or raise
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("pixels were decoded"))
    with pytest.raises(PayloadError, match="65500 × 65500 pixels"):
        get_codec("jpeg@90").decode([HEADER], [segment_of(bytes(bomb))], LIMIT)


@pytest.mark.parametrize(
    "header",
    [
        TensorHeader("uint8", (1, 48, 64, 3), bits=8),
        TensorHeader("uint8", (1, 48, 64, 3), axis=3),
        TensorHeader("uint8", (1, 48, 64, 3), ranges=b"1234"),
        TensorHeader("int8", (1, 48, 64, 3)),
        TensorHeader("uint8", (1, 48, 64, 1)),
        TensorHeader("uint8", (48, 64, 3)),
    ],
)
def test_a_forged_jpeg_header_is_refused(header):
    with pytest.raises(PayloadError, match="corrupted payload: a JPEG"):
        get_codec("jpeg@90").decode([header], [segment_of(jpeg_file())], LIMIT)


def test_frames_beyond_the_limit_are_refused():
    with pytest.raises(PayloadError, match="oversized payload: 9216 bytes decoded, at most 9215"):
        get_codec("jpeg@90").decode([HEADER], [segment_of(jpeg_file())], 9215)
