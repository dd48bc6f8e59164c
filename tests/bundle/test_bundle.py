from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import checker
from onnx import load_model_from_string as onnx_model_from

from adaedge.bundle import Bundle, Slice, weights
from adaedge.engine import load_engine
from adaedge.errors import BundleError, CodecError, IntegrityError, PayloadError
from adaedge.operating_point import INPUT, OUTPUT, OperatingPoint
from adaedge.payload import pack
from adaedge.payload.answers import wire as answer_wire
from adaedge.payload.answers.wire import AnswerHeader


@pytest.fixture(scope="module")
def inputs(bundle, frames):
    return (bundle.preprocess(frames[0]),)


def reference(net, image):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        return net(((torch.from_numpy(image).float() / 255 - mean) / std).permute(0, 3, 1, 2)).numpy()


def test_raw_points_compute_what_the_model_computes(bundle, net, inputs):
    expected = reference(net, inputs[0])
    for point in bundle.points:
        if point.codec == "raw":
            (found,) = bundle.run(point, inputs)
            assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max(), point


def test_a_raw_point_is_its_two_engines_bit_for_bit(bundle, inputs):
    for split in (INPUT, "stem", "left", OUTPUT):
        through = bundle.tail(split).run(bundle.head(split).run(inputs))
        assert np.array_equal(bundle.run(OperatingPoint(split), inputs)[0], through[0])


def test_a_lossy_point_is_the_tail_of_what_its_codec_decodes(bundle, inputs):
    for point in (OperatingPoint("left", codec="u2+zstd"), OperatingPoint(INPUT, codec="jpeg@90")):
        features = bundle.head(point.split).run(inputs)
        message, received = bundle.decode(bundle.encode(point, features, sequence=7, deadline_s=0.5))
        assert (message.point, message.sequence, message.deadline_s) == (point, 7, 0.5)
        assert not np.array_equal(features[0], received[0])
        assert np.array_equal(bundle.run(point, inputs)[0], bundle.tail(point.split).run(received)[0])


def test_several_tensors_cross_and_several_pieces_are_put_together(bundle, frames):
    batch = np.concatenate([bundle.preprocess(frame) for frame in frames])
    assert len(bundle.head("left").run((batch[:1],))) == 2
    for point in bundle.points:
        (together,) = bundle.run(point, (batch,))
        apart = [bundle.run(point, (batch[at : at + 1],))[0] for at in range(len(batch))]
        assert np.array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        (np.zeros((1, 32, 32, 3), np.float32),),
        (np.zeros((1, 33, 32, 3), np.uint8),),
        (np.zeros((0, 32, 32, 3), np.uint8),),
        (np.zeros((1, 32, 32, 3), np.uint8),) * 2,
    ],
)
def test_inputs_that_are_not_the_models_are_refused(bundle, wrong):
    with pytest.raises(BundleError, match=r"inputs: expected uint8 \(1, 32, 32, 3\); got"):
        bundle.run(OperatingPoint(OUTPUT), wrong)


def test_every_path_that_ends_at_a_split_point_names_it(bundle, inputs):
    alias = OperatingPoint("stem.2", codec="u8")
    assert bundle.resolve(alias) == OperatingPoint("stem", codec="u8")
    assert np.array_equal(bundle.run(alias, inputs)[0], bundle.run(bundle.resolve(alias), inputs)[0])
    features = bundle.head("stem.2").run(inputs)
    for payload in (bundle.encode(alias, features), pack(alias, features, [1], bundle=bundle.digest)):
        assert bundle.decode(payload)[0].point == OperatingPoint("stem", codec="u8")


def test_an_unknown_split_point_is_refused_with_those_that_exist(bundle, inputs):
    with pytest.raises(BundleError, match=r"no split point 'nope'.* it has: input, left, output, stem\. Build it with"):
        bundle.run(OperatingPoint("nope"), inputs)


def test_a_codec_that_cannot_carry_it_says_so(bundle, inputs):
    with pytest.raises(CodecError, match="JPEG"):
        bundle.run(OperatingPoint("stem", codec="jpeg@90"), inputs)
    with pytest.raises(CodecError, match="is local: it sends nothing"):
        bundle.encode(OperatingPoint(OUTPUT), inputs)


def test_payloads_for_other_bundles_points_and_shapes_are_refused(bundle, inputs):
    point = OperatingPoint("stem")
    features = bundle.head("stem").run(inputs)
    with pytest.raises(PayloadError, match="another bundle"):
        bundle.decode(pack(point, features, [1], bundle="ab" * 32))
    with pytest.raises(PayloadError, match=r"not here.*no split point 'nope'"):
        bundle.decode(pack(replace(point, split="nope"), features, [1], bundle=bundle.digest))
    with pytest.raises(PayloadError, match="sends nothing"):
        bundle.decode(pack(OperatingPoint(OUTPUT), features, [1], bundle=bundle.digest))
    with pytest.raises(PayloadError, match=r"features at 'stem': expected float32 .*; got float32"):
        bundle.decode(pack(point, [features[0][:, :4]], [1], bundle=bundle.digest))
    with pytest.raises(PayloadError, match="oversized"):
        bundle.decode(bytes(bundle.max_payload_bytes + 1))


