"""The demo in a table: joules a frame of every policy under every radio, and what its answers are worth.

May import: ``report``; of this part ``film``, ``policy_run``, ``policies``.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.table import Table

from adaedge.demo.film import STANDING
from adaedge.demo.policies import ADAPTIVE, ALWAYS
from adaedge.demo.policy_run import ACCURACY_FLOOR, Run
from adaedge.report import PolicySummary, Rules

Runs = Mapping[str, Mapping[str, Run]]
Summaries = Mapping[str, Mapping[str, PolicySummary]]


def table(summaries: Summaries, rules: Rules) -> Table:
    """One row a policy, one column of joules a radio; in brackets where the policy broke the floor or deadlines."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=_CAPTION, caption_justify="left")
    made.add_column("policy", no_wrap=True)
    for radio in summaries:
        made.add_column(f"{radio}\nJ/frame\nmodelled", justify="right", no_wrap=True)
    for heading in ("score\nlowest\nmeasured", "missed\nmost, %\nmeasured", "sent\nKB/frame\nmeasured"):
        made.add_column(heading, justify="right")
    for name in next(iter(summaries.values())):
        rows = [of[name] for of in summaries.values()]
        joules = [_bracketed(f"{row.energy_j_per_frame:.4f}", bool(rules.broken_by(row))) for row in rows]
        score = min(row.score or 0.0 for row in rows)
        missed = max(row.deadline_miss_fraction for row in rows)
        sent = max(row.bytes_per_frame for row in rows) / 1e3
        made.add_row(name.replace(f"{ADAPTIVE} ", "  "), *joules, f"{score:.3f}", f"{100 * missed:.1f}", f"{sent:.2f}")
    return made


_CAPTION = (
    "In brackets: the score is below the floor, or deadlines were missed; such joules do not count. Score and missed"
    " deadlines are the worst of the radios, bytes the most."
)


def standing_still(runs: Runs) -> list[str]:
    """The cost of the scene in which the camera stands still, against the best policy without a scheduler."""
    told = []
    for radio, policies in runs.items():
        kept = {name: policies[name].scenes[STANDING] for name in ALWAYS}
        rivals = {name: joules for name, (joules, score) in kept.items() if score >= ACCURACY_FLOOR}
        joules, score = policies[ADAPTIVE].scenes[STANDING]
        if not rivals:
            told.append(f"{radio}: {joules:.4f} J a frame; none of {', '.join(ALWAYS)} keeps the floor there.")
            continue
        best = min(rivals, key=lambda name: rivals[name])
        saved = 1 - joules / rivals[best]
        short = "" if score >= ACCURACY_FLOOR else f", but its score of {score:.3f} is below the floor"
        told.append(f"{radio}: {joules:.4f} J a frame, {100 * saved:.0f} % below {best}{short}.")
    return told


def _bracketed(text: str, broken: bool) -> str:
    return f"({text})" if broken else text
