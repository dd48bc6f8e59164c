import pytest

from adaedge.channel import Trace
from adaedge.energy import NR_DRX_FAST_RELEASE, ComputePower, EnergyModel, RadioPower
from adaedge.forecast import Forecast, Offer, Workload
from adaedge.matrix.foresight import Workloads, rates_of
from adaedge.matrix.techniques import JPEG, LOCAL, PARTIAL
from adaedge.operating_point import KEPT, Cost, OperatingPoint, Profile
from adaedge.scheduling import Limits

WHOLE, SENT, CUT = OperatingPoint("output"), OperatingPoint("input", codec="jpeg@80"), OperatingPoint("b", codec="u4")
COSTS = {
    WHOLE: Cost(0.1),
    SENT: Cost(0.0, 0.01, 20_000, 0.001, 0.002, 100, 0.1, accuracy=0.96),
    CUT: Cost(0.03, 0.002, 5_000, 0.001, 0.002, 100, 0.07, accuracy=0.9),
    KEPT: Cost(0.001, accuracy=None),
}
PROFILE = Profile(COSTS, "", "a", "b")
RADIO = RadioPower("hand", uplink_w_per_bps=2e-8, uplink_w=1.0, tail_s=1.0, tail_w=0.1)
ENERGY = EnergyModel(ComputePower(4.0), RADIO)
LIMITS = Limits.of(0.2, 0.0, 0.2)


def foreseen(trace, energy=ENERGY, floor=0.0, limits=LIMITS):
    return Workloads.of(PROFILE, 0.3, floor).foreseen(energy, trace, limits, 0.02)


def test_at_one_rate_it_is_the_closed_forecast():
    found = foreseen(Trace([0.0], [8e6]))
    offers = [
        Offer(str(point), COSTS[point].payload_bytes, COSTS[point].terminal_s / 0.1, 100, COSTS[point].edge_s)
        for point in (SENT, CUT)
    ]
    closed = Forecast.of(Workload(0.1, (offers[0],), (offers[1],)), ENERGY, 8e6, period_s=0.2)
    assert found.modes[LOCAL] == pytest.approx(closed.local_j) == pytest.approx(0.4)
    assert found.modes[JPEG] == pytest.approx(closed.full_j)
    assert found.modes[PARTIAL] == pytest.approx(closed.partial_j)
    assert found.best == closed.best


def test_where_an_offload_is_late_it_costs_the_rest_of_the_network_too():
    found = foreseen(Trace([0.0], [2e5]))
    assert found.points[SENT] > 4.0 * (0.01 + 0.1)
    assert found.points[CUT] > 4.0 * (0.032 + 0.07)
    assert found.best == LOCAL


def test_a_link_counts_by_how_long_it_has_each_rate():
    slow, quick = (foreseen(Trace([0.0], [rate])).points[SENT] for rate in (2e5, 8e6))
    mixed = foreseen(Trace([0.0, 10.0], [2e5, 8e6], 40.0)).points[SENT]
    assert mixed == pytest.approx(slow / 4 + 3 * quick / 4, rel=0.02)


def test_a_radio_that_was_released_is_late_where_one_that_listens_is_not():
    tight = Limits.of(0.15, 0.0, 0.2)
    radio = NR_DRX_FAST_RELEASE
    assert radio.ready_s(0.2) > 0.01
    asleep = foreseen(Trace([0.0], [2e7]), EnergyModel(ComputePower(4.0), radio), limits=tight)
    assert asleep.points[SENT] > 4.0 * 0.11, "finished locally"


def test_points_below_the_floor_and_kept_answers_do_not_count():
    found = foreseen(Trace([0.0], [8e6]), floor=0.95)
    assert set(found.points) == {WHOLE, SENT}
    assert PARTIAL not in found.modes


def test_rates_of_a_link_are_its_quantiles():
    rates = rates_of(Trace([0.0, 5.0], [1e6, 3e6], 10.0))
    assert (rates[0], rates[-1]) == (pytest.approx(1e6), pytest.approx(3e6))
    assert sum(rate < 2e6 for rate in rates) == pytest.approx(len(rates) / 2, abs=1)
    assert min(rates_of(Trace([0.0, 5.0], [0.0, 3e6], 10.0))) == 1e3, "never 0"