@given(st.data())
def test_a_damaged_payload_or_answer_is_refused_and_nothing_else(bundle, inputs, data):
    point = data.draw(st.sampled_from([point for point in bundle.points if not point.is_local]))
    payload = bundle.encode(point, bundle.head(point.split).run(inputs))
    message, features = bundle.decode(payload)
    answer = bundle.encode_answer(message, bundle.tail(point.split).run(features), edge_s=0.1)
    for good, read in ((payload, bundle.decode), (answer, lambda bad: bundle.decode_answer(bad, message.request))):
        at = data.draw(st.integers(0, len(good) - 1))
        flipped = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
        for bad in (flipped, good[:at]):
            with pytest.raises(PayloadError):
                read(bad)


def test_an_answer_comes_back_and_a_foreign_one_does_not(bundle, inputs):
    message, _ = bundle.decode(bundle.encode(OperatingPoint("stem"), bundle.head("stem").run(inputs), sequence=3))
    outputs = bundle.run(message.point, inputs)
    header, received = bundle.decode_answer(bundle.encode_answer(message, outputs, edge_s=0.25), message.request)
    assert header.edge_s == 0.25
    assert np.array_equal(received[0], outputs[0])
    with pytest.raises(CodecError, match=r"answers of raw: expected float32 \(1, 5\); got float32 \(1, 4\)"):
        bundle.encode_answer(message, (np.zeros((1, 4), np.float32),), edge_s=0.0)
    longer = answer_wire.encode(message.request, AnswerHeader(0.0), bytes(24))
    with pytest.raises(PayloadError, match="its answer takes 20 bytes, its segment has 24"):
        bundle.decode_answer(longer, message.request)


def test_threads_share_one_bundle(bundle, net, frames):
    fresh = bundle.with_threads(2)
    images = [bundle.preprocess(frame) for frame in frames] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: fresh.run(OperatingPoint("left"), (image,))[0], images))
    for image, logits in zip(images, found, strict=True):
        assert np.allclose(logits, reference(net, image), rtol=1e-4, atol=1e-6)
    assert fresh.head("left") is fresh.head("left")


def test_no_graph_holds_a_large_weight_and_each_is_stored_once(bundle, net):
    stored = weights.views(bundle._files["weights.safetensors"])
    parameters = sum(value.numel() * 4 for value in net.state_dict().values() if value.is_floating_point())
    assert sum(array.nbytes for array in stored.values()) <= parameters
    assert "right.weight" in stored
    assert np.array_equal(stored["right.weight"], net.right.weight.detach().numpy())
    for path, data in bundle._files.items():
        if path.endswith(".onnx"):
            assert net.right.weight.detach().numpy().tobytes() not in data
            assert b"pkg.torch" not in data, "export metadata is stripped"


def test_a_half_leaves_as_an_onnx_file_that_stands_alone(bundle, inputs):
    for cut in bundle.manifest.cuts:
        if cut.head is not None:
            data = bundle.onnx(cut.head)
            checker.check_model(onnx_model_from(data), full_check=True)
            found = load_engine("onnxruntime", data, {}).run(inputs)
            expected = bundle.head(cut.split).run(inputs)
            assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


def test_weights_are_views_and_other_files_are_refused():
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.ones(3, np.int64),
        "c": np.zeros((), np.float16),
    }
    data = safetensors.numpy.save(arrays)
    found = weights.views(data)
    assert {name: array.tolist() for name, array in found.items()} == {name: v.tolist() for name, v in arrays.items()}
    assert not found["a"].flags.owndata
    for bad in (b"", data[:20], data[:-1], b"\xff" * 64):
        with pytest.raises(IntegrityError, match=r"weights\.safetensors is not a safetensors file"):
            weights.views(bad)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ((), np.arange(12).reshape(4, 3)),
        (((0, 2), ()), np.arange(6).reshape(2, 3)),
        (((), (0, 2)), [[0, 1], [3, 4], [6, 7], [9, 10]]),
        (((0, 1, 3, 4), (1, 3)), [[1, 2], [10, 11]]),
        (((3, 4, 0, 1), ()), [[9, 10, 11], [0, 1, 2]]),
    ],
)
def test_a_part_of_a_stored_tensor_is_a_view_where_it_can_be(kept, expected):
    full = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = weights.part({"w": full}, Slice("w", kept))
    assert np.array_equal(found, expected)
    assert found.flags.c_contiguous
    assert np.shares_memory(found, full) == (kept in ((), ((0, 2), ())))


@pytest.mark.parametrize("kept", [((0, 5), ()), ((0, 2),), ((2, 1), ()), ((0,), ()), ((-1, 2), ()), ((0, 1, 2), ())])
def test_a_part_that_a_stored_tensor_does_not_have_is_refused(kept):
    with pytest.raises(IntegrityError, match=r"of 'w', and weights.safetensors has a tensor of shape \(4, 3\)\. Build"):
        weights.part({"w": np.zeros((4, 3))}, Slice("w", kept))
    with pytest.raises(IntegrityError, match=r"of 'v', and weights.safetensors has no such tensor"):
        weights.part({"w": np.zeros((4, 3))}, Slice("v", kept))


def test_a_model_without_images_has_nothing_to_preprocess(bundle):
    plain = Bundle(replace(bundle.manifest, preprocessing=None), bundle._files, engine=bundle.engine_name)
    with pytest.raises(BundleError, match="tests:net does not take images"):
        plain.preprocess(np.zeros((8, 8, 3), np.uint8))
