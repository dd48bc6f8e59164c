import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.latent import (
    LatentCodec,
    TransformCode,
    compress,
    decompress,
    predicted_bytes,
    transform,
)
from adaedge.payload.latent.codec import MAX_SEGMENTS, PREFIX
from adaedge.payload.latent.stream import _HEADER, MAGIC
from adaedge.payload.latent.threads import BLAS
from adaedge.payload.message import MAX_BYTES, TensorHeader

sys.path.insert(0, str(Path(__file__).parent))
from latents import CLASSES, made

pytestmark = pytest.mark.usefixtures("either_loops")

LATENTS = made()


def features(seed=0, batch=1, latents=LATENTS):
    generator = np.random.default_rng(seed)
    shape = (batch, *latents.layout.planes[0].shape)
    return generator.normal(size=shape).astype(np.float32) * 3


@pytest.mark.parametrize("latents", [LATENTS, made(places=False)], ids=["places", "rows"])
@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_sent_is_what_is_decoded(latents, batch):
    tensor = features(batch=batch, latents=latents)
    for rate in range(latents.rates):
        values = latents.quantise(latents.analyse(latents.layout.rows([tensor])), rate)
        (seen,) = latents.layout.tensors(latents.synthesise(values, rate))
        (found,) = decompress(latents, compress(latents, rate, [tensor]))
        assert np.array_equal(found, seen)
        assert found.dtype == tensor.dtype


