"""A detector is built and runs like any other network: its boxes are the library's, wherever they were computed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge.bundle import Bundle, Manifest
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import CaptureError, CodecError, ModelError
from adaedge.metrics import BoxF1
from adaedge.models import detector_of, load
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeSession, ManualClock, ReplayLink, Terminal, pipeline
from adaedge.scheduling import Fixed, Scheduler

_spec = importlib.util.spec_from_file_location("detectors", Path(__file__).parent.parent / "detection" / "detectors.py")
detectors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(detectors)

IMAGE = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(3))
LOCAL, FULL = OperatingPoint("output"), OperatingPoint("input")


def frames(count=4, size=(48, 64)):
    random = np.random.default_rng(7)
    return [random.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def ssd():
    return detectors.made("ssd")


@pytest.fixture(scope="module")
def bundle(ssd):
    space = adaedge.Space(splits=["backbone"], widths=[1], precisions=["fp32"], codecs=["raw", "u8"])
    return adaedge.build(ssd, (IMAGE,), space, calibrate=frames(), name="ssd", trained=False)


def eager(net, frame):
    with torch.no_grad():
        (found,) = net([torch.from_numpy(frame).permute(2, 0, 1).float() / 255])
    return [found[name].numpy() for name in ("boxes", "scores", "labels")]


def test_a_bundle_answers_the_boxes_of_torchvision_by_every_way(bundle, ssd):
    assert (bundle.manifest.answer, bundle.manifest.postprocessing) == (
        "boxes",
        detector_of(ssd, (IMAGE,)).postprocessing,
    )
    assert [spec.name for spec in bundle.answers.specs] == ["boxes", "scores", "labels"]
    frame = frames()[1]
    boxes, scores, labels = eager(ssd, frame)
    for point in bundle.points:
        if point.codec == "u8" and point.split != "input":
            continue  # an approximation
        found = bundle.answers.nested(bundle.run(point, bundle.inputs_of(frame)), frame)
        assert [*found] == ["boxes", "scores", "labels"]
        np.testing.assert_array_equal(found["labels"], labels)
        np.testing.assert_allclose(found["boxes"], boxes, atol=2**-10 * 64)  # the codec's half step
        np.testing.assert_allclose(found["scores"], scores, rtol=2**-10)
    exact = Bundle(replace(bundle.manifest, answer="raw"), bundle._files)
    found = exact.answers.nested(exact.run(LOCAL, exact.inputs_of(frame)))
    np.testing.assert_allclose(found["boxes"], boxes, atol=1e-3)
    np.testing.assert_allclose(found["scores"], scores, atol=1e-5)


def test_accuracy_is_the_f1_of_all_boxes_of_an_answer(bundle):
    found = {str(entry.point): entry.accuracy for entry in bundle.manifest.points}
    assert {accuracy.metric for accuracy in found.values()} == {"f1@0"}
    assert found["output/w1/fp32/raw"].value == found["backbone/w1/fp32/raw"].value == 1.0
    assert 0 < found["backbone/w1/fp32/u8"].value <= 1
    assert bundle.answers.default_metric() == BoxF1(least_score=0.0)


def test_a_bundle_keeps_its_postprocessing_on_disk(bundle, tmp_path):
    bundle.save(tmp_path / "ssd.bundle")
    again = Bundle.load(tmp_path / "ssd.bundle")
    assert again.manifest.postprocessing == bundle.manifest.postprocessing
    assert again.digest == bundle.digest
    assert Manifest.from_bytes(bundle.manifest.to_bytes()) == bundle.manifest
    frame = again.inputs_of(frames()[0])
    for one, other in zip(again.run(LOCAL, frame), bundle.run(LOCAL, frame), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("point", ["backbone", "output"])
def test_a_terminal_gives_boxes_in_pixels_of_the_frame(bundle, ssd, point):
    chosen = OperatingPoint(point)
    costs = {chosen: Cost(0.001, 0.001, 2300, 0.001, 0.001, 40, 0.001), LOCAL: Cost(0.05)}
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    link = ReplayLink(Trace((0.0, 1e6), (1e7, 1e7)), EdgeSession(bundle).answer, ManualClock())
    profile = Profile(costs, bundle.digest, "test", "test")
    scheduler = Scheduler(profile, energy, deadline_s=5.0, period_s=0.2, policy=Fixed(chosen))
    small, large = frames(1)[0], frames(1, size=(96, 128))[0]
    large[:] = small.repeat(2, axis=0).repeat(2, axis=1)
    with Terminal(bundle, scheduler, link, clock=link.clock) as terminal:
        at_size, result = terminal.infer(small), terminal.infer(large)
        inside = terminal.infer((bundle.preprocess(large),))
    assert result.measurement.answered_by == ("edge" if point == "backbone" else "terminal")
    assert result.measurement.answer_bytes < 400
    boxes, _, labels = eager(ssd, small)
    np.testing.assert_allclose(at_size.output["boxes"], boxes, atol=0.1)
    np.testing.assert_array_equal(at_size.output["labels"], labels)
    np.testing.assert_allclose(result.output["boxes"], 2 * inside.output["boxes"], rtol=1e-6)
    assert result.output["boxes"].max() > 64
    assert [one.shape for one in result.answer] == [(1, 25, 4), (1, 25), (1, 25)]
    described = bundle.answers.described(result.answer)
    assert described["labels"] == result.output["labels"].tolist()
    assert len(described["boxes"][0]) == 4
    assert bundle.answers.described(result.answer, large)["boxes"] == result.output["boxes"].tolist()
    assert bundle.answers.best_class(result.answer) is None
    best = pipeline("object-detection", bundle, threshold=0.1)(large)[0]
    assert [*best["box"].values()] == pytest.approx(2 * inside.output["boxes"][0], rel=0.02)
    assert best["label"] == f"class {inside.output['labels'][0]}"


def test_yolos_is_built_with_another_threshold_and_answers_raw():
    net = detectors.made("yolos")
    found = detector_of(net, (IMAGE,))
    post = replace(found.postprocessing, threshold=0.25, most=8)
    samples = [(IMAGE.numpy() + np.float32(at) / 10,) for at in range(3)]
    space = adaedge.Space(splits=["vit.encoder.layer.0"], widths=[1], precisions=["fp32"], codecs=["raw"])
    bundle = adaedge.build(
        net, (IMAGE,), space, kwargs={}, calibrate=samples, postprocessing=post, answer="raw", trained=False
    )
    with torch.no_grad():
        own = net(IMAGE)
    from transformers import DetrImageProcessor

    (expected,) = DetrImageProcessor().post_process_object_detection(own, 0.25, [(48, 64)])
    order = expected["scores"].argsort(descending=True)[:8]
    for point in (FULL, OperatingPoint("vit.encoder.layer.0"), LOCAL):
        answer = bundle.answers.nested(bundle.run(point, (IMAGE.numpy(),)))
        np.testing.assert_allclose(answer["boxes"], expected["boxes"][order].numpy(), atol=1e-3)
        np.testing.assert_allclose(answer["scores"], expected["scores"][order].numpy(), atol=1e-5)
        np.testing.assert_array_equal(answer["labels"], expected["labels"][order].numpy())


def test_without_a_box_in_the_samples_nothing_is_measured_and_that_is_said(ssd):
    post = replace(detector_of(ssd, (IMAGE,)).postprocessing, threshold=0.99)
    with pytest.warns(UserWarning, match=r"finds nothing in 4 samples with scores above 0\.99\. Give frames that hold"):
        built = adaedge.build(
            ssd, (IMAGE,), adaedge.Space([], [1], ["fp32"], ["raw"]), calibrate=frames(), postprocessing=post
        )
    assert {entry.accuracy for entry in built.manifest.points} == {None}
    empty = built.answers.nested(built.run(LOCAL, built.inputs_of(frames()[0])))
    assert [one.shape for one in empty.values()] == [(0, 4), (0,), (0,)]


class TwoStages(nn.Module):
    """A network of the user's that holds a detector of two stages."""

    def __init__(self):
        super().__init__()
        from torchvision.models.detection import FasterRCNN
        from torchvision.models.detection.anchor_utils import AnchorGenerator

        generator = AnchorGenerator(((16,), (32,)), ((1.0,),) * 2)
        self.detector = FasterRCNN(detectors.Backbone(), 3, rpn_anchor_generator=generator)

    def forward(self, image):
        return self.detector([*image])


