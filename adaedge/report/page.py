"""One self-contained HTML page: who won, the table, the plots, and how each figure is known.

May import: ``errors``, ``channel``, ``runtime.record`` and the rest of ``report``. The page needs nothing but itself:
styles and plots are inline, there are no scripts, and whatever came from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from adaedge.errors import SourceError
from adaedge.report.choices import worth_choosing
from adaedge.report.comparison import Comparison, Rules, judge
from adaedge.report.distributions import energy_by_policy, latency_distribution, predicted_latency
from adaedge.report.frontier import Frontier
from adaedge.report.markup import STYLE, figure, pairs, section, sentences, table
from adaedge.report.origin import Origin, environment
from adaedge.report.recomputation import caption_of, in_part, overlay
from adaedge.report.stretches import stretches
from adaedge.report.summary import PolicySummary, summarize
from adaedge.report.table import Column, causes, comparison, levels
from adaedge.report.timeline import timeline
from adaedge.runtime.record import FrameRecord

if TYPE_CHECKING:
    from adaedge.channel import Trace


@dataclass(frozen=True, slots=True)
class Context:
    """The facts about a run that its records do not hold.

    Attributes:
        title: name of the run.
        origin: how its figures are known.
        rules: what a policy must keep before its energy counts.
        settings: name → value, as a reader who repeats the run needs them.
        environment: name → value of the machine and versions; by default those of this process.
        trace: the rate of the link, where it is known.
        frontier: the points that the run could choose from, where its profile is known.
    """

    title: str = "adaedge run"
    origin: Origin = field(default_factory=Origin)
    rules: Rules = field(default_factory=Rules)
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=environment)
    trace: Trace | None = None
    frontier: Frontier | None = None


def write_html(
    path: str | Path,
    policies: Mapping[str, Sequence[FrameRecord]],
    *,
    reference_answers: Sequence[int | None] | None = None,
    scores: Mapping[str, tuple[str, float]] | None = None,
    focus: str | None = None,
    context: Context | None = None,
) -> Comparison:
    """Write the report of one run, or of several policies over the same frames, as one HTML file.

    Args:
        path: the file to write.
        policies: name → the records of its run.
        reference_answers: what the reference answered to frame 0, 1, …
        scores: name → metric and score of its answers; the agreement with the reference is reported without.
        focus: the policy that the page is about; the last by default.
        context: what the records do not say.

    Returns:
        The verdict that the page opens with.

    Raises:
        SourceError: if there is no policy, a policy has no records, or ``focus`` is not among them.
        MissingExtraError: if matplotlib, which draws the figures, is not installed.
    """
    if not policies:
        raise SourceError("there are no policies to report on: pass {name: records}")
    focus = focus or list(policies)[-1]
    if focus not in policies:
        raise SourceError(f"no policy {focus!r} to report on; there are: {', '.join(policies)}")
    context = context or Context()
    summaries = {
        name: summarize(records, reference_answers, (scores or {}).get(name)) for name, records in policies.items()
    }
    verdict = judge(summaries, focus, context.rules)
    Path(path).write_text(_page(policies, summaries, focus, verdict, context), encoding="utf-8")
    return verdict


def _page(
    policies: Mapping[str, Sequence[FrameRecord]],
    summaries: Mapping[str, PolicySummary],
    focus: str,
    verdict: Comparison,
    context: Context,
) -> str:
    alone = len(policies) == 1
    title = escape(context.title)
    outcome = "won" if verdict.won else "lost"
    body = [
        f"<header><h1>{title}</h1>",
        f'<p class="headline {outcome}">{escape(verdict.headline)}</p>',
        f"{sentences(verdict.reasons)}</header>",
        section("In figures" if alone else "Policies", _tables(summaries, focus, context.origin)),
        section(f"Over time: {focus}", _over_time(policies[focus], context.trace)),
        section(f"What was chosen, and why: {focus}", table(*stretches(policies[focus]), caption=STRETCHES)),
        section(f"Recomputed and kept: {focus}", _recomputed(policies[focus])) if in_part(policies[focus]) else "",
        section("Energy and latency", _distributions(policies, summaries, focus)),
        section("Worth choosing", worth_choosing(context.frontier, policies[focus])) if context.frontier else "",
        section("How each figure is known", table(*_known(context.origin))),
        section("Settings", pairs(context.settings)) if context.settings else "",
        section("Environment", pairs(context.environment)) if context.environment else "",
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
    )
    return head + "<body>\n<main>\n" + "\n".join(part for part in body if part) + "\n</main>\n</body>\n</html>\n"


STRETCHES = (
    "Stretches of frames at one operating point. Changed: against what both ends held, or against the frame of the kept"
    " answer; 100 is a refresh. Why: what the scheduler said of the first frame of the stretch."
)


def _tables(summaries: Mapping[str, PolicySummary], focus: str, origin: Origin) -> str:
    several = focus if len(summaries) > 1 else None
    split = "Energy of a frame by cause. Transmit holds waking the radio, sending and receiving."
    by_level = "Frames by the level of the terminal's part. A frame that is sent needs none."
    return (
        table(*comparison(summaries, origin), caption=origin.caption(), focus=several)
        + table(*levels(summaries), caption=by_level, focus=several)
        + table(*causes(summaries), caption=split, focus=several)
    )


def _over_time(records: Sequence[FrameRecord], trace: Trace | None) -> str:
    link = "the rate of the link, what" if trace else "what"
    caption = (
        f"From the top: {link} the scheduler assumed and what uploads achieved; the operating point of each frame; the"
        " modelled energy of the terminal by cause. Transmit holds waking the radio, sending and receiving."
    )
    return figure(timeline(records, trace), caption, wide=True, narrow=timeline(records, trace, narrow=True))


def _recomputed(records: Sequence[FrameRecord]) -> str:
    return figure(overlay(records), caption_of(records), wide=True, narrow=overlay(records, narrow=True))


def _distributions(
    policies: Mapping[str, Sequence[FrameRecord]], summaries: Mapping[str, PolicySummary], focus: str
) -> str:
    figures = [
        figure(energy_by_policy(summaries), "Mean modelled energy of a frame, by cause."),
        figure(latency_distribution(policies), "Fraction of frames answered within a latency."),
        figure(
            predicted_latency(policies[focus]),
            f"{focus}: latency of each frame against what was predicted when its point was chosen.",
        ),
    ]
    return f'<div class="pair">{"".join(figures)}</div>'


def _known(origin: Origin) -> tuple[list[Column], Iterable[Sequence[str]]]:
    return [Column("figure"), Column("known"), Column("source")], origin.figures()