def test_a_finer_rate_comes_closer():
    full = replace(LATENTS, spread=np.full_like(LATENTS.spread, 8))
    tensor = features()
    errors = [np.abs(decompress(full, compress(full, rate, [tensor]))[0] - tensor).mean() for rate in range(3)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.35  # a step of 1, mean error a quarter of it


def test_predicted_rate_is_the_payload():
    tensors = [features(seed) for seed in range(20)]
    for rate in range(LATENTS.rates):
        lengths = [len(compress(LATENTS, rate, [tensor])) for tensor in tensors]
        assert np.mean([predicted_bytes(LATENTS, rate, [t]) for t in tensors]) == pytest.approx(
            np.mean(lengths), rel=0.01
        )


def test_a_value_is_decoded_where_values_of_its_class_lie():
    centres = np.zeros((CLASSES, 2), np.float32)
    centres[:, 0], centres[:, 1] = -0.25, 0.125
    latents = replace(LATENTS, centres=centres)
    order, classes = latents.sent(0)
    values = np.resize([0, 1, -1, 2, -3], (1, len(classes)))
    wanted = np.zeros((1, latents.spread.size), np.float32)
    wanted[:, order] = np.resize([0, 0.75, -0.75, 2.125, -3.125], (1, len(order))) * latents.sizes[0]
    expected = latents.rebuild(wanted.reshape(1, *latents.spread.shape))
    np.testing.assert_allclose(latents.synthesise(values, 0), expected, rtol=1e-6)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_no_order_of_summation_changes_the_integers(seed):
    order = np.random.default_rng(seed).permutation(6)
    rows = LATENTS.layout.rows([features(seed)])
    shuffled = replace(
        LATENTS, mean=LATENTS.mean[:, order], channels=LATENTS.channels[order], back=LATENTS.back[:, order]
    )
    assert np.array_equal(shuffled.analyse(rows[..., order]), LATENTS.analyse(rows))
    turned = np.random.default_rng(seed).permutation(12)
    tall, wide = LATENTS.maps(LATENTS.places)
    moved = replace(LATENTS, places=np.concatenate([tall[:, turned].reshape(-1), wide[:, turned].reshape(-1)]))
    grid = rows.reshape(1, 12, 12, 6)[:, turned][:, :, turned].reshape(rows.shape)
    assert np.array_equal(moved.analyse(grid), LATENTS.analyse(rows))


def test_the_integers_are_those_of_whole_arithmetic():
    rows = LATENTS.layout.rows([features()])
    whole = [[int(np.rint(float(value) * 2**12)) for value in row] for row in rows[0]]
    first = [
        [sum(v * int(c) for v, c in zip(row, column, strict=True)) for column in LATENTS.channels.T] for row in whole
    ]
    shorter = np.array([[round(Fraction(value, 2**8)) for value in row] for row in first], dtype=object)
    tall, wide = (along.astype(object) for along in LATENTS.maps(LATENTS.places))
    once = [tall @ column for column in shorter.reshape(12, 12, 6).transpose(1, 0, 2)]  # each column of the grid
    again = np.array(
        [[[round(Fraction(int(v), 2**14)) for v in row] for row in column] for column in once], dtype=object
    )
    twice = np.stack([wide @ again[:, row] for row in range(12)])
    assert (twice.reshape(144, 6) == LATENTS.analyse(rows)[0]).all()


def test_a_frame_without_information_takes_hardly_a_byte():
    (nothing,) = LATENTS.layout.tensors(LATENTS.rebuild(np.zeros((1, *LATENTS.spread.shape), np.float32)))
    assert len(compress(LATENTS, 2, [nothing])) < 40 < len(compress(LATENTS, 2, [features()])) / 10


def test_a_shift_that_no_encoder_writes_is_refused():
    _, segments = LatentCodec(LATENTS, 1).encode([features()])[0]
    total, _ = PREFIX.unpack_from(segments[0])
    wrong = PREFIX.pack(total, 9) + segments[0][PREFIX.size :]
    with pytest.raises(PayloadError, match="its classes are 9 wider; from -16 to 8 may be"):
        LatentCodec(LATENTS, 1).rebuild([wrong, *segments[1:]], 1)


def test_no_sample_is_no_payload():
    with pytest.raises(CodecError, match=r"this bottleneck carries .* got float32 \(0, 6, 12, 12\)"):
        compress(LATENTS, 0, [features()[:0]])
    segment = PREFIX.pack(0, 0)
    header = _HEADER.pack(MAGIC, transform.VERSION, 0, LATENTS.fingerprint, 0)
    checked = header + zlib.crc32(segment, zlib.crc32(header)).to_bytes(4, "little") + segment
    with pytest.raises(PayloadError, match="corrupted payload: it says that it holds no sample"):
        decompress(LATENTS, checked)
    with pytest.raises(PayloadError, match="it says that it holds no sample"):
        LatentCodec(LATENTS, 0).decode([TensorHeader("float32", (0, 6, 12, 12))], [segment], MAX_BYTES)


def test_its_products_keep_to_one_thread(monkeypatch):
    found = []

    def threads():
        return {library.get_num_threads() for library in BLAS}

    def seen(*given):
        found.append(threads())
        return turned(*given)

    turned = transform._turned
    monkeypatch.setattr(transform, "_turned", seen)
    with threadpool_limits(2):
        decompress(LATENTS, compress(LATENTS, 0, [features()]))
        assert threads() <= {2}  # as it was
    assert len(found) == 4
    assert set.union(*found) <= {1}


def test_float_noise_moves_no_latent_by_more_than_one():
    tensor = features()
    noisy = tensor * (1 + 1e-6 * np.random.default_rng(1).normal(size=tensor.shape)).astype(np.float32)
    values, others = (LATENTS.quantise(LATENTS.analyse(LATENTS.layout.rows([each])), 2) for each in (tensor, noisy))
    assert np.abs(values - others).max() <= 1
    (found,) = decompress(LATENTS, compress(LATENTS, 2, [noisy]))
    assert np.abs(found - decompress(LATENTS, compress(LATENTS, 2, [tensor]))[0]).mean() < 1e-2


def test_integers_that_float64_cannot_hold_are_refused():
    with pytest.raises(CodecError, match=r"pass 2\*\*53"):
        replace(LATENTS, places=LATENTS.places * 2**14)


def leading(data):
    """What the stream decodes to when it ends after each of its segments."""
    expected = []
    for end in range(len(data) + 1):
        try:
            expected.append(decompress(LATENTS, data[:end])[0].tobytes())
        except PayloadError:
            continue
    return set(expected)


@pytest.fixture(scope="module")
def stream():
    return compress(LATENTS, 2, [features(9)])


def damaged(data, generator):
    broken = bytearray(data)
    kind = generator.integers(3)
    if kind == 0:
        del broken[generator.integers(len(data)) :]
    for _ in range(0 if kind == 0 else generator.integers(1, 4)):
        if broken:
            broken[generator.integers(len(broken))] ^= 1 << generator.integers(8)
    if kind == 2:
        start = generator.integers(len(data))
        broken[start : start + 20] = generator.bytes(20)
    return bytes(broken)


def hold(data, times):
    possible, lower = leading(data), 0
    assert 3 <= len(possible) <= MAX_SEGMENTS
    generator = np.random.default_rng(0)
    for _ in range(times):
        broken = damaged(data, generator)
        try:
            (found,) = decompress(LATENTS, broken)
        except PayloadError:
            continue
        assert found.tobytes() in possible
        lower += found.tobytes() != decompress(LATENTS, data)[0].tobytes()
    assert lower > times / 4  # most damage costs a rate, not the frame


def test_damage_costs_a_rate_or_is_refused_and_is_never_wrong(stream):
    hold(stream, 300)


@pytest.mark.slow
def test_ten_thousand_damaged_streams(stream):
    hold(stream, 10_000)


def test_losing_the_end_costs_little():
    deviations = 2.0 ** (LATENTS.spread / 4)  # as the tables expect them; others are escaped, and come first
    coefficients = np.random.default_rng(9).laplace(scale=deviations / 2**0.5, size=(1, *deviations.shape))
    (tensor,) = LATENTS.layout.tensors(LATENTS.rebuild(coefficients.astype(np.float32)))
    stream = compress(LATENTS, 2, [tensor])
    errors = [np.abs(decompress(LATENTS, stream[:end])[0] - tensor).mean() for end in (-1, len(stream) * 9 // 10)]
    whole = np.abs(decompress(LATENTS, stream)[0] - tensor).mean()
    assert whole <= errors[0] <= errors[1] < np.abs(tensor).mean() / 3


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: b"XX" + data[2:], "foreign payload: it starts with b'XX'"),
        (lambda data: data[:2] + b"\x09" + data[3:], "stream of format 9; this adaedge reads 5"),
        (lambda data: data[:10], "truncated payload: 10 bytes"),
        (lambda data: data + b"more", "oversized payload: 4 bytes follow"),
        (lambda data: data[:40], "truncated payload: it says 109 words, 40 bytes came"),
        (lambda data: data[:60] + b"?" + data[61:], "its first segment is damaged or cut"),
        (lambda data: data[:14] + b"\xff\xff\xff\xff" + data[18:], "truncated payload: it says 4294967295 words"),
        (lambda data: data[:3] + b"\x01" + data[4:], "its first segment is damaged"),
    ],
)
def test_what_is_no_stream_is_refused_by_name(stream, change, text):
    with pytest.raises(PayloadError, match=text):
        decompress(LATENTS, change(stream))