def test_what_cannot_be_built_is_refused_before_anything_is_captured(ssd, monkeypatch):
    monkeypatch.setattr(torch.export, "export", lambda *_, **__: pytest.fail("nothing is captured"))
    with pytest.raises(CaptureError, match="FasterRCNN cannot be captured: its second stage"):
        adaedge.build(TwoStages().eval(), (IMAGE,))
    other = detectors.made("ssd")
    other.score_thresh = 0.9
    space = adaedge.Space(splits=["backbone"], networks={"student": other})
    with pytest.raises(ModelError, match=r"network 'student' writes its boxes in another way .* thresholds"):
        adaedge.build(ssd, (IMAGE,), space)
    with pytest.raises(ModelError, match=r"an example of SSD is one batch of images, .* got \(48, 64\)"):
        adaedge.build(ssd, (IMAGE[0, 0],))


def test_outputs_that_the_postprocessing_does_not_take_are_refused():
    post = detector_of(detectors.made("yolos"), (IMAGE,)).postprocessing
    with pytest.raises(CodecError, match=r"the heads of this detector are boxes \(N, A, 4\)"):
        adaedge.build(nn.Linear(4, 4).eval(), (torch.rand(1, 4),), adaedge.Space([]), postprocessing=post)


def test_a_detector_is_loaded_by_name_with_its_own_geometry_and_names():
    model = load("torchvision:ssdlite320_mobilenet_v3_large", pretrained=False)
    assert model.preprocessing.size == (320, 320)
    assert (model.preprocessing.fit, model.preprocessing.interpolation) == ("stretch", "bilinear-sampled")
    assert model.preprocessing.mean == (0.5, 0.5, 0.5)
    assert len(model.labels) == 91
    assert model.labels[1] == "person"
    heads, args, kwargs = model.for_capture()
    assert ([*args[0].shape], kwargs) == ([1, 3, 320, 320], {})
    with torch.no_grad():
        assert [tuple(head.shape) for head in heads(*args)] == [(1, 3234, 4), (1, 3234, 91)]
