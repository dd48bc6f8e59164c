from dataclasses import replace

import pytest

from adaedge.energy import EnergySplit
from adaedge.report import PolicySummary, Rules, judge

RULES = Rules(accuracy_floor=0.95)


def spent(energy_j, *, missed=0.0, agreement=1.0, switches=0, tail_j=0.0, failures=None, rate_error=None):
    energy = EnergySplit(compute_j=energy_j - tail_j, tail_j=tail_j)
    return PolicySummary(
        200, energy_j, 0.02, 0.03, missed, 0.0, agreement, (), switches, energy, failures or {}, 0.1, rate_error
    )


def test_the_winner_is_said_with_its_lead_over_each():
    verdict = judge({"local": spent(0.2), "static": spent(0.16), "adaptive": spent(0.1)}, "adaptive", RULES)
    assert verdict.won
    assert verdict.headline == (
        "adaptive used the least energy: 0.1000 J per frame, 38 % less than static, 50 % less than local."
    )


def test_a_loser_says_who_won_where_the_joules_went_and_what_it_did():
    mine = spent(0.12, tail_j=0.05, switches=31, failures={"timeout": 3}, rate_error=0.42)
    verdict = judge({"static": spent(0.1, tail_j=0.01), "adaptive": mine}, "adaptive", RULES)
    assert not verdict.won
    assert verdict.headline == "adaptive did not win: static used 0.1000 J per frame, adaptive 0.1200 J, 20 % more."
    assert verdict.reasons == (
        "Per frame, against static: tail +0.0400 J.",
        "adaptive changed its operating point 31 times in 200 frames.",
        "Its estimate of the link rate was off by 42 % (median).",
        "Offloads that failed and were finished on the terminal: 3 timeout.",
    )


@pytest.mark.parametrize("energy_j", [0.1009, 0.1, 0.0995])
def test_within_one_per_cent_is_a_tie_and_no_loss(energy_j):
    verdict = judge({"static": spent(0.1), "adaptive": spent(energy_j)}, "adaptive", RULES)
    assert verdict.won
    assert "as little as static (within 1 %)" in verdict.headline


def test_a_policy_that_breaks_a_limit_cannot_win():
    cheap = {"offload": spent(0.01, missed=0.3), "static": spent(0.02, agreement=0.9), "adaptive": spent(0.1)}
    verdict = judge(cheap, "adaptive", RULES)
    assert verdict.won
    assert verdict.headline == "adaptive was the only policy that kept the limits, at 0.1000 J per frame."
    assert verdict.reasons[0].startswith("offload missed 30.0 % of its deadlines (at most 2 % is allowed)")
    assert "agreed with the reference on 90.0 % of the frames (the floor is 95 %)" in verdict.reasons[1]


def test_missing_deadlines_loses_whatever_the_energy():
    verdict = judge({"local": spent(0.2), "adaptive": spent(0.1, missed=0.021)}, "adaptive", RULES)
    assert not verdict.won
    assert verdict.headline == "adaptive did not win: it missed 2.1 % of its deadlines (at most 2 % is allowed)."
    assert judge({"local": spent(0.2), "adaptive": spent(0.1, missed=0.02)}, "adaptive", RULES).won


def test_one_run_alone_is_described_not_praised():
    verdict = judge({"run": spent(0.1, missed=0.5)}, "run", RULES)
    assert (
        verdict.headline
        == "run: 200 frames at 0.1000 J per frame, answered in 20.0 ms (median), 50.0 % after the deadline."
    )
    assert not verdict.won


def test_a_rival_without_energy_is_no_division_by_zero():
    assert not judge({"idle": spent(0.0), "adaptive": spent(0.1)}, "adaptive", RULES).won
    assert judge({"idle": spent(0.0), "adaptive": spent(0.0)}, "adaptive", RULES).won


def test_a_score_below_the_floor_is_said_with_its_metric():
    low = replace(spent(0.1), score=0.82, metric="divergence")
    found = judge({"local": spent(0.2), "adaptive": low}, "adaptive", Rules(accuracy_floor=0.905))
    assert not found.won
    assert "it scored 0.820 by divergence (the floor is 0.905)" in found.headline
