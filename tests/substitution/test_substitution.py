"""Bits for MACs: by hand, and what must hold on any link."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from adaedge import cli
from adaedge.energy import RADIOS, ComputePower, EnergyModel, RadioPower
from adaedge.errors import EnergyError, ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.substitution import Vertex, draw_substitution, isoquant, substitute

LOCAL, EARLY, LATE, WHOLE, COARSE = map(OperatingPoint, ("output", "early", "late", "input", "coarse"))
COSTS = {
    LOCAL: Cost(0.100),
    WHOLE: Cost(0.000, 0.0, 20_000.0),
    EARLY: Cost(0.020, 0.0, 5_000.0, finish_s=0.08),
    LATE: Cost(0.080, 0.0, 2_500.0, finish_s=0.02),
    COARSE: Cost(0.010, 0.0, 2_000.0, accuracy=0.9),
}
PROFILE = Profile(COSTS, "", "board", "server")
# A bit costs 1 W over the rate, a MAC 1 nJ: a bit at R bit/s costs 1e9 / R MACs.
MODEL = EnergyModel(ComputePower(4.0, macs_per_s=4e9), RadioPower("plain", uplink_w=1.0))


def asked(rates, **more):
    return substitute(
        PROFILE, MODEL, rates, **({"deadline_s": 0.3, "accuracy_floor": 0.95, "round_trip_s": 0.0} | more)
    )


def test_the_exchange_by_hand():
    found = asked([1e6])
    assert [(vertex.point, vertex.bits, vertex.macs) for vertex in found.isoquant] == [
        (LOCAL, 0.0, pytest.approx(4e8)),
        (EARLY, 40e3, pytest.approx(0.8e8)),  # the late cut lies above the line between the two
        (WHOLE, 160e3, 0.0),
    ]
    assert [vertex.rate for vertex in found.isoquant[1:]] == [pytest.approx(8000), pytest.approx(0.8e8 / 120e3)]
    # A bit costs 1000 MACs: less than the 8000 that the first bits save, more than the 667 of those after them.
    assert found.price.median == pytest.approx(1000.0)
    assert found.best == EARLY
    assert found.adapting_j == pytest.approx(0.08 + 0.04)


def test_a_point_is_the_best_where_the_price_lies_between_its_rates():
    switch = [1e9 / vertex.rate for vertex in asked([1e6]).isoquant[1:]]
    just = 1.001
    for rate, best in ((switch[0] / just, LOCAL), (switch[0] * just, EARLY), (switch[1] / just, EARLY)):
        assert asked([rate], deadline_s=5.0).best == best
    assert asked([switch[1] * just]).best == WHOLE


def test_a_link_that_varies_makes_adapting_worth_something():
    rates = [1e5, 1e6, 1e7, 1e7]
    found = asked(rates, deadline_s=5.0)
    assert found.chance == {LOCAL: 0.25, EARLY: 0.25, WHOLE: 0.5}
    each = [asked([rate], deadline_s=5.0).adapting_j for rate in rates]
    assert found.adapting_j == pytest.approx(np.mean(each))
    assert found.fixed_j == pytest.approx(min(0.4, np.mean([0.08 + 40e3 / rate for rate in rates])))
    assert found.gain == pytest.approx(1 - found.adapting_j / found.fixed_j)
    assert (found.price.low, found.price.high) == (pytest.approx(100.0), pytest.approx(8650.0))
    assert asked([1e6] * 3).gain == 0.0


def test_what_is_late_is_no_way_out():
    found = asked([0.5e6], deadline_s=0.15)
    assert found.best == EARLY  # 0.02 + 0.08 s
    assert WHOLE not in [vertex.point for vertex in found.isoquant]
    assert asked([0.3e6], deadline_s=0.14).best == LOCAL
    hopeless = asked([1e3, 1e7], deadline_s=0.05)
    assert hopeless.late == 0.5
    assert (hopeless.fixed, hopeless.fixed_j) == (None, math.inf)


def test_the_cheapest_way_to_a_joule_is_named():
    assert asked([1e6], accuracy_floor=0.9).best == COARSE
    looser = asked([1e6], accuracy_floor=0.905).relief
    assert looser.cheapest == "accuracy"
    assert looser.accuracy == pytest.approx(1 - (0.04 + 0.016) / 0.12)
    slower = asked([40e3 / 0.085], deadline_s=0.1).relief
    assert slower.delay == pytest.approx(1 - (0.08 + 0.085) / 0.4)
    assert slower.bits == pytest.approx(1 - (0.08 + 0.085 / 1.1) / 0.4)
    assert slower.cheapest == "bits"
    assert asked([1e4]).relief.cheapest == ""


def test_an_isoquant_is_convex_and_falls():
    draw = np.random.default_rng(0)
    vertices = [Vertex(OperatingPoint(f"p{at}"), *draw.uniform(0, 100, 2)) for at in range(60)]
    hull = isoquant(vertices)
    rates = [vertex.rate for vertex in hull]
    assert rates == sorted(rates, reverse=True)
    for price in (0.1, 1.0, 10.0):
        best = min(vertices, key=lambda one: price * one.bits + one.macs)
        assert best.point in [vertex.point for vertex in hull]


def test_wrong_use_is_told():
    with pytest.raises(ScheduleError, match=r"a link has rates, and an answer a deadline in s; got 0 and 0\.3"):
        asked([])
    with pytest.raises(ScheduleError, match=r"got 1 and 0\.3"):
        asked([math.nan])
    with pytest.raises(ScheduleError, match=r"no point has an accuracy of 1\.1"):
        asked([1e6], accuracy_floor=1.1)
    with pytest.raises(EnergyError, match="macs_per_s is not known"):
        substitute(PROFILE, EnergyModel(ComputePower(4.0), RADIOS["nr-awake"]), [1e6], deadline_s=0.2)


def test_the_command_and_the_picture(tmp_path):
    PROFILE.save(tmp_path / "profile.json")
    (tmp_path / "trace.txt").write_text("0 1\n10 4\n20 8\n30 0\n")
    arguments = ["substitute", str(tmp_path / "profile.json"), "--trace", str(tmp_path / "trace.txt")]
    picture = tmp_path / "isoquant.svg"
    runner = CliRunner()
    told = runner.invoke(cli.app, [*arguments, "--plot", str(picture), "--json"], catch_exceptions=False).stdout
    assert json.loads(told)["chance"]["output/w1/fp32/raw"] >= 0.25
    assert picture.read_text().count("<path") > 20
    words = runner.invoke(cli.app, arguments, catch_exceptions=False).stdout
    assert "A bit costs as much as" in words
    assert max(map(len, words.splitlines())) <= 80


def test_a_picture_of_one_point_alone(tmp_path):
    found = substitute(Profile({LOCAL: Cost(0.1)}, "", "", ""), MODEL, [1e6], deadline_s=0.2)
    draw_substitution(tmp_path / "one.svg", found)
    assert (tmp_path / "one.svg").stat().st_size > 1000
