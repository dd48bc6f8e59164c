"""Pictures in, names out: by a bundle and by a terminal, for three tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import adaedge
from adaedge.builder import Space, build
from adaedge.builder.class_names import class_names
from adaedge.bundle import Preprocessing
from adaedge.energy import ComputePower, EnergyModel, RadioPower
from adaedge.errors import BundleError, SourceError
from adaedge.operating_point import OUTPUT, Cost, OperatingPoint, Profile
from adaedge.runtime import NoLink, Terminal, pipeline
from adaedge.runtime.tasks import probabilities
from adaedge.scheduling import ProbePlan, Scheduler

SIZE = Preprocessing(size=(16, 16), crop=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)


class Colours(nn.Module):
    """The mean of each colour is the score of its class."""

    def forward(self, image):
        return 10 * image.mean((2, 3))


class Pixels(nn.Module):
    """Each pixel is of the class of its strongest colour."""

    def forward(self, image):
        return image * 2


class Spots(nn.Module):
    """Three boxes, of fixed places; the picture's colours are their scores."""

    def forward(self, image):
        scores = image.mean((2, 3))[0]
        boxes = torch.arange(12, dtype=torch.float32).reshape(3, 4) + 0 * scores[:, None]
        return {"labels": torch.tensor([2, 0, 1]) + 0 * scores.long(), "scores": scores, "boxes": boxes}


class Config:
    def __init__(self, *names):
        self.id2label = dict(reversed([*enumerate(names)]))


def named(net):
    net.config = Config("a", "b")
    return net.eval()


def made(net, *names, **more):
    if names:
        net.config = Config(*names)
    image = torch.rand(1, 3, 16, 16)
    return build(net.eval(), (image,), Space(splits=(), codecs=["raw"]), preprocessing=SIZE, **more)


def picture(red, green, blue):
    return np.full((20, 30, 3), (red, green, blue), np.uint8)


@pytest.fixture(scope="module")
def colours():
    return made(Colours(), "red", "green", "blue")


@pytest.fixture
def terminal(colours):
    costs = {OperatingPoint(OUTPUT): Cost(0.001)}
    scheduler = Scheduler(
        Profile(costs, colours.digest, "", ""), EnergyModel(ComputePower(1), RadioPower("")), deadline_s=9
    )
    with Terminal(colours, scheduler, NoLink(), plan=ProbePlan.never()) as terminal:
        yield terminal


def test_the_names_of_the_wrapped_model_are_in_the_bundle(colours):
    assert colours.manifest.labels == ("red", "green", "blue")
    net = Colours()
    assert class_names(net) == ()
    net.config = Config("LABEL_0", "LABEL_1", "LABEL_2")
    assert class_names(net) == (), "names that say nothing"
    assert class_names(adaedge.Elastic(named(nn.Conv2d(3, 2, 1)), (torch.rand(1, 3, 4, 4),), widths=(1.0,))) == (
        "a",
        "b",
    )


def test_a_picture_is_classified_the_best_first(colours):
    found = adaedge.pipeline("image-classification", colours, top_k=2)(picture(51, 255, 102))
    assert [one["label"] for one in found] == ["green", "blue"]
    assert [one["score"] for one in found] == pytest.approx(probabilities([10.0, 4.0, 2.0])[:2].tolist(), abs=1e-5)


def test_a_terminal_answers_as_the_bundle_does(colours, terminal, tmp_path):
    frame = picture(9, 8, 200)
    here, there = pipeline("image-classification", colours), pipeline("image-classification", terminal)
    assert there(frame) == here(frame)
    assert there(frame)[0]["label"] == "blue"
    assert there.bundle is colours


def test_pictures_may_be_frames_images_paths_and_lists(colours, tmp_path):
    frame = picture(200, 8, 9)
    Image.fromarray(frame).save(tmp_path / "red.png")
    classify = pipeline("image-classification", colours)
    expected = classify(frame)
    other = Image.fromarray(picture(0, 0, 255))
    assert classify([frame, tmp_path / "red.png", str(tmp_path / "red.png"), Image.fromarray(frame)]) == [expected] * 4
    assert [one[0]["label"] for one in classify([other, frame])] == ["blue", "red"]


def test_a_bundle_that_answers_the_best_only_gives_those(colours):
    best = made(Colours(), "x", "y", "z", answer="best@2", labels=["r", "g", "b"])
    found = pipeline("image-classification", best)(picture(255, 0, 128))
    assert [one["label"] for one in found] == ["r", "b"]
    assert sum(one["score"] for one in found) == pytest.approx(1)


@pytest.mark.parametrize("names", [(), ("red", "green", "blue")])
def test_a_segmentation_has_a_mask_for_each_class_that_is_there(names):
    bundle = made(Pixels(), *names)
    assert bundle.manifest.answer == ("labels" if names else "raw")
    frame = np.zeros((16, 16, 3), np.uint8)
    frame[:, :5, 0] = frame[:, 5:, 2] = 255
    blue, red = pipeline("image-segmentation", bundle)(frame)
    assert (blue["label"], red["label"]) == (("blue", "red") if names else ("class 2", "class 0"))
    assert red["score"] is None
    assert red["mask"][:, :5].all()
    assert not red["mask"][:, 5:].any()
    assert np.array_equal(red["mask"], ~blue["mask"])


def test_a_detection_has_boxes_above_the_threshold_the_best_first():
    detect = pipeline("object-detection", made(Spots(), "cat", "dog", "cow"), threshold=0.3)
    first, second = detect(picture(102, 51, 204))
    assert (first["label"], second["label"]) == ("dog", "cow")
    assert (first["score"], second["score"]) == pytest.approx((0.8, 0.4), abs=1e-5)
    assert first["box"] == {"xmin": 8.0, "ymin": 9.0, "xmax": 10.0, "ymax": 11.0}
    assert second["box"]["xmin"] == 0.0


def test_a_score_that_is_a_probability_stays():
    assert probabilities([0.2, 0.5, 0.3]).tolist() == [0.2, 0.5, 0.3]
    assert probabilities([1000.0, 0.0]).tolist() == [1.0, 0.0]
    assert probabilities([0.2, 0.2]).tolist() == [0.5, 0.5]


def test_what_is_no_task_or_of_another_is_refused(colours):
    with pytest.raises(BundleError, match=r"^no task 'ocr'; there are: image-classification, image-segm"):
        pipeline("ocr", colours)
    with pytest.raises(BundleError, match=r"answers \(.* float32 \(1, 3\)\) are none of object-detection: it wants"):
        pipeline("object-detection", colours)
    with pytest.raises(BundleError, match="none of image-segmentation: it wants one map of labels"):
        pipeline("image-segmentation", colours)
    with pytest.raises(BundleError, match="none of image-classification: it wants one row of scores"):
        pipeline("image-classification", made(Pixels()))


def test_what_is_no_picture_is_refused(colours, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    classify = pipeline("image-classification", colours)
    with pytest.raises(SourceError, match="is not an image that decodes"):
        classify(tmp_path / "text.png")
    with pytest.raises(SourceError, match=r"a picture is a uint8 frame \(H, W, 3\).*; got dict"):
        classify({})
