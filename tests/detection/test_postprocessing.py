"""The post-processing equals torchvision's and transformers' own, box for box, and refuses what does not fit."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from adaedge.bottleneck.detector_boxes import DetectorBoxes
from adaedge.detection import AnchorGrid, Postprocessing
from adaedge.detection.anchors import anchor_boxes
from adaedge.detection.candidates import of_levels
from adaedge.detection.suppression import suppressed
from adaedge.errors import BundleError, CaptureError, CodecError, ModelError
from adaedge.graph import Splittable
from adaedge.models import detector_of

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks.detectors import eager

_spec = importlib.util.spec_from_file_location("detectors", Path(__file__).with_name("detectors.py"))
detectors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(detectors)

IMAGE = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(3))
DETR = Postprocessing((48, 64), (48, 64), "softmax", "centres", "box", 0.5, 12, background=4)


def normalised(image, preprocessing):
    if preprocessing is None:
        return image
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    return (image - mean) / std


@pytest.mark.parametrize("kind", detectors.KINDS)
def test_boxes_are_those_of_the_library_and_halves_those_of_pytorch(kind):
    net = detectors.made(kind)
    found = detector_of(net, (IMAGE,))
    post, threshold = found.postprocessing, 0.25
    if post.boxes == "centres":
        post = replace(post, threshold=threshold)
    image = normalised(IMAGE, found.preprocessing)
    with torch.no_grad():
        heads = [head.numpy() for head in found.heads(image)]
    boxes, scores, labels = post.run(heads)
    own = eager(net, IMAGE, threshold)
    count = int((labels >= 0).sum())
    assert 5 <= count == len(own[0])
    assert len({*own[2].tolist()}) > 1, "of one class, labels would prove nothing"
    np.testing.assert_allclose(boxes[0, :count], own[0], atol=1e-3)
    np.testing.assert_allclose(scores[0, :count], own[1], atol=1e-5)
    np.testing.assert_array_equal(labels[0, :count], own[2])
    assert (labels[0, count:] == -1).all()
    assert (scores[0, count:] == -1).all()
    split = Splittable(found.heads, (image,), dynamic=False)
    for name in [point.name for point in split.points][:: max(1, len(split.points) // 4)]:
        head, tail = split.at(name)
        with torch.no_grad():
            for got, expected in zip(tail(*head(image)), heads, strict=True):
                np.testing.assert_allclose(got.numpy(), expected, atol=1e-4 * np.abs(expected).max())
    assert not any(name.startswith("net.") for name in (point.name for point in split.points))


def test_nothing_of_the_detector_is_changed():
    net = detectors.made("retinanet")
    before, forward, net.training = {*vars(net)}, type(net).forward, True
    found = detector_of(net, (IMAGE,))
    assert {*vars(net)} == before
    assert type(net).forward is forward
    assert net.training
    assert [*map(id, found.heads.parameters())] == [*map(id, net.parameters())]


def test_a_list_of_images_is_a_batch():
    net = detectors.made("fcos")
    post = detector_of(net, (IMAGE,)).postprocessing
    assert detector_of(net, ([IMAGE[0], IMAGE[0]],)).postprocessing == post
    two = torch.cat([IMAGE, IMAGE.flip(3)])
    found = detector_of(net, (two,))
    with torch.no_grad():
        heads = [head.numpy() for head in found.heads(normalised(two, found.preprocessing))]
        expected = net([*two])
    boxes, _, labels = post.run(heads)
    for at, one in enumerate(expected):
        np.testing.assert_allclose(boxes[at, labels[at] >= 0], one["boxes"].numpy(), atol=1e-3)
    assert not np.array_equal(boxes[0], boxes[1])


@pytest.mark.parametrize("crowd", [1, 40, 400])
def test_suppression_is_torchvisions(crowd):
    random = np.random.default_rng(crowd)
    corner, sides = random.uniform(0, 60, (crowd, 2)), random.uniform(5, 40, (crowd, 2))
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    scores, labels = random.permutation(crowd).astype(np.float32), random.integers(0, 3, crowd)
    for overlap in (0.3, 0.7):
        own = batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(labels), overlap)
        assert suppressed(boxes, scores, labels, overlap, crowd).tolist() == own.tolist()
        assert suppressed(boxes, scores, labels, overlap, 3).tolist() == own.tolist()[:3]
    assert suppressed(boxes, scores, labels, None, crowd).tolist() == np.argsort(-scores).tolist()


def test_no_box_and_equal_scores():
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int)
    assert suppressed(*nothing, 0.5, 10).tolist() == []
    boxes = np.array([[0, 0, 4, 4], [10, 0, 14, 4], [0, 0, 4, 4]], np.float32)
    assert suppressed(boxes, np.ones(3, np.float32), np.zeros(3, int), 0.5, 10).tolist() == [0, 1]


def test_only_the_best_candidates_of_each_level_come_forth():
    logits = np.linspace(-3, 3, 40, dtype=np.float32).reshape(20, 2)
    found = of_levels(logits, None, [8, 20], 0.1, 3)
    assert [*zip(found.boxes.tolist(), found.labels.tolist(), strict=True)] == [
        *((7, 1), (7, 0), (6, 1)),
        *((19, 1), (19, 0), (18, 1)),
    ]
    just = of_levels(np.full((1, 1), math.log(0.25 / 0.75), np.float32), None, [1], 0.25, 5)
    assert len(just.boxes) == (torch.tensor(math.log(0.25 / 0.75)).sigmoid().item() > 0.25), "as PyTorch rounds"


def test_a_threshold_of_zero_lets_all_pass():
    post = replace(DETR, threshold=0.0)
    logits = np.random.default_rng(0).normal(size=(1, 12, 5)).astype(np.float32)
    assert (post.run([np.full((1, 12, 4), 0.5, np.float32), logits])[2] >= 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": "sgmoid"}, r"scores of a post-processing is one of sigmoid, softmax, centerness; got 'sgmoid'"),
        ({"boxes": "deltas"}, "deltas and distances have anchors, centres have none; got 0 grids"),
        ({"choice": "level"}, "sigmoids are chosen by level, softmax by class or box; got softmax by level"),
        ({"threshold": 1.0}, r"threshold lies in \[0, 1\), overlap in \[0, 1\]; got 1.0 and None"),
        ({"overlap": 1.5}, r"overlap in \[0, 1\]; got 0.5 and 1.5"),
        ({"most": 0}, "an answer is 1 to 65535 boxes, of 1 or more candidates; got 0 and 1000"),
        ({"size": (0, 64)}, r"size and image are \(height, width\) in pixels; got \(0, 64\)"),
        ({"threshold": "high"}, "thresholds, sizes and counts of a post-processing are numbers"),
        ({"weights": (1, 1)}, r"weights are four numbers above 0; got \(1, 1\)"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(change, message):
    with pytest.raises(BundleError, match=message):
        replace(DETR, **change)


def test_an_anchor_grid_is_made_of_numbers():
    with pytest.raises(BundleError, match=r"rows and columns from 1, .*got shape \(0, 2\), step \(8, 8\) and 1 boxes"):
        AnchorGrid((0, 2), (8, 8), ((0, 0, 8, 8),))
    with pytest.raises(BundleError, match="an anchor grid is made of numbers"):
        AnchorGrid((1, 2), (8, "x"), ((0, 0, 8, 8),))


def test_outputs_that_are_no_heads_are_refused():
    boxes, logits = np.zeros((1, 12, 4), np.float32), np.zeros((1, 12, 5), np.float32)
    with pytest.raises(CodecError, match=r"boxes \(N, A, 4\), logits \(N, A, classes\); got \(1, 12, 5\),"):
        DETR.run([logits, boxes])
    with pytest.raises(CodecError, match=r"got nothing\. Let the model return these, in this order"):
        DETR.run([])
    anchored = detector_of(detectors.made("fcos"), (IMAGE,)).postprocessing
    with pytest.raises(CodecError, match=r"boxes \(N, 320, 4\), .* and centerness \(N, A, 1\); got \(1, 12, 4\)"):
        anchored.run([boxes, logits, logits])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "float (N, 3, H, W), all of one size; got nothing"),
        (([IMAGE[0], IMAGE[0, :, :8]],), r"got [(3, 48, 64), (3, 8, 64)]. Give (torch.rand(1, 3, H, W),)."),
        ((IMAGE, IMAGE), "got (1, 3, 48, 64), (1, 3, 48, 64)"),
        (("image",), "got str"),
    ],
)
def test_an_example_that_is_no_batch_of_images_is_refused(args, message):
    with pytest.raises(ModelError) as raised:
        detector_of(detectors.made("ssd"), args)
    assert message in str(raised.value)


def test_anchors_that_are_no_grid_are_refused():
    net = detectors.made("retinanet")
    generate = net.anchor_generator.forward
    net.anchor_generator.forward = lambda *args: [boxes + torch.rand(len(boxes), 1) for boxes in generate(*args)]
    with pytest.raises(ModelError, match="anchors of RetinaNet are not the same boxes at each place"):
        detector_of(net, (IMAGE,))


def test_a_detector_that_cannot_be_captured_is_refused_at_once():
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    two_stages = FasterRCNN(
        detectors.Backbone(), 3, rpn_anchor_generator=AnchorGenerator(((16,), (32,)), ((1.0,),) * 2)
    )
    for net, words in (
        (two_stages, "FasterRCNN cannot be captured: its second stage looks at boxes .* Take a detector of one stage"),
        (torch.nn.Sequential(detectors.made("ssd")), r"SSD cannot be captured whole: .*`adaedge.build\(detector,"),
    ):
        with pytest.warns(UserWarning, match=words) as caught:
            split = Splittable(net, ([IMAGE[0]],))
        assert len(split.points) == 2
        assert len(str(caught[0].message)) < 3 * 120
        with pytest.raises(CaptureError):
            raise split.obstacle


def test_boxes_that_share_exactly_the_overlap_stay():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 2]], np.float32)
    assert suppressed(boxes, np.array([0.9, 0.8]), np.zeros(2, int), overlap=0.5, most=10).tolist() == [0, 1]


def test_steps_are_downwards_and_to_the_right():
    found = anchor_boxes([AnchorGrid((2, 2), (8, 16), ((0, 0, 4, 4),))])
    assert found[:, :2].tolist() == [[0, 0], [16, 0], [0, 8], [16, 8]]


def test_a_box_grows_to_62_times_its_anchor_at_most():
    grid = AnchorGrid((1, 1), (1, 1), ((992, 992, 1008, 1008),))
    post = Postprocessing((2000, 2000), (2000, 2000), "sigmoid", "deltas", "level", 0.5, 1, overlap=0.5, grids=(grid,))
    heads = np.array([[[0.0, 0.0, 9.0, 9.0]]], np.float32), np.array([[[3.0]]], np.float32)
    boxes, _, _ = post.run(heads)
    np.testing.assert_allclose(boxes[0, 0], [500, 500, 1500, 1500], rtol=1e-5)
    boxes, _ = DetectorBoxes(torch.nn.Identity(), post)(tuple(map(torch.from_numpy, heads)))
    np.testing.assert_allclose(boxes[0, 0], [500, 500, 1500, 1500], rtol=1e-5)
