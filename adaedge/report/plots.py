"""Figures of a report, each an SVG string: a pure function of records.

May import: ``channel``, ``runtime.record``, ``report.summary``, ``report.words``. Colours are those of Okabe and Ito
(2008), which colour-blind readers tell apart. Text and lines that must follow a dark page are drawn in the CSS
variables ``--ink`` and ``--faint``, with a light page's colours where no style sheet sets them.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adaedge.report.summary import PolicySummary, mean_energy, rates
from adaedge.report.words import CAUSES, by_cause, short
from adaedge.runtime.record import FrameRecord

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from adaedge.channel import Trace

INK, FAINT = "#1f2933", "#9aa5b1"
BLUE, SKY, GREEN, ORANGE, VERMILLION, PURPLE = "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7"
CAUSE_COLOURS = dict(zip(CAUSES, (BLUE, ORANGE, SKY, PURPLE), strict=True))
POLICY_LINES = (
    (FAINT, "-"),
    (ORANGE, "--"),
    (GREEN, "-."),
    (BLUE, "-"),
    (PURPLE, ":"),
    (VERMILLION, (0, (5, 1, 1, 1))),
)
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
}
WIDE_IN, SMALL_IN = 9.2, 4.5
POINTS_SHOWN = 12
BINS = 90


def timeline(records: Sequence[FrameRecord], trace: Trace | None = None) -> str:
    """The link's rate over time, and beneath it the point of each frame; both on one time axis."""
    times_s = np.array([record.time_s for record in records])
    names, places = _places(records)
    with _style():
        figure = _figure(WIDE_IN, 3.0 + 0.24 * len(names))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.0, 0.4 + 0.24 * len(names)])
        _rates(above, records, trace)
        happened = [record.measurement for record in records]
        failed = np.array([bool(m.failure) for m in happened])
        late = np.array([record.missed for record in records])
        below.vlines(
            times_s[np.flatnonzero(np.diff(places)) + 1], -0.5, len(names) - 0.5, color=FAINT, alpha=0.25, lw=0.7
        )
        fine = ~failed & ~late
        below.scatter(times_s[fine], places[fine], s=14, marker="s", color=BLUE, label="in time")
        _marks(below, times_s, places, failed & ~late, ORANGE, "^", "offload failed, answered on the terminal in time")
        _marks(below, times_s, places, late, VERMILLION, "x", "deadline missed")
        below.set(ylim=(len(names) - 0.5, -0.5), xlabel="time / s", ylabel="operating point")
        below.set_yticks(range(len(names)), names)
        figure.legend(*below.get_legend_handles_labels(), loc="outside lower left", ncols=3, handletextpad=0.2)
        return _svg(figure, "timeline")


def energy_over_time(records: Sequence[FrameRecord]) -> str:
    """Joules per frame over time, stacked by cause, averaged in bins of equal time."""
    times_s = np.array([record.time_s for record in records])
    edges = np.linspace(times_s.min(), times_s.max() + 1e-9, min(BINS, len(records)) + 1)
    bins = np.clip(np.searchsorted(edges, times_s, side="right") - 1, 0, len(edges) - 2)
    groups = [
        [record for record, place in zip(records, bins, strict=True) if place == b] for b in range(len(edges) - 1)
    ]
    empty = dict.fromkeys(CAUSES, 0.0)
    parts = [by_cause(mean_energy(group)) if group else empty for group in groups]
    with _style():
        figure = _figure(WIDE_IN, 2.6)
        axes = figure.subplots()
        floor = np.zeros(len(parts))
        for word, colour in CAUSE_COLOURS.items():
            height = np.array([part[word] for part in parts])
            axes.bar(edges[:-1], height, np.diff(edges), floor, align="edge", color=colour, label=word)
            floor = floor + height
        axes.set(xlabel="time / s", ylabel="modelled energy\n/ J per frame", xlim=(edges[0], edges[-1]))
        axes.grid(axis="y")
        _legend_above(axes)
        return _svg(figure, "energy")


def energy_by_policy(policies: Mapping[str, PolicySummary]) -> str:
    """Joules per frame of each policy, stacked by cause."""
    parts = {name: by_cause(summary.energy) for name, summary in policies.items()}
    with _style():
        figure = _figure(SMALL_IN, 1.5 + 0.42 * len(parts))
        axes = figure.subplots()
        left = np.zeros(len(parts))
        for word, colour in CAUSE_COLOURS.items():
            width = np.array([part[word] for part in parts.values()])
            axes.barh(range(len(parts)), width, 0.66, left, color=colour, label=word)
            left = left + width
        for place, total in enumerate(left):
            axes.annotate(f"{total:.4f}", (total, place), (4, 0), textcoords="offset points", va="center")
        axes.set(
            xlabel="modelled energy / J per frame",
            xlim=(0, 1.22 * max(left.max(), 1e-9)),
            ylim=(len(parts) - 0.5, -0.5),
        )
        axes.set_yticks(range(len(parts)), list(parts))
        axes.grid(axis="x")
        _legend_above(axes)
        return _svg(figure, "policies")


