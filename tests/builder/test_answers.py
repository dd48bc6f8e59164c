"""Answers from the model to the record: names, nesting, and what a codec makes of them; accuracy counts the codec."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge.builder.output_structure import structure_of
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import CodecError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeSession, ManualClock, ReplayLink, session
from adaedge.scheduling import Fixed

POINT, LOCAL = OperatingPoint("body", codec="u8"), OperatingPoint("output")
SPACE = adaedge.Space(splits=["body"], codecs=["u8"])


class Named(nn.Module):
    """Outputs in a dictionary, nested, one of them twice, with what is no tensor."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 6)

    def forward(self, image):
        features = self.body(image)
        logits = self.head(features.mean((2, 3)))
        return {"logits": logits, "more": [features, {"sizes": (logits.sum(1), 3)}], "none": None}


class Map(nn.Module):
    """Logits (N, 3, 8, 8) in a dictionary, as torchvision's segmenters return them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 3, 3, 2, 1)

    def forward(self, image):
        return {"out": self.body(image).tanh()}


def images(count=6, seed=0):
    values = np.random.default_rng(seed)
    return [(values.standard_normal((1, 3, 16, 16)).astype(np.float32),) for _ in range(count)]


def built(net, folder, **more):
    bundle = adaedge.build(net.eval(), (torch.zeros(1, 3, 16, 16),), SPACE, calibrate=images(), **more)
    bundle.save(folder / "b")
    return adaedge.Bundle.load(folder / "b")


def answered(bundle, inputs, point=POINT):
    """The result and the record of one frame."""
    clock = ManualClock()
    link = ReplayLink(Trace((0.0, 1e6), (1e8, 1e8)), EdgeSession(bundle).answer, clock)
    costs = {POINT: Cost(0.001, 0.001, 400, finish_s=0.01), LOCAL: Cost(0.01)}
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    table = Profile(costs, bundle.digest, "", "")
    scheduler = adaedge.Scheduler(table, energy, deadline_s=2.0, policy=Fixed(point))
    with adaedge.Terminal(bundle, scheduler, link, clock=clock) as terminal:
        result = terminal.infer(inputs)
        (record,) = session.run(terminal, [inputs])
    assert result.measurement.failure == ""
    return result, record


def test_names_and_nesting_come_through_bundle_terminal_and_record(tmp_path):
    net = Named()
    bundle, (inputs,) = built(net, tmp_path), images(1, seed=7)
    assert bundle.manifest.answer == "raw"
    with torch.no_grad():
        expected = net(torch.from_numpy(inputs[0]))
    for point in (POINT, LOCAL):
        result, record = answered(bundle, inputs, point)
        output = result.output
        assert list(output) == ["logits", "more", "none"]
        assert type(output) is dict
        assert type(output["more"]) is list
        assert (output["none"], output["more"][1]["sizes"][1]) == (None, 3)
        for found, wanted in (
            (output["logits"], expected["logits"]),
            (output["more"][0], expected["more"][0]),
            (output["more"][1]["sizes"][0], expected["more"][1]["sizes"][0]),
        ):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5 if point == LOCAL else 0.2)
        for found, wanted in zip(result.answer, bundle.run(point, inputs), strict=True):
            assert found.tobytes() == wanted.tobytes()
        told = json.loads(record.to_json())["outputs"]
        assert told == record.outputs
        assert list(told) == ["logits", "more", "none"]
        assert told["logits"]["class"] == record.answer == int(output["logits"].argmax())
        assert told["more"][0]["shape"] == [1, 4, 8, 8]
        assert len(told["more"][0]["crc32"]) == 8
        assert told["more"][1]["sizes"][1] == 3
        assert len(record.to_json()) < 2000


def test_where_a_codec_makes_two_arrays_of_the_one_output_a_tuple_is_in_its_place(tmp_path):
    class Scores(Map):
        def forward(self, image):
            return {"scores": self.body(image).mean((2, 3))}

    bundle, (inputs,) = built(Scores(), tmp_path, answer="best@2"), images(1)
    result, record = answered(bundle, inputs)
    indices, scores = result.output["scores"]
    assert (indices.shape, scores.dtype) == ((1, 2), np.float16)
    assert record.outputs == {"scores": {"class": int(indices[0, 0]), "score": float(scores[0, 0])}}
    assert record.answer == int(indices[0, 0])


def test_logits_of_a_map_whose_classes_have_names_become_labels(tmp_path):
    bundle, (inputs,) = built(Map(), tmp_path, labels=["a", "b", "c"]), images(1)
    assert bundle.manifest.answer == "labels"
    accuracy = next(entry.accuracy for entry in bundle.manifest.points if entry.point == LOCAL)
    assert (accuracy.metric, accuracy.value) == ("iou", 1.0)
    result, record = answered(bundle, inputs)
    assert result.output["out"].dtype == np.uint8
    assert np.array_equal(result.output["out"], bundle.run(POINT, inputs)[0])
    assert record.answer is None
    assert record.outputs["out"]["shape"] == [1, 8, 8]


@pytest.mark.parametrize("name", ["labels@5x7", "labels-aligned@9x9", "f16+zstd", "u8+zstd"])
def test_what_is_asked_for_is_what_both_machines_answer(tmp_path, name):
    bundle, (inputs,) = built(Map(), tmp_path, answer=name), images(1)
    assert bundle.manifest.answer == name
    for point in (POINT, LOCAL):
        result, _ = answered(bundle, inputs, point)
        (expected,) = bundle.run(point, inputs)
        assert result.output["out"].tobytes() == expected.tobytes()
        assert [(one.dtype, one.shape) for one in bundle.answers.specs] == [(expected.dtype.name, expected.shape)]


def test_a_batch_is_answered_piece_by_piece(tmp_path):
    bundle = built(Map(), tmp_path, answer="u8+zstd")
    batch = np.concatenate([one for (one,) in images(3)])
    apart = [bundle.run(POINT, (one,))[0] for (one,) in images(3)]
    assert bundle.run(POINT, (batch,))[0].tobytes() == np.concatenate(apart).tobytes()


def test_points_are_scored_on_what_is_answered(tmp_path):
    """Two classes whose scores differ by less than half precision: the codec decides, and is counted."""

    class Close(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv2d(3, 2, 1, bias=False)
            with torch.no_grad():
                self.body.weight[:] = torch.tensor([[1.0, 0, 0], [1.0001, 0, 0]])[:, :, None, None]

        def forward(self, image):
            return self.body(image).mean((2, 3)) + 100

    samples = [(np.full((1, 3, 16, 16), value, np.float32),) for value in (1, 2, 3, 4)]

    def accuracy(name):
        bundle = adaedge.build(
            Close().eval(),
            (torch.zeros(1, 3, 16, 16),),
            adaedge.Space(),
            calibrate=samples,
            evaluate=adaedge.builder.top1([(inputs, 1) for inputs in samples]),
            answer=name,
            scratch=tmp_path,  # what was measured of one codec is not taken for another's
        )
        return next(entry.accuracy.value for entry in bundle.manifest.points if entry.point == LOCAL)

    assert accuracy("raw") == 1.0
    assert accuracy("f16") == 0.0, "both scores are one number in half precision, and the first class is taken"


def test_what_judges_a_point_sees_what_is_answered():
    """At points with a lossless codec, a lossy one, and none."""
    seen = set()

    def evaluate(predict):
        (output,) = predict(images(1)[0])
        seen.add((output.dtype.name, output.shape))
        return 1.0

    space = adaedge.Space(splits=["body"], codecs=["raw", "u8"])
    adaedge.build(Map().eval(), (torch.zeros(1, 3, 16, 16),), space, evaluate=evaluate, answer="labels@4x4")
    assert seen == {("uint8", (1, 4, 4))}


def test_the_default_metric_is_that_of_the_answer():
    """Four values may be a box or four scores; the best two of them are classes."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 4)).eval()
    bundle = adaedge.build(net, (torch.zeros(1, 3, 16, 16),), adaedge.Space(), calibrate=images(), answer="best@2")
    assert {entry.accuracy.metric for entry in bundle.manifest.points} == {"agreement"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "best@7",
            r"best@7 takes one floating-point output \(N, C\) of at least 7 classes; got float32 \(1, 3, 8, 8\)",
        ),
        ("best", r"no answer codec 'best'; there are raw, .*best@5"),
    ],
)
def test_a_codec_that_does_not_fit_is_told_at_build(name, text):
    with pytest.raises(CodecError, match=text):
        adaedge.build(Map().eval(), (torch.zeros(1, 3, 16, 16),), SPACE, answer=name)
    with pytest.raises(
        CodecError, match=r"labels takes one floating-point output \(N, C, h, w\).*got float32 \(1, 6\)"
    ):
        adaedge.build(Named().eval(), (torch.zeros(1, 3, 16, 16),), SPACE, answer="labels")


