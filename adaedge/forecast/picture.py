"""The window as a picture: rate against joules per MAC, one colour a mode.

May import: ``energy``, ``report.canvas``; of this part ``window``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adaedge.energy import EnergyModel
from adaedge.forecast.window import MODES, Workload, radio_cost
from adaedge.report.canvas import BLUE, GREEN, INK, ORANGE, legend_above, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

COLOURS = dict(zip(MODES, (BLUE, ORANGE, GREEN), strict=True))
_RATES, _ENERGIES = 72, 48


def draw_window(
    path: Path,
    workload: Workload,
    energy: EnergyModel,
    rate_bps: float,
    *,
    period_s: float,
    others: dict[str, float] | None = None,
) -> None:
    """Draw which mode takes the least joules, and where this terminal is.

    Args:
        path: what to write; its suffix says how: svg, png or pdf.
        workload: what a frame asks.
        energy: the terminal's energy model.
        rate_bps: of the uplink as it is.
        period_s: seconds from a frame to the next.
        others: other processors' joules per MAC, by name, to mark at the margin.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    macs = workload.macs or 1.0
    own_j = energy.compute.busy_w * workload.local_s / macs
    rates = np.geomspace(min(1e5, rate_bps / 3), max(1e9, 3 * rate_bps), _RATES)
    joules = np.geomspace(min(1e-13 * 4e9 / macs, own_j / 3), max(1e-9 * 4e8 / macs, own_j * 3), _ENERGIES)
    modes = np.stack([_modes(workload, energy, float(rate), macs * joules, period_s) for rate in rates], axis=1)
    with style():
        figure = new_figure(7.2, 4.4)
        axes = figure.subplots()
        _colour(axes, rates / 1e6, joules, modes)
        axes.set(xscale="log", yscale="log", xlabel="uplink / Mbit/s")
        axes.set(ylabel="local run / J per MAC" if workload.macs else "local run / J per frame")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
        for name, each in (others or {}).items():
            if joules[0] <= each <= joules[-1]:
                axes.annotate(name, (rates[0] / 1e6, each), (3, 0), textcoords="offset points", va="center", size=7.5)
        axes.scatter([rate_bps / 1e6], [own_j], marker="*", s=110, color=INK, label="this terminal and link", zorder=3)
        legend_above(axes, columns=4)
        figure.supxlabel(
            f"least joules of the terminal; radio {energy.radio.name}, a frame every {period_s:g} s", size=9
        )
        figure.savefig(path, facecolor="white")


def _colour(axes: Axes, rates_mbps: Floats, joules: Floats, modes: Floats) -> None:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(list(COLOURS.values()))
    axes.pcolormesh(rates_mbps, joules, modes, cmap=colours, vmin=0, vmax=len(MODES) - 1, alpha=0.55, lw=0)
    for index, mode in enumerate(MODES):
        axes.scatter([], [], marker="s", s=60, color=COLOURS[mode], alpha=0.55, label=_label(mode, modes == index))


def _label(mode: str, where: npt.NDArray[np.bool_]) -> str:
    return f"{mode} ({100 * where.mean():.0f} % of it)"


def _modes(workload: Workload, energy: EnergyModel, rate_bps: float, local_j: Floats, period_s: float) -> Floats:
    """The best mode for each energy of a local run, at one rate."""
    spent = [local_j]
    for offers in (workload.full, workload.partial):
        each = [one.head_share * local_j + radio_cost(one, energy, rate_bps, period_s)[0] for one in offers]
        spent.append(np.min(each, axis=0) if each else np.full(len(local_j), np.inf))
    return np.asarray(np.argmin(spent, axis=0), np.float64)
