"""What a run cost everywhere: at the terminal, at the base station and at the edge server, each in its own column.

May import: ``errors``, ``energy``, ``runtime.record``.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from adaedge.energy import GlobalEnergy, Infrastructure
from adaedge.errors import SourceError
from adaedge.runtime.record import FrameRecord


def energy_everywhere(records: Sequence[FrameRecord], infrastructure: Infrastructure | None = None) -> GlobalEnergy:
    """Mean joules of a frame by where they are drawn.

    The edge server's seconds are those of answered offloads, as it reports; those of failed ones are not known.

    Args:
        records: the frames of a run.
        infrastructure: base station and edge server; assumed figures by default.

    Raises:
        SourceError: if there are no records.

    Example:
        >>> from adaedge.energy import EnergySplit
        >>> from adaedge.operating_point import Decision, OperatingPoint
        >>> from adaedge.runtime.record import Measurement
        >>> sent = Decision(OperatingPoint("input"), latency_s=0.1, energy_j=0.1)
        >>> happened = Measurement(0.1, 0.0, payload_bytes=5_000, edge_s=0.01, energy=EnergySplit(transmit_j=0.1))
        >>> found = energy_everywhere([FrameRecord(0, 0.0, 0.2, sent, happened)])
        >>> round(found.terminal_j, 4), round(found.base_station_j, 4), round(found.edge_server_j, 4)
        (0.1, 0.0385, 0.65)
    """
    if not records:
        raise SourceError("there are no records of frames. Write some with `adaedge run … --record FILE`.")
    infrastructure = infrastructure or Infrastructure()
    measured = [record.measurement for record in records]
    return infrastructure.of_frame(
        fmean(one.energy.total_j for one in measured),
        fmean(one.payload_bytes for one in measured),
        fmean(one.answer_bytes for one in measured),
        fmean(one.edge_s for one in measured),
    )
