"""Metrics: laws, values worked by hand, and what cannot be judged."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import MetricError
from adaedge.metrics import (
    Agreement,
    BoxF1,
    Cosine,
    Divergence,
    LabelAccuracy,
    LabelIoU,
    Score,
    bootstrap,
    default_metric,
    wilson,
)
from adaedge.metrics.features import cosines
from adaedge.payload import TensorHeader
from adaedge.payload.answers import Best, LabelMap

VALUES = np.random.default_rng(0)
SCORES = [(VALUES.standard_normal((2, 10)).astype(np.float32),) for _ in range(20)]
MAPS = [(VALUES.integers(3, size=(1, 8, 9)).astype(np.uint8),) for _ in range(20)]
CORNERS = [VALUES.uniform(0, 50, (6, 2)) for _ in range(20)]
BOXES = [(np.concatenate([one, one + 20], axis=1), VALUES.uniform(0.2, 1, 6)) for one in CORNERS]
FITTING = {
    Agreement(): SCORES,
    Divergence(): SCORES,
    Cosine(): SCORES,
    LabelIoU(): MAPS,
    LabelIoU((1, 2)): MAPS,
    BoxF1(): BOXES,
}
cases = pytest.mark.parametrize(("metric", "answers"), FITTING.items(), ids=lambda one: getattr(one, "name", ""))


@cases
def test_the_expected_answer_scores_one_and_another_less(metric, answers):
    same = metric.score(answers, answers)
    assert same.value == pytest.approx(1)
    other = metric.score(answers, answers[1:] + answers[:1])
    assert other.value < 0.9
    assert other.low < other.value < other.high
    assert same.samples == other.samples == (40 if answers is SCORES else 20)


@cases
def test_a_score_is_the_same_each_time_and_in_any_order(metric, answers):
    given = answers[1:] + answers[:1]
    first, again = metric.score(answers, given), metric.score(answers, given)
    assert first == again
    order = np.random.default_rng(1).permutation(len(answers))
    assert metric.score([answers[at] for at in order], [given[at] for at in order]).value == pytest.approx(first.value)


@cases
def test_answers_that_do_not_pair_are_refused(metric, answers):
    with pytest.raises(MetricError, match="as many answers are given as expected, at least one; got 19 for 20"):
        metric.score(answers, answers[1:])
    with pytest.raises(MetricError, match="got 0 for 0"):
        metric.score([], [])
    with pytest.raises(MetricError, match="got nothing"):
        metric.score(answers[:1], [()])


def test_agreement_and_top1_by_hand():
    expected = [(np.array([[0.0, 1.0], [1.0, 0.0]]),), (np.array([[0.0, 2.0]]),)]
    given_ = [(np.array([[0.0, 3.0], [0.0, 1.0]]),), (np.array([[0.0, 0.1]]),)]
    assert Agreement().score(expected, given_) == Score(2 / 3, 3, *wilson(2, 3))
    labels = [(np.array([1, 1]),), (np.array([0]),)]
    assert LabelAccuracy().score(labels, given_) == Score(2 / 3, 3, *wilson(2, 3))


def test_the_best_few_have_the_class_of_the_scores():
    best = [Best(3).reduce(one) for one in SCORES]
    assert Agreement().score(SCORES, best).value == Agreement().score(best, best).value == 1
    assert Agreement().score(best[1:], best[:-1]) == Agreement().score(SCORES[1:], SCORES[:-1])


def test_divergence_is_that_of_pytorch():
    expected, given_ = SCORES[:10], SCORES[10:]
    p, q = (torch.from_numpy(np.concatenate([one[0] for one in half])).double() for half in (expected, given_))
    nats = torch.nn.functional.kl_div(q.log_softmax(1), p.log_softmax(1), log_target=True, reduction="batchmean")
    found = Divergence().score(expected, given_)
    assert found.value == pytest.approx(math.exp(-nats.item()))
    assert found.samples == 20
    shifted = [(one[0] + 1000,) for one in expected]
    assert Divergence().score(expected, shifted).value == pytest.approx(1, abs=1e-4)  # float32 rounds at 1000


def test_divergence_of_a_map_is_the_mean_over_its_positions():
    one, other = VALUES.standard_normal((2, 3, 5, 4, 4))
    flat = [[(maps.transpose(0, 2, 3, 1).reshape(-1, 5),)] for maps in (one, other)]
    assert Divergence().score([(one,)], [(other,)]).value == pytest.approx(Divergence().score(*flat).value)
    assert Divergence().score([(one,)], [(other,)]).samples == 3


def test_iou_is_pooled_over_frames():
    expected = [(np.array([[[5, 5, 5, 0]]]),), (np.array([[[0, 0, 5, 0]]]),)]
    given_ = [(np.array([[[5, 5, 0, 0]]]),), (np.array([[[0, 0, 0, 7]]]),)]
    assert LabelIoU((5,)).score(expected, given_).value == 2 / 4  # the mean of 2/3 and 0/1 would be 1/3
    assert LabelIoU((5, 9)).score(expected, given_).value == 2 / 4  # 9 occurs nowhere
    assert LabelIoU().score(expected, given_).value == pytest.approx((3 / 6 + 2 / 4 + 0) / 3)  # 0, 5, 7
    assert LabelIoU((5,)).name == "iou@5"


def test_a_class_that_one_frame_holds_is_hardly_known():
    maps = [(np.full((1, 2, 2), 5 * (at == 3), np.uint8),) for at in range(10)]
    found = LabelIoU((5,)).score(maps, maps)
    assert (found.value, found.low, found.high) == (1, 0, 1)  # a third of the resamples hold none


def test_logits_are_judged_as_their_labels():
    logits = [(VALUES.standard_normal((2, 4, 5, 6)),) for _ in range(6)]
    labels = [LabelMap().reduce(one) for one in logits]
    assert LabelIoU().score(logits, labels).value == 1
    assert LabelIoU().score(logits[1:], logits[:-1]) == LabelIoU().score(labels[1:], labels[:-1])


def box(x, y, side=10.0):
    return [x, y, x + side, y + side]


def test_boxes_by_hand():
    expected = (np.array([box(0, 0), box(100, 0), box(0, 100)]), np.array([0.9, 0.8, 0.7]))
    found = (np.array([box(1, 0), box(1, 1), box(100, 6), box(0, 100)]), np.array([0.6, 0.9, 0.9, 0.4]))
    # (1, 1) takes the first, (1, 0) comes too late, (100, 6) overlaps 0.25 only, the last is below the least score.
    assert BoxF1().score([expected], [found]).value == 2 * 1 / (2 * 1 + 2 + 2)
    assert BoxF1(overlap=0.2).score([expected], [found]).value == 2 * 2 / (2 * 2 + 1 + 1)
    assert BoxF1(least_score=0.3).score([expected], [found]).value == 2 * 2 / (2 * 2 + 2 + 1)


def test_the_best_score_chooses_first():
    expected = (np.array([box(0, 0), box(4, 0)]), np.array([0.9, 0.9]))
    found = (np.array([box(-2, 0), box(1, 0)]), np.array([0.6, 0.8]))  # the other way round both would match
    assert BoxF1().score([expected], [found]).value == 0.5


def test_boxes_of_another_label_do_not_match():
    boxes, scores = np.array([box(0, 0), box(50, 50)]), np.array([0.9, 0.8])
    expected, other = (boxes, scores, np.array([1, 2])), (boxes, scores, np.array([1, 3]))
    assert BoxF1().score([expected], [other]).value == 0.5
    batch = tuple(np.stack([one, one]) for one in expected)
    assert BoxF1().score([batch], [batch]).samples == 2
    four = tuple(np.concatenate([one, one + 200])[None] for one in expected[:1]), np.full((1, 4), 0.9)
    assert BoxF1().score([(*four[0], four[1])], [(*four[0], four[1])]).value == 1  # the scores are no box


def test_a_frame_without_boxes_counts_what_the_other_has():
    none, one = (np.zeros((0, 4)), np.zeros(0)), (np.array([box(0, 0)]), np.array([0.9]))
    assert BoxF1().score([none, one], [one, one]).value == pytest.approx(2 / 3)
    assert BoxF1().score([one, one], [none, one]).value == pytest.approx(2 / 3)
    with pytest.raises(MetricError, match=r"no box of 1 frames, expected or given, has a score of 0\.5"):
        BoxF1().score([none], [none])


def test_cosine_by_hand():
    one = (np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),)
    other = (np.array([[0.0, 2.0], [-1.0, -1.0], [0.0, 0.0], [1.0, 0.0]]),)
    assert Cosine().score([one], [other]).value == 1 / 4  # a right angle, opposite, both nothing, one nothing
    assert Cosine().score([one], [tuple(7 * each for each in one)]).value == pytest.approx(1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_a_bootstrap_holds_the_value_and_lies_in_its_samples(values):
    array = np.array(values)
    low, high = bootstrap(array, lambda drawn: float(drawn.mean()))
    assert array.min() - 1e-9 <= low <= array.mean() <= high <= array.max() + 1e-9


def test_a_bootstrap_covers_as_often_as_it_says():
    hits = 0
    for seed in range(100):
        low, high = bootstrap(np.random.default_rng(seed).uniform(size=60), lambda drawn: float(drawn.mean()))
        hits += low <= 0.5 <= high
    assert 88 <= hits <= 99
    assert bootstrap(np.array([0.7]), lambda drawn: float(drawn.mean())) == (0.0, 1.0)


NOT_JUDGED = [
    (Agreement(), (np.zeros((1, 1)),), r"classes are read from scores \(N, C\).* got float64 \(1, 1\)"),
    (Agreement(), (np.zeros((1, 7), np.int64),), r"got int64 \(1, 7\)"),
    (Agreement(), (), "got nothing"),
    (Agreement(), (np.zeros((0, 3)),), "hold no samples"),
    (Divergence(), (np.zeros((1, 4), np.int64),), r"divergence compares logits .* got int64 \(1, 4\)"),
    (Divergence(), (np.full((1, 3), np.nan),), "NaN or infinity"),
    (Divergence(), (np.array([[0.0, -np.inf]]),), "NaN or infinity"),
    (LabelIoU(), (np.zeros((4, 4), np.uint8),), r"integers \(N, H, W\) or logits .* got uint8 \(4, 4\)"),
    (LabelIoU((3,)), (np.zeros((1, 4, 4), np.uint8),), r"none of the classes \[3\] occurs in any of 1 maps"),
    (BoxF1(), (np.zeros((5, 4)),), r"boxes are \(…, M, 4\) with scores .* got float64 \(5, 4\)"),
    (Cosine(), (np.zeros(3),), r"cosine compares floating-point features .* got float64 \(3,\)"),
    (Cosine(), (np.full((1, 3), np.inf),), "NaN or infinity"),
    (LabelAccuracy(), (np.zeros((1, 3)),), r"labels are integers \(N,\); got float64"),
]


@pytest.mark.parametrize(("metric", "answer", "text"), NOT_JUDGED)
def test_what_cannot_be_judged_says_so(metric, answer, text):
    with pytest.raises(MetricError, match=text):
        metric.score([answer], [answer])


def test_shapes_that_differ_are_refused():
    maps = np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(MetricError, match=r"of shape \(1, 5, 4\) is given where \(1, 4, 4\) is expected: reduce both"):
        LabelIoU().score([(maps,)], [(np.zeros((1, 5, 4), np.uint8),)])
    with pytest.raises(MetricError, match="2 samples are given where 1 are expected"):
        Agreement().score([(np.zeros((1, 3)),)], [(np.zeros((2, 3)),)])
    with pytest.raises(MetricError, match="features of the same shape"):
        Cosine().score([(np.zeros((1, 3)),)], [(np.zeros((1, 4)),)])
    with pytest.raises(MetricError, match="2 frames are given where 1 are expected"):
        BoxF1().score([(np.zeros((1, 3, 4)), np.zeros((1, 3)))], [(np.zeros((2, 3, 4)), np.zeros((2, 3)))])


@pytest.mark.parametrize(
    ("value", "low", "high", "samples", "text"),
    [
        (0.5, 0.6, 0.7, 3, "lies in its interval"),
        (1.5, 0.0, 2.0, 3, r"both in \[0, 1\]; got 1\.5"),
        (math.nan, 0.0, 1.0, 3, "got nan"),
        (0.5, 0.0, 1.0, 0, "one sample or more; got 0"),
    ],
)
def test_a_score_cannot_be_wrong(value, low, high, samples, text):
    with pytest.raises(MetricError, match=text):
        Score(value, samples, low, high)
    with pytest.raises(MetricError, match="overlap and least score lie"):
        BoxF1(overlap=2)


def spec(*shape, dtype="float32"):
    return TensorHeader(dtype, shape)


@pytest.mark.parametrize(
    ("outputs", "metric"),
    [
        ([spec(1, 1000)], Agreement()),
        ([spec(1, 2), spec(1, 64)], Agreement()),
        ([spec(1, 5, dtype="int32"), spec(1, 5, dtype="float16")], Agreement()),
        ([spec(1, 21, 33, 33)], LabelIoU()),
        ([spec(1, 129, 129, dtype="uint8")], LabelIoU()),
        ([spec(300, 4), spec(300)], BoxF1()),
        ([spec(1, 4, 4), spec(1, 4)], BoxF1()),
        ([spec(1, 300, 4), spec(1, 300, dtype="int64"), spec(1, 300)], BoxF1()),
        ([spec(1, 1370, 384)], Cosine()),
        ([spec(1, 1, 64, 64)], Cosine()),
    ],
)
def test_the_default_follows_the_shapes(outputs, metric):
    assert default_metric(outputs) == metric


def test_what_no_rule_judges_names_the_way_out():
    for outputs in (
        [spec(1, 7, dtype="int64")],
        [spec(1, dtype="int64")],
        [spec(1, 1)],
        [],
        [spec(1, 9, 9, dtype="bool")],
    ):
        with pytest.raises(MetricError, match=r"no rule says how to judge them\. Pass a metric: Agreement\(\)"):
            default_metric(outputs)
    with pytest.raises(MetricError, match=r"outputs float32 \(300, 4\): four values may be a box or four scores"):
        default_metric([spec(300, 4)])
    assert default_metric([spec(1, 4)], classes="abcd") == Agreement()


def test_the_default_judges_what_the_answer_codec_gives():
    (logits,) = np.random.default_rng(0).standard_normal((1, 1, 5, 7, 7)).astype(np.float32)
    for answer in (LabelMap().reduce([logits]), Best(3).reduce([logits[:, :, 0, 0]])):
        metric = default_metric([TensorHeader(one.dtype.name, one.shape) for one in answer])
        assert metric.score([answer], [answer]).value == 1


def test_cosines_of_no_samples_are_none_and_cannot_be_scored():
    nothing = (np.empty((0, 4), np.float32),)
    assert cosines(nothing, nothing).shape == (0,)
    with pytest.raises(MetricError, match="the answers hold no samples"):
        Cosine().score([nothing], [nothing])
