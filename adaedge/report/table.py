"""Policies side by side, as rows of text: for the terminal (rich) and for the page.

May import: ``energy``, ``report.summary``, ``report.origin``, ``report.formatting``, ``operating_point``. Each column
holds figures that are known in one way, and its heading says which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaedge.energy import Provenance
from adaedge.operating_point import INPUT
from adaedge.report.formatting import by_cause, level, percent, short
from adaedge.report.origin import Origin
from adaedge.report.summary import PolicySummary

if TYPE_CHECKING:
    import rich.table

POINTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading: what, in which unit, and how its figures are known (empty for text)."""

    name: str
    unit: str = ""
    known: str = ""

    @property
    def numeric(self) -> bool:
        """Whether the cells are numbers, set to the right."""
        return bool(self.known)


def comparison(policies: Mapping[str, PolicySummary], origin: Origin) -> tuple[list[Column], list[list[str]]]:
    """One row per policy: energy, latency, misses, bytes, agreement, points, switches."""
    known = origin.known
    columns = [
        Column("policy"),
        Column("energy", "J/frame", str(Provenance.MODELLED)),
        Column("latency", "p50, ms", known),
        Column("latency", "p95, ms", known),
        Column("missed", "%", known),
        Column("sent", "KB/frame", known),
        _quality(policies),
        Column("switches", "", "counted"),
        Column("points used"),
    ]
    return columns, [_row(name, summary) for name, summary in policies.items()]


def _quality(policies: Mapping[str, PolicySummary]) -> Column:
    metric = next((summary.metric for summary in policies.values() if summary.score is not None), None)
    return Column("agrees", "%", "measured") if metric is None else Column(metric, "0 to 1", "measured")


def causes(policies: Mapping[str, PolicySummary]) -> tuple[list[Column], list[list[str]]]:
    """One row per policy: joules per frame by cause."""
    modelled = str(Provenance.MODELLED)
    split = {name: by_cause(summary.energy) for name, summary in policies.items()}
    words = list(next(iter(split.values())))
    columns = [Column("policy"), *(Column(word, "J/frame", modelled) for word in [*words, "all"])]
    return columns, [
        [name, *(f"{joules:.4f}" for joules in [*parts.values(), sum(parts.values())])] for name, parts in split.items()
    ]


def levels(policies: Mapping[str, PolicySummary]) -> tuple[list[Column], list[list[str]]]:
    """One row per policy: the share of frames at each level of the terminal's part; a frame that is sent has none."""
    counts = {name: frames_by_level(summary) for name, summary in policies.items()}
    words = list(dict.fromkeys(word for count in counts.values() for word in count))
    columns = [Column("policy"), *(Column(word, "% of frames", "counted") for word in words)]
    return columns, [
        [name, *(f"{100 * count[word] / policies[name].frames:.0f}" for word in words)]
        for name, count in counts.items()
    ]


def frames_by_level(summary: PolicySummary) -> Counter[str]:
    """Frames at each level of the terminal's part, and those that were sent whole."""
    shares: Counter[str] = Counter()
    for use in summary.points_used:
        shares["frame sent" if use.point.split == INPUT else level(use.point)] += use.frames
    return shares


def comparison_table(policies: Mapping[str, PolicySummary], origin: Origin) -> rich.table.Table:
    """The comparison as a rich table, 80 columns wide; beneath it the points used, and how the joules are known."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns, rows = comparison(policies, origin)
    points = [f"{row[0]}: {row[-1]}" for row in rows]
    caption = Text("\n".join(["Points used", *points, origin.caption()]))
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left", pad_edge=False, padding=0)
    for column in columns[:-1]:
        heading = "\n".join((column.name, column.unit, column.known)) if column.numeric else column.name
        table.add_column(
            Text(heading),
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row[:-1]))
    return table


def _good(summary: PolicySummary) -> str:
    if summary.score is not None:
        return f"{summary.score:.3f}"
    return "–" if summary.agreement is None else f"{100 * summary.agreement:.1f}"


def _row(name: str, summary: PolicySummary) -> list[str]:
    return [
        name,
        f"{summary.energy_j_per_frame:.4f}",
        f"{1e3 * summary.latency_p50_s:.1f}",
        f"{1e3 * summary.latency_p95_s:.1f}",
        f"{100 * summary.deadline_miss_fraction:.1f}",
        f"{summary.bytes_per_frame / 1e3:.2f}",
        _good(summary),
        str(summary.switches),
        _points(summary),
    ]


def _points(summary: PolicySummary) -> str:
    shares = [f"{short(use.point)} {percent(use.frames / summary.frames)}" for use in summary.points_used]
    hidden = len(shares) - POINTS_SHOWN
    stands = percent(summary.earlier_answers / summary.frames)
    notes = [f"{hidden} more"] if hidden > 0 else []
    notes += [f"nothing sent for {stands}: an earlier answer stands"] if summary.earlier_answers else []
    return ", ".join(shares[:POINTS_SHOWN] + notes)
