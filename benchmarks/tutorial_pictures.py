"""The pictures of two tutorials, made by what their pages do: where a model can be cut, and a run that loses its edge.

``split-your-own-model.svg``: the page's first block is executed, and each split point is drawn by what crosses there
and by what is computed before it. Both are counted, so all machines draw the same. ``two-machines.svg``: an edge server
and a terminal in this process, over gRPC and TLS; the edge server is gone for a third of the frames. It is the picture
of that run's report. The radio is nearly free, so that the terminal offloads; times are this machine's.

    python -m benchmarks.tutorial_pictures [--out FOLDER]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adaedge import EdgeServer, GrpcLink, OperatingPoint, Scheduler, Splittable, Terminal, profile
from adaedge.energy import ComputePower, EnergyModel, RadioPower
from adaedge.report.canvas import BLUE, FAINT, INK, ORANGE, WIDE_IN, new_figure, style, to_svg
from adaedge.report.timeline import timeline
from adaedge.runtime import Credentials, FrameRecord, run
from adaedge.scheduling import ProbePlan
from benchmarks.tiny_bundle import tiny_bundle

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial"
FRAMES, PERIOD_S, DEADLINE_S = 150, 0.08, 0.1
_SHOWN = ("input", "stem", "body", "output")
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def split_of_the_page() -> Splittable:
    """What the first block of the page calls ``split``."""
    page = (TUTORIAL / "split-your-own-model.md").read_text(encoding="utf-8")
    block = _FENCE.search(page)
    assert block is not None, "the page begins with a block of Python"
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(block[1], names)
    split: Splittable = names["split"]
    return split


def split_points(split: Splittable) -> str:
    """Bytes that cross over multiply-accumulates before, of each split point; those that the page names have names."""
    macs = np.array([point.head_macs / 1e6 for point in split.points])
    sent = np.array([point.payload_bytes / 1e3 for point in split.points])
    named = np.array([point.name in _SHOWN for point in split.points])
    with style():
        figure = new_figure(WIDE_IN, 3.4)
        axes = figure.subplots()
        axes.plot(macs, sent, color=FAINT, lw=1, zorder=0)
        for some, colour in ((~named, ORANGE), (named, BLUE)):
            axes.scatter(macs[some], sent[some], s=34, color=colour)
        for point, x, y in zip(split.points, macs, sent, strict=True):
            if point.name in _SHOWN:
                axes.annotate(point.name, (x, y), (7, 5), textcoords="offset points", color=INK)
        axes.set(xlabel="computed before / million multiply-accumulates", ylabel="crosses / KB")
        axes.set_ylim(-8, 1.15 * sent.max())
        axes.grid()
        return to_svg(figure, "split-points")


def outage(frames: int = FRAMES, period_s: float = PERIOD_S) -> list[FrameRecord]:
    """The records of a run whose edge server is gone for the second third of the frames."""
    bundle = tiny_bundle(96, depth=24)
    measured = profile(bundle, repetitions=5)
    both = OperatingPoint("relu", codec="u8"), OperatingPoint("output")
    measured = replace(measured, costs={point: measured[point] for point in both})
    energy = EnergyModel(ComputePower(3.7), RadioPower("nearly free", uplink_w=0.01))
    scheduler = Scheduler(measured, energy, deadline_s=DEADLINE_S, period_s=period_s)
    credentials = Credentials.create()
    server = EdgeServer(bundle, credentials=credentials)
    seen = np.random.default_rng(0).integers(0, 256, (16, 96, 96, 3), dtype=np.uint8)

    def camera() -> Iterator[np.ndarray]:
        nonlocal server
        for index in range(frames):
            if index == frames // 3:
                server.stop()
            if index == 2 * frames // 3:
                server = EdgeServer(bundle, address=address, credentials=credentials)
                server.start()
            yield seen[index % len(seen)]

    server.start()
    address = server.address
    link = GrpcLink(address, certificate=credentials.certificate, token=credentials.token)
    plan = ProbePlan(interval_s=0.1, longest_s=0.4)
    try:
        with Terminal(bundle, scheduler, link, plan=plan, handshake_timeout_s=0.5) as terminal:
            return list(run(terminal, camera()))
    finally:
        server.stop()


def on_paper(picture: str) -> str:
    """With a white ground: a file of its own has no style sheet that tells it of a dark page."""
    return picture.replace(">", '><rect width="100%" height="100%" fill="#ffffff"/>', 1)


def main() -> None:
    """Draw both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=TUTORIAL, help="folder of the pictures")
    folder = parser.parse_args().out
    records = outage()
    pictures = {"split-your-own-model": split_points(split_of_the_page()), "two-machines": timeline(records)}
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(on_paper(picture) + "\n", encoding="utf-8")
    by = [record.measurement.answered_by for record in records]
    print(f"{len(by)} frames: {by.count('edge')} by the edge server, {by.count('terminal')} here")


if __name__ == "__main__":
    main()
