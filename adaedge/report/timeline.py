"""One run along time: the link's rate, the operating point of each frame, the joules; one SVG string.

May import: ``channel``, ``runtime.record``, ``report.canvas``, ``report.summary``, ``report.formatting``,
``operating_point``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adaedge.operating_point import INPUT
from adaedge.report.canvas import (
    BLUE,
    CAUSE_COLOURS,
    FAINT,
    NARROW_IN,
    ORANGE,
    SKY,
    VERMILLION,
    WIDE_IN,
    legend_above,
    marks,
    new_figure,
    style,
    to_svg,
)
from adaedge.report.formatting import CAUSES, by_cause, short
from adaedge.report.summary import mean_energy, rates
from adaedge.runtime.record import FrameRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from adaedge.channel import Trace

POINTS_SHOWN = 12
BINS = 100


def timeline(records: Sequence[FrameRecord], trace: Trace | None = None, *, narrow: bool = False) -> str:
    """Rate, chosen points and joules of a run, one above the other on one time axis.

    Args:
        records: of the run.
        trace: the rate of the link, where it is known.
        narrow: for a narrow screen, where the points' names stand inside the axes.
    """
    times_s = np.array([record.time_s for record in records])
    names, rows = _rows(records)
    heights = (1.7, 0.3 + (0.34 if narrow else 0.22) * len(names), 1.6)
    with style():
        figure = new_figure(NARROW_IN if narrow else WIDE_IN, (2.4 if narrow else 1.8) + sum(heights))
        link, points, energy = figure.subplots(3, 1, sharex=True, height_ratios=heights)
        columns = 1 if narrow else 4
        _draw_rates(link, records, trace, columns)
        _draw_points(points, records, times_s, rows, columns)
        points.set(ylim=(len(names) - 0.5, -0.8 if narrow else -0.5))
        points.set_yticks(range(len(names)), [] if narrow else names)
        for row, name in enumerate(names if narrow else ()):
            points.annotate(name, (0, row), (2, 3), ("axes fraction", "data"), "offset points", size=8)
        _draw_energy(energy, records, times_s, 2 if narrow else 4)
        energy.set(xlabel="time / s")
        figure.align_ylabels([link, energy])
        return to_svg(figure, "timeline-narrow" if narrow else "timeline")


def _draw_rates(axes: Axes, records: Sequence[FrameRecord], trace: Trace | None, columns: int) -> None:
    times_s = [record.time_s for record in records]
    if trace is not None:
        grid_s = np.linspace(min(times_s), max(times_s), 800)
        rate_bps = np.array([trace.rate_at(float(time_s)) for time_s in grid_s])
        axes.fill_between(grid_s, rate_bps / 1e6, step="post", color=SKY, alpha=0.35, lw=0, label="link")
    assumed = [np.nan if record.decision.rate_bps is None else record.decision.rate_bps / 1e6 for record in records]
    if np.isfinite(assumed).any():
        axes.step(times_s, assumed, where="post", color=VERMILLION, lw=1, label="assumed by the scheduler")
    achieved = [(record.time_s, pair[1] / 1e6) for record in records if (pair := rates(record)) is not None]
    if achieved:
        axes.plot(*zip(*achieved, strict=True), ".", ms=3.5, color=BLUE, label="achieved by an upload")
    axes.set(ylabel="uplink rate\n/ Mbit/s")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    legend_above(axes, columns)


def _draw_points(
    axes: Axes,
    records: Sequence[FrameRecord],
    times_s: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    columns: int,
) -> None:
    failed = np.array([bool(record.measurement.failure) for record in records])
    late = np.array([record.missed for record in records])
    places = (times_s, rows)
    axes.plot(*places, drawstyle="steps-post", color=FAINT, alpha=0.4, lw=0.7)
    marks(axes, places, ~failed & ~late, (BLUE, "s"), "in time")
    marks(axes, places, failed & ~late, (ORANGE, "^"), "offload failed, finished locally in time")
    marks(axes, places, late, (VERMILLION, "x"), "deadline missed")
    legend_above(axes, columns)


def _draw_energy(axes: Axes, records: Sequence[FrameRecord], times_s: npt.NDArray[np.float64], columns: int) -> None:
    """Joules per frame, stacked by cause, averaged in bins of equal time."""
    edges = np.linspace(times_s.min(), times_s.max() + 1e-6, min(BINS, len(records)) + 1)
    groups: list[list[FrameRecord]] = [[] for _ in edges[1:]]
    for record, place in zip(records, np.searchsorted(edges, times_s, side="right") - 1, strict=True):
        groups[place].append(record)
    parts = [by_cause(mean_energy(group)) if group else dict.fromkeys(CAUSES, 0.0) for group in groups]
    floor = np.zeros(len(parts))
    for word, colour in CAUSE_COLOURS.items():
        height = np.array([part[word] for part in parts])
        axes.bar(edges[:-1], height, np.diff(edges), floor, align="edge", color=colour, label=word)
        floor = floor + height
    axes.set(ylabel="modelled energy\n/ J per frame")
    axes.grid(axis="y")
    legend_above(axes, columns)


def _rows(records: Sequence[FrameRecord]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """A row for each point, full offload first and local last; points beyond a dozen share one row."""
    counts = Counter(record.decision.point for record in records)
    shown = [point for point, _ in counts.most_common(POINTS_SHOWN)]
    shown.sort(key=lambda point: (point.is_local, point.split != INPUT, point))
    row_of = {point: row for row, point in enumerate(shown)}
    names = [short(point) for point in shown] + (["other points"] if len(counts) > len(shown) else [])
    return names, np.array([row_of.get(record.decision.point, len(shown)) for record in records])
