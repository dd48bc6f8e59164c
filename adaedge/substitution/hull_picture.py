"""The isoquant as a picture: bits against multiply-accumulates, and what the link's rates make of their price.

May import: ``report.canvas``; of this part ``exchange``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adaedge.report.canvas import BLUE, FAINT, INK, ORANGE, legend_above, new_figure, style
from adaedge.substitution.exchange import Substitution


def draw_substitution(path: Path, found: Substitution) -> None:
    """Draw the isoquant, and beneath each vertex the part of the time that it is the best.

    Through the best vertex go lines of equal joules: at the median price, and at the prices that hold 90 % of the time.

    Args:
        path: what to write; its suffix says how: svg, png or pdf.
        found: what `substitute` found.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    bits = np.array([vertex.bits for vertex in found.isoquant]) / 1e3
    macs = np.array([vertex.macs for vertex in found.isoquant]) / 1e6
    with style():
        figure = new_figure(7.2, 4.2)
        axes = figure.subplots()
        axes.plot(bits, macs, color=BLUE, marker="o", label="isoquant: equal accuracy, in time")
        best = next((at for at, vertex in enumerate(found.isoquant) if vertex.point == found.best), 0)
        across = np.linspace(bits[0], max(bits[-1], bits[0] + 1e-3), 64)
        for price, words, width in (
            (found.price.median, "equal joules, median price", 1.6),
            (found.price.low, "at 5 and 95 % of the rates", 0.8),
            (found.price.high, None, 0.8),
        ):
            line = macs[best] - price * (across - bits[best]) / 1e3
            axes.plot(across, line, color=ORANGE if words and width > 1 else FAINT, lw=width, label=words)
        for vertex, x, y in zip(found.isoquant, bits, macs, strict=True):
            text = f"{vertex.point.split}, {vertex.point.codec}\n{found.chance.get(vertex.point, 0.0):.0%} of the time"
            axes.annotate(text, (x, y), (5, 5), textcoords="offset points", size=7.5, color=INK)
        axes.set(xlabel="uplink / kbit a frame", ylabel="terminal / MMAC a frame")
        axes.set_ylim(-0.05 * macs.max(), 1.25 * macs.max() + 1e-9)
        axes.grid()
        legend_above(axes, columns=3)
        figure.savefig(path, facecolor="white")
