"""Answer codecs: what a user gets is the same wherever it was computed, few bytes of it cross, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from adaedge.errors import CodecError, PayloadError
from adaedge.payload import TensorHeader
from adaedge.payload.answers import Best, LabelMap, Levels, Values, answer_codec, default_answer

NAMES = ["raw", "raw+zstd", "f16", "f16+zstd", "u8+zstd", "labels", "labels@17x40", "labels-aligned@9x9", "best@5"]
NAMES += ["boxes"]


def logits_map(classes=21, side=9, count=2, seed=0):
    values = np.random.default_rng(seed)
    return (5 * values.standard_normal((count, classes, side, side))).astype(np.float32)


def outputs_for(name, seed=0):
    if name.startswith("labels"):
        return [logits_map(seed=seed)]
    values = np.random.default_rng(seed)
    if name == "boxes":
        labels = values.integers(-1, 100 * 4 ** (seed % 8), (2, 30))
        return [values.uniform(-9, 700, (2, 30, 4)), values.uniform(0, 1, (2, 30)), labels]
    scores = values.standard_normal((3, 1000)).astype(np.float32)
    return [scores] if name.startswith("best") else [scores, np.arange(12).reshape(3, 4), scores[:, :7] > 0]


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_crosses_bit_for_bit(name):
    codec = answer_codec(name)
    assert codec.name == name
    for seed in range(20):
        answer = codec.reduce(outputs_for(name, seed))
        headers, segment = codec.encode(answer)
        found = codec.decoder(headers)(segment)
        assert [(one.dtype, one.shape) for one in found] == [(one.dtype, one.shape) for one in answer]
        for one, other in zip(found, answer, strict=True):
            assert one.tobytes() == other.tobytes()
            assert one.flags.writeable


@pytest.mark.parametrize("name", NAMES)
def test_every_cut_or_foreign_answer_is_refused(name):
    codec = answer_codec(name)
    headers, segment = codec.encode(codec.reduce(outputs_for(name)))
    segment, decode = bytes(segment), codec.decoder(headers)
    for wrong in (segment[:-2], segment + b"\0\0", b""):
        with pytest.raises(PayloadError, match="payload"):
            decode(wrong)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_damage_is_refused_or_gives_an_answer_of_the_same_shape(name, data):
    codec = answer_codec(name)
    headers, segment = codec.encode(codec.reduce(outputs_for(name)))
    damaged = bytearray(segment)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = codec.decoder(headers)(damaged)
    except PayloadError:
        return
    assert found[-1].shape == headers[-1].shape


@pytest.mark.parametrize(
    "name", ["", "raw ", "u4", "f16+range", "labels@0x9", "labels@9", "labels-aligned", "best@0", "best"]
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(CodecError, match=r"no answer codec .* there are raw, .*labels@129x129 and best@5"):
        answer_codec(name)


def test_half_precision_is_pytorchs_and_what_is_no_number_stays():
    values = np.array([[1 / 3, 65504, 1e6, -1e6, np.nan, np.inf]], np.float32)
    (found,) = Values(half=True).reduce([values])
    np.testing.assert_array_equal(found, torch.from_numpy(values).half().numpy())
    (kept,) = Values(half=True).reduce([np.array([7], np.int64)])
    assert kept.dtype == np.int64


def test_levels_are_within_half_a_step():
    scores, whole = np.random.default_rng(3).normal(7, 2, (4, 1000)).astype(np.float32), np.arange(4)
    found, same = Levels().reduce([scores, whole])
    step = (scores.max() - scores.min()) / 255
    assert np.abs(found - scores).max() < 0.52 * step  # the ends of the range are rounded to bfloat16
    assert len(np.unique(found)) > 200
    np.testing.assert_array_equal(same, whole)
    (tiny,) = Levels().reduce([np.linspace(-1e-6, 1e-6, 400).astype(np.float16)])  # one level rounds to -0
    assert not np.signbit(tiny[tiny == 0]).any()
    odd = np.append(scores[0], np.array([np.nan, np.inf, -np.inf], np.float32))
    (kept,) = Levels().reduce([odd])  # what is not finite stays
    np.testing.assert_array_equal(np.isfinite(kept), np.isfinite(odd))
    assert kept[-2:].tolist() == [np.inf, -np.inf]
    assert np.abs(kept[:1000] - odd[:1000]).max() < 1.04 * step
    headers, segment = Levels().encode([kept])
    np.testing.assert_array_equal(Levels().decoder(headers)(segment)[0], kept)
    (single,) = Levels().reduce([np.array(1.5, np.float32)])
    assert isinstance(single, np.ndarray)
    assert single.shape == ()
    with pytest.raises(CodecError, match=r"at most 256 values a tensor; got 1000\. Reduce the answer first"):
        Levels().encode([np.arange(1000, dtype=np.float32)])


@pytest.mark.parametrize("size", [(33, 33), (129, 129), (20, 70), (1, 1), (65, 7)])
@pytest.mark.parametrize("aligned", [True, False])
def test_labels_are_those_of_pytorchs_interpolation(size, aligned):
    logits = logits_map(side=33)
    expected = interpolate(torch.from_numpy(logits), size, mode="bilinear", align_corners=aligned).argmax(1).numpy()
    (found,) = LabelMap(size, aligned=aligned).reduce([logits])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_labels_without_a_size_are_the_argmax():
    logits = logits_map(classes=300)
    logits[0, 7, 3] = logits[0, 4, 3] = 99.0  # of equal ones the first
    (found,) = LabelMap().reduce([logits])
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, logits.argmax(1))


def test_the_best_are_sorted_and_of_equals_the_first_comes_first():
    scores = np.array([[0.0, 2.0, 2.0, -1.0], [np.nan, 1.0, 3.0, 2.0]], np.float32)
    indices, best = Best(3).reduce([scores])
    assert indices.tolist() == [[1, 2, 0], [2, 3, 1]]
    assert best.tolist() == [[2.0, 2.0, 0.0], [3.0, 2.0, 1.0]]
    saturated = (np.arange(1000) % 7 == 3).astype(np.float32)[None]
    assert Best(5).reduce([saturated])[0].tolist() == [[3, 10, 17, 24, 31]]


@pytest.mark.parametrize(("classes", "per_class"), [(256, 3), (1000, 4), (65536, 4), (65537, 6)])
def test_the_bytes_of_the_best(classes, per_class):
    scores = np.arange(classes, dtype=np.float32)[None] / classes
    codec = Best(5)
    headers, segment = codec.encode(codec.reduce([scores]))
    assert len(headers) == 1
    assert len(segment) == 5 * per_class
    assert codec.decoder(headers)(segment)[0].tolist() == [[classes - 1 - at for at in range(5)]]


def test_what_is_no_answer_of_a_codec_is_refused():
    scores = np.zeros((1, 3), np.float32)
    with pytest.raises(
        CodecError, match=r"best@5 takes one .* at least 5 classes; got float32 \(1, 3\)\. Choose fewer"
    ):
        Best(5).reduce([scores])
    with pytest.raises(CodecError, match=r"got float32 \(1, 3\), float32 \(1, 3\)"):
        Best(2).reduce([scores, scores])
    with pytest.raises(CodecError, match=r"got int64 \(1, 3\)"):
        Best(2).reduce([np.zeros((1, 3), np.int64)])
    with pytest.raises(CodecError, match=r"writes indices int32 \(N, 3\) .* got float32 \(1, 3\)\. Reduce"):
        Best(3).encode([scores])
    for outputs in ([scores], [], [np.zeros((1, 1, 4, 4), np.float32)], [np.zeros((1, 3, 4, 4), np.int64)]):
        with pytest.raises(CodecError, match=r"labels takes one floating-point output \(N, C, h, w\)"):
            LabelMap().reduce(outputs)
    with pytest.raises(CodecError, match=r"labels@4x4 writes one label map \(N, H, W\); got uint8 \(1, 5, 4\)"):
        LabelMap((4, 4)).encode([np.zeros((1, 5, 4), np.uint8)])
    with pytest.raises(CodecError, match="aligned corners need a size"):
        LabelMap(aligned=True)
    with pytest.raises(CodecError, match=r"each 1 to 99999; got \(0, 4\)"):
        LabelMap((0, 4))
    with pytest.raises(CodecError, match="1 to 999 classes; got 0"):
        Best(0)


def test_an_index_that_no_class_can_have_is_refused():
    with pytest.raises(PayloadError, match="4294967295 is no index of a class"):
        Best(5).decoder([TensorHeader("float16", (1, 5))])(b"\0" * 10 + b"\xff" * 20)


def test_a_frame_that_claims_more_than_belongs_there_is_not_unpacked():
    codec = answer_codec("raw+zstd")
    _, segment = codec.encode([np.zeros(2**20, np.float32)])
    with pytest.raises(PayloadError, match="holds 4194304 bytes, at most 40 belong there"):
        codec.decoder([TensorHeader("float32", (10,))])(segment)


def test_the_default_loses_nothing():
    scores, tall = TensorHeader("float32", (1, 1000)), TensorHeader("float32", (1, 21, 33, 33))
    assert default_answer([scores]) == "raw"
    assert default_answer([scores, scores]) == "raw+zstd"
    assert default_answer([tall]) == "raw+zstd"
    assert default_answer([tall], classes=["one"] * 21) == "labels"
    assert default_answer([tall, scores], classes=["one"] * 21) == "raw+zstd"
    assert default_answer([TensorHeader("int64", (1, 21, 33, 33))], classes=["one"] * 21) == "raw+zstd"
    assert default_answer([]) == "raw"
