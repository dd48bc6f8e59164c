"""The Pareto front of energy and accuracy, by hand and against its definition; what was never worth choosing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.channel import RateEstimate
from adaedge.energy import ComputePower, EnergyModel, RadioPower
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.report import Context, Frontier, write_html
from adaedge.report.choices import front_table, verdicts
from adaedge.report.frontier import MOST_RATES, on_front, rates_of
from adaedge.report.tradeoff import tradeoff
from adaedge.scheduling import LeastEnergy, Limits, Scheduler

LOCAL = OperatingPoint("output")
LOCAL8 = OperatingPoint("output", precision="int8")
HALF = OperatingPoint("output", 0.5)
HALF8 = OperatingPoint("output", 0.5, "int8")
QUARTER = OperatingPoint("output", 0.25)
SENT = OperatingPoint("input", codec="jpeg@90")
PART = OperatingPoint("blocks.3", codec="u4")
COSTS = {
    LOCAL: Cost(head_s=0.1),  # 0.4 J
    LOCAL8: Cost(head_s=0.06, accuracy=0.97),  # 0.24 J
    HALF: Cost(head_s=0.05, accuracy=0.9),  # 0.2 J
    HALF8: Cost(head_s=0.055, accuracy=0.95),  # smaller, not faster
    QUARTER: Cost(head_s=0.07, accuracy=0.5),  # worse and dearer than the int8 one
    SENT: Cost(0.0, 0.01, 10_000, tail_s=0.01, finish_s=0.1, accuracy=0.96),
    PART: Cost(0.05, 0.0, 100_000, tail_s=0.01, finish_s=0.05, accuracy=0.96),
}
RADIO = RadioPower("hand", uplink_w=2.0, downlink_w=1.0, promotion_s=0.05, promotion_w=1.0, tail_s=1.0, tail_w=0.5)
ENERGY = EnergyModel(ComputePower(busy_w=4.0, wait_w=1.0), RADIO)


def profile(costs=COSTS):
    return Profile(costs, "00" * 32, "hand", "hand")


@pytest.fixture
def frontier():
    return Frontier(profile(), ENERGY, Limits.of(0.2, 0.95))


def test_the_front_without_a_link_by_hand(frontier):
    places = {place.point: place for place in frontier.at(None)}
    assert {point for point, place in places.items() if place.on_front} == {LOCAL, LOCAL8, HALF}
    assert places[LOCAL8].energy_j == pytest.approx(4.0 * 0.06)
    assert not places[SENT].on_time
    assert HALF8 not in places, "labelled, so not offered"


def test_the_front_at_a_good_rate_by_hand(frontier):
    # 8 Mbit/s: compute 0.04 J, 10 ms of sending at 2 W, 30 ms of waiting at 1.5 W, and the tail until the next upload.
    sent_j = 0.04 + 0.02 + 1.5 * 0.03 + 0.5 * (0.2 - 0.05 + 0.01)
    places = frontier.at(8e6)
    assert [place.point for place in places if place.on_front] == [SENT, LOCAL8, LOCAL]
    assert places[0].energy_j == pytest.approx(sent_j, rel=0.01)
    assert [place.energy_j for place in places] == sorted(place.energy_j for place in places)


def test_a_network_that_is_never_worth_choosing_is_named(make):
    worse = OperatingPoint("output", network="student")
    costs = {LOCAL: Cost(0.01, accuracy=1.0), worse: Cost(0.02, accuracy=0.9)}
    never = Frontier(profile(costs), ENERGY, Limits.of(0.2)).at_any_rate()
    assert (never.networks, never.widths, never.precisions) == (("student",), (), ())
    run = [make.frame(index, rate_bps=1e6) for index in range(3)]
    words = verdicts(Frontier(profile(costs), ENERGY, Limits.of(0.2)), run)[1]
    assert words.startswith(
        "Never worth choosing at any link rate: the network student at all, and in all 1 of 2 points"
    )


def test_the_picture_tells_networks_apart():
    student = OperatingPoint("output", network="student")
    costs = {LOCAL: Cost(0.02, accuracy=1.0), student: Cost(0.01, accuracy=0.9)}
    image = tradeoff(Frontier(profile(costs), ENERGY, Limits.of(0.2)).at(None), 0.0)
    assert "student, fp32" in image


def test_what_is_never_worth_choosing_names_levels_and_points(frontier, make):
    slow = [make.frame(index, rate_bps=1e4) for index in range(3)]
    never = frontier.in_run([*slow, make.frame(3)])
    assert never.widths == (0.25,)
    assert never.precisions == ()
    assert set(never.points) == {QUARTER, SENT, PART, HALF8}
    assert never.evaluated == (
        "at 1 link rates that the decisions of the run assumed (0.01 to 0.01 Mbit/s) and without a link, each with the"
        " radio asleep and awake, for answers within 0.2 s, whatever the accuracy floor"
    )
    anywhere = frontier.at_any_rate()
    assert set(anywhere.points) == {QUARTER, PART, HALF8}
    assert "at 87 link rates (0.05 to 1000 Mbit/s) and without a link" in anywhere.evaluated


def test_a_precision_is_named_where_none_of_its_points_was_on_a_front():
    slow = {LOCAL: Cost(0.1), LOCAL8: Cost(0.2, accuracy=1.0)}
    assert Frontier(profile(slow), ENERGY, Limits.of(0.5)).at_any_rate().precisions == ("int8",)


def test_the_radios_state_counts_a_local_point_that_only_a_sleeping_radio_makes_worth_it():
    # Sending saves 20 mJ a frame: too little to wake the radio for, enough while it is awake.
    near = {LOCAL: Cost(0.05), SENT: Cost(0.0, 0.01, 1_000, finish_s=0.05)}
    frontier = Frontier(profile(near), replace(ENERGY, radio=replace(RADIO, tail_w=1.0, tail_s=10.0)), Limits.of(0.2))
    assert frontier.never_worth([20e6], "").points == ()


def test_a_document_holds_the_front_and_what_was_never_on_it(frontier, make):
    records = [make.frame(0, rate_bps=1e6), make.frame(1, rate_bps=8e6), make.frame(2, rate_bps=9e6)]
    found = frontier.as_dict(records)
    assert found["rate_bps"] == 8e6
    assert found["points"][0]["point"] == str(SENT)
    assert found["labels"] == {str(HALF8): "smaller, not faster"}
    assert found["never_worth_choosing"]["at_any_rate"]["points"] == [str(HALF8), str(QUARTER), str(PART)]


def test_the_page_shows_the_front_and_says_what_was_never_on_it(tmp_path, frontier, make):
    records = [make.frame(0, LOCAL8, rate_bps=8e6), make.frame(1, SENT, rate_bps=8e6)]
    write_html(tmp_path / "page.html", {"adaptive": records}, context=Context(frontier=frontier))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>Worth choosing</h2>" in text
    assert "at 8 Mbit/s (the median of what the decisions assumed)" in text
    assert "accuracy floor" in text
    assert "<td>local int8</td>" in text
    assert "frame sent" in text


def test_the_table_of_the_front_is_numbered_as_the_plot(frontier, make):
    columns, rows = front_table(frontier.at(None), [make.frame(0, LOCAL8), make.frame(1, SENT)])
    assert [column.known for column in columns] == ["", "", "modelled", "measured", "counted"]
    assert rows[0] == ["1", "local w0.5", "0.2000", "0.900", "0"]
    assert rows[1] == ["2", "local int8", "0.2400", "0.970", "50"]
    svg = tradeoff(frontier.at(None), 0.95)
    for words in ("Pareto front", "accuracy floor", "width 0.5, fp32", "int8"):
        assert words in svg


def test_the_sentences(frontier, make):
    first, second, third = verdicts(frontier, [make.frame(0, rate_bps=8e6)])
    assert first.startswith("Never worth choosing in this run: width 0.25 at all, and in all ")
    assert "at 87 link rates" in second
    assert third == "Smaller, not faster than fp32 on this terminal, so never chosen: local w0.5 int8."
    alone = Frontier(profile({LOCAL: Cost(0.1)}), ENERGY, Limits.of(0.2))
    assert verdicts(alone, [make.frame(0)])[0].startswith("Every one of the 1 points was worth choosing in this run.")


def test_nothing_on_time_leaves_an_empty_front(frontier, make):
    late = replace(frontier, limits=Limits.of(0.001))
    assert not any(place.on_front for place in late.at(None))
    assert "<svg" in tradeoff(late.at(None), 0.0)
    assert len(late.in_run([make.frame(0)]).points) == len(COSTS)


def test_of_many_rates_some_are_looked_at(make):
    rates = rates_of([make.frame(index, rate_bps=1e6 + index) for index in range(1000)])
    assert len(rates) == MOST_RATES
    assert (rates[0], rates[-1]) == (1e6, 1e6 + 999)


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=1, max_size=12)


@given(rows)
def test_the_front_is_what_its_definition_says(rows):
    energy_j, accuracy, allowed = (np.array(column) for column in zip(*rows, strict=True))
    found = on_front(energy_j.astype(float), accuracy.astype(float), allowed)
    for index, (joules, good, may) in enumerate(rows):
        beaten = any(
            ok and other_j <= joules and other >= good and (other_j < joules or other > good)
            for other_j, other, ok in rows
        )
        assert found[index] == (may and not beaten)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.001, 0.15), st.floats(100, 1e5), st.floats(0.5, 1.0)), min_size=1, max_size=8),
    st.floats(1e5, 1e8),
    st.sampled_from([0.0, 0.7, 0.9]),
    st.booleans(),
)
def test_what_a_scheduler_would_choose_is_never_called_not_worth_it(offloads, rate_bps, floor, awake):
    costs = {LOCAL: Cost(0.1)} | {
        OperatingPoint(f"blocks.{i}"): Cost(head_s, 0.0, size, finish_s=0.02, accuracy=accuracy)
        for i, (head_s, size, accuracy) in enumerate(offloads)
    }
    scheduler = Scheduler(profile(costs), ENERGY, deadline_s=0.2, accuracy_floor=floor, policy=LeastEnergy(0.0))
    now_s = 50.0
    estimate = RateEstimate(rate_bps, rate_bps, 0.02, time_s=now_s if awake else 0.0)
    if not awake:
        now_s = 1e4
    decision = scheduler.choose(estimate, now_s)
    never = Frontier(profile(costs), ENERGY, Limits.of(0.2)).never_worth([rate_bps], "here")
    assert decision.point not in never.points
