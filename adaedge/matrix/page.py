"""One self-contained page about a matrix: what pays where, and how each figure is known.

May import: ``errors``, ``report``, ``runtime.record``, ``channel``; of this part ``pictures``, ``rows``,
``techniques``, ``verdicts``, ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from adaedge.channel import Trace
from adaedge.errors import SourceError
from adaedge.matrix.pictures import energy_against_accuracy, energy_by_part, predicted_against_replayed
from adaedge.matrix.rows import Row
from adaedge.matrix.scenarios import SCENARIOS
from adaedge.matrix.techniques import ALL, MODES
from adaedge.matrix.verdicts import (
    Cells,
    best_of,
    by_word,
    cells_of,
    flips,
    median_saving,
    partial_cells,
    savings,
    window,
)
from adaedge.report import environment
from adaedge.report.markup import STYLE, figure, pairs, section, sentences, table
from adaedge.report.table import Column
from adaedge.report.timeline import timeline

if TYPE_CHECKING:
    from adaedge.runtime.record import FrameRecord

SHOWN = 400
"""So many rows stand on the page; of a larger matrix those of one cell for each network and clip."""


@dataclass(frozen=True, slots=True)
class Along:
    """One run of the cell that the page looks into.

    Attributes:
        name: of the mode or technique.
        records: its frames.
        trace: the link.
    """

    name: str
    records: Sequence[FrameRecord]
    trace: Trace


def write_page(
    path: str | Path,
    rows: Sequence[Row],
    *,
    title: str = "Which technique pays where",
    focus: tuple[str, ...] | None = None,
    along: Along | None = None,
) -> None:
    """Write the page.

    Args:
        path: the file to write.
        rows: of any number of cells.
        title: of the page.
        focus: the cell that is looked into; the first that is judged by default.
        along: a run of it, whose choices are shown along time.

    Raises:
        SourceError: if there are no rows, or none of such a cell.
        MissingExtraError: if matplotlib, which draws the figures, is not installed.
    """
    cells = cells_of(rows)
    if not rows:
        raise SourceError("a page shows a matrix of one row or more; got none")
    judged = next(
        (name for name, cell in cells.items() if any(row.accuracy is not None for row in cell.values())), None
    )
    focus = focus or judged or next(iter(cells))
    if focus not in cells:
        raise SourceError(f"no cell {', '.join(focus)} to look into; the first is {', '.join(next(iter(cells)))}")
    Path(path).write_text(_page(rows, cells, title, focus, along), encoding="utf-8")


def _page(rows: Sequence[Row], cells: Cells, title: str, focus: tuple[str, ...], along: Along | None) -> str:
    own = [*cells[focus].values()]
    where = " · ".join(focus)
    body = [
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="headline">{escape(headline(rows))}</p>',
        f"{sentences(reasons(rows))}</header>",
        section(f"Energy against accuracy: {where}", _tradeoff(own)),
        section("Energy by part", _parts(own)),
        section("What was chosen along the trace", _along(along)) if along else "",
        section("Forecast against replay", _forecast(rows)),
        section("Where the ranking flips between radios", _flips(rows)),
        section("Where partial offload is the best mode", _partial(rows)),
        section("Rows", _rows(rows, cells)),
        section("How each figure is known", _known(rows)),
        section("Environment", pairs(environment())),
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
    )
    return head + "<body>\n<main>\n" + "\n".join(part for part in body if part) + "\n</main>\n</body>\n</html>\n"


def headline(rows: Sequence[Row]) -> str:
    """The saving of all techniques together, in one sentence."""
    found = [one for one in savings(rows) if one.keeps_floor is not False]
    middle = median_saving(found)
    if middle is None:
        return "No cell has a rival that keeps floor and deadlines: nothing to compare with."
    words = f"{100 * middle:.0f} % fewer" if middle >= 0 else f"{-100 * middle:.0f} % more"
    return (
        f"All techniques together take {words} joules than the best of local, JPEG and H.264, on the median of"
        f" {len(found)} cells."
    )


def reasons(rows: Sequence[Row]) -> list[str]:
    """Further sentences: the worst cell, floors that were broken, networks that count for their cost only."""
    found = savings(rows)
    told = []
    if found:
        worst = min(found, key=lambda one: one.fraction)
        told.append(
            f"The worst cell: {100 * worst.fraction:+.0f} % saved, against {worst.against}, {', '.join(worst.cell)}."
        )
    broken = [one for one in found if one.keeps_floor is False]
    if broken:
        told.append(f"In {len(broken)} of {len(found)} cells their answers were below the floor on the second half.")
    plain = sorted({row.network for row in rows if row.accuracy is None})
    if plain:
        told.append(f"Not judged, so their cost only counts: {', '.join(plain)}.")
    clauses = [
        f"{name}: {SCENARIOS[name].clause}."
        for name in dict.fromkeys(row.scenario for row in rows)
        if name in SCENARIOS
    ]
    return told + clauses


def _both(draw: object, rows: Sequence[Row], caption: str) -> str:
    assert callable(draw)
    return figure(draw(rows), caption, wide=True, narrow=draw(rows, narrow=True))


def _tradeoff(own: Sequence[Row]) -> str:
    ordered = sorted(own, key=lambda row: row.energy_j)
    columns = [Column("no"), Column("mode or technique"), Column("energy", "mJ", "modelled")]
    columns += [Column("accuracy", "", "measured"), Column("missed", "%", "modelled"), Column("point")]
    lines = [
        [
            str(at),
            row.mode_or_technique,
            f"{1e3 * row.energy_j:.2f}",
            "not judged" if row.accuracy is None else f"{row.accuracy:.3f}",
            f"{100 * row.misses:.1f}",
            row.point or "scheduled",
        ]
        for at, row in enumerate(ordered, 1)
    ]
    drawn = ""
    if any(row.accuracy is not None for row in own):
        caption = "Each mode and technique by joules and accuracy; filled: on the Pareto front. Numbers as below."
        drawn = _both(energy_against_accuracy, own, caption)
    return drawn + table(columns, lines, focus=None)


def _parts(own: Sequence[Row]) -> str:
    caption = "Joules of a frame by cause. Transmit holds waking the radio, sending and receiving."
    return _both(energy_by_part, own, caption)


def _along(along: Along) -> str:
    caption = (
        f"{along.name}. From the top: the rate of the link and what the scheduler assumed; the point of each frame; the"
        " modelled energy by cause."
    )
    wide, narrow = (timeline(along.records, along.trace, narrow=one) for one in (False, True))
    return figure(wide, caption, wide=True, narrow=narrow)


def _forecast(rows: Sequence[Row]) -> str:
    found = window(rows)
    caption = (
        f"Every mode in every cell: what the closed forecast said from the first half, and what the replay of the"
        f" second came to. It named the best mode in {found.right} of {found.cells} cells, and in {found.near} more one"
        " within 3 % of it. Open marks broke the floor or deadlines."
    )
    return _both(predicted_against_replayed, rows, caption)


def _flips(rows: Sequence[Row]) -> str:
    found = flips(rows)
    radios = list(dict.fromkeys(row.radio for row in rows))
    if len(radios) < 2:
        return sentences(["Only one radio was asked about."])
    if not found:
        return sentences(["The best mode is the same under every radio, everywhere."])
    columns = [Column("network"), Column("clip"), Column("terminal"), Column("link"), *map(Column, radios)]
    lines = [
        [name[0], name[1], name[3], name[4], *(best.get(radio, "none in time") for radio in radios)]
        for name, best in found
    ]
    total = len({(row.network, row.clip, row.scenario, row.terminal, row.link) for row in rows})
    return table(
        columns, lines[:SHOWN], caption=f"The best mode by radio: {len(found)} of {total} places, where it differs."
    )


def _partial(rows: Sequence[Row]) -> str:
    found = partial_cells(rows)
    if not found:
        return sentences(["In none of these cells by 10 % or more."])
    columns = [Column(name) for name in ("network", "clip", "scenario", "terminal", "radio", "link")]
    columns.append(Column("ahead", "%", "modelled"))
    lines = [[*name, f"{100 * ahead:.0f}"] for name, ahead in found]
    return table(columns, lines[:SHOWN], caption=f"{len(found)} of {len(cells_of(rows))} cells, by 10 % or more.")


def _rows(rows: Sequence[Row], cells: Cells) -> str:
    shown, said = list(rows), ""
    if len(shown) > SHOWN:
        first = {name[:2]: name for name in reversed([*cells])}
        shown = [row for name in sorted(first.values()) for row in cells[name].values()]
        said = f" {len(rows)} rows in all; here those of one cell for each network and clip."
    columns = [Column(name) for name in ("network", "clip", "terminal", "radio", "link", "mode or technique")]
    columns += [
        Column("energy", "mJ", "modelled"),
        Column("accuracy", "", "measured"),
        Column("missed", "%", "modelled"),
    ]
    columns += [Column("sent", "B", "measured payloads"), Column("computed", "%", "modelled")]
    lines = [
        [
            *(row.network, row.clip, row.terminal, row.radio, row.link, row.mode_or_technique),
            f"{1e3 * row.energy_j:.2f}",
            "not judged" if row.accuracy is None else f"{row.accuracy:.3f}",
            f"{100 * row.misses:.1f}",
            f"{row.bytes_per_frame:.0f}",
            f"{100 * row.computed:.0f}",
        ]
        for row in shown
    ]
    best = sum(best_of(by_word(cell)) is None for cell in cells.values())
    none = f" In {best} cells no mode keeps floor and deadlines." if best else ""
    return table(
        columns, lines, caption=f"Modes are {', '.join(MODES)}; {ALL} is the scheduler with everything.{said}{none}"
    )


def _known(rows: Sequence[Row]) -> str:
    columns = [Column("figure"), Column("known"), Column("how")]
    lines = [
        ("accuracy", "measured", "answers of the bundle on the clip's second half, each point really run"),
        ("bytes", "measured", "length of payloads, header included; between amounts of change interpolated"),
        ("seconds of the terminal", "modelled", "measured on this machine, scaled by the terminal's throughput"),
        ("seconds of the edge server", "measured", "on this machine, which is the edge server"),
        ("joules, deadlines", "modelled", "power × time above idle, and the radio's states, along a replayed link"),
    ]
    lines += [(f"watts of {row.terminal}", row.compute_known, "") for row in _first(rows, "terminal")]
    lines += [(f"radio {row.radio}", row.radio_known, "") for row in _first(rows, "radio")]
    return table(columns, lines)


def _first(rows: Sequence[Row], name: str) -> list[Row]:
    """One row for each terminal, or radio."""
    return list({getattr(row, name): row for row in reversed(rows)}.values())[::-1]
