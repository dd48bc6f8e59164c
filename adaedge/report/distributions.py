"""Energy and latency of policies side by side, and predictions against measurements; each figure an SVG string.

May import: ``runtime.record``, ``report.canvas``, ``report.summary``, ``report.formatting``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from adaedge.report.canvas import (
    BLUE,
    CAUSE_COLOURS,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SMALL_IN,
    VERMILLION,
    legend_above,
    marks,
    new_figure,
    style,
    to_svg,
)
from adaedge.report.formatting import by_cause
from adaedge.report.summary import PolicySummary
from adaedge.runtime.record import FrameRecord

POLICY_LINES = (
    (FAINT, "-"),
    (ORANGE, "--"),
    (GREEN, "-."),
    (BLUE, "-"),
    (PURPLE, ":"),
    (VERMILLION, (0, (5, 1, 1, 1))),
)


def energy_by_policy(policies: Mapping[str, PolicySummary]) -> str:
    """Joules per frame of each policy, stacked by cause."""
    parts = {name: by_cause(summary.energy) for name, summary in policies.items()}
    with style():
        figure = new_figure(SMALL_IN, 1.5 + 0.42 * len(parts))
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
        legend_above(axes)
        return to_svg(figure, "policies")


def predicted_latency(records: Sequence[FrameRecord]) -> str:
    """Measured against predicted latency, one dot per frame."""
    predicted_ms = np.array([1e3 * record.decision.latency_s for record in records])
    measured_ms = np.array([1e3 * record.measurement.latency_s for record in records])
    failed = np.array([bool(record.measurement.failure) for record in records])
    local = np.array([record.decision.point.is_local for record in records])
    top = 1.06 * float(np.nanmax([*predicted_ms[np.isfinite(predicted_ms)], *measured_ms]))
    with style():
        figure = new_figure(SMALL_IN, 3.6)
        axes = figure.subplots()
        axes.plot([0, top], [0, top], color=FAINT, lw=1, zorder=0)
        axes.text(0.99 * top, top / 2, "measured = predicted", ha="right", va="top", color=INK)
        places = (predicted_ms, measured_ms)
        marks(axes, places, local & ~failed, (GREEN, "s"), "local")
        marks(axes, places, ~local & ~failed, (BLUE, "o"), "offloaded")
        marks(axes, places, failed, (VERMILLION, "x"), "offload failed")
        axes.set(xlabel="predicted latency / ms", ylabel="measured latency / ms", xlim=(0, top), ylim=(0, top))
        axes.grid()
        legend_above(axes)
        return to_svg(figure, "predicted")


def latency_distribution(policies: Mapping[str, Sequence[FrameRecord]]) -> str:
    """Fraction of frames answered within each latency, per policy, with the deadline."""
    deadlines_s = Counter(record.deadline_s for records in policies.values() for record in records)
    deadline_ms = 1e3 * deadlines_s.most_common(1)[0][0]
    with style():
        figure = new_figure(SMALL_IN, 3.6)
        axes = figure.subplots()
        slowest_ms = 0.0
        for place, (name, records) in enumerate(policies.items()):
            latency_ms, share = cumulative([1e3 * record.measurement.latency_s for record in records])
            colour, line = POLICY_LINES[place % len(POLICY_LINES)] if len(policies) > 1 else (BLUE, "-")
            axes.step(latency_ms, share, where="post", color=colour, ls=line, lw=1.8, label=name)
            slowest_ms = max(slowest_ms, float(np.percentile(latency_ms, 99.5)))
        axes.axvline(deadline_ms, color=VERMILLION, lw=1)
        axes.annotate("deadline", (deadline_ms, 0), (-4, 4), textcoords="offset points", ha="right", color=VERMILLION)
        axes.set(xlabel="latency / ms", ylabel="fraction of frames answered", ylim=(0, 1.02))
        axes.set_xlim(0, 1.08 * max(slowest_ms, deadline_ms))
        axes.grid()
        legend_above(axes, columns=2)  # the names of policies are long
        return to_svg(figure, "latency")


def cumulative(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Values in order from 0 on, and the fraction of them that each reaches.

    Example:
        >>> cumulative([3.0, 1.0])
        ([0.0, 1.0, 3.0], [0.0, 0.5, 1.0])
    """
    return [0.0, *sorted(values)], [done / len(values) for done in range(len(values) + 1)]