def test_a_stream_of_another_bottleneck_is_refused(stream):
    other = replace(LATENTS, sizes=LATENTS.sizes * np.float32(1.0001))
    with pytest.raises(PayloadError, match="stream of another bottleneck"):
        decompress(other, stream)


def test_a_stream_larger_than_the_limit_is_refused(stream):
    with pytest.raises(PayloadError, match="oversized"):
        decompress(LATENTS, stream, max_bytes=100)
    with pytest.raises(PayloadError, match="values in 1 samples"):
        decompress(LATENTS, stream, max_bytes=len(stream))


def test_arrays_are_the_whole_bottleneck(stream):
    again = TransformCode.from_arrays(LATENTS.arrays(), layout=LATENTS.layout, fraction=12, shift=8)
    assert again.fingerprint == LATENTS.fingerprint
    assert compress(again, 2, [features(9)]) == stream


def test_the_codec_speaks_the_wires_language():
    codec = LatentCodec(LATENTS, 1)
    headers, segments = codec.encode([features()], [1])[0]
    assert headers == (TensorHeader("float32", (1, 6, 12, 12)),)
    (found,) = codec.decode(headers, segments, MAX_BYTES)[0]
    assert np.array_equal(found, decompress(LATENTS, compress(LATENTS, 1, [features()]))[0])
    (lower,) = codec.decode(headers, segments[:-1], MAX_BYTES)[0]
    assert not np.array_equal(lower, found)
    with pytest.raises(PayloadError, match="truncated"):
        codec.decode(headers, (), MAX_BYTES)
    with pytest.raises(PayloadError, match="its headers say"):
        codec.decode((TensorHeader("float32", (1, 6, 12, 13)),), segments, MAX_BYTES)
    with pytest.raises(PayloadError, match="not the lengths"):
        codec.decode(headers, (segments[0], segments[1][:-4]), MAX_BYTES)[0]


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(CodecError, match=r"carries float32 \('N', 6, 12, 12\); got float64 \(1, 6, 12, 12\)"):
        compress(LATENTS, 0, [features().astype(np.float64)])
    with pytest.raises(CodecError, match="NaN or infinity"):
        compress(LATENTS, 0, [features() * np.nan])
    with pytest.raises(CodecError, match="rates are 0 to 2; got 3"):
        compress(LATENTS, 3, [features()])


