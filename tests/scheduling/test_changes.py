"""What a frame costs follows how much of it changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adaedge.channel import RateEstimate
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import Scheduler
from adaedge.scheduling.table import Limits, Table

LOCAL = OperatingPoint("output")
VIDEO = OperatingPoint("input", codec="h264@28")
PICTURE = OperatingPoint("input", codec="jpeg@90")
ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)
LINK = RateEstimate(rate_bps=2e6, low_bps=1e6)


def profile():
    refresh = Cost(0.001, 0.004, 40e3, 0.003, 0.01, 100.0, finish_s=0.05)
    after = (
        replace(refresh, payload_bytes=500.0, encode_s=0.002, decode_s=0.001),
        replace(refresh, payload_bytes=4500.0, encode_s=0.003, decode_s=0.002),
    )
    costs = {LOCAL: Cost(0.05), VIDEO: refresh, PICTURE: Cost(0.001, 0.002, 9e3, 0.002, 0.01, 100.0, finish_s=0.05)}
    return Profile(costs, "00", "robot", "server", (0.0, 0.4, 1.0), {VIDEO: after})


def table():
    return Table.build(profile(), Limits.of(0.3))


def test_the_row_follows_the_profile_and_no_other_changes():
    before = table()
    for change in (0.0, 0.1, 0.4, 0.7, 1.0):
        now, cost = before.at({VIDEO: change}), profile().at(VIDEO, change)
        row = now.row(VIDEO)
        found = now.terminal_s[row], now.edge_s[row], now.payload_bytes[row]
        assert found == pytest.approx((cost.terminal_s, cost.edge_s, cost.payload_bytes))
        for point in (LOCAL, PICTURE):
            assert now.payload_bytes[now.row(point)] == profile()[point].payload_bytes
    assert before.payload_bytes[before.row(VIDEO)] == 40e3, "the table of refreshes was written into"
    assert now.timeout_s.tolist() == before.timeout_s.tolist()


def test_points_without_costs_by_change_or_below_the_floor_are_passed_over():
    assert table().at({PICTURE: 0.1}).payload_bytes.tolist() == table().payload_bytes.tolist()
    assert table().at({OperatingPoint("elsewhere", codec="h264@28"): 0.1}) is not None
    plain = Table.build(dict(profile()), Limits.of(0.3))
    assert plain.at({VIDEO: 0.1}) is plain


def test_what_is_asked_next_does_not_follow_what_was_asked_before():
    """Streams ask one table in turn, each for points of its own, and each point may have changed by its own amount."""
    fine, coarse = (OperatingPoint("input", codec=f"h264@{factor}") for factor in (20, 40))
    bytes_of = {fine: (4e3, 9e4), coarse: (1e2, 2e3)}
    costs = {LOCAL: Cost(head_s=0.1)} | {p: Cost(0.0, payload_bytes=bytes_of[p][1]) for p in (fine, coarse)}
    after = {p: (Cost(0.0, payload_bytes=bytes_of[p][0]),) for p in (fine, coarse)}
    both = Table.build(Profile(costs, "", "", "", (0.0, 1.0), after), Limits.of(0.2))
    for _ in range(2):
        assert both.at({fine: 0.0}).payload_bytes.tolist() == [0, 4e3, 2e3]
        assert both.at({coarse: 0.0}).payload_bytes.tolist() == [0, 9e4, 1e2]
        assert both.at({coarse: 0.0, fine: 0.5}).payload_bytes.tolist() == [0, 4.7e4, 1e2]
        assert both.at({fine: 0.0, coarse: 0.5}).payload_bytes.tolist() == [0, 4e3, 1050]
        assert both.at({OperatingPoint("elsewhere"): 0.0, coarse: 0.0}).payload_bytes.tolist() == [0, 9e4, 1e2]
    assert both.payload_bytes.tolist() == [0, 9e4, 2e3]


def test_what_a_stream_really_sent_corrects_its_prediction():
    now = table().at({VIDEO: 0.0}, {VIDEO: 1.5})
    assert now.payload_bytes[now.row(VIDEO)] == 750.0
    assert table().at({}, {VIDEO: 1.5}).payload_bytes.tolist() == table().payload_bytes.tolist()


def scheduler():
    return Scheduler(profile(), ENERGY, deadline_s=0.3)


def test_the_choice_follows_the_change():
    held = scheduler().choose(LINK, changes={VIDEO: 0.0})
    assert (held.point, held.payload_bytes, held.change) == (VIDEO, 500.0, 0.0)
    refresh = scheduler().choose(LINK)
    assert (refresh.point, refresh.payload_bytes, refresh.change) == (PICTURE, 9e3, 1.0)
    assert held.energy_j < refresh.energy_j
    assert scheduler().choose(LINK, changes={VIDEO: 1.0}).point == PICTURE
    assert scheduler().choose(LINK, changes={VIDEO: 0.0}, sent_ratio={VIDEO: 8.0}).energy_j > held.energy_j


def test_a_point_without_a_measured_accuracy_is_never_used_under_a_floor():
    unknown = replace(profile().costs[VIDEO], accuracy=None)
    unmeasured = replace(profile(), costs={**profile().costs, VIDEO: unknown})
    floored = Scheduler(unmeasured, ENERGY, deadline_s=0.3, accuracy_floor=0.5)
    assert VIDEO not in floored.table.points
    free = Scheduler(unmeasured, ENERGY, deadline_s=0.3)
    decision = free.choose(LINK, changes={VIDEO: 0.0})
    assert (decision.point, decision.accuracy) == (VIDEO, None)


def test_what_was_learned_of_small_changes_says_nothing_of_a_refresh():
    for ratio in (0.125, 8.0):
        cut = table().at({VIDEO: 1.0}, {VIDEO: ratio})
        assert cut.payload_bytes[cut.row(VIDEO)] == 40e3


def test_without_costs_by_change_a_decision_assumes_a_refresh():
    plain = Scheduler(replace(profile(), changes=(1.0,), next_costs={}), ENERGY, deadline_s=0.3)
    decision = plain.choose(LINK, changes={VIDEO: 0.0, PICTURE: 0.0})
    assert decision.change == 1.0
