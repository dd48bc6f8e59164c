"""Replays in which answers are kept, as a terminal keeps them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adaedge.channel import Trace
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.errors import ScheduleError
from adaedge.operating_point import KEPT, Cost, KeptCurve, KeptKnot, OperatingPoint, Profile
from adaedge.scheduling import Fixed, Limits
from adaedge.simulation import ClipChanges, Scenario, clairvoyant, static_runs
from adaedge.stream import MovedBlocks

LOCAL = OperatingPoint("output")
CURVE = KeptCurve("moved-blocks", "of blocks moved", "iou", (KeptKnot(0.02, 0.99, 0.97, 300),))
COSTS = {LOCAL: Cost(0.1), KEPT: Cost(0.001)}
PROFILE = Profile(COSTS, "00" * 32, "hand", "hand", kept=CURVE)
ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)


def scenario(steps, floor=0.9, **others):
    limits = Limits.of(0.2, floor)
    return Scenario(PROFILE, ENERGY, Trace([0.0], [3e6]), limits, len(steps), kept_changes=steps, **others)


def kept_from(records):
    return [record.measurement.kept_from for record in records]


def test_an_answer_stands_while_its_curve_meets_the_floor() -> None:
    records = scenario([1.0, 0.0, 0.01, 0.0, 0.3, 0.0]).run()
    assert [record.decision.point for record in records] == [LOCAL, KEPT, KEPT, KEPT, LOCAL, KEPT]
    assert kept_from(records) == [None, 0, 0, 0, None, 4]
    assert [record.measurement.answered_by for record in records][3:5] == ["earlier", "terminal"]
    assert [record.decision.change for record in records][1:4] == [0.0, 0.01, 0.01], "since the last answer"
    computed_s = [record.measurement.compute_s for record in records]
    assert computed_s == pytest.approx([0.1, 0.001, 0.001, 0.001, 0.1, 0.001])
    assert records[1].measurement.energy.compute_j == pytest.approx(0.004)
    assert "too much to keep its answer" in records[4].decision.reasons[1]


def test_one_frame_in_fifty_that_could_be_kept_is_audited() -> None:
    records = scenario([0.0] * 120).run()
    computed = [record.index for record in records if record.decision.point != KEPT]
    assert computed == [0, 50, 100]
    assert kept_from(records)[51] == 50


def test_without_changes_a_floor_or_a_curve_every_frame_is_computed() -> None:
    still = [0.0] * 5
    asked = scenario(still)
    for never in (
        replace(asked, kept_changes=None, changes=still),
        scenario(still, floor=0.0),
        scenario(still, floor=0.99),
        replace(asked, costs=replace(PROFILE, kept=None)),
        replace(asked, costs=dict(COSTS)),
    ):
        assert kept_from(never.run()) == [None] * 5
    assert kept_from(asked.run(Fixed(LOCAL))) == [None] * 5
    assert list(static_runs(asked)) == [LOCAL]
    assert kept_from(clairvoyant(asked)) == [None] * 5


def test_changes_are_those_that_the_curve_was_fitted_with() -> None:
    clip = [np.full((36, 64, 3), 100, np.uint8)] * 4
    asked = scenario([0.0] * 4)
    with pytest.raises(ScheduleError, match=r"fitted with the change detector 'moved-blocks'; .* 'blocks'"):
        replace(asked, kept_changes=ClipChanges.of_clip(clip)).run()
    seen = ClipChanges.of_clip(clip, detector=MovedBlocks())
    for shown in (replace(asked, kept_changes=seen), asked.showing(clip)):
        records = shown.run()
        assert kept_from(records) == [None, 0, 0, 0]
