"""What does a terminal gain where the table chooses incremental, dense or kept for each frame, and does it ever lose?

One bundle of DeepLabV3 (513 by 513, labels at 129 by 129) is built and profiled on the first half of the person's
clip, with a tolerance. On the second half of each clip four terminals see the same frames, one after another in random
order at each frame: ``dense`` always computes all, ``incremental`` chooses between that and incremental, ``kept``
between that and keeping the answer at an accuracy floor, ``both`` among all three; the last two only where so many
frames tell how good a kept answer is. Seconds are CPU seconds of the
thread, resizing, looking at the frame, deciding and the answer's codec included; a speed-up is ``dense`` by another, in
sums over all frames. ``iou`` is of the clip's class where it shows one, of all classes elsewhere, against ``dense``.

With ``--own`` bundle and profile are of each clip's own first half, for the clips that have one class to be looked for,
and the rows are of ``incremental_kept``: keeping and computing in part together, bar 3.2 times at an IoU of .97. The
floor is then the lowest of ``FLOORS`` at which ``both`` keeps an IoU of .975 on frames of the first half that nothing
was built upon.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, final

import torch

import adaedge
from adaedge import Bundle, Profile, Scheduler, Terminal
from adaedge.bundle import Preprocessing
from adaedge.clip import Clip, as_clip
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.errors import MetricError
from adaedge.metrics import LabelIoU
from adaedge.operating_point import KEPT, OperatingPoint
from adaedge.runtime import NoLink
from benchmarks import deeplabv3
from benchmarks.result import write
from benchmarks.video_clips import CLIPS, class_of, count

Row = dict[str, Any]
LOCAL = OperatingPoint("output")
ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)
ARMS = ("dense", "incremental", "kept", "both")
FLOORS, KEEPS = (0.85, 0.9, 0.94, 0.97), 0.975


@final
class ThreadClock:
    """Seconds that this thread computed; nothing waits."""

    def now_s(self) -> float:
        """CPU seconds of the thread."""
        return time.thread_time()

    def sleep_until(self, time_s: float) -> None:
        """Time passes by computing only."""

    def run_in_background(self, job: Any) -> None:
        """Nothing is beside."""
        job()


def frames_of(clip: Path, begin: int, most: int) -> list[Any]:
    """So many frames from one on."""
    return list(islice(as_clip(str(clip)), begin, begin + most))


def built(clip: Path, most: int, tolerance: float) -> Bundle:
    """The bundle, of the first half of a clip."""
    side = deeplabv3.SIDE
    shown = class_of(clip.stem)
    assert shown is not None
    first = frames_of(clip, 0, min(most, count(clip) // 2))
    return adaedge.build(
        deeplabv3.load(),
        (torch.zeros(1, 3, side, side),),
        adaedge.Space(incremental=(False, True), tolerance=tolerance),
        calibrate=[Clip(first, as_clip(str(clip)).fps)],
        evaluate=LabelIoU((shown,)),
        preprocessing=Preprocessing(size=(side, side), crop=1.0, mean=deeplabv3.MEAN, std=deeplabv3.STD),
        answer=f"labels-aligned@{deeplabv3.LABEL_SIDE}x{deeplabv3.LABEL_SIDE}",
    )


def without(profile: Profile, *left_out: OperatingPoint) -> Profile:
    """A profile of fewer points."""
    held = {point: cost for point, cost in profile.items() if point not in left_out and point.is_local}
    after = {point: costs for point, costs in profile.next_costs.items() if point in held}
    return replace(profile, costs=held, next_costs=after)


def terminals(bundle: Bundle, profile: Profile, floor: float) -> dict[str, Terminal]:
    """One of each arm."""
    incremental = OperatingPoint("output", incremental=True)
    tables = {
        "dense": (without(profile, incremental, KEPT), 0.0),
        "incremental": (without(profile, KEPT), 0.0),
        "kept": (without(profile, incremental), floor),
        "both": (without(profile), floor),
    }
    found = {}
    for name in ARMS if profile.kept else ARMS[:2]:
        table, least = tables[name]
        scheduler = Scheduler(table, ENERGY, deadline_s=2.0, period_s=0.1, accuracy_floor=least)
        found[name] = Terminal(bundle, scheduler, NoLink(), clock=ThreadClock())
    return found


def chosen_floor(bundle: Bundle, profile: Profile, clip: Path, built_upon: int) -> tuple[float, list[Row]]:
    """The lowest floor that keeps the answers on the rest of the first half, and what each that was tried came to."""
    rows = []
    for floor in FLOORS:
        most = min(120, count(clip) // 2 - built_upon)
        rows.append({"floor": floor} | clip_row(bundle, profile, clip, most, floor, built_upon, ("dense", "both")))
        print(rows[-1], flush=True)
        if (rows[-1]["both_iou"] or 0.0) >= KEEPS:
            break
    return rows[-1]["floor"], rows


def clip_row(
    bundle: Bundle,
    profile: Profile,
    clip: Path,
    most: int,
    floor: float,
    begin: int | None = None,
    wanted: Sequence[str] = ARMS,
) -> Row:
    """All arms, or those wanted, on the second half of a clip, or from a frame on."""
    begin = count(clip) // 2 if begin is None else begin
    frames, draw = frames_of(clip, begin, most), random.Random(0)
    arms = {name: arm for name, arm in terminals(bundle, profile, floor).items() if name in wanted}
    names = tuple(arms)
    seconds, answers = dict.fromkeys(names, 0.0), {name: [] for name in names}
    ways: dict[str, Counter[str]] = {name: Counter() for name in names}
    for terminal in arms.values():
        terminal.__enter__()
    for frame in frames:
        for name in draw.sample(names, len(names)):
            started = time.thread_time()
            result = arms[name].infer(frame)
            seconds[name] += time.thread_time() - started
            answers[name].append(result.answer)
            kept = "kept" if result.decision.point == KEPT else "chosen dense"
            ways[name][result.measurement.computed_by or kept] += 1
    for terminal in arms.values():
        terminal.close()
    shown = class_of(clip.stem)
    metric = LabelIoU() if shown is None else LabelIoU((shown,))
    row: Row = {"clip": clip.stem, "frames": len(frames), "dense_ms": round(1e3 * seconds["dense"] / len(frames), 2)}
    for name in names[1:]:
        try:
            iou = round(metric.score(answers["dense"], answers[name]).value, 4)
        except MetricError:  # nobody is to be seen
            iou = None
        row |= {name: round(seconds["dense"] / seconds[name], 3), f"{name}_iou": iou, f"{name}_ways": dict(ways[name])}
    return row


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tolerance", type=float, default=0.08)
    parser.add_argument("--floor", type=float, default=0.9, help="of the arms that keep answers")
    parser.add_argument("--first", type=int, default=320, help="frames of the first half that are built upon")
    parser.add_argument("--frames", type=int, default=120, help="of each clip, at most")
    parser.add_argument("--clip", action="append", help="stems of clips; all unless told")
    parser.add_argument("--folder", type=Path, help="keep bundle, profile and rows here, and take them from here")
    parser.add_argument("--build", action="store_true", help="only build, into the folder")
    parser.add_argument("--own", action="store_true", help="build and profile on each clip's own first half")
    parser.add_argument("--profile", action="store_true", help="only profile, into the folder")
    options = parser.parse_args()
    wanted = [clip for clip in CLIPS if not options.clip or clip.stem in options.clip]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        if options.own:
            shown = [clip for clip in wanted if class_of(clip.stem) is not None]
            rows = [row for clip in shown for row in measure(options, [clip], folder / clip.stem, clip)]
            write("incremental_kept", rows, tolerance=options.tolerance)
            return
        measure(options, wanted, folder, CLIPS[0])


@contextmanager
def computing_only() -> Iterator[None]:
    """A profile in what this thread computes: others may compute beside it, and what terminals do is counted so too."""
    clock, time.perf_counter = time.perf_counter, time.thread_time
    try:
        yield
    finally:
        time.perf_counter = clock


def measure(options: argparse.Namespace, wanted: list[Path], folder: Path, first: Path) -> list[Row]:
    """What was asked for, of what the folder does not hold; ``first`` is the clip that is built upon."""
    if not (folder / "bundle").exists():
        folder.mkdir(parents=True, exist_ok=True)
        built(first, options.first, options.tolerance).save(folder / "bundle")
    bundle = Bundle.load(folder / "bundle")
    if options.build:
        return []
    if not (folder / "profile.json").exists():
        frames = frames_of(first, 0, min(options.first, count(first) // 2))
        with computing_only():
            adaedge.profile(bundle, frames=frames[len(frames) // 2 :], repetitions=40).save(folder / "profile.json")
    profile = Profile.load(folder / "profile.json")
    incremental = OperatingPoint("output", incremental=True)
    costs = {
        "dense_ms": round(1e3 * profile[LOCAL].head_s, 1),
        "refresh_ms": round(1e3 * profile[incremental].head_s, 1),
        "ms_by_change": [
            [change, round(1e3 * cost.head_s, 1)]
            for change, cost in zip(profile.changes, profile.next_costs[incremental], strict=False)
        ],
        "accuracy": profile[incremental].accuracy,
        "kept": profile.kept is not None,
    }
    print(costs, flush=True)
    if options.profile:
        return []
    found = []
    for clip in wanted:
        floor, tried = options.floor, []
        if options.own:
            floor, tried = chosen_floor(bundle, profile, clip, min(options.first, count(clip) // 2 - 60))
        row = clip_row(bundle, profile, clip, options.frames, floor)
        (folder / f"{clip.stem}.json").write_text(json.dumps(row), encoding="utf-8")
        print(row, flush=True)
        found.append(row | {"floor": floor, "first_half": tried, "profile": costs} if options.own else row)
    known = [folder / f"{clip.stem}.json" for clip in CLIPS]
    if not options.own and all(path.exists() for path in known):
        rows = [json.loads(path.read_text(encoding="utf-8")) for path in known]
        write("incremental_terminal", rows, tolerance=options.tolerance, floor=options.floor, profile=costs)
    return found


if __name__ == "__main__":
    main()
