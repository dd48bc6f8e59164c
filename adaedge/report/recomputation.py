"""What was recomputed of each frame and what was kept, as small pictures side by side; one SVG string.

May import: ``runtime.record``, ``report.canvas``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adaedge.report.canvas import FAINT, NARROW_IN, SKY, VERMILLION, WIDE_IN, new_figure, style, to_svg
from adaedge.runtime.record import FrameRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

SHOWN = 11
"""Frames that are drawn, at even distances, beside the picture of all of them."""
GRID = 40
"""Cells along each side of that picture."""


def in_part(records: Sequence[FrameRecord]) -> list[FrameRecord]:
    """The frames of which a part was recomputed."""
    return [record for record in records if record.measurement.recomputed]


def drawn(records: Sequence[FrameRecord]) -> list[FrameRecord]:
    """The frames that are drawn: at even distances, the first and the last among them."""
    found = in_part(records)
    last, count = len(found) - 1, min(SHOWN, len(found))
    return [found[round(at * last / max(1, count - 1))] for at in range(count)]


def overlay(records: Sequence[FrameRecord], *, narrow: bool = False) -> str:
    """A picture of each drawn frame, its recomputed boxes filled; the last: how often each place was recomputed.

    Args:
        records: of the run; at least one frame was computed in part.
        narrow: for a narrow screen.
    """
    shown = drawn(records)
    columns = 3 if narrow else 6
    rows = -(-(len(shown) + 1) // columns)
    width_in = NARROW_IN if narrow else WIDE_IN
    with style():
        figure = new_figure(width_in, rows * (0.75 * width_in / columns + 0.25))
        panels: list[Axes] = [*figure.subplots(rows, columns, squeeze=False).flat]
        for axes in panels[len(shown) + 1 :]:
            axes.set_axis_off()
        for axes, record in zip(panels, shown, strict=False):
            _frame(axes, f"frame {record.index}")
            for top, bottom, left, right in record.measurement.recomputed:
                axes.fill_between([left, right], top, bottom, color=VERMILLION, alpha=0.55, lw=0)
        last = panels[len(shown)]
        _frame(last, "all of them")
        last.imshow(often(records), extent=(0, 1, 1, 0), vmin=0, vmax=1, cmap=_colours(), aspect="auto")
        return to_svg(figure, "recomputed-narrow" if narrow else "recomputed")


def often(records: Sequence[FrameRecord]) -> npt.NDArray[np.float64]:
    """The share of the frames computed in part in which each cell of a grid was recomputed.

    Example:
        >>> from adaedge.operating_point import Decision, OperatingPoint
        >>> from adaedge.runtime.record import Measurement
        >>> point = Decision(OperatingPoint("output"), 0.1, 0.1)
        >>> happened = Measurement(0.1, 0.1, recomputed=((0.0, 0.5, 0.0, 1.0),))
        >>> float(often([FrameRecord(0, 0.0, 0.1, point, happened)]).mean())
        0.5
    """
    found = in_part(records)
    total = np.zeros((GRID, GRID))
    for record in found:
        mask = np.zeros((GRID, GRID), bool)
        for top, bottom, left, right in record.measurement.recomputed:
            mask[int(top * GRID) : int(np.ceil(bottom * GRID)), int(left * GRID) : int(np.ceil(right * GRID))] = True
        total += mask
    return total / max(1, len(found))


def caption_of(records: Sequence[FrameRecord]) -> str:
    """The caption of the pictures, in words and figures."""
    found = in_part(records)
    areas = [_covered(record) for record in found]
    shares = [record.measurement.macs_share or 0.0 for record in found]
    frames = "1 frame" if len(found) == 1 else f"{len(found)} frames"
    of_them = ", ".join(
        f"frame {record.index} {_covered(record):.0%}" for record in drawn(records)[:: max(1, len(drawn(records)) // 4)]
    )
    return (
        f"Of {frames} of {len(records)} a part was recomputed: filled boxes counted as changed, and were computed again"
        f" with what they reach further on; the rest was kept. They cover {np.median(areas):.0%} of the picture in the"
        f" median, at {np.median(shares):.0%} of the multiply-accumulates; {of_them}. The last picture: how often each"
        " place was recomputed."
    )


def _covered(record: FrameRecord) -> float:
    """Share of the picture that a frame's boxes cover, by the grid's cells."""
    return float(often([record]).mean())


def _frame(axes: Axes, title: str) -> None:
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    axes.set_title(title, size=8)
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)


def _colours() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("recomputed", ["#56b4e900", SKY, VERMILLION])