def predicted_latency(records: Sequence[FrameRecord]) -> str:
    """Measured against predicted latency, one dot per frame."""
    predicted_ms = np.array([1e3 * record.decision.latency_s for record in records])
    measured_ms = np.array([1e3 * record.measurement.latency_s for record in records])
    failed = np.array([bool(record.measurement.failure) for record in records])
    local = np.array([record.decision.point.is_local for record in records])
    top = 1.06 * float(np.nanmax([*predicted_ms[np.isfinite(predicted_ms)], *measured_ms]))
    with _style():
        figure = _figure(SMALL_IN, 3.6)
        axes = figure.subplots()
        axes.plot([0, top], [0, top], color=FAINT, lw=1, zorder=0)
        axes.annotate(
            "measured = predicted",
            (top, top),
            (-4, -14),
            textcoords="offset points",
            ha="right",
            va="top",
            color=INK,
            alpha=0.7,
            fontsize=8.5,
        )
        _marks(axes, predicted_ms, measured_ms, local & ~failed, GREEN, "s", "local")
        _marks(axes, predicted_ms, measured_ms, ~local & ~failed, BLUE, "o", "offloaded")
        _marks(axes, predicted_ms, measured_ms, failed, VERMILLION, "x", "offload failed")
        axes.set(xlabel="predicted latency / ms", ylabel="measured latency / ms", xlim=(0, top), ylim=(0, top))
        axes.grid()
        _legend_above(axes)
        return _svg(figure, "predicted")


def latency_distribution(policies: Mapping[str, Sequence[FrameRecord]]) -> str:
    """Fraction of frames answered within each latency, per policy, with the deadline."""
    deadlines_s = Counter(record.deadline_s for records in policies.values() for record in records)
    deadline_ms = 1e3 * deadlines_s.most_common(1)[0][0]
    with _style():
        figure = _figure(SMALL_IN, 3.6)
        axes = figure.subplots()
        slowest_ms = 0.0
        for place, (name, records) in enumerate(policies.items()):
            latency_ms = np.sort([1e3 * record.measurement.latency_s for record in records])
            colour, line = POLICY_LINES[place % len(POLICY_LINES)]
            share = np.arange(len(latency_ms) + 1) / len(latency_ms)
            axes.step([0, *latency_ms], share, where="post", color=colour, ls=line, lw=1.8, label=name)
            slowest_ms = max(slowest_ms, float(np.percentile(latency_ms, 99.5)))
        axes.axvline(deadline_ms, color=VERMILLION, lw=1)
        axes.annotate("deadline", (deadline_ms, 0), (-4, 4), textcoords="offset points", ha="right", color=VERMILLION)
        axes.set(xlabel="latency / ms", ylabel="fraction of frames answered", ylim=(0, 1.02))
        axes.set_xlim(0, 1.08 * max(slowest_ms, deadline_ms))
        axes.grid()
        _legend_above(axes)
        return _svg(figure, "latency")


def _rates(axes: Axes, records: Sequence[FrameRecord], trace: Trace | None) -> None:
    times_s = [record.time_s for record in records]
    if trace is not None:
        grid_s = np.linspace(min(times_s), max(times_s), 800)
        rate_bps = np.array([trace.rate_at(float(time_s)) for time_s in grid_s])
        axes.fill_between(grid_s, rate_bps / 1e6, step="post", color=SKY, alpha=0.35, lw=0, label="link")
    achieved = [(record.time_s, pair[1]) for record in records if (pair := rates(record)) is not None]
    if achieved:
        axes.plot(*np.array(achieved).T * [[1], [1e-6]], ".", ms=3.5, color=BLUE, label="achieved by an upload")
    assumed = [np.nan if record.decision.rate_bps is None else record.decision.rate_bps / 1e6 for record in records]
    if np.isfinite(assumed).any():
        axes.step(times_s, assumed, where="post", color=VERMILLION, lw=1, label="assumed by the scheduler")
    axes.set(ylabel="uplink rate\n/ Mbit/s")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    if axes.get_legend_handles_labels()[0]:
        _legend_above(axes)


def _places(records: Sequence[FrameRecord]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Rows for the points, local last; points beyond a dozen share one row."""
    counts = Counter(record.decision.point for record in records)
    common = sorted((point for point, _ in counts.most_common(POINTS_SHOWN)), key=lambda point: (point.is_local, point))
    rows = {point: row for row, point in enumerate(common)}
    names = [short(point) for point in common] + (["other points"] if len(counts) > len(common) else [])
    return names, np.array([rows.get(record.decision.point, len(common)) for record in records])


def _marks(
    axes: Axes,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.generic],
    chosen: npt.NDArray[np.bool_],
    colour: str,
    marker: str,
    label: str,
) -> None:
    if chosen.any():
        axes.scatter(
            x[chosen],
            y[chosen],
            s=18,
            marker=marker,
            color=colour,
            alpha=0.75,
            lw=1.2 if marker == "x" else 0,
            label=label,
        )


def _legend_above(axes: Axes) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, handlelength=1.4, columnspacing=1.2, borderaxespad=0.2
    )


def _style() -> AbstractContextManager[None]:
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def _figure(width_in: float, height_in: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="none")


def _svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element that can stand in a page beside others: its ids begin with ``name``."""
    import matplotlib as mpl

    for axes in figure.axes:
        axes.set_facecolor("none")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    return text.replace(INK, f"var(--ink, {INK})").replace(FAINT, f"var(--faint, {FAINT})")
