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
from adaedge.report.distributions import energy_by_policy, latency_distribution, predicted_latency
from adaedge.report.origin import Origin, environment
from adaedge.report.summary import PolicySummary, summarize
from adaedge.report.table import Column, causes, comparison
from adaedge.report.timeline import timeline
from adaedge.report.verdict import Rules, Verdict, judge
from adaedge.runtime.record import FrameRecord

if TYPE_CHECKING:
    from adaedge.channel import Trace

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2933; --soft: #52606d; --faint: #9aa5b1; --line: #e4e7eb;
  --good: #007a5a; --bad: #b34700 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15191e; --ink: #e4e7eb; --soft: #a7b2be; --faint: #6b7885; --line: #2b333c;
    --good: #37c99b; --bad: #f0925a }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--soft); margin: 0 }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem }
.headline { font-size: 1.5rem; line-height: 1.3; font-weight: 600; margin: .4rem 0 .8rem; padding-left: .8rem;
  border-left: .3rem solid var(--faint) }
.headline.won { border-color: var(--good) }
.headline.lost { border-color: var(--bad) }
ul.reasons { margin: 0; padding-left: 1.1rem; color: var(--soft) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; min-width: 100% }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; vertical-align: top; border-bottom: 1px solid var(--line) }
th { font-weight: 600; white-space: nowrap }
th small { display: block; font-weight: 400; color: var(--soft) }
.number { text-align: right; white-space: nowrap }
tr.focus td { font-weight: 600 }
td:last-child:not(.number) { min-width: 14rem }
figcaption { color: var(--soft); font-size: .85rem; padding-top: .4rem }
figure { margin: 1.2rem 0 0 }
svg { display: block; width: 100%; height: auto }
.wide svg { min-width: 42rem }
svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif !important }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 1.5rem }
@media print { h2, figure { break-inside: avoid } }
"""


@dataclass(frozen=True, slots=True)
class Context:
    """What the records of a run do not say of it.

    Attributes:
        title: name of the run.
        origin: how its figures are known.
        rules: what a policy must keep before its energy counts.
        settings: name → value, as a reader who repeats the run needs them.
        environment: name → value of the machine and versions; by default those of this process.
        trace: the rate of the link, where it is known.
    """

    title: str = "adaedge run"
    origin: Origin = field(default_factory=Origin)
    rules: Rules = field(default_factory=Rules)
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=environment)
    trace: Trace | None = None


def write_html(
    path: str | Path,
    policies: Mapping[str, Sequence[FrameRecord]],
    *,
    reference_answers: Sequence[int | None] | None = None,
    focus: str | None = None,
    context: Context | None = None,
) -> Verdict:
    """Write the report of one run, or of several policies over the same frames, as one HTML file.

    Args:
        path: the file to write.
        policies: name → the records of its run.
        reference_answers: what the reference answered to frame 0, 1, …
        focus: the policy that the page is about; the last by default.
        context: what the records do not say.

    Returns:
        The verdict that the page opens with.

    Raises:
        SourceError: if there is no policy, a policy has no records, or ``focus`` is not among them.
    """
    if not policies:
        raise SourceError("there are no policies to report on: pass {name: records}")
    focus = focus or list(policies)[-1]
    if focus not in policies:
        raise SourceError(f"no policy {focus!r} to report on; there are: {', '.join(policies)}")
    context = context or Context()
    summaries = {name: summarize(records, reference_answers) for name, records in policies.items()}
    verdict = judge(summaries, focus, context.rules)
    Path(path).write_text(_page(policies, summaries, focus, verdict, context), encoding="utf-8")
    return verdict


def _page(
    policies: Mapping[str, Sequence[FrameRecord]],
    summaries: Mapping[str, PolicySummary],
    focus: str,
    verdict: Verdict,
    context: Context,
) -> str:
    alone = len(policies) == 1
    title = escape(context.title)
    outcome = "won" if verdict.won else "lost"
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    body = [
        f"<header><h1>{title}</h1>",
        f'<p class="headline {outcome}">{escape(verdict.headline)}</p>',
        f'<ul class="reasons">{reasons}</ul></header>',
        _section("In figures" if alone else "Policies", _tables(summaries, focus, context.origin)),
        _section(f"Over time: {focus}", _over_time(policies[focus], context.trace)),
        _section("Energy and latency", _distributions(policies, summaries, focus)),
        _section("How each figure is known", _table(*_known(context.origin))),
        _section("Settings", _pairs(context.settings)) if context.settings else "",
        _section("Environment", _pairs(context.environment)) if context.environment else "",
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
    )
    return head + "<body>\n" + "\n".join(part for part in body if part) + "\n</body>\n</html>\n"


def _tables(summaries: Mapping[str, PolicySummary], focus: str, origin: Origin) -> str:
    several = focus if len(summaries) > 1 else None
    split = "Energy of a frame by cause. Transmit holds waking the radio, sending and receiving."
    return _table(*comparison(summaries, origin), caption=origin.caption(), focus=several) + _table(
        *causes(summaries), caption=split, focus=several
    )


def _over_time(records: Sequence[FrameRecord], trace: Trace | None) -> str:
    link = "the rate of the link, what" if trace else "what"
    caption = (
        f"From the top: {link} the scheduler assumed and what uploads achieved; the operating point of each frame; the"
        " modelled energy of the terminal by cause. Transmit holds waking the radio, sending and receiving."
    )
    return _figure(timeline(records, trace), caption, wide=True)


def _distributions(
    policies: Mapping[str, Sequence[FrameRecord]], summaries: Mapping[str, PolicySummary], focus: str
) -> str:
    figures = [
        _figure(energy_by_policy(summaries), "Mean modelled energy of a frame, by cause."),
        _figure(latency_distribution(policies), "Fraction of frames answered within a latency."),
        _figure(
            predicted_latency(policies[focus]),
            f"{focus}: latency of each frame against what was predicted when its point was chosen.",
        ),
    ]
    return f'<div class="pair">{"".join(figures)}</div>'


def _known(origin: Origin) -> tuple[list[Column], Iterable[Sequence[str]]]:
    return [Column("figure"), Column("known"), Column("source")], origin.figures()


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>\n{content}</section>"


def _figure(svg: str, caption: str, *, wide: bool = False) -> str:
    """An SVG of our own making, and a caption that may hold names from outside."""
    label = escape(caption, quote=True)
    labelled = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    kind = ' class="wide"' if wide else ""
    return f'<figure{kind}><div class="scroll">{labelled}</div><figcaption>{escape(caption)}</figcaption></figure>\n'


def _table(columns: list[Column], rows: Iterable[Sequence[str]], *, caption: str = "", focus: str | None = None) -> str:
    sides = [' class="number"' if column.numeric else "" for column in columns]
    heads = "".join(f"<th{side}>{_heading(column)}</th>" for side, column in zip(sides, columns, strict=True))
    lines = []
    for row in rows:
        cells = "".join(f"<td{side}>{escape(cell)}</td>" for side, cell in zip(sides, row, strict=True))
        lines.append(f"<tr{' class=focus' if focus == row[0] else ''}>{cells}</tr>")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    body = "\n".join(lines)
    table = f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table>"
    return f'<figure><div class="scroll">{table}</div>{below}</figure>\n'


def _heading(column: Column) -> str:
    small = "".join(f"<small>{escape(text)}</small>" for text in (column.unit, column.known) if text)
    return escape(column.name) + small


def _pairs(values: Mapping[str, object]) -> str:
    return _table([Column("setting"), Column("value")], [(str(name), str(value)) for name, value in values.items()])
