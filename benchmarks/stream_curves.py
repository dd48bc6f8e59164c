"""Pictures of what was recorded of streams, for the documents: bytes against accuracy, and what a kept answer costs.

Reads ``results/delta_bytes.json`` and ``results/kept_deeplabv3.json`` and draws what they hold, second halves only.

    python -m benchmarks.stream_curves
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "adaedge"
from matplotlib import pyplot as plt  # noqa: E402 -- after the backend is chosen

from benchmarks.result import RESULTS  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs" / "explanation"
FAMILIES = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1", "bottleneck": "bottleneck", "delta": "delta"}
COLOURS = {"h264": "#4c72b0", "hevc": "#8172b3", "av1": "#937860", "bottleneck": "#dd8452", "delta": "#c44e52"}
Row = dict[str, Any]


def rows_of(name: str) -> tuple[list[Row], dict[str, Any]]:
    """Rows and settings of a record."""
    document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return document["rows"], document["settings"]


def save(figure: Any, name: str) -> None:
    """Write a picture beside the documents; the same bytes from the same record."""
    figure.tight_layout()
    figure.savefig(DOCS / name, metadata={"Date": None})


def bytes_against_loss(rows: Sequence[Row], nats: float) -> None:
    """Of each clip of the classifier a curve for each family, without the header, which is much the same for all."""
    clips = list(dict.fromkeys(row["clip"] for row in rows))
    figure, every = plt.subplots(2, 3, figsize=(11, 6.4), sharey=True)
    for axes, clip in zip(every.flat, clips, strict=True):
        mine = [row for row in rows if row["clip"] == clip and row["half"] == "second"]
        for family, label in FAMILIES.items():
            its = [row for row in mine if row["family"] == family]
            curve = sorted((row["body_bytes_per_frame"], row["score"]) for row in its)
            strong = {"lw": 2.2, "zorder": 3} if family == "delta" else {"lw": 1}
            axes.plot(*zip(*curve, strict=True), marker=".", ms=4, label=label, color=COLOURS[family], **strong)
        axes.axhline(nats, color="gray", lw=0.8, ls=":")
        axes.set(xscale="log", yscale="log", xlabel="bytes a frame", title=clip.partition(".")[0])
        axes.grid(alpha=0.3)
    for axes in every[:, 0]:
        axes.set_ylabel("divergence, nats")
    every[0][0].legend(fontsize=8)
    save(figure, "delta-curves.svg")


def share_against_score(rows: Sequence[Row]) -> None:
    """Of each clip, how many frames are computed at which score: answers kept by change, and at equal distances."""
    clips = list(dict.fromkeys(row["clip"] for row in rows))
    figure, every = plt.subplots(1, len(clips), figsize=(4.6 * len(clips), 3.6), sharey=True, squeeze=False)
    for axes, clip in zip(every[0], clips, strict=True):
        mine = sorted((row for row in rows if row["clip"] == clip), key=lambda row: row["computed_fraction"])
        shares = [100 * row["computed_fraction"] for row in mine]
        axes.plot(shares, [row["score"] for row in mine], ".-", color="#c44e52", label="kept by what changed")
        axes.plot(shares, [row["hold_k"] for row in mine], ".-", color="#4c72b0", label="computed at equal distances")
        axes.set(xlabel="frames computed, %", title=clip.partition(".")[0])
        axes.grid(alpha=0.3)
    every[0][0].set_ylabel("intersection over union")
    every[0][0].legend(fontsize=8)
    save(figure, "kept-accuracy.svg")


def main() -> None:
    """Draw both."""
    rows, settings = rows_of("delta_bytes")
    bytes_against_loss([row for row in rows if row["metric"] == "divergence"], settings["nats"])
    share_against_score(rows_of("kept_deeplabv3")[0])


if __name__ == "__main__":
    main()
