"""Verdict: who won, by how much, and why; in sentences.

May import: ``simulation`` for what it allows, ``report.summary``, ``report.formatting``. Pure: summaries in, words out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adaedge.report.formatting import by_cause, percent
from adaedge.report.summary import PolicySummary
from adaedge.simulation import MISSES_ALLOWED

TIE = 0.01
"""Energies within this fraction of each other count as equal: the power figures are not known better."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first sentence of a report, and the sentences that explain it.

    Attributes:
        headline: who won and by how much, or who did not.
        reasons: why, with numbers; the limits that policies broke.
        won: whether the policy in question used the least energy of all that keep the limits (or as little).
    """

    headline: str
    reasons: tuple[str, ...]
    won: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a comparison: what a policy must keep before its energy counts.

    Attributes:
        accuracy_floor: least score by the metric, or agreement with the reference where none was used, in [0, 1].
        miss_fraction: largest fraction of missed deadlines.
    """

    accuracy_floor: float = 0.0
    miss_fraction: float = MISSES_ALLOWED

    def broken_by(self, summary: PolicySummary) -> str:
        """The limits that a policy broke, in words; empty where it kept both."""
        broken = []
        if summary.deadline_miss_fraction > self.miss_fraction:
            missed, allowed = percent(summary.deadline_miss_fraction, 1), percent(self.miss_fraction)
            broken.append(f"missed {missed} of its deadlines (at most {allowed} is allowed)")
        if summary.score is not None:
            if summary.score < self.accuracy_floor:
                scored, floor = f"{summary.score:.3f}", f"{self.accuracy_floor:.3f}"
                broken.append(f"scored {scored} by {summary.metric} (the floor is {floor})")
        elif summary.agreement is not None and summary.agreement < self.accuracy_floor:
            agreed, floor = percent(summary.agreement, 1), percent(self.accuracy_floor)
            broken.append(f"agreed with the reference on {agreed} of the frames (the floor is {floor})")
        return " and ".join(broken)


def judge(policies: Mapping[str, PolicySummary], focus: str, rules: Rules) -> Comparison:
    """Compare one policy with the others.

    A policy that breaks a limit cannot win. Of the others, the one with the least energy does; ``focus`` wins too where
    it is within 1 % of it.

    Example:
        >>> from adaedge.energy import EnergySplit
        >>> def spent(energy_j):
        ...     return PolicySummary(9, energy_j, 0.02, 0.03, 0.0, 0.0, 1.0, (), 0, EnergySplit(energy_j))
        >>> judge({"local": spent(0.2), "adaptive": spent(0.15)}, "adaptive", Rules()).headline
        'adaptive used the least energy: 0.1500 J per frame, 25 % less than local.'
    """
    mine = policies[focus]
    faults = {name: fault for name, summary in policies.items() if (fault := rules.broken_by(summary))}
    excluded = tuple(f"{name} {fault}: its energy does not count." for name, fault in faults.items() if name != focus)
    rivals = sorted(
        (summary.energy_j_per_frame, name) for name, summary in policies.items() if name != focus and name not in faults
    )
    if len(policies) == 1:
        verdict = _alone(focus, mine)
        broken = tuple(f"{focus} {text}." for text in faults.values())
        return Comparison(verdict, (*broken, *_habits(focus, mine)), won=not faults)
    if focus in faults:
        return Comparison(f"{focus} did not win: it {faults[focus]}.", (*_habits(focus, mine), *excluded), won=False)
    if rivals and mine.energy_j_per_frame > (1 + TIE) * rivals[0][0]:
        best = rivals[0][1]
        return Comparison(
            _loss(focus, mine, *rivals[0]), (*_why(focus, mine, best, policies[best]), *excluded), won=False
        )
    return Comparison(_win(focus, mine, rivals), (*excluded, *_habits(focus, mine)), won=True)


def _alone(name: str, mine: PolicySummary) -> str:
    return (
        f"{name}: {mine.frames:,} frames at {mine.energy_j_per_frame:.4f} J per frame, answered in"
        f" {1e3 * mine.latency_p50_s:.1f} ms (median), {percent(mine.deadline_miss_fraction, 1)} after the deadline."
    )


def _win(focus: str, mine: PolicySummary, rivals: list[tuple[float, str]]) -> str:
    used = mine.energy_j_per_frame
    if not rivals:
        return f"{focus} was the only policy that kept the limits, at {used:.4f} J per frame."
    same = [name for energy_j, name in rivals if used >= (1 - TIE) * energy_j]
    words = [f"as little as {' and '.join(same)} (within {percent(TIE)})"] if same else []
    words += [f"{percent(1 - used / energy_j)} less than {name}" for energy_j, name in rivals if name not in same]
    return f"{focus} used the least energy: {used:.4f} J per frame, {', '.join(words)}."


def _loss(focus: str, mine: PolicySummary, least_j: float, best: str) -> str:
    used = mine.energy_j_per_frame
    more = f", {percent(used / least_j - 1)} more" if least_j else ""
    return f"{focus} did not win: {best} used {least_j:.4f} J per frame, {focus} {used:.4f} J{more}."


def _why(focus: str, mine: PolicySummary, best: str, theirs: PolicySummary) -> tuple[str, ...]:
    """Where the extra joules went, the largest difference first, and the habits that explain them."""
    baseline = by_cause(theirs.energy)
    more = {word: joules - baseline[word] for word, joules in by_cause(mine.energy).items()}
    worst = sorted(((joules, word) for word, joules in more.items() if joules > 0), reverse=True)
    parts = ", ".join(f"{word} +{joules:.4f} J" for joules, word in worst)
    return (f"Per frame, against {best}: {parts}.", *_habits(focus, mine))


def _habits(name: str, mine: PolicySummary) -> tuple[str, ...]:
    texts = [f"{name} changed its operating point {mine.switches} times in {mine.frames:,} frames."]
    if mine.rate_error is not None:
        texts.append(f"Its estimate of the link rate was off by {percent(mine.rate_error)} (median).")
    if mine.failures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in mine.failures.items())
        texts.append(f"Offloads that failed and were finished on the terminal: {kinds}.")
    return tuple(texts)
