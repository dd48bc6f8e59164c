"""Cascades: the floor holds on new frames, the row of the table is the mean, and what cannot be is refused."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from adaedge import Bundle, Cascade
from adaedge.cascade import controlled_threshold, fitted_temperature, top_probability
from adaedge.errors import MetricError, ScheduleError
from adaedge.metrics import Cosine
from adaedge.operating_point import Cost, OperatingPoint, Profile

sys.path.insert(0, str(Path(__file__).parents[1]))
import noisy_student
from noisy_student import frames

FIRST, FULL = OperatingPoint("output", network="student"), OperatingPoint("output")


@pytest.fixture(scope="module")
def bundle():
    return noisy_student.built("u8")


@pytest.fixture(scope="module")
def cascade(bundle):
    return Cascade.fit(bundle, frames(400, 0), first=FIRST, then=FULL, floor=0.97)


def test_the_floor_holds_on_frames_that_it_was_not_fitted_on(bundle, cascade):
    assert 0.2 < cascade.share < 1.0
    judged = cascade.judge(bundle, frames(600, 1))
    assert judged.score.high >= 0.97
    assert judged.score.value > 0.955
    assert judged.then.value == 1.0
    assert abs(judged.share - cascade.share) < 0.1
    assert judged.loss == pytest.approx(1 - judged.score.value)
    assert judged.loss_high >= judged.loss
    alone = Cascade(FIRST, FULL, 1.0, 0.0, 0.0, 1.0, 0.0).judge(bundle, frames(600, 1))
    assert alone.share == 1.0
    assert alone.score.value < judged.score.value  # the sure ones are the right ones


def test_an_answer_is_that_of_the_point_that_gave_it(bundle, cascade):
    stood = set()
    for inputs in frames(40, 2):
        told = cascade.run(bundle, inputs)
        stood.add(told.stands)
        expected = bundle.run(FIRST if told.stands else FULL, inputs)
        assert all(np.array_equal(one, other) for one, other in zip(told.answer, expected, strict=True))
        assert told.stands == (told.sureness >= cascade.threshold)
        first = cascade.first_answer(bundle, inputs)
        assert (first.answer is None) == (not told.stands)
    assert stood == {True, False}


def test_its_cost_is_the_mean_of_a_frame(cascade):
    edge = OperatingPoint("1", codec="u8")
    mixed = Cascade(FIRST, edge, 1.0, 0.5, 0.9, share=0.75, accuracy=0.93)
    costs = {FIRST: Cost(0.001), edge: Cost(0.01, 0.002, 4000, 0.003, 0.02, 100, 0.05)}
    profile = Profile(costs, bundle="00" * 32, terminal="a", edge="b")
    assert mixed.cost(profile) == Cost(
        head_s=0.001 + 0.0025,
        encode_s=0.0005,
        payload_bytes=1000,
        decode_s=0.00075,
        tail_s=0.005,
        answer_bytes=25,
        finish_s=0.0125,
        accuracy=0.93,
    )


def test_it_is_saved_and_read(tmp_path, cascade):
    cascade.save(tmp_path / "cascade.json")
    assert Cascade.load(tmp_path / "cascade.json") == cascade
    never = Cascade(FIRST, FULL, 1.0, math.inf, 0.9, 0.0, 1.0)
    never.save(tmp_path / "never.json")
    assert Cascade.load(tmp_path / "never.json") == never
    (tmp_path / "other.json").write_text('{"format": "adaedge-profile", "version": 1}')
    with pytest.raises(ScheduleError, match="holds no cascade of version 2"):
        Cascade.load(tmp_path / "other.json")
    own = Cascade(FIRST, FULL, 1.0, 0.5, 0.9, 0.5, 0.9, sureness=lambda outputs, temperature: 1.0)
    with pytest.raises(ScheduleError, match="a sureness of your own cannot be saved"):
        own.save(tmp_path / "own.json")


def test_a_bundle_holds_it(tmp_path, bundle, cascade):
    assert Cascade.of(bundle) == ()
    other = Cascade(FIRST, OperatingPoint("1", codec="u8"), 1.5, 0.5, 0.9, 0.5, 0.9)
    stored = other.stored_in(cascade.stored_in(bundle))
    stored.save(tmp_path / "with.bundle")
    again = Bundle.load(tmp_path / "with.bundle")
    assert Cascade.of(again) == (cascade, other)
    assert again.digest == stored.digest != bundle.digest  # both ends have the same threshold, or do not shake hands
    assert Cascade.of(cascade.stored_in(stored)) == (other, cascade)  # in place of the one of its name
    assert np.array_equal(again.run(FULL, frames(1, 3)[0])[0], bundle.run(FULL, frames(1, 3)[0])[0])


@pytest.mark.parametrize(
    "broken",
    [b"", b"[]", b"{}", b'{"format": "adaedge-cascade", "version": 2, "cascades": [{}]}', "share", "temperature"],
)
def test_a_file_that_holds_none_is_refused(bundle, cascade, broken):
    if isinstance(broken, str):
        data = json.loads(cascade.stored_in(bundle).file("cascades.json"))
        data["cascades"][0][broken] = -0.5
        broken = json.dumps(data).encode()
    with pytest.raises(ScheduleError, match=r"cascades\.json holds no cascade of version 2 \(.*\); fit one"):
        Cascade.of(bundle.with_file("cascades.json", broken))


def test_where_no_floor_can_be_kept_nothing_is_answered_first(bundle):
    few = Cascade.fit(bundle, frames(10, 0), first=FIRST, then=FULL, floor=0.97)  # 1 / 11 is more than is allowed
    assert (few.threshold, few.share, few.accuracy) == (math.inf, 0.0, 1.0)
    assert not few.run(bundle, frames(1, 0)[0]).stands


def test_the_bound_holds_in_the_mean_over_many_calibrations():
    """Frames of a group lose together: counted by themselves the floor is broken, in groups it holds."""
    limit, excess = 0.1, {True: [], False: []}
    rng = np.random.default_rng(0)

    def draw(groups):
        """One in five groups is of a kind on which a network is wrong though sure."""
        odd = rng.random(groups) < 0.2
        sure = rng.random((groups, 30))
        loss = rng.random((groups, 30)) < np.where(odd[:, None], 0.9, 0.6 * (1 - sure))
        return sure.ravel(), loss.ravel().astype(float), np.repeat(np.arange(groups), 30)

    for _ in range(300):
        sure, loss, group = draw(15)
        new_sure, new_loss, _ = draw(200)
        for grouped in (True, False):
            threshold = controlled_threshold(sure, loss, 0 * loss, limit, group if grouped else None)
            excess[grouped].append((new_loss * (new_sure >= threshold)).mean())
    assert np.mean(excess[True]) <= limit
    assert np.mean(excess[True]) > limit / 4  # and is not kept by answering nothing
    assert np.mean(excess[False]) > np.mean(excess[True])


def test_a_threshold_is_worked_by_hand():
    sure, loss = [0.9, 0.8, 0.7, 0.6], [0.0, 0.5, 0.0, 1.0]
    assert controlled_threshold(sure, loss, [0] * 4, 0.3) == 0.7  # (0.5 + 1) / 5
    assert controlled_threshold(sure, loss, [0] * 4, 0.2999) == 0.9
    assert controlled_threshold(sure, loss, [0] * 4, 0.5) == 0.6
    assert controlled_threshold(sure, loss, [0] * 4, 0.19) == math.inf
    assert controlled_threshold(sure, loss, [0.2] * 4, 0.36) == 0.9  # what the second loses counts: 0.8
    assert controlled_threshold([0.5] * 4, loss, [0] * 4, 0.3) == math.inf  # as sure as each other: all or none
    assert controlled_threshold(sure, loss, [0] * 4, 0.42, [0, 0, 1, 1]) == 0.7  # means 0.25 and 0: (0.25 + 1) / 3


def test_a_map_is_as_sure_as_its_positions_are():
    scores = np.zeros((1, 2, 1, 2))
    scores[0, 1, 0, 0] = math.log(3)
    assert top_probability([np.zeros((1, 4), np.int64), scores]) == pytest.approx((0.75 + 0.5) / 2)
    assert top_probability([scores], temperature=1e6) == pytest.approx(0.5, abs=1e-5)


def test_a_temperature_makes_the_probabilities_true():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((4000, 6)) * 2
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    right = (rng.random((4000, 1)) > chances.cumsum(1)).sum(1)
    boasting = [5 * row[None] for row in scores]
    assert fitted_temperature(boasting, [np.array([each]) for each in right]) == pytest.approx(5, rel=0.08)


def test_what_cannot_be_is_refused(bundle):
    with pytest.raises(ScheduleError, match="the first point of a cascade answers at home"):
        Cascade.fit(bundle, frames(4, 0), first=OperatingPoint("1", codec="u8"), then=FULL, floor=0.9)
    with pytest.raises(ScheduleError, match="and the second is another"):
        Cascade.fit(bundle, frames(4, 0), first=FULL, then=FULL, floor=0.9)
    with pytest.raises(MetricError, match="no frames came to calibrate"):
        Cascade.fit(bundle, [], first=FIRST, then=FULL, floor=0.9)
    with pytest.raises(MetricError, match="no frames came to judge"):
        Cascade(FIRST, FULL, 1.0, 0.5, 0.9, 0.5, 0.9).judge(bundle, [])
    with pytest.raises(MetricError, match=r"no output has scores of classes .* float32 \(1, 1\)"):
        top_probability([np.zeros((1, 1), np.float32)])
    with pytest.raises(MetricError, match="each frame has a sureness, two losses and a group; got 1, 2, 1 and 1"):
        controlled_threshold([0.5], [0, 1], [0], 0.1)


def test_a_sureness_and_a_metric_of_ones_own(bundle):
    spread = lambda outputs, temperature: float(np.ptp(outputs[0]) / (1 + np.ptp(outputs[0])))  # noqa: E731
    own = Cascade.fit(bundle, frames(100, 0), first=FIRST, then=FULL, floor=0.9, sureness=spread, metric=Cosine())
    assert own.temperature == 1.0
    assert own.judge(bundle, frames(50, 3), metric=Cosine()).score.value > 0.9
