"""HTML of our own making: style sheet, sections, figures, tables. Whatever came from outside is escaped here.

May import: ``report.table``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from adaedge.report.table import Column

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
.wide .broad svg { min-width: 42rem }
.narrow { display: none }
@media screen and (max-width: 44rem) { .wide .broad { display: none } .narrow { display: block } }
svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif !important }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 1.5rem }
@media print { h2, figure { break-inside: avoid } }
"""


def section(heading: str, content: str) -> str:
    """A part of the page under its heading."""
    return f"<section><h2>{escape(heading)}</h2>\n{content}</section>"


def figure(svg: str, caption: str, *, wide: bool = False, narrow: str = "") -> str:
    """An SVG of our own making, and a caption that may hold names from outside.

    Args:
        svg: the figure.
        caption: beneath it, and in place of it where it cannot be seen.
        wide: over the whole page; a screen that is narrower scrolls it.
        narrow: the same, drawn for such a screen, which then shows this one.
    """
    label = escape(caption, quote=True)
    kind = ' class="wide"' if wide else ""
    drawn = f'<div class="scroll broad">{_labelled(svg, label)}</div>' if narrow else ""
    drawn = drawn or f'<div class="scroll" tabindex="0">{_labelled(svg, label)}</div>'
    drawn += f'<div class="narrow">{_labelled(narrow, label)}</div>' if narrow else ""
    return f"<figure{kind}>{drawn}<figcaption>{escape(caption)}</figcaption></figure>\n"


def _labelled(svg: str, label: str) -> str:
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def table(columns: list[Column], rows: Iterable[Sequence[str]], *, caption: str = "", focus: str | None = None) -> str:
    """Rows of text under their headings; the row whose first cell is ``focus`` stands out."""
    sides = [' class="number"' if column.numeric else "" for column in columns]
    heads = "".join(f"<th{side}>{_heading(column)}</th>" for side, column in zip(sides, columns, strict=True))
    lines = []
    for row in rows:
        cells = "".join(f"<td{side}>{escape(cell)}</td>" for side, cell in zip(sides, row, strict=True))
        lines.append(f"<tr{' class=focus' if focus == row[0] else ''}>{cells}</tr>")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    body = "\n".join(lines)
    cells = f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table>"
    return f'<figure><div class="scroll" tabindex="0">{cells}</div>{below}</figure>\n'


def _heading(column: Column) -> str:
    small = "".join(f"<small>{escape(text)}</small>" for text in (column.unit, column.known) if text)
    return escape(column.name) + small


def sentences(texts: Iterable[str]) -> str:
    """A list of sentences."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="reasons">{items}</ul>'


def pairs(values: Mapping[str, object]) -> str:
    """A table of names and values."""
    return table([Column("setting"), Column("value")], [(str(name), str(value)) for name, value in values.items()])
