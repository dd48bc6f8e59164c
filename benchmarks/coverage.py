"""Does the next transfer take as long as its distribution says?

Every link of ``policies_on_traces``; a terminal uploads a payload at a time, as often as a frame comes, and gives up
as a frame does. Before each upload, `Transitions` says between which seconds its transfer lies with 90 %. An upload
that was given up counts as covered where the interval reaches beyond the give-up. The constants of `Transitions` were
chosen on the links in ``no_harm.TUNED_ON``; the summary is pooled over the others, link by link, and over those.

    python -m benchmarks.coverage [--smoke]
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from adaedge.channel import Trace, Transitions, Upload
from benchmarks import result
from benchmarks.no_harm import TUNED_ON, links

COVERAGE = 0.9
UPLOADS = 600
FIRST = 20
"""Uploads before which nothing is judged: the stretch begins at 1."""
PAYLOADS = (("lite0", 6.9e3, 0.2, 0.1), ("VideoMAE", 165e3, 1.0, 0.6))
"""A payload's name, its bytes, seconds from one to the next, and seconds that it has."""


def measure(trace: Trace, payload_bytes: float, period_s: float, given_s: float, uploads: int) -> dict[str, Any]:
    """How many transfers lay within their interval, above it and below it, and how wide it was."""
    estimator = Transitions()
    found, widths = [], []
    for index in range(uploads):
        now_s = index * period_s
        took_s = float(trace.transfer_s(payload_bytes, now_s))
        estimate = estimator.estimate(now_s)
        if estimate is not None and estimate.spread is not None and index >= FIRST:
            least_s, most_s = estimate.spread.interval_s(payload_bytes, COVERAGE)
            late = took_s > given_s
            found.append(0 if least_s <= took_s <= most_s or (late and most_s >= given_s) else 1 if late else -1)
            widths.append(most_s / least_s)
        completed = took_s <= given_s
        estimator.observe(Upload(now_s + min(took_s, given_s), int(payload_bytes), min(took_s, given_s), completed))
    outcome = np.array(found)
    return {
        "covered": float((outcome == 0).mean()),
        "uploads": len(outcome),
        "in_vain_beyond": float((outcome == 1).mean()),
        "times_as_long_median": float(np.median(widths)),
        "stretch": estimator.stretch,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Pooled over the uploads of some rows, and the range of rows."""
    covered, uploads = (np.array([row[key] for row in rows]) for key in ("covered", "uploads"))
    return {
        "covered": float((covered * uploads).sum() / uploads.sum()),
        "least": float(covered.min()),
        "most": float(covered.max()),
        "rows": len(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one link, few uploads, nothing written")
    smoke = parser.parse_args().smoke
    known = [*links()][-1:] if smoke else [*links()]
    rows = [
        {"link": link.name, "origin": link.origin, "payload": name, "tuned_on": link.name in TUNED_ON}
        | measure(link.trace, size, period_s, given_s, 60 if smoke else UPLOADS)
        for link in track(known, description="links")
        for name, size, period_s, given_s in PAYLOADS
    ]
    halves = {"held out": False, "tuned on": True}
    totals = [
        {"half": half} | summary(part)
        for half, tuned in halves.items()
        if (part := [row for row in rows if row["tuned_on"] is tuned])
    ]
    table = Table("link", "payload", "covered", "longest / shortest", title=f"intervals of {COVERAGE:.0%}")
    for row in rows:
        cells = [f"{row['covered']:.1%}", f"{row['times_as_long_median']:.1f}"]
        table.add_row(row["link"], row["payload"], *cells)
    Console().print(table)
    for total in totals:
        Console().print(total)
    if not smoke:
        settings = {"coverage": COVERAGE, "first": FIRST, "tuned_on": TUNED_ON, "payloads": PAYLOADS}
        result.write("coverage", rows, summaries=totals, links="recorded and synthesised", **settings)


if __name__ == "__main__":
    main()
