"""How many frames must be computed if an answer may be kept while little changes, and what does that cost in accuracy?

On the first half of a clip the curve of kept answers is fitted, as ``build`` does it. The second half is then run as a
terminal would run it at several accuracy floors: an answer is kept up to the change at which the curve is still above
the floor, and one in so many frames that could be kept is audited, which counts as computed. A kept answer is compared
with the one that the full network gives on that frame; the score is over all frames of the half together, computed
ones included: the segmenter's intersection over union of the clip's class (person, bottle) at 129 by 129 labels, the
classifiers' divergence of the prediction, mapped to [0, 1] (``adaedge.metrics``).

``hold_k`` is the baseline: as many frames computed at equal distances, whatever they show. ``windows`` is the share of
ten-second windows of the half, one beginning each second, whose score is at or above the floor; those in which the
class is nowhere to be seen are left out. ``first_half_score`` is that of the same run on the first half: where a score
is wanted, and not a floor, the floor is chosen whose first half comes nearest above it. ``change_share`` is what
measuring the change takes, of the network's time.

Bars, at the floor so chosen for .97: person at most 45 % computed at .97 or above and 4 points above ``hold_k``; bottle
at most 50 % at .97 or above and not below ``hold_k``; the floor held in 95 % of the windows of each clip at each floor.

With ``--clip`` and ``--model``: that clip alone, as a table or, with ``--json``, as a list of
``{computed_fraction, score, metric, hold_k, …}``. With ``--answers`` the network's answers are read from a folder, and
written there where they are missing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from adaedge.builder.kept_curve import STRETCH_S, AnsweredClip, fit_kept
from adaedge.clip import as_clip
from adaedge.errors import MetricError
from adaedge.metrics import Divergence, LabelIoU, Metric
from adaedge.operating_point import OUTPUT, KeptCurve, OperatingPoint
from adaedge.stream import Audit, BlockChange, ChangeDetector, MovedBlocks
from adaedge.stream.audit import EVERY, TOGETHER
from benchmarks.result import write
from benchmarks.video_clips import CLIPS, class_of
from benchmarks.video_networks import NETWORKS, Network

FLOORS = tuple(round(0.9 + 0.0025 * step, 4) for step in range(33))
DETECTORS: dict[str, ChangeDetector] = {one.name: one for one in (MovedBlocks(), BlockChange())}
HELD = 0.95
Row = dict[str, Any]
Answers = npt.NDArray[Any]


def metric_of(model: str, clip: Path) -> Metric:
    """What compares the answers of a network on a clip."""
    shown = class_of(clip.stem)
    return (LabelIoU() if shown is None else LabelIoU((shown,))) if model == "deeplabv3" else Divergence()


def answers_of(network: Network, model: str, clip: Path, folder: Path | None, most: int | None) -> Answers:
    """The network's answer to each frame, (frames, …)."""
    path = folder / f"{model}-{clip.stem}.npz" if folder else None
    if path and path.exists():
        return np.asarray(np.load(path)["answers"])
    found = []
    for frame in islice(as_clip(str(clip)), most):
        answer = network.reduce(network.bundle.run(OperatingPoint(OUTPUT), (network.prepare(frame),)))[0]
        found.append(answer.astype(np.uint8) if model == "deeplabv3" else answer)
    answers = np.concatenate(found)
    if path and most is None:
        np.savez_compressed(path, answers=answers)
    return answers


def half_of(clip: Path, answers: Answers, detector: ChangeDetector, *, second: bool) -> AnsweredClip:
    """One half of a clip, looked at."""
    opened, middle = as_clip(str(clip)), len(answers) // 2
    begin, end = (middle, len(answers)) if second else (0, middle)
    looks = [detector.look(frame) for frame in islice(opened, begin, end)]
    return AnsweredClip(looks, [(answer[None],) for answer in answers[begin:end]], opened.fps)


def kept(clip: AnsweredClip, curve: KeptCurve, detector: ChangeDetector, metric: Metric, floor: float) -> list[int]:
    """Of each frame, whose answer it gets at a floor; audited frames get their own."""
    audit, held, given = Audit(EVERY, curve.largest_change(floor) or 0.0), 0, [0]
    audited: list[tuple[int, int]] = []
    for at in range(1, len(clip.answers)):
        change = clip.change(detector, held, at)
        promised = curve.low(change)
        due = promised >= floor and audit.due
        if due:
            audited = [*audited, (at, held)][-TOGETHER:]
            found = score(metric, clip, *zip(*audited, strict=True))
            audit = audit.missed() if found is None else audit.found(found, promised)
        elif promised >= floor:
            audit = audit.passed()
        if due or curve.low(change + audit.correction) < floor:
            held = at
        given.append(held)
    return given


def score(metric: Metric, clip: AnsweredClip, frames: Sequence[int], given: Sequence[int]) -> float | None:
    """Of the answers that frames get; ``None`` where there is nothing to compare."""
    try:
        return metric.score([clip.answers[at] for at in frames], [clip.answers[at] for at in given]).value
    except MetricError:
        return None


