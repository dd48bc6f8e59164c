"""Bottlenecks inside detectors: judged by the boxes that the raw heads stand for, as the post-processing reads them."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import adaedge
from adaedge.bottleneck import direction_loss
from adaedge.bottleneck.detector_boxes import DetectorBoxes
from adaedge.detection.candidates import sigmoid, softmax
from adaedge.metrics import BoxF1
from adaedge.models import detector_of

_spec = importlib.util.spec_from_file_location("detectors", Path(__file__).parents[1] / "detection" / "detectors.py")
detectors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(detectors)


def images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 3, 6, 8, generator=generator)
    return [torch.nn.functional.interpolate(one, (48, 64), mode="bicubic").clamp(0, 1) for one in coarse]


def best_scores(post, logits, centres=None):
    if post.scores == "softmax":
        scores = softmax(logits)
        return np.delete(scores, post.background, axis=-1).max(-1)
    scores = sigmoid(logits).max(-1)
    return scores if centres is None else np.sqrt(scores * sigmoid(centres)[..., 0])


@pytest.mark.parametrize("kind", detectors.KINDS)
def test_boxes_and_scores_are_those_of_the_post_processing(kind):
    (image,) = images(1)
    found = detector_of(detectors.made(kind), (image,))
    with torch.no_grad():
        heads = [head.numpy() for head in found.heads(image)]
        boxes, scores = DetectorBoxes(found.heads, found.postprocessing)(image)
    post = found.postprocessing
    every = best_scores(post, *(head[0] for head in heads[1:]))
    order = np.argsort(-every, kind="stable")[: post.most]
    np.testing.assert_allclose(scores[0], every[order], rtol=1e-5)
    own = post._boxes(heads[0][0], np.arange(len(every)))
    for box, score in zip(boxes[0].numpy(), scores[0].numpy(), strict=True):  # of equal scores any may be meant
        alike = own[np.isclose(every, score, rtol=1e-5)]
        assert np.abs(alike - box).max(-1).min() < 1e-3


def test_a_box_without_a_side_has_no_gradient():
    post = replace(
        detector_of(detectors.made("detr"), (images(1)[0],)).postprocessing, most=2, background=1, threshold=0.1
    )
    codes = torch.tensor([[[0.5, 0.5, 0.001, 0.5], [0.5, 0.5, 0.5, 0.5]]], requires_grad=True)
    logits = torch.tensor([[[2.0, 0.0], [1.0, 0.0]]])
    boxes, _ = DetectorBoxes(torch.nn.Identity(), post)((codes, logits))
    boxes.sum().backward()
    assert not codes.grad[0, 0].any()
    assert codes.grad[0, 1].any()


def test_scores_count_for_the_rates_and_boxes_come_out_right_in_fewer_bytes():
    fitted, test = images(24), images(24, seed=1)
    found = detector_of(detectors.made("ssd"), (fitted[0],))
    split = adaedge.Splittable(found.heads, (fitted[0],))

    def curve(**how):
        bottleneck, points = adaedge.Bottleneck.fit(split, (), split="backbone", images=fitted, **how), []
        for rate in bottleneck.rates:
            bottleneck.rate = rate
            expected, given, sizes = [], [], []
            with torch.no_grad():
                for image in test:
                    features = bottleneck.head(image)
                    data = bottleneck.compress(*features)
                    sizes.append(len(data))
                    for answers, inside in ((expected, features), (given, bottleneck.decompress(data))):
                        answers.append(found.postprocessing.run([head.numpy() for head in bottleneck.tail(*inside)]))
            points.append((np.mean(sizes), BoxF1(least_score=0.0).score(expected, given).value))
        return points

    blind, judged = curve(loss=direction_loss), curve(postprocessing=found.postprocessing)
    assert judged[-1][1] > 0.93
    most = blind[-1][0]
    assert max(f1 for size, f1 in judged if size <= most) > blind[-1][1] + 0.05


def test_what_is_lost_is_one_minus_f1_of_the_answers_and_nothing_where_there_is_no_box():
    (image,) = images(1)
    found = detector_of(detectors.made("ssd"), (image,))
    judge = DetectorBoxes(found.heads, found.postprocessing)
    with torch.no_grad():
        codes, logits = found.heads(image)
    assert judge.lost([(codes, logits)], [(codes, logits)]) == 0
    assert judge.lost([(codes + 50, logits)], [(codes, logits)]) > 0.5
    none = replace(found.postprocessing, threshold=0.999)
    assert DetectorBoxes(found.heads, none).lost([(codes, logits)], [(codes, logits)]) is None


def test_a_built_detector_has_bottlenecks_that_keep_its_boxes():
    camera = [np.rint(255 * one[0].permute(1, 2, 0).numpy()).astype(np.uint8) for one in images(32)]
    space = adaedge.Space(["backbone"], [1], ["fp32"], ["bottleneck"])
    bundle = adaedge.build(detectors.made("ssd"), (images(1)[0],), space, calibrate=camera, trained=False)
    rates = [entry for entry in bundle.manifest.points if entry.point.codec.startswith("bottleneck@")]
    assert rates[-1].accuracy.metric == "f1@0"
    assert rates[-1].accuracy.value > 0.9
    assert rates[0].accuracy.value < rates[-1].accuracy.value
