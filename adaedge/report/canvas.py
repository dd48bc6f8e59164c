"""What every figure of a report shares: colours, style, marks, and the way to an SVG string.

May import: ``extras``, ``report.formatting``. Colours are those of Okabe and Ito (2008), which colour-blind
readers tell apart. Text and lines that must follow a dark page are drawn in the CSS variables ``--ink`` and
``--faint``, with a light page's colours where no style sheet sets them.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adaedge.extras import load
from adaedge.report.formatting import CAUSES

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#1f2933", "#9aa5b1"
BLUE, SKY, GREEN, ORANGE, VERMILLION, PURPLE = "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7"
CAUSE_COLOURS = dict(zip(CAUSES, (BLUE, ORANGE, SKY, PURPLE), strict=True))
WIDE_IN, SMALL_IN, NARROW_IN = 9.2, 4.5, 4.0
"""Inches of a figure over the whole page, of one of two side by side, and of the first on a telephone's screen."""
_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name from outside may hold a $
}
_MANY = 2_000  # marks, beyond which they become one picture: a page stays a few megabytes


def style() -> AbstractContextManager[None]:
    """The settings of matplotlib while a figure is made.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    mpl = load("matplotlib", "a report")
    settings: AbstractContextManager[None] = mpl.rc_context(_STYLE)
    return settings


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty, transparent figure that belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="none", dpi=150)


def marks(
    axes: Axes,
    places: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    chosen: npt.NDArray[np.bool_],
    look: tuple[str, str],
    label: str,
) -> None:
    """Mark the chosen (x, y) places in a (colour, marker); nothing, not even in the legend, where none is chosen."""
    colour, marker = look
    x, y = places
    if chosen.any():
        line = 1.3 if marker == "x" else 0
        many = int(chosen.sum()) > _MANY
        axes.scatter(
            x[chosen], y[chosen], s=18, marker=marker, color=colour, alpha=0.8, lw=line, label=label, rasterized=many
        )


def legend_above(axes: Axes, columns: int = 4) -> None:
    """The legend in one line above the axes; nothing where there is nothing to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=columns,
            handlelength=1.4,
            handletextpad=0.5,
            columnspacing=1.3,
            borderpad=0,
            borderaxespad=0.3,
        )


def to_svg(figure: Figure, name: str) -> str:
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