def evenly(count: int, share: float) -> list[int]:
    """Of each frame, whose answer it gets where this share is computed at equal distances.

    Example:
        >>> evenly(6, 0.5)
        [0, 0, 2, 2, 4, 4]
    """
    given: list[int] = []
    for at in range(count):
        computed = at == 0 or int(at * share) > int((at - 1) * share)
        given.append(at if computed else given[-1])
    return given


def windows(metric: Metric, clip: AnsweredClip, given: Sequence[int], floor: float) -> tuple[int, int]:
    """How many ten-second windows hold the floor, of how many; one where the clip is shorter."""
    length, step = round(STRETCH_S * clip.fps), max(1, round(clip.fps))
    starts = range(0, max(1, len(given) - length + 1), step)
    frames = [range(start, min(start + length, len(given))) for start in starts]
    scores = [score(metric, clip, each, [given[at] for at in each]) for each in frames]
    known = [one for one in scores if one is not None]
    return sum(one >= floor for one in known), len(known)


def rows_of(
    network: Network,
    model: str,
    clip: Path,
    detector: ChangeDetector,
    folder: Path | None = None,
    most: int | None = None,
) -> list[Row]:
    """The second half of a clip at each floor, the curve fitted on its first."""
    metric = metric_of(model, clip)
    answers = answers_of(network, model, clip, folder, most)
    about = {"model": model, "clip": clip.name, "detector": detector.name}
    first = half_of(clip, answers, detector, second=False)
    try:
        curve = fit_kept([first], detector, metric)
    except MetricError as error:
        return [
            about | {"computed_fraction": 1.0, "score": 1.0, "metric": metric.name, "hold_k": 1.0, "why": str(error)}
        ]
    second, rows = half_of(clip, answers, detector, second=True), []
    everything, before = range(len(second.answers)), range(len(first.answers))
    cost = change_share(network, clip, detector)
    for floor in FLOORS:
        given = kept(second, curve, detector, metric, floor)
        share = len({*given}) / len(given)
        held, of = windows(metric, second, given, floor)
        rows.append(
            about
            | {
                "floor": floor,
                "largest_change": curve.largest_change(floor),
                "computed_fraction": share,
                "score": score(metric, second, everything, given),
                "metric": metric.name,
                "hold_k": score(metric, second, everything, evenly(len(given), share)),
                "first_half_score": score(metric, first, before, kept(first, curve, detector, metric, floor)),
                "windows_held": held,
                "windows": of,
            }
            | {"change_share": cost}
        )
    return rows


def change_share(network: Network, clip: Path, detector: ChangeDetector) -> float:
    """CPU time of looking at a frame and comparing it with another, by the network's; medians, one after the other."""
    local, frames = OperatingPoint(OUTPUT), list(islice(as_clip(str(clip)), 20))
    before, seconds = detector.look(frames[0]), []
    for frame in frames * 2:
        inputs = (network.prepare(frame),)
        begun_s = time.process_time()
        detector.change(before, detector.look(frame))
        between_s = time.process_time()
        network.bundle.run(local, inputs)
        seconds.append((between_s - begun_s, time.process_time() - between_s))
    looking_s, network_s = np.median(seconds, axis=0)
    return float(looking_s / network_s)


def shown(rows: Sequence[Row]) -> None:
    """Print them as a table."""
    for row in rows:
        print(
            "  ".join(f"{value:.3f}" if isinstance(value, float) else f"{value}" for value in row.values()), flush=True
        )


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="this clip only")
    parser.add_argument("--model", choices=NETWORKS, help="this network only")
    parser.add_argument("--json", action="store_true", help="print a list")
    parser.add_argument("--detector", choices=DETECTORS, default=MovedBlocks.name)
    parser.add_argument("--answers", type=Path, help="a folder of the networks' answers")
    parser.add_argument("--smoke", action="store_true", help="some frames of one clip, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    detector = DETECTORS[options.detector]
    most = 80 if options.smoke else None
    models = [options.model] if options.model else ["efficientnet_lite0"] if options.smoke else [*NETWORKS]
    rows: list[Row] = []
    for model in models:
        network = NETWORKS[model]()
        clips = [clip for clip in CLIPS if model != "deeplabv3" or class_of(clip.stem) is not None]
        for clip in [options.clip] if options.clip else clips[: 1 if options.smoke else None]:
            found = rows_of(network, model, clip, detector, options.answers, most)
            rows += found
            if not options.json:
                shown(found)
    if options.json:
        print(json.dumps(rows, indent=1))
    if not (options.clip or options.smoke):
        name = f"kept_{options.model}" if options.model else "kept"
        write(name, rows, floors=FLOORS, audit_every=EVERY, bars={"person": 0.45, "bottle": 0.5, "windows": HELD})


if __name__ == "__main__":
    main()
