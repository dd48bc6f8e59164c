"""What is built where the user has not said it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adaedge.builder import Space, build, point_choice
from adaedge.builder.point_choice import CODECS, CODECS_WITH_SAMPLES, pareto_filter, usable, with_levels, with_splits
from adaedge.bundle import Accuracy, PointEntry
from adaedge.errors import BundleError
from adaedge.graph import CrossingTensor, SplitPoint
from adaedge.operating_point import INPUT, OUTPUT, OperatingPoint
from adaedge.payload import DELTA

NOTHING = Space(None, None, None, None)


def entry(split, macs_unused=None, *, codec="u8", payload=1.0, accuracy=0.9, width=1.0, precision="fp32"):
    del macs_unused
    measured = None if accuracy is None else Accuracy("agreement", accuracy, 100, 0.0, 1.0)
    return PointEntry(OperatingPoint(split, width, precision, codec), payload, measured)


def kept(entries, macs, named=NOTHING):
    found = pareto_filter(entries, dict(zip((one.point for one in entries), macs, strict=True)), named)
    return [one.point.split for one in found]


def test_a_point_that_another_beats_is_left_out_but_never_an_end():
    entries = [entry("a", payload=5), entry("b", payload=4), entry("c", payload=5), entry(OUTPUT, payload=9)]
    assert kept(entries, [10, 20, 30, 40]) == ["a", "b", OUTPUT]
    assert kept([entry(INPUT, payload=9, accuracy=0.1), entry("a")], [5, 1]) == [INPUT, "a"]


def test_what_is_better_in_one_thing_stays():
    entries = [entry("a", payload=5), entry("b", payload=5, accuracy=0.95), entry("c", payload=4)]
    assert kept(entries, [10, 20, 30]) == ["a", "b", "c"]


def test_a_codec_with_a_state_is_beaten_only_where_another_is_better_at_every_change():
    whole, moving = entry("a", payload=5), replace(entry("b", payload=6), next_bytes=(1.0, 3.0))
    assert kept([whole, moving], [1, 1]) == ["a", "b"]
    assert kept([whole, replace(moving, next_bytes=(5.5, 5.6))], [1, 1]) == ["a"]
    assert kept([replace(moving, next_bytes=(1.0, 2.0)), moving], [1, 1]) == ["b"]


def test_precisions_are_not_compared():
    entries = [entry("a"), entry("a", precision="int8", accuracy=0.8)]
    assert len(kept(entries, [10, 10])) == 2


def test_equal_points_both_stay():
    assert kept([entry("a"), entry("b")], [10, 10]) == ["a", "b"]


def test_what_has_no_measured_accuracy_stays():
    entries = [entry("a"), entry("b", accuracy=None), entry("c", accuracy=None)]
    assert kept(entries, [5, 10, 20]) == ["a", "b", "c"]


points = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from(["fp32", "int8"]),
    st.sampled_from(["raw", "u4"]),
)
figures = st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 3))


@settings(deadline=None)
@given(st.dictionaries(points, figures, min_size=1), st.tuples(*[st.booleans()] * 4))
def test_everything_that_was_named_stays_and_no_choice_gets_worse(table, given_dimensions):
    entries = [entry(*point[:1], width=point[1], precision=point[2], codec=point[3], payload=size, accuracy=good / 3)
               for point, (_, size, good) in table.items()]  # fmt: skip
    macs = {one.point: cost for one, (cost, _, _) in zip(entries, table.values(), strict=True)}
    lists = (("a", "b", "c"), (1.0, 0.5), ("fp32", "int8"), ("raw", "u4"))
    named = Space(*(values if is_named else None for values, is_named in zip(lists, given_dimensions, strict=True)))
    left = pareto_filter(entries, macs, named)
    for at, is_named in enumerate(given_dimensions):
        if is_named:
            name = ("split", "width", "precision", "codec")[at]
            assert {getattr(one.point, name) for one in left} == {getattr(one.point, name) for one in entries}
    if all(given_dimensions):
        assert len(left) == len(entries)
    for gone in set(entries) - set(left):
        assert any(
            macs[one.point] <= macs[gone.point]
            and one.payload_bytes <= gone.payload_bytes
            and one.accuracy.value >= gone.accuracy.value
            and one.point.precision == gone.point.precision
            for one in left
        )


def test_levels_follow_from_what_there_is():
    assert with_levels(NOTHING, own=None, calibrated=True, scored=True).widths == (1.0, 0.75, 0.5, 0.25)
    assert with_levels(NOTHING, own=None, calibrated=True, scored=True).precisions == ("fp32", "int8")
    assert with_levels(NOTHING, own=None, calibrated=True, scored=False).widths == (1.0,)
    assert with_levels(NOTHING, own=None, calibrated=False, scored=False).precisions == ("fp32",)
    eight = tuple((8 - at) / 8 for at in range(8))
    assert with_levels(NOTHING, own=eight, calibrated=False, scored=False).widths == (1.0, 0.75, 0.375, 0.125)
    named = Space(widths=(0.3,), precisions=("int8",))
    assert with_levels(named, own=eight, calibrated=True, scored=True) == named


def test_splits_and_codecs_are_chosen_by_bytes():
    crossing = (CrossingTensor("uint8", (1, 8, 8, 3)),)
    points = [SplitPoint(INPUT, 192, 0, 100, crossing)]
    points += [
        SplitPoint(name, size, at, 100 - at, ()) for name, size, at in (("a", 900, 10), ("b", 500, 50), ("c", 500, 60))
    ]
    points += [SplitPoint(OUTPUT, 4, 100, 0, ())]
    found = with_splits(NOTHING, points, calibrated=False)
    assert found.splits == ("b",), "a frame counts as the floats that it becomes: 768 bytes"
    assert found.codecs == CODECS
    assert with_splits(NOTHING, points, calibrated=True).codecs == CODECS_WITH_SAMPLES
    assert len(CODECS) <= 3
    assert len(CODECS_WITH_SAMPLES) <= 3
    named = Space(["a"], codecs=["raw"])
    assert with_splits(named, points, calibrated=True) == named


def test_half_as_good_is_usable():
    full = Accuracy("agreement", 1.0, 10, 0.0, 1.0)
    assert usable(Accuracy("agreement", 0.5, 10, 0.0, 1.0), full)
    assert not usable(Accuracy("agreement", 0.49, 10, 0.0, 1.0), full)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.body = nn.Conv2d(8, 4, 2, stride=2)
        self.head = nn.Linear(4 * 4, 5)

    def forward(self, image):
        return self.head(self.body(self.stem(image).relu()).relu().flatten(1))


@pytest.fixture(scope="module")
def samples():
    values = np.random.default_rng(0)
    return [(values.standard_normal((1, 3, 16, 16)).astype(np.float32),) for _ in range(40)]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Classifier().eval()


def test_without_a_space_everything_is_chosen_and_weak_widths_are_left_out(net, samples, monkeypatch):
    monkeypatch.setattr(point_choice, "_USABLE", 1.5)
    with pytest.warns(UserWarning, match=r"width 0\.\d+ is left out: its agreement is .*, the full width's 1\.000"):
        bundle = build(net, (torch.zeros(1, 3, 16, 16),), calibrate=samples)
    assert {point.width for point in bundle.points} == {1.0}
    assert {point.precision for point in bundle.points} == {"fp32", "int8"}
    assert not any("w0." in path for path in bundle._files)
    assert {cut.split for cut in bundle.manifest.cuts} >= {INPUT, OUTPUT}


def test_without_samples_there_is_one_level(net):
    bundle = build(net, (torch.zeros(1, 3, 16, 16),))
    assert {(point.width, point.precision) for point in bundle.points} == {(1.0, "fp32")}
    assert len({point.split for point in bundle.points}) > 2


def test_what_cannot_be_narrower_is_built_at_width_1():
    one = (np.ones((1, 4), np.float32),)
    with pytest.warns(UserWarning, match="only width 1 is built: no channel group"):
        bundle = build(nn.Linear(4, 5).eval(), (torch.rand(1, 4),), Space(widths=None), calibrate=[one])
    assert {point.width for point in bundle.points} == {1.0}


def test_raw_takes_the_place_of_codecs_that_carry_nothing():
    class Tokens(nn.Module):
        def forward(self, tokens):
            return tokens.cumsum(1) * 2

    bundle = build(Tokens().eval(), (torch.tensor([[1, 2, 3]]),), Space(splits=[":cumsum"], codecs=None))
    assert {point.codec for point in bundle.points} == {"raw"}


@pytest.mark.parametrize("value", [87.5, -0.1, float("nan")])
def test_an_evaluation_that_is_no_fraction_is_refused(net, value):
    with pytest.raises(BundleError, match=r"accuracy is a fraction in \[0, 1\]; got .*Divide a percentage by 100"):
        build(net, (torch.zeros(1, 3, 16, 16),), Space(), evaluate=lambda predict: value)


def test_a_video_codec_is_tried_where_there_are_clips():
    points = [SplitPoint(INPUT, 192, 0, 100, ()), SplitPoint(OUTPUT, 4, 100, 0, ())]
    found = with_splits(NOTHING, points, calibrated=True, clips=True)
    assert found.codecs == (*CODECS_WITH_SAMPLES, DELTA, point_choice.VIDEO)
    assert with_splits(Space(codecs=["raw"]), points, calibrated=True, clips=True).codecs == ("raw",)
