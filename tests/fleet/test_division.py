"""Dividing an edge among terminals: by hand, against a solver that tries everything, and within its own bound."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

from adaedge.energy import RADIOS, ComputePower, EnergyModel, RadioPower
from adaedge.errors import ScheduleError
from adaedge.fleet import OBJECTIVES, Demand, Way, divide
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import Limits
from benchmarks.fleet_division import fleet

LOCAL, SEND = OperatingPoint("output"), OperatingPoint("input", codec="jpeg@90")


def terminal(name, *, local_j=1.0, period_s=1.0, battery_j=1.0, local_s=0.1, **way):
    figures = {"energy_j": 0.0, "upload_s": 0.1, "edge_s": 0.0, "left_s": 0.9, "upload_w": 1.0} | way
    local = Way(LOCAL, local_j, fixed_s=local_s)
    return Demand(name, period_s, period_s, local, (Way(SEND, **figures),), battery_j)


def test_a_band_alone_is_divided_by_the_roots_of_what_its_seconds_cost():
    # Least is w1·L1/b1 + w2·L2/b2 under b1 + b2 = 1: the shares are as √(w·L), here as 2 to 1.
    found = divide([terminal(name, local_j=9.0, upload_w=watts) for name, watts in (("near", 4.0), ("far", 1.0))])
    assert [share.band for share in found.shares] == pytest.approx([2 / 3, 1 / 3], rel=1e-3)
    assert found.power_w == pytest.approx(4 * 0.15 + 0.3, rel=1e-4)
    assert found.gap < 1e-3


def test_who_hurries_gets_what_it_needs_and_the_rest_shares():
    hurry = terminal("hurry", left_s=0.125, upload_w=0.01)
    found = divide([hurry, terminal("slow", upload_w=1.0)], slots=1)
    assert found.shares[0].band == pytest.approx(0.8, rel=1e-3)  # 0.1 s of the band within 0.125 s
    assert found.shares[1].band == pytest.approx(0.2, rel=1e-3)


def test_slots_are_divided_likewise_and_nobody_has_more_than_one():
    both = [
        terminal(name, upload_s=0.001, edge_s=0.2, wait_w=watts, local_j=9.0)
        for name, watts in (("a", 9.0), ("b", 1.0))
    ]
    shares = divide([*both], slots=1).shares
    assert [share.slots for share in shares] == pytest.approx([0.75, 0.25], rel=2e-3)
    alone = divide(both[:1], slots=4).shares[0]
    assert alone.slots == pytest.approx(1.0)
    assert alone.band == pytest.approx(1.0)


def test_who_does_not_fit_is_told_to_stay_local_and_who_saves_most_is_served():
    demands = [terminal(f"t{number}", left_s=0.25, local_j=1.0 + 0.1 * number) for number in range(6)]
    found = divide(demands, slots=1)
    assert found.refused == ("t0", "t1", "t2", "t3")  # two uploads of 0.1 s fit into 0.25 s
    assert [share.name for share in found.shares if share.way.sends] == ["t4", "t5"]


def test_one_that_cannot_be_in_time_by_itself_is_served_before_one_that_can():
    slow = terminal("slow", left_s=0.15, local_j=0.2, local_s=2.0)
    quick = terminal("quick", left_s=0.15, local_j=50.0)
    found = divide([quick, slow], slots=1)
    assert found.refused == ("quick",)
    assert not any(share.late for share in found.shares)
    third = terminal("slow too", left_s=0.15, local_j=0.2, local_s=2.0)
    late = divide([slow, third], slots=1)
    assert [share.late for share in late.shares].count(True) == 1
    assert len(late.refused) == 1


def test_joules_elsewhere_keep_a_terminal_at_home():
    demand = terminal("robot", beyond_j=2.0)
    assert divide([demand]).shares[0].way.sends
    everywhere = divide([demand], objective="everywhere")
    assert not everywhere.shares[0].way.sends
    assert everywhere.found == 1.0
    assert divide([demand]).beyond_w == 2.0


def test_the_worst_off_is_the_one_whose_battery_is_empty_first():
    small, large = (
        terminal(name, left_s=0.15, battery_j=joules) for name, joules in (("small", 10.0), ("large", 99.0))
    )
    found = divide([large, small], slots=1, objective="worst")
    assert found.refused == ("large",)
    assert found.found == pytest.approx(1 / 99, rel=1e-3)
    assert found.gap < 1e-3


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(6))
def test_no_more_is_given_than_there_is_nobody_is_late_and_the_bound_is_near(seed, objective):
    demands, slots = fleet(seed), 0.5 * 2 ** (seed % 3)
    found = divide(demands, slots=slots, objective=objective)
    assert sum(share.band for share in found.shares) <= 1 + 1e-9
    assert sum(share.slots for share in found.shares) <= slots * (1 + 1e-9)
    for demand, share in zip(demands, found.shares, strict=True):
        limit_s = share.way.left_s + share.way.fixed_s if share.way.sends else demand.deadline_s
        assert share.latency_s <= limit_s + 1e-9
        assert 0 <= share.band <= 1 + 1e-9
        assert share.slots <= 1 + 1e-9
        assert objective != "terminals" or share.energy_j <= demand.local.energy_j
    assert found.bound * (1 - 1e-9) <= found.found <= 1.03 * found.bound


def reference(demands, slots):
    """The optimum: every combination of ways, each divided by a general solver."""
    best = math.inf
    for ways in itertools.product(*([demand.local, *demand.offloads] for demand in demands)):
        sending = [(way, demand.period_s) for way, demand in zip(ways, demands, strict=True) if way.sends]
        base = sum(way.energy_j / demand.period_s for way, demand in zip(ways, demands, strict=True))
        best = min(best, base + _divided(sending, slots)) if sending else min(best, base)
    return best


def _divided(sending, slots):
    upload, edge, left = (
        np.array([getattr(way, name) for way, _ in sending]) for name in ("upload_s", "edge_s", "left_s")
    )
    watts, waits = (
        np.array([getattr(way, name) / period for way, period in sending]) for name in ("upload_w", "wait_w")
    )
    count = len(sending)
    found = minimize(
        lambda x: float(watts @ x[:count] + waits @ x[count:]),
        np.concatenate([0.6 * left, 0.4 * left]),
        jac=lambda _: np.concatenate([watts, waits]),
        bounds=[*zip(upload, left - edge, strict=True), *zip(edge, left - upload, strict=True)],
        constraints=[
            {"type": "ineq", "fun": lambda x: 1 - (upload / x[:count]).sum()},
            {"type": "ineq", "fun": lambda x: slots - (edge / x[count:]).sum()},
            {"type": "ineq", "fun": lambda x: left - x[:count] - x[count:]},
        ],
        method="SLSQP",
        options={"maxiter": 200, "ftol": 1e-9},
    )
    x = found.x
    over = max(
        (upload / x[:count]).sum() - 1, (edge / x[count:]).sum() / slots - 1, (x[:count] + x[count:] - left).max()
    )
    return found.fun if over < 1e-5 else math.inf


def random_demands(seed):
    draw = np.random.default_rng(seed)
    demands = []
    for number in range(3):
        ways = tuple(
            Way(
                OperatingPoint("input", codec=f"jpeg@{90 - at}"),
                draw.uniform(0.0, 0.3),
                upload_s=draw.uniform(0.01, 0.1),
                edge_s=draw.uniform(0.01, 0.1),
                left_s=draw.uniform(0.25, 0.5),
                upload_w=draw.uniform(0.5, 3.0),
                wait_w=draw.uniform(0.0, 0.5),
            )
            for at in range(2)
        )
        demands.append(Demand(f"t{number}", 0.5, 0.5, Way(LOCAL, draw.uniform(0.3, 1.0), fixed_s=0.1), ways))
    return demands


@pytest.mark.parametrize("seed", range(8))
def test_beside_a_solver_that_tries_everything(seed):
    demands = random_demands(seed)
    optimum = reference(demands, 0.6)
    found = divide(demands, slots=0.6)
    assert found.bound <= optimum * (1 + 1e-6)
    assert optimum * (1 - 1e-5) <= found.found <= 1.03 * optimum


def test_a_demand_has_the_joules_of_the_energy_model():
    cost = Cost(0.02, 0.01, 30e3, 0.004, 0.03, 400.0, 0.2, 0.95)
    profile = Profile({LOCAL: Cost(0.25), SEND: cost}, "", "board", "server")
    energy = EnergyModel(ComputePower(4.0), RADIOS["nr-awake"])
    demand = Demand.of("robot", profile, energy, Limits.of(0.5), 40e6, round_trip_s=0.01)
    (way,) = demand.offloads
    assert demand.local.energy_j == 1.0
    assert way.left_s == pytest.approx(0.29 - 0.04 - 8 * 400 / 40e6)
    for share in (1.0, 0.3, 0.1):
        upload_s = 0.006 / share
        gap_s = 0.5 - (upload_s + 0.034 + 0.01 + 8 * 400 / 40e6)
        exact = energy.offload(
            0.03, 30e3, share * 40e6, 0.044, answer_bytes=400, downlink_bps=40e6, gap_s=gap_s, idle_s=gap_s
        )
        assert way.spent_j(upload_s, 0.034) == pytest.approx(exact.total_j, rel=1e-9)


def test_what_is_below_the_floor_never_in_time_or_beaten_is_no_way():
    costs = {
        LOCAL: Cost(0.25),
        SEND: Cost(0.0, 0.01, 30e3, finish_s=0.1, accuracy=0.9),
        OperatingPoint("input", codec="jpeg@95"): Cost(0.0, 0.01, 40e3, finish_s=0.1),
        OperatingPoint("input", codec="jpeg@98"): Cost(0.0, 0.01, 60e3, finish_s=0.1),
        OperatingPoint("input"): Cost(0.0, 0.01, 9e6, finish_s=0.1),
    }
    energy = EnergyModel(ComputePower(4.0), RadioPower("radio", uplink_w=1.0))
    demand = Demand.of("robot", Profile(costs, "", "", ""), energy, Limits.of(0.5, 0.95), 10e6)
    assert [way.point.codec for way in demand.offloads] == ["jpeg@95"]


def test_wrong_use_is_told():
    demand = terminal("robot")
    for call, text in (
        (lambda: divide([]), "at least one terminal; got none"),
        (lambda: divide([demand, demand]), "'robot' is there twice"),
        (lambda: divide([demand], slots=0), "a number of slots above 0; got 0"),
        (lambda: divide([demand], objective="fair"), "no objective 'fair'; there are: terminals, everywhere, worst"),
        (lambda: terminal("robot", upload_w=math.nan), "figures are finite"),
        (lambda: terminal("robot", battery_j=0.0), "period, deadline and battery of robot are finite and above 0"),
        (lambda: Demand("robot", 1.0, 1.0, demand.offloads[0]), "local way of robot sends something"),
        (lambda: _floor(0.99), "no point of robot that sends nothing is at or above the floor of 0.99"),
        (lambda: _floor(0.0, math.nan), "rates of robot are in bit/s, above 0; got nan"),
    ):
        with pytest.raises(ScheduleError, match=text):
            call()


def _floor(floor, rate_bps=1e6):
    profile = Profile({LOCAL: Cost(0.25, accuracy=0.9)}, "", "", "")
    energy = EnergyModel(ComputePower(4.0), RADIOS["nr-awake"])
    return Demand.of("robot", profile, energy, Limits.of(0.5, floor), rate_bps)
