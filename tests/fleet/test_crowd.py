"""Many terminals along simulated time: beside the replay of one, beside queueing theory, and under overload."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adaedge.channel import Trace
from adaedge.energy import RADIOS, RASPBERRY_PI_4, EnergyModel
from adaedge.errors import ScheduleError
from adaedge.fleet import EdgeQueue, Kind, Member, simulate_crowd
from adaedge.fleet.member import FastTrace
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import Fixed, Limits
from adaedge.simulation import Scenario
from benchmarks.crowd import wait_in_theory_s

LOCAL, JPEG, SMALL = (OperatingPoint(*name) for name in (("output",), ("input", 1.0, "fp32", "jpeg@90"), ("mid",)))
COSTS = {
    LOCAL: Cost(0.1),
    JPEG: Cost(0.0, 0.004, 22.5e3, 0.002, 0.008, 4100.0, 0.1, 0.95),
    SMALL: Cost(0.045, 0.001, 4.5e3, 0.001, 0.008, 4100.0, 0.055, 0.97),
}
PROFILE = Profile(COSTS, "", "board", "server")


def uneven(seed=0, mean_bps=8e6):
    draw = np.random.default_rng(seed)
    return Trace(np.arange(60.0), mean_bps * np.exp(draw.normal(0, 0.9, 60)))


@pytest.mark.parametrize("radio", ["nr-awake", "nr-low-band", "nr-drx"])
@pytest.mark.parametrize("point", [JPEG, SMALL, LOCAL], ids=str)
def test_one_terminal_alone_is_what_the_replay_says(point, radio):
    energy, limits, trace = EnergyModel(RASPBERRY_PI_4, RADIOS[radio]), Limits.of(0.2, period_s=0.5), uneven()
    records = Scenario(PROFILE, energy, trace, limits, frames=120).run(Fixed(point))
    found = simulate_crowd([Member(Kind(PROFILE, energy, limits, point), trace)], slots=1, duration_s=59.99)
    edge = sum(record.measurement.answered_by == "edge" for record in records)
    # The replay reaches the edge server before its first frame, which finds its radio awake; a crowd's does not.
    assert found.frames == 120
    assert edge - 1 <= found.answered <= edge
    assert found.missed == sum(record.missed for record in records)
    spent_j = sum(record.measurement.energy.total_j for record in records)
    assert found.energy_j[0] == pytest.approx(spent_j, rel=0.0 if point == LOCAL else 0.015)


def test_transfers_are_those_of_the_trace():
    trace = Trace([0.0, 1.0, 1.5, 2.0], [8e6, 0.0, 1e6, 3e6], duration_s=3.0)
    quick = FastTrace(trace)
    for start_s in (0.0, 0.4, 1.2, 2.9, 7.3):
        for size in (1, 1000, 300_000, 5_000_000):
            assert quick.transfer_s(size, start_s) == pytest.approx(trace.transfer_s(size, start_s), abs=1e-9)
        assert quick.bytes_within(start_s, 4.7) == pytest.approx(trace.bytes_within(start_s, 4.7))


@pytest.mark.parametrize(("slots", "terminals"), [(1, 70), (4, 320)])
def test_waits_are_those_of_theory(slots, terminals):
    cost = Cost(0.0, 0.0, 100.0, 0.0, 0.01, 10.0, 0.01)
    kind = Kind(
        Profile({LOCAL: Cost(0.01), JPEG: cost}, "", "", ""),
        EnergyModel(RASPBERRY_PI_4, RADIOS["nr-awake"]),
        Limits.of(1e6, period_s=1.0),
        JPEG,
        round_trip_s=0.0,
    )
    fast = Trace([0.0], [1e9])
    found = simulate_crowd([Member(kind, fast)] * terminals, slots=slots, duration_s=400.0, arrivals="poisson", seed=3)
    assert found.refused == 0
    assert found.busy == pytest.approx(0.01 * terminals / slots, rel=0.02)
    assert np.mean(found.waits_s) == pytest.approx(wait_in_theory_s(terminals, 0.01, slots), rel=0.06)


def test_theory_has_the_closed_form_of_one_slot():
    assert wait_in_theory_s(80.0, 0.01, 1) == pytest.approx(0.8 * 0.01 / (2 * 0.2), rel=1e-6)


def test_beyond_its_capacity_an_edge_server_stays_busy_and_nobody_is_late():
    kind = Kind(PROFILE, EnergyModel(RASPBERRY_PI_4, RADIOS["nr-awake"]), Limits.of(0.2, period_s=0.2), JPEG)
    crowd = [Member(kind, uneven(number, 60e6), 0.001 * number) for number in range(100)]
    found = simulate_crowd(crowd, slots=1, duration_s=30.0)
    assert found.frames == 100 * 150
    assert found.busy > 0.7
    assert found.missed == 0
    assert found.refused > 500
    assert found.answered == pytest.approx(found.busy * 30.0 / 0.01, rel=0.01)


def test_a_crowd_that_may_choose_is_local_where_that_is_cheaper():
    energy = EnergyModel(RASPBERRY_PI_4, RADIOS["nr-awake"])
    limits = Limits.of(0.2, 0.96, 0.2)
    near, far = Trace([0.0], [50e6]), Trace([0.0], [0.3e6])
    kind = Kind(PROFILE, energy, limits)
    found = simulate_crowd([Member(kind, near), Member(kind, far)], slots=1, duration_s=20.0)
    assert found.answered == 100
    assert found.energy_j[1] == pytest.approx(100 * 0.1 * RASPBERRY_PI_4.busy_w)
    assert found.energy_j[0] < found.energy_j[1]


def test_the_queue_computes_what_is_due_first_and_refuses_what_makes_another_late():
    queue = EdgeQueue(1)
    assert queue.come(0.0, 9.0, 1.0, "runs").what == "runs"
    assert queue.come(0.1, 2.6, 1.0, "late") is None  # would end at 2.0: waits
    assert queue.come(0.2, 2.5, 1.0, "first") is None  # would push the other beyond 2.6
    assert (queue.waiting, queue.refused) == (1, 1)
    assert queue.come(0.3, 9.0, 1.0, "last") is None
    assert [queue.done(1.0).what, queue.done(2.0).what, queue.done(3.0)] == ["late", "last", None]
    assert queue.busy_s == 3.0


def test_wrong_use_is_told():
    kind = Kind(PROFILE, EnergyModel(RASPBERRY_PI_4, RADIOS["nr-awake"]), Limits.of(0.2))
    member = Member(kind, uneven())
    endless = Member(Kind(PROFILE, kind.energy, Limits.of(0.2, period_s=math.inf)), uneven())
    nothing = Member(Kind(Profile({JPEG: COSTS[JPEG]}, "", "", ""), kind.energy, Limits.of(0.2)), uneven())
    for members, more, text in (
        ([], {}, "terminals, slots and time; got 0, 1 and 1.0 s"),
        ([member], {"slots": 0}, "got 1, 0 and"),
        ([member], {"duration_s": math.inf}, "and inf s"),
        ([member], {"arrivals": "bursts"}, "periodic or poisson; got 'bursts'"),
        ([endless], {}, "has a period"),
        ([nothing], {}, "refused frames had no answer"),
    ):
        with pytest.raises(ScheduleError, match=text):
            simulate_crowd(members, **({"slots": 1, "duration_s": 1.0} | more))
