"""No harm: what looking for a better link may cost is bounded, whatever the link does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.channel import HarmonicMean, LinkPrior, RateEstimate, Trace, Transitions
from adaedge.energy import LTE_2021, NR_DRX_FAST_RELEASE, RASPBERRY_PI_4, WIFI_2012, EnergyModel, Radio
from adaedge.operating_point import Cost, OperatingPoint
from adaedge.scheduling import PROBE_BYTES, Choice, Ledger, Limits, LinkState, Scheduler, patience_with
from adaedge.scheduling.ledger import SHARE
from adaedge.simulation import Scenario

LOCAL = OperatingPoint("output")
FULL = OperatingPoint("input", codec="jpeg@90")
COSTS = {LOCAL: Cost(0.1), FULL: Cost(0.0, 0.005, 17e3, 0.002, 0.008, 4e3, finish_s=0.1)}
LTE = EnergyModel(RASPBERRY_PI_4, LTE_2021)
GOOD = RateEstimate(20e6, 10e6, time_s=0.0)


def scheduler(radio: Radio = LTE_2021, prior: LinkPrior | None = None, deadline_s: float = 0.2) -> Scheduler:
    return Scheduler(COSTS, EnergyModel(RASPBERRY_PI_4, radio), deadline_s=deadline_s, prior=prior)


rates = st.lists(st.sampled_from([1e3, 2e5, 9e5, 3e6, 1e7, 4e7]), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(
    rates,
    st.sampled_from([0.5, 2.0, 9.0]),
    st.sampled_from([LTE_2021, WIFI_2012, NR_DRX_FAST_RELEASE]),
    st.none() | st.sampled_from([0.0, 1e5, 5e7]),
)
def test_the_loss_against_always_local_is_bounded(
    found: list[float], step_s: float, radio: Radio, signal_bps: float | None
) -> None:
    energy = EnergyModel(RASPBERRY_PI_4, radio)
    trace = Trace([step_s * index for index in range(len(found))], found)
    limits = Limits.of(0.2)
    # A signal that is wrong all the time changes nothing about the bound.
    said = None if signal_bps is None else lambda _: signal_bps
    records = Scenario(COSTS, energy, trace, limits, 200, signal=said).run()
    spent_j = [record.measurement.energy.total_j for record in records]
    local_j = energy.local(0.1).total_j
    sending_j = float(radio.sending_j(PROBE_BYTES, 2.0) + radio.sending_j(17e3, 0.2) + radio.listen_w * 0.2)
    allowed_j = scheduler(radio).state.ledger.credit_j + sending_j + local_j
    assert sum(spent_j) <= (1 + SHARE) * local_j * len(records) + allowed_j


def test_the_purse_by_hand() -> None:
    ledger = Ledger(credit_j=10.0, share=0.01)
    assert ledger.covers(10.0)
    assert not ledger.covers(10.001)
    assert not ledger.covers(0.001, on_credit=False)
    ledger = ledger.earned(100.0)
    assert ledger.balance_j == pytest.approx(101.0)
    ledger = ledger.settled(spent_j=90.0, owed_j=4.0)
    assert ledger.covers(7.0, on_credit=False)
    assert not ledger.covers(7.001, on_credit=False), "what the radio has yet to draw is spent already"
    assert ledger.covers(17.0)


def test_an_empty_purse_keeps_the_radio_asleep_and_says_so() -> None:
    chosen = scheduler()
    assert chosen.choose(GOOD, now_s=0.0).point == FULL
    chosen = scheduler()
    chosen.settle(30.0, 0.0)
    decision = chosen.choose(GOOD, now_s=0.0)
    assert decision.point == LOCAL
    assert "no offload: waking the radio is not covered by what was saved so far" in decision.reasons
    assert not chosen.wants_probe(LinkState(chosen.probe_plan()), 0.0)


def test_where_no_local_point_is_in_time_nothing_is_refused() -> None:
    chosen = scheduler(deadline_s=0.06)
    chosen.settle(1e6, 0.0)
    assert math.isinf(chosen.state.ledger.credit_j)
    assert chosen.choose(GOOD, now_s=0.0).point == FULL


def test_a_probe_only_where_it_can_pay_on_what_was_seen() -> None:
    slow, fast = LinkPrior().seen(0.9e6), LinkPrior().seen(20e6)
    for prior, wanted in ((None, True), (slow, False), (fast, True)):
        chosen = scheduler(prior=prior)
        assert chosen.wants_probe(LinkState(chosen.probe_plan()), 0.0) is wanted


def test_a_signal_says_more_than_what_was_seen() -> None:
    chosen = scheduler(prior=LinkPrior().seen(20e6))
    link = LinkState(chosen.probe_plan())
    chosen.hear(0.0)
    assert not chosen.wants_probe(link, 0.0)
    chosen.hear(20e6)
    assert not chosen.wants_probe(link, 0.0), "a peak"
    for _ in range(50):
        chosen.hear(20e6)
    assert chosen.wants_probe(link, 0.0)
    waiting = replace(link, plan=replace(link.plan, used_s=0.0, wait_s=8.0))
    assert chosen.wants_probe(waiting, 1.5), "a link that became good is not waited for"
    chosen.hear(None)
    assert not chosen.wants_probe(waiting, 1.5)


def test_what_was_seen_is_learned_for_the_next_run() -> None:
    chosen = scheduler()
    chosen.choose(GOOD, now_s=0.1)
    chosen.choose(GOOD, now_s=0.3)
    assert chosen.prior.count == 1, "an estimate is a sighting once"


def test_offloading_pays_from_a_rate_on_and_from_sleep_from_a_higher_one() -> None:
    worth = scheduler().worth
    assert 0 < worth.awake_bps <= worth.asleep_bps < math.inf
    assert scheduler(WIFI_2012).choose(RateEstimate(1e8, 9e7)).point == FULL
    assert scheduler().choose(RateEstimate(0.8 * worth.awake_bps, 0.79 * worth.awake_bps)).point == LOCAL


def test_the_verdict_says_from_which_rate_offloading_pays_and_where_only_an_awake_radio_does() -> None:
    often, worth = scheduler(), scheduler().worth
    assert often.verdict == f"offloading pays here from {worth.asleep_bps / 1e6:.3g} Mbit/s on"
    dear = replace(worth, probe_j=1e3 * worth.probe_j)
    assert math.isinf(dear.asleep_bps)
    assert dear.words.startswith(f"offloading pays here from {dear.awake_bps / 1e6:.3g} Mbit/s on while the radio is")
    assert f"waking it takes {dear.probe_j:.3g} J, and 100 frames do not earn that" in dear.words
    idle = replace(dear, table=replace(dear.table, local=dear.table.local | True))
    assert idle.words == "offloading pays here at no rate: the modelled energy of a local answer is always less"


def test_a_probe_is_given_up_once_the_link_is_too_slow_to_be_worth_one() -> None:
    found = scheduler(WIFI_2012)
    pays_s = 8 * PROBE_BYTES / found.worth.awake_bps
    assert found.probe_timeout_s(0.05) == pytest.approx(WIFI_2012.wake_s + 2 * (pays_s + 0.05))
    assert found.probe_timeout_s(100.0) == 2.0
    assert Scheduler(COSTS, LTE, deadline_s=0.2, policy=lambda *_: Choice(0, "mine")).probe_timeout_s(0.05) == 2.0
    # A link on which nothing crosses takes a radio that sends at 2.3 W a fifth of what it did.
    dead = Scenario(
        COSTS,
        EnergyModel(RASPBERRY_PI_4, NR_DRX_FAST_RELEASE),
        Trace([0.0, 0.2], [20e6, 1.0], 100.0),
        Limits.of(0.2),
        50,
    ).run()
    local_j = 50 * LTE.local(0.1).total_j
    assert sum(record.measurement.energy.total_j for record in dead) - local_j < 1.6


def test_time_outs_are_weighed_by_what_followed_them() -> None:
    # Every fifth second nothing crosses: after each time-out there is another try, not a rest.
    trace = Trace([0.0, 4.0], [20e6, 1e3], 5.0)
    records = Scenario(COSTS, EnergyModel(RASPBERRY_PI_4, WIFI_2012), trace, Limits.of(0.2), 300).run()
    local = [record for record in records if record.decision.point.is_local]
    answered = [record for record in records if record.measurement.answered_by == "edge"]
    assert len(answered) >= 220, "of 240 that could be"
    assert len(local) <= 60


def test_an_estimator_says_how_many_time_outs_mean_that_a_link_is_down() -> None:
    assert patience_with(HarmonicMean()) == 2
    assert patience_with(Transitions()) == 16


def test_what_is_earned_leaves_the_rest_of_a_ledger_as_it_is():
    ledger = Ledger(credit_j=3.0, share=0.01, balance_j=0.5, owed_j=7.0)
    assert ledger.earned(2.0) == replace(ledger, balance_j=0.5 + 1.01 * 2.0)
