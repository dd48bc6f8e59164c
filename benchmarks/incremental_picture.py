"""The picture of `docs/explanation/incremental.md`: what of a film's frames was recomputed and what was kept.

DeepLabV3 (513 by 513), tolerance 0.17, as a terminal runs it alone: every fourth frame of the second half of the
person's clip. It is drawn by the same code as that of a report.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from adaedge.clip import decode
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.report.recomputation import caption_of, overlay
from adaedge.runtime import FrameRecord, Measurement
from adaedge.stream import CachedHead, Runners
from adaedge.stream.incremental import Tolerance
from benchmarks.incremental_split import network_of
from benchmarks.video_clips import CLIPS, count

POINT = OperatingPoint("output", incremental=True)


def records(folder: Path, frames: int, tolerance: float) -> list[FrameRecord]:
    """One for each frame; only what was computed of it is told."""
    network, clip = network_of(CLIPS[0], "blocks.2", folder), CLIPS[0]
    runners, route = Runners(network.bundle), network.bundle.route(POINT)
    runners.of(route).tolerance = Tolerance(tolerance)
    head, found = CachedHead(network.bundle, runners), []
    begin = count(clip) // 2
    for index, picture in enumerate(islice(decode(str(clip)), begin, begin + 4 * frames, 4)):
        head.run(route, (network.prepare(picture),), None, 0)
        happened = Measurement(0.0, 0.0, **head.measured)
        found.append(FrameRecord(4 * index, 0.0, 1.0, Decision(POINT, 0.0, 0.0), happened))
    return found


def main() -> None:
    """Run, draw, print what the picture shows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of incremental_split: keeps what is built")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--tolerance", type=float, default=0.17)
    parser.add_argument("--out", type=Path, default=Path("docs/explanation/incremental-recomputed.svg"))
    options = parser.parse_args()
    found = records(options.folder, options.frames, options.tolerance)
    options.out.write_text(overlay(found) + "\n", encoding="utf-8")
    print(caption_of(found))


if __name__ == "__main__":
    main()
