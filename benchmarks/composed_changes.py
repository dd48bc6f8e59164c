"""How well does a rule on the steps between frames tell the change over several frames, and which rule does best?

Of each clip the change between frames 2 to 64 apart is measured, as a terminal measures it, and compared with what sums
of powers of the steps between them say, at most 1. The power is chosen by the first halves, and reported on the second.

    python -m benchmarks.composed_changes [--smoke]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.simulation import ClipChanges
from benchmarks import result
from benchmarks.policies_on_traces import DATA

FRAMES, GAPS = 600, (2, 4, 8, 16, 32, 64)
POWERS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, float("inf"))


def errors(path: Path, frames: int) -> dict[str, Any]:
    """Mean absolute error and mean error of each power on both halves of a clip."""
    changes = ClipChanges.of_clip(path, frames=frames)
    count = len(changes)
    steps = np.array([0.0, *(changes.of(frame, frame - 1) for frame in range(1, count))])
    row: dict[str, Any] = {"clip": path.stem, "frames": count, "median_step": float(np.median(steps[1:]))}
    for half, (start, end) in {"first": (0, count // 2), "second": (count // 2, count)}.items():
        pairs = [(frame, frame - gap) for gap in GAPS for frame in range(start + gap, end, 3)]
        truth = np.array([changes.of(*pair) for pair in pairs])
        for power in POWERS:
            said = np.array([composed(steps[old + 1 : new + 1], power) for new, old in pairs])
            row[f"{half}_{power:g}"] = [float(np.abs(said - truth).mean()), float((said - truth).mean())]
    return row


def composed(steps: npt.NDArray[np.float64], power: float) -> float:
    """The root of the sum of powers of steps, at most 1."""
    return min(1.0, float(np.linalg.norm(steps, power)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one clip, few frames, nothing written")
    smoke = parser.parse_args().smoke
    paths = sorted((DATA / "clips").glob("*.mp4"))[: 1 if smoke else None]
    rows = [errors(path, 60 if smoke else FRAMES) for path in paths]
    means = {
        half: {f"{power:g}": float(np.mean([row[f"{half}_{power:g}"][0] for row in rows])) for power in POWERS}
        for half in ("first", "second")
    }
    chosen = min(means["first"], key=means["first"].__getitem__)
    print(f"power {chosen}: mean error {means['second'][chosen]:.3f}, of the plain sum {means['second']['1']:.3f}")
    print({half: {power: round(error, 3) for power, error in errors.items()} for half, errors in means.items()})
    if not smoke:
        result.write("composed_changes", rows, means=means, chosen_power=chosen, gaps=GAPS, frames=FRAMES)


if __name__ == "__main__":
    main()
