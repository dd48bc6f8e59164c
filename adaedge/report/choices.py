"""The section of a report that says which points were worth choosing: the Pareto front, and what was never on one.

May import: ``operating_point``, ``runtime.record``, ``energy``; of ``report``: ``frontier``, ``markup``, ``table``,
``tradeoff``, ``formatting``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from adaedge.energy import Provenance
from adaedge.operating_point import NOT_FASTER, OperatingPoint
from adaedge.report.formatting import short
from adaedge.report.frontier import DominatedPoints, Frontier, Place, median_rate_bps
from adaedge.report.markup import figure, sentences, table
from adaedge.report.table import Column
from adaedge.report.tradeoff import tradeoff
from adaedge.runtime.record import FrameRecord

NAMED = 12


def worth_choosing(frontier: Frontier, records: Sequence[FrameRecord]) -> str:
    """The front at the run's median rate as a plot and a table, and the levels that were on no front."""
    rate_bps = median_rate_bps(records)
    places = frontier.at(rate_bps)
    link = "without a link" if rate_bps is None else f"at {rate_bps / 1e6:.3g} Mbit/s"
    caption = (
        f"Every point that meets the deadline {link} (the median of what the decisions assumed), if it answered every"
        f" frame. Filled: on the Pareto front, numbered as below. Powers: {frontier.energy.provenance}."
    )
    wide, narrow = (tradeoff(places, frontier.limits.accuracy_floor, narrow=one) for one in (False, True))
    return (
        figure(wide, caption, wide=True, narrow=narrow)
        + table(*front_table(places, records))
        + sentences(verdicts(frontier, records))
    )


def front_table(places: Sequence[Place], records: Sequence[FrameRecord]) -> tuple[list[Column], list[list[str]]]:
    """The points of the front, the least energy first, and how often the run chose each."""
    columns = [
        Column("front"),
        Column("operating point"),
        Column("energy", "J/frame", str(Provenance.MODELLED)),
        Column("accuracy", "", str(Provenance.MEASURED)),
        Column("chosen", "% of frames", "counted"),
    ]
    chosen = Counter(record.decision.point for record in records)
    front = [place for place in places if place.on_front]
    return columns, [
        [
            str(number),
            short(place.point),
            f"{place.energy_j:.4f}",
            "not measured" if place.accuracy is None else f"{place.accuracy:.3f}",
            f"{100 * chosen[place.point] / len(records):.0f}",
        ]
        for number, place in enumerate(front, 1)
    ]


def verdicts(frontier: Frontier, records: Sequence[FrameRecord]) -> list[str]:
    """Which levels and points were never worth choosing, and what was looked at to say so."""
    total = len(frontier.profile)
    texts = [
        _verdict("in this run", frontier.in_run(records), total),
        _verdict("at any link rate", frontier.at_any_rate(), total),
    ]
    if slow := list(frontier.profile.labels):
        texts.append(f"{NOT_FASTER.capitalize()} than fp32 on this terminal, so never chosen: {_names(slow)}.")
    return texts


def _verdict(when: str, never: DominatedPoints, total: int) -> str:
    networks = [f"the network {name}" for name in never.networks]
    levels = networks + [f"width {width:g}" for width in never.widths] + list(never.precisions)
    looked = f"Looked at: the front of energy and accuracy {never.evaluated}."
    if not never.points:
        return f"Every one of the {total} points was worth choosing {when}. {looked}"
    which = f"{' and '.join(levels)} at all, and in all " if levels else ""
    points = f"{len(never.points)} of {total} points ({_names(never.points)})"
    return f"Never worth choosing {when}: {which}{points}. {looked}"


def _names(points: Sequence[OperatingPoint]) -> str:
    more = len(points) - NAMED
    return ", ".join([short(point) for point in points[:NAMED]] + ([f"{more} more"] if more > 0 else []))
