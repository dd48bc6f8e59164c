"""Energy against accuracy of the operating points, with the Pareto front; one SVG string.

May import: ``report.canvas``, ``report.frontier``, ``report.formatting``, ``operating_point``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adaedge.operating_point import FP32, FULL, Level
from adaedge.report.canvas import (
    BLUE,
    FAINT,
    INK,
    NARROW_IN,
    ORANGE,
    VERMILLION,
    WIDE_IN,
    legend_above,
    new_figure,
    style,
    to_svg,
)
from adaedge.report.formatting import level
from adaedge.report.frontier import Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "os^DvP*X"  # by network and width, the full ones first
ROOM = 1.35  # the axis ends at so many times the dearest point of the front


def tradeoff(places: Sequence[Place], accuracy_floor: float, *, narrow: bool = False) -> str:
    """The points on time by energy and accuracy: a colour for each precision, a mark for each network and width.

    The points of the front are filled and numbered by their energy, the least first. Points far off the front,
    or below it, are left out of the picture. ``narrow``: for a narrow screen.
    """
    front = [place for place in places if place.on_front]
    with style():
        figure = new_figure(NARROW_IN if narrow else WIDE_IN, 4.4 if narrow else 3.8)
        axes = figure.subplots()
        _draw_front(axes, front)
        (_, dearest_j), (lowest, _) = limits = _limits(front, accuracy_floor)
        near = [place for place in places if place.energy_j <= dearest_j and (place.accuracy or 0.0) >= lowest]
        _draw_levels(axes, [place for place in near if place.on_time])
        if accuracy_floor:
            axes.axhline(accuracy_floor, color=VERMILLION, lw=1, label="accuracy floor")
        axes.set(xlim=limits[0], ylim=limits[1])
        axes.set(xlabel="modelled energy / J per frame", ylabel="measured accuracy")
        axes.grid()
        legend_above(axes, columns=2 if narrow else 6)
        return to_svg(figure, "tradeoff-narrow" if narrow else "tradeoff")


def _draw_front(axes: Axes, front: Sequence[Place]) -> None:
    energy_j, accuracy = [place.energy_j for place in front], [place.accuracy or 0.0 for place in front]
    axes.step(energy_j, accuracy, where="post", color=FAINT, lw=1.2, zorder=0, label="Pareto front")
    for number, place in enumerate(front, 1):
        at = (place.energy_j, place.accuracy or 0.0)
        axes.annotate(str(number), at, (-4, 3), textcoords="offset points", ha="right", va="bottom", color=INK)


def _draw_levels(axes: Axes, places: Sequence[Place]) -> None:
    levels = sorted({place.point.level for place in places}, key=_full_first)
    marks = list(dict.fromkeys((one.network, one.width) for one in levels))
    for one in levels:
        of_level = [place for place in places if place.point.level == one]
        marker = MARKERS[marks.index((one.network, one.width)) % len(MARKERS)]
        colour = BLUE if one.precision == FP32 else ORANGE
        energy_j, accuracy = [p.energy_j for p in of_level], [p.accuracy or 0.0 for p in of_level]
        faces = [colour if p.on_front else "none" for p in of_level]
        label = level(of_level[0].point)
        axes.scatter(energy_j, accuracy, s=26, marker=marker, facecolors=faces, edgecolors=colour, label=label)


def _full_first(level: Level) -> tuple[bool, str, float, bool]:
    return level.network != FULL, level.network, -level.width, level.precision == FP32


def _limits(front: Sequence[Place], accuracy_floor: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of the axes: energy, accuracy."""
    lowest = min([place.accuracy or 0.0 for place in front] + [accuracy_floor or 1.0])
    margin = 0.08 * max(0.05, 1 - lowest)
    dearest_j = max([place.energy_j for place in front], default=0.0)
    return (0.0, ROOM * dearest_j or 1.0), (lowest - 2 * margin, 1 + margin)
