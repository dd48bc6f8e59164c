"""What was chosen along the run, and why: stretches of frames at one operating point, with the scheduler's own reasons.

May import: ``energy``, ``operating_point``, ``runtime.record``; of ``report``: ``formatting``, ``table``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from adaedge.energy import Provenance
from adaedge.report.formatting import short
from adaedge.report.table import Column
from adaedge.runtime.record import FrameRecord

SHOWN = 60
"""Stretches that a page lists; the longest of a run that has more, in their order."""


def stretches(records: Sequence[FrameRecord]) -> tuple[list[Column], list[list[str]]]:
    """One row for each stretch of frames at the same point: what it sent, cost, and why it was chosen first."""
    columns = [
        Column("frames"),
        Column("operating point"),
        Column("changed", "%, median", str(Provenance.MEASURED)),
        Column("sent", "KB/frame", str(Provenance.MEASURED)),
        Column("energy", "J/frame", str(Provenance.MODELLED)),
        Column("why"),
    ]
    found = [list(group) for _, group in groupby(records, key=lambda record: record.decision.point)]
    longest = sorted(found, key=len, reverse=True)[:SHOWN]
    shown = sorted(longest, key=lambda stretch: stretch[0].index)
    return columns, [_row(stretch) for stretch in shown]


def _row(stretch: Sequence[FrameRecord]) -> list[str]:
    first, last = stretch[0], stretch[-1]
    count = len(stretch)
    changes = sorted(record.decision.change for record in stretch)
    sent = sum(record.measurement.payload_bytes for record in stretch) / count
    joules = math.fsum(record.measurement.energy.total_j for record in stretch) / count
    return [
        f"{first.index}" if count == 1 else f"{first.index} to {last.index}",
        short(first.decision.point),
        f"{100 * changes[count // 2]:.1f}",
        f"{sent / 1e3:.2f}",
        f"{joules:.4f}",
        "; ".join(first.decision.reasons),
    ]