def test_an_outlier_is_clipped_and_not_wrong():
    tensor = features()
    tensor[0, 0, 0, 0] = 1e30
    assert np.isfinite(decompress(LATENTS, compress(LATENTS, 2, [tensor]))[0]).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [3e38, -3e38])
def test_a_value_near_the_largest_float_is_clipped_too(kind, value):
    rows = LATENTS.layout.rows([features()])
    far, clipped = rows.astype(kind), rows.astype(kind)
    far[0, 5, 2] = value
    clipped[0, 5, 2] = np.copysign(transform.CLIP / 2**LATENTS.fraction, value)
    assert np.array_equal(LATENTS.analyse(far), LATENTS.analyse(clipped))


@pytest.mark.parametrize("mean", [0, 2**17])
@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_value_just_beyond_the_clip_is_clipped(mean, value):
    offset = replace(LATENTS, mean=np.full_like(LATENTS.mean, mean))
    rows = LATENTS.layout.rows([np.zeros((1, 6, 12, 12), np.float32)]) + np.float32(mean / 2**12)
    at, beyond = rows.copy(), rows.copy()
    at[0, 3, 1] += value * transform.CLIP / 2**12
    beyond[0, 3, 1] += value * (transform.CLIP + 9) / 2**12
    assert np.array_equal(offset.analyse(beyond), offset.analyse(at))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_value_that_is_no_number_is_refused(value):
    tensor = features()
    tensor[0, 2, 3, 4] = value
    with pytest.raises(CodecError, match="features hold NaN or infinity"):
        compress(LATENTS, 0, [tensor])


@pytest.mark.parametrize("mean", [2**22 + 1, 2**24 + 1])
def test_a_large_mean_is_exact_in_either_type(mean):
    offset = replace(LATENTS, mean=np.full_like(LATENTS.mean, mean))
    rows = LATENTS.layout.rows([np.float32(mean / 2**12 + np.round(features(), 1))])
    whole = np.rint(rows.astype(np.float64) * 2**12) - mean
    for either in (rows, rows.astype(np.float64)):
        assert np.array_equal(offset._whole(either), np.clip(whole, -transform.CLIP, transform.CLIP))


def test_one_frame_leaves_nothing_of_another():
    rows = [LATENTS.layout.rows([features(seed)]) for seed in range(2)]
    first = LATENTS.analyse(rows[0])
    kept = first.copy()
    LATENTS.analyse(rows[1])
    assert np.array_equal(first, kept)
    values = LATENTS.quantise(first, 2)
    few = LATENTS.quantise(first, 0)
    assert few.shape < values.shape
    seen = [made().synthesise(*given) for given in ((few, 0), (values, 2))]
    LATENTS.synthesise(np.ones_like(values), 2)
    assert np.array_equal(LATENTS.synthesise(few, 0), seen[0])
    assert np.array_equal(LATENTS.synthesise(values, 2), seen[1])


def test_threads_compute_in_memory_of_their_own():
    tensors = [features(seed) for seed in range(8)] * 5
    alone = [compress(LATENTS, 2, [tensor]) for tensor in tensors]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda tensor: compress(LATENTS, 2, [tensor]), tensors)) == alone
