"""The live view of a run: frame, link, chosen point, joules, what is left of the battery.

May import: ``cli.show``, ``errors``, ``energy``; ``runtime.record`` for its types only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table

from adaedge.cli import show
from adaedge.errors import EnergyError

if TYPE_CHECKING:
    from adaedge.runtime import FrameRecord

_J_PER_WH = 3600.0


@dataclass(slots=True)
class Totals:
    """The sums of a run so far.

    Attributes:
        battery_wh: watt-hours in the battery when the run began; ``None`` where that is not known.
        frames: how many were answered.
        energy_j: modelled joules of all of them.
        missed: how many were answered after their deadline.
        by: ``edge``, ``terminal`` or ``earlier`` → how many were answered by it.
        failed: word for a failed offload → how many.

    Example:
        >>> Totals(battery_wh=10.0, energy_j=360.0).left
        0.99
    """

    battery_wh: float | None = None
    frames: int = 0
    energy_j: float = 0.0
    missed: int = 0
    by: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, record: FrameRecord) -> None:
        """Count one more frame."""
        happened = record.measurement
        self.frames += 1
        self.energy_j += happened.energy.total_j
        self.missed += record.missed
        self.by[happened.answered_by] += 1
        if happened.failure:
            self.failed[happened.failure] += 1

    @property
    def left(self) -> float | None:
        """The fraction of the battery that inference has left; what the device draws besides is not counted."""
        if self.battery_wh is None:
            return None
        return max(0.0, 1 - self.energy_j / (self.battery_wh * _J_PER_WH))

    @property
    def words(self) -> str:
        """Who answered the frames, in one line.

        Example:
            >>> Totals(frames=12, by=Counter(edge=8, terminal=4), failed=Counter(timeout=1)).words
            '12 frames: 8 by the edge server, 4 here (1 after a failed offload: 1 timeout); 0 late'
        """
        failed = ", ".join(f"{count} {word}" for word, count in self.failed.most_common())
        after = f" ({self.failed.total()} after a failed offload: {failed})" if failed else ""
        kept = f", {self.by['earlier']} kept an earlier answer" if self.by["earlier"] else ""
        return (
            f"{self.frames} frames: {self.by['edge']} by the edge server, {self.by['terminal']} here{after}{kept};"
            f" {self.missed} late"
        )


def view(record: FrameRecord, totals: Totals) -> Table:
    """The last frame, and the sums of the run."""
    decision, happened = record.decision, record.measurement
    table = Table(title="adaedge run", show_header=False, width=78)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rate = "not known" if decision.rate_bps is None else f"{decision.rate_bps / 1e6:.1f} Mbit/s"
    late = ", late" if record.missed else ""
    table.add_row(
        "frame", f"{record.index}, answered by {happened.answered_by} in {1e3 * happened.latency_s:.0f} ms{late}"
    )
    table.add_row("answer", "no class" if record.answer is None else f"class {record.answer}")
    table.add_row("link rate", rate)
    table.add_row("chosen point", str(decision.point))
    table.add_row("because", decision.reasons[0] if decision.reasons else "")
    table.add_row("sent", f"{happened.payload_bytes / 1e3:.1f} KB")
    spent = f"{1e3 * happened.energy.total_j:.0f} mJ for this frame, {totals.energy_j:.2f} J in all, modelled"
    table.add_row("energy", spent)
    if totals.left is not None:
        table.add_row("battery left", f"{100 * totals.left:.3f} % of {totals.battery_wh:g} Wh, inference alone")
    table.add_row("so far", totals.words)
    return table


@contextmanager
def watched(live: bool, totals: Totals, expected: int | None) -> Iterator[Callable[[FrameRecord], None]]:
    """Count each record into ``totals``, and show it: a table that is redrawn, or a bar of progress.

    Raises:
        EnergyError: if the battery holds nothing.
    """
    if totals.battery_wh is not None and not 0 < totals.battery_wh < math.inf:
        raise EnergyError(f"--battery is a number of watt-hours above 0; got {totals.battery_wh:g}")
    if not live:
        with show.progress() as report:

            def count(record: FrameRecord) -> None:
                totals.add(record)
                report("frames", totals.frames, expected or 0)

            yield count
        return
    with Live(console=show.errors, refresh_per_second=4) as screen:

        def draw(record: FrameRecord) -> None:
            totals.add(record)
            screen.update(view(record, totals))

        yield draw