def test_outputs_of_transformers_keep_their_names():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16, patch_size=8,
        num_labels=4,
    )  # fmt: skip
    torch.manual_seed(0)
    net = transformers.ViTForImageClassification(config).eval()
    image = torch.rand(1, 3, 16, 16)
    bundle = adaedge.build(net, (image,), adaedge.Space())
    assert bundle.manifest.structure == {"dict": [["logits", 0]]}
    answer = bundle.answers.nested(bundle.run(LOCAL, (image.numpy(),)))
    assert list(answer) == ["logits"]
    with torch.no_grad():
        np.testing.assert_allclose(answer["logits"], net(image).logits.numpy(), atol=1e-5)


Pair = namedtuple("Pair", "first second")


@dataclass
class Held:
    logits: torch.Tensor
    rest: tuple


def test_containers_are_written_as_plain_ones():
    a, b = torch.zeros(1), torch.ones(1)
    assert structure_of(a) == 0
    assert structure_of((a,)) == {"tuple": [0]}
    assert structure_of(Pair(a, b)) == {"tuple": [0, 1]}
    assert structure_of({"x": a, "y": a, 3: b}) == {"dict": [["x", 0], ["y", 1], [3, 2]]}
    torch.utils._pytree.register_dataclass(Held)
    assert structure_of(Held(a, (b, None))) == {"dict": [["logits", 0], ["rest", {"tuple": [1, {"constant": None}]}]]}
