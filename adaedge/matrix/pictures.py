"""The figures of a matrix's page, each an SVG string, drawn for a wide and for a narrow screen.

May import: ``report.canvas``, ``report.frontier``; of this part ``rows``, ``techniques``, ``verdicts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adaedge.matrix.rows import Row
from adaedge.matrix.techniques import MODES
from adaedge.matrix.verdicts import counts
from adaedge.report.canvas import (
    BLUE,
    CAUSE_COLOURS,
    FAINT,
    GREEN,
    INK,
    NARROW_IN,
    ORANGE,
    PURPLE,
    VERMILLION,
    WIDE_IN,
    legend_above,
    new_figure,
    style,
    to_svg,
)
from adaedge.report.frontier import on_front

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODE_LOOKS = dict(zip(MODES, ((BLUE, "o"), (ORANGE, "s"), (PURPLE, "D"), (GREEN, "^")), strict=True))


def _figure(narrow: bool, height_in: float) -> Figure:
    return new_figure(NARROW_IN if narrow else WIDE_IN, height_in)


def energy_against_accuracy(rows: Sequence[Row], *, narrow: bool = False) -> str:
    """Modes and techniques of one cell by joules and accuracy, numbered in the order of their joules; the Pareto front.

    Args:
        rows: of one cell, judged.
        narrow: for a narrow screen.
    """
    known = sorted((row for row in rows if row.accuracy is not None), key=lambda row: row.energy_j)
    energy_j = np.array([row.energy_j for row in known])
    accuracy = np.array([row.accuracy for row in known], dtype=np.float64)
    front = on_front(energy_j, accuracy, np.array([row.misses <= 0.02 for row in known]))
    with style():
        figure = _figure(narrow, 4.2)
        axes = figure.subplots()
        axes.step(1e3 * energy_j[front], accuracy[front], where="post", color=FAINT, lw=1.2, zorder=0, label="front")
        for kind, colour in (("mode", ORANGE), ("technique", BLUE)):
            some = np.array([(row.mode_or_technique in MODES) == (kind == "mode") for row in known])
            faces = [colour if one else "none" for one in front[some]]
            axes.scatter(1e3 * energy_j[some], accuracy[some], s=34, facecolors=faces, edgecolors=colour, label=kind)
        for number, places in _numbered(energy_j, accuracy).items():
            axes.annotate(number, (1e3 * places[0], places[1]), (4, 4), textcoords="offset points", color=INK, size=8)
        floor = known[0].floor if known else 0.0
        if floor:
            axes.axhline(floor, color=VERMILLION, lw=1, label="floor")
        axes.set(xlabel="modelled energy / mJ per frame", ylabel=f"measured {known[0].metric if known else 'accuracy'}")
        axes.set_xlim(left=0)
        axes.grid()
        legend_above(axes, 2 if narrow else 4)
        return to_svg(figure, "accuracy-narrow" if narrow else "accuracy")


def _numbered(energy_j: np.ndarray, accuracy: np.ndarray) -> dict[str, tuple[float, float]]:
    """One label for all that lie on one place: ``3,4,7``."""
    places: dict[tuple[float, float], list[int]] = {}
    for number, (x, y) in enumerate(zip(energy_j.tolist(), accuracy.tolist(), strict=True), 1):
        places.setdefault((x, y), []).append(number)
    return {",".join(map(str, numbers)): place for place, numbers in places.items()}


def energy_by_part(rows: Sequence[Row], *, narrow: bool = False) -> str:
    """Joules of each mode and technique of one cell, stacked by cause, with their names above the bars."""
    parts = ("compute_j", "transmit_j", "tail_j", "wait_j")
    with style():
        figure = _figure(narrow, 0.9 + 0.42 * len(rows))
        axes = figure.subplots()
        left = np.zeros(len(rows))
        for (word, colour), part in zip(CAUSE_COLOURS.items(), parts, strict=True):
            width = np.array([1e3 * getattr(row, part) for row in rows])
            axes.barh(range(len(rows)), width, 0.36, left, color=colour, label=word)
            left = left + width
        for place, (row, total) in enumerate(zip(rows, left, strict=True)):
            axes.annotate(f"{total:.1f}", (total, place), (3, 0), textcoords="offset points", va="center", size=8)
            axes.annotate(row.mode_or_technique, (0, place - 0.24), (1, 0), textcoords="offset points", size=8)
        axes.set(xlabel="modelled energy / mJ per frame", ylim=(len(rows) - 0.6, -0.8))
        axes.set_xlim(0, 1.2 * max(float(left.max()), 1e-9))
        axes.set_yticks([])
        axes.grid(axis="x")
        legend_above(axes, 2 if narrow else 4)
        return to_svg(figure, "parts-narrow" if narrow else "parts")


def predicted_against_replayed(rows: Sequence[Row], *, narrow: bool = False) -> str:
    """The closed forecast of every mode in every cell, against the result of its replay."""
    with style():
        figure = _figure(narrow, 4.2)
        axes = figure.subplots()
        some = [row for row in rows if row.predicted_j and row.energy_j > 0]
        for mode, (colour, marker) in MODE_LOOKS.items():
            of_mode = [row for row in some if row.mode_or_technique == mode]
            x, y = [1e3 * (row.predicted_j or 0.0) for row in of_mode], [1e3 * row.energy_j for row in of_mode]
            faces = [colour if counts(row) else "none" for row in of_mode]
            if of_mode:
                many = len(of_mode) > 300
                axes.scatter(
                    x, y, s=14, marker=marker, facecolors=faces, edgecolors=colour, lw=0.7, label=mode, rasterized=many
                )
        spent = [1e3 * row.energy_j for row in some] or [1.0]
        axes.plot([min(spent), max(spent)], [min(spent), max(spent)], color=FAINT, lw=1, zorder=0)
        axes.set(xscale="log", yscale="log", xlabel="forecast / mJ per frame", ylabel="replayed / mJ per frame")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")  # without mathematics, which an SVG would spell out
            axis.set_minor_formatter(lambda *_: "")
        axes.grid()
        legend_above(axes, 2 if narrow else 4)
        return to_svg(figure, "forecast-narrow" if narrow else "forecast")
