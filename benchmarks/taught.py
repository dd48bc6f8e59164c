"""How good is a small network that the edge server teaches on the terminal's own stream, and what does that cost?

The student of ``benchmarks.taught_student`` (the segmenter's first stages and a head, under 8 % of DeepLabV3's
multiply-accumulates) learns the first half of a clip from the segmenter's answers. On the second half it answers every
frame at home, twice: left ``alone``, and ``taught``: two frames a second are sent up as a video of their own, the edge
server labels what arrives there with the segmenter, teaches a copy, and sends the weights that moved most back, which
run a second after the last label. Both are scored against the segmenter's answer to the clean frame, intersection over
union of the clip's class, pooled over all frames of the half. ``up_bps`` and ``down_bps`` are bits a second of the
stream for labels and updates.

Joules are modelled, on three terminals and three radios, whose waking and tail count; ``energy_j`` is on a Raspberry Pi
4 with LTE. Student and video encoder take their share of the segmenter's time, as measured here. A frame whose gate is
open (the last labelled frames, each before it was learned, score the floor together) is answered by the student; any
other by the cheaper of the segmenter at home and the frame sent as a video. ``energy_j`` is joules a frame with
teaching, labels and updates counted; ``energy_j_without`` of the same policy without it: the lower of the student
alone, gated by labels likewise, and of no student. ``gated`` is the score that comes of it where every frame that the
student does not answer has the answer of the segmenter to the video of that frame.

Bars: person ≥ .70, bottle ≥ .82, both 7 points above alone; up and down ≤ 300 kbit/s; 25 % fewer joules; gated ≥ .85.

    python -m benchmarks.taught --clip FILE --model deeplabv3 --json
    python -m benchmarks.taught             both clips, and forged updates; the result is written
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from adaedge import Bundle, OperatingPoint, Space, Splittable, StreamTeacher, TaughtNetwork, build, teach
from adaedge.bundle import Preprocessing
from adaedge.clip import Frame, as_clip
from adaedge.distillation import Lessons, Pace, Plan, SoftTargetMaps, TaughtStream, train
from adaedge.distillation.objectives import Backward
from adaedge.engine import Arrays
from adaedge.metrics import LabelIoU
from adaedge.operating_point import INPUT, OUTPUT
from adaedge.stream import Playback
from adaedge.taught import Gate, UpdateKey
from benchmarks import deeplabv3, forged_updates, taught_energy
from benchmarks.result import write
from benchmarks.taught_student import Still, Student, mirrored, student
from benchmarks.video_clips import class_of, count

BARS = {"person": 0.70, "bottle": 0.82, "above_alone": 0.07, "bps": 300_000, "saves": 0.25, "gated": 0.85}
FLOOR, WINDOW = 0.85, 6
LEARNED = 150  # frames of the first half, at even distances
EPOCHS, BATCH = 12, 8
PACE = Pace()
NEVER = Pace(period_s=1e9)
OFFLOADED = "h264-444@27"
KEY = UpdateKey("a benchmark has no secrets to keep")
EXAMPLE = (torch.zeros(1, 3, deeplabv3.SIDE, deeplabv3.SIDE),)
GEOMETRY = Preprocessing((deeplabv3.SIDE, deeplabv3.SIDE), 1.0, "bilinear", deeplabv3.MEAN, deeplabv3.STD)
ANSWER = f"labels-aligned@{deeplabv3.LABEL_SIDE}x{deeplabv3.LABEL_SIDE}"
SMALL, FULL = OperatingPoint(OUTPUT, network="small"), OperatingPoint(OUTPUT)
Row = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """What of the student learns: what lies after a split point, at which rates, and how much of it an update changes.

    Attributes:
        after: the split point.
        rate: learning rate on the first half.
        lessons: on the second.
    """

    after: str
    rate: float
    lessons: Lessons


WAYS = {
    "head": Way("trunk", 3e-3, Lessons(rate=1e-3, fraction=0.5)),
    "stage": Way("trunk.stages.2", 1e-3, Lessons(rate=5e-4, fraction=0.08)),
}
LEARNS = {"person": "head", "bottle": "stage"}


@dataclass(frozen=True)
class Clip:
    """The part of a clip that is learned, and the part that is played."""

    path: Path
    fps: float
    middle: int
    end: int
    metric: LabelIoU

    def first(self) -> Iterator[Frame]:
        """Frames at even distances over what is learned."""
        step = max(1, self.middle // LEARNED)
        return islice(iter(as_clip(str(self.path))), 0, self.middle, step)

    def second(self) -> Iterator[Frame]:
        """Every frame that is played."""
        return islice(iter(as_clip(str(self.path))), self.middle, self.end)


def opened(path: Path, *, quarters: bool = False, most: int | None = None) -> Clip:
    """A clip in halves; with ``quarters`` its first half in halves, for choosing settings."""
    end = count(path) // (2 if quarters else 1)
    end = min(end, most or end)
    shown = class_of(path.stem)
    return Clip(path, as_clip(str(path)).fps, end // 2, end, LabelIoU(() if shown is None else (shown,)))


@dataclass(frozen=True)
class Learned:
    """A student, and what it learned."""

    student: Student
    seen: list[tuple[Tensor, Tensor]]


def learned(clip: Clip, segmenter: Bundle, way: Way, epochs: int) -> Learned:
    """A student that has learned the first half of a clip."""
    seen = []
    for frame in clip.first():
        inputs = segmenter.inputs_of(frame)
        seen.append((deeplabv3.normalised(inputs[0]), torch.from_numpy(segmenter.run(FULL, inputs)[0])))
    own = student()
    trunk, tail = Splittable(own, EXAMPLE).at(way.after)
    with torch.no_grad():
        features = [(*trunk(image), answer) for one in seen for image, answer in (one, *mirrored(*one))]
    parts = [torch.cat(part) for part in zip(*features, strict=True)]
    learner, loss = Still(tail), SoftTargetMaps()

    def objective(batch: list[Tensor], backward: Backward) -> dict[str, Tensor]:
        found = loss(learner(*batch[:-1]), batch[-1])
        backward(found)
        return {"loss": found.detach()}

    loader = DataLoader(TensorDataset(*parts), BATCH, shuffle=True)
    learning = [weight for weight in tail.parameters() if weight.requires_grad]
    train(learner, loader, objective, torch.optim.AdamW(learning, way.rate, weight_decay=0.01), Plan(epochs))
    return Learned(own, seen)


def played(clip: Clip, bundle: Bundle, pair: Learned, pace: Pace, way: Way) -> TaughtStream:
    """The second half with a student that is taught at a pace."""
    views = mirrored if pace is not NEVER else None
    teacher = StreamTeacher(
        bundle, "small", pair.student, EXAMPLE, KEY, after=way.after, lessons=way.lessons, views=views
    )
    for inputs, answer in pair.seen if pace is not NEVER else ():
        teacher.remember(inputs, answer)
    gate = Gate(clip.metric, FLOOR, WINDOW)
    return teach(bundle, TaughtNetwork(bundle, "small", KEY), teacher, clip.second(), clip.fps, pace=pace, gate=gate)


def _share(bundle: Bundle, frame: Frame) -> float:
    """CPU time of the student, of the segmenter's: the medians of runs that take turns."""
    inputs, taken = bundle.inputs_of(frame), []
    for _ in range(12):
        moments = [time.process_time()]
        for point in (SMALL, FULL):
            bundle.run(point, inputs)
            moments.append(time.process_time())
        taken.append(np.diff(moments))
    return float(np.median(taken[2:], axis=0) @ [1, 0]) / float(np.median(taken[2:], axis=0) @ [0, 1])


@dataclass(frozen=True)
class Reference:
    """What the segmenter answers on the second half, to clean frames and to a video of them."""

    clean: list[Arrays]
    video: list[Arrays]
    video_bytes: float
    answer_bytes: float
    encode: float


def reference(clip: Clip, bundle: Bundle) -> Reference:
    """Both, frame by frame."""
    link = Playback(bundle, OperatingPoint(INPUT, codec=OFFLOADED))
    clean, video, sizes, answers, shares = [], [], [], [], []
    for frame in clip.second():
        inputs = bundle.inputs_of(frame)
        begun = time.process_time()
        clean.append(bundle.run(FULL, inputs))
        between = time.process_time()
        data = link.encode(inputs)
        shares.append((time.process_time() - between) / (between - begun))
        engine, shown = link.receive(data)
        video.append(bundle.answers.reduce(engine.run(shown)))
        sizes.append(len(data))
        answers.append(len(bundle.answers.write(video[-1])))
    return Reference(clean, video, statistics.fmean(sizes), statistics.fmean(answers), statistics.median(shares))


def row_of(clip: Clip, learns: str, *, epochs: int = EPOCHS) -> Row:
    """A clip: the student taught and alone, what crosses, joules."""
    begun_s, way = time.process_time(), WAYS[learns]
    segmenter = build(deeplabv3.load(), EXAMPLE, Space([]), preprocessing=GEOMETRY)
    pair = learned(clip, segmenter, way, epochs)
    space = Space([], codecs=["raw", PACE.codec, OFFLOADED], networks={"small": pair.student})
    bundle = build(deeplabv3.load(), EXAMPLE, space, preprocessing=GEOMETRY, answer=ANSWER)
    wanted, share = reference(clip, bundle), _share(bundle, next(clip.second()))
    alone = played(clip, bundle, pair, NEVER, way)
    taught = played(clip, bundle, pair, PACE, way)
    macs, full = (Splittable(net, EXAMPLE).points[-1].head_macs for net in (student(), deeplabv3.load()))
    costs = taught_energy.Costs(full, share, wanted.encode, wanted.video_bytes, wanted.answer_bytes)
    joules = taught_energy.table(taught, alone, costs)
    first = next(each for each in joules if (each["terminal"], each["radio"]) == taught_energy.HEADLINE)
    return {
        "clip": clip.path.name,
        "model": "deeplabv3",
        "frames": len(taught.frames),
        "taught": score(clip, wanted, taught),
        "alone": score(clip, wanted, alone),
        "learns": learns,
        "metric": clip.metric.name,
        "up_bps": taught.up_bps,
        "down_bps": taught.down_bps,
        "energy_j": first["taught"],
        "energy_j_without": min(first["alone"], first["no_student"]),
        "gated": score(clip, wanted, taught, gated=True),
        "gated_alone": score(clip, wanted, alone, gated=True),
        "video": clip.metric.score(wanted.clean, wanted.video).value,
        "open": taught_energy.share_open(taught),
        "open_alone": taught_energy.share_open(alone),
        "updates": taught.frames[-1].version,
        "held_back": taught.held_back,
        "macs": macs / full,
        "time": share,
        "encode_time": wanted.encode,
        "video_bytes": wanted.video_bytes,
        "joules": joules,
        "cpu_s": time.process_time() - begun_s,
    }


def score(clip: Clip, wanted: Reference, run: TaughtStream, *, gated: bool = False) -> float:
    """Of the student's answers; ``gated``: of those to frames for which the gate is open, and of the video's else."""
    given = [
        frame.answer if frame.may_answer or not gated else other
        for frame, other in zip(run.frames, wanted.video, strict=True)
    ]
    return clip.metric.score(wanted.clean, given).value


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="this clip only; nothing is written")
    parser.add_argument("--model", choices=["deeplabv3"], default="deeplabv3")
    parser.add_argument("--learns", choices=WAYS, default="head", help="the head alone, or the last stage as well")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--quarters", action="store_true", help="the first half alone, in halves: to choose settings")
    parser.add_argument("--collect", type=Path, nargs="+", help="write the result from what `--clip … --json` printed")
    parser.add_argument("--smoke", action="store_true", help="some frames, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.clip or options.smoke:
        path = options.clip or deeplabv3.CLIPS["bottle"]
        clip = opened(path, quarters=options.quarters, most=40 if options.smoke else None)
        row = row_of(clip, options.learns, epochs=1 if options.smoke else EPOCHS)
        print(json.dumps(row if options.json else {name: row[name] for name in row if name != "joules"}, indent=1))
        return
    if options.collect:
        rows = [json.loads(path.read_text(encoding="utf-8")) for path in options.collect]
    else:
        rows = [row_of(opened(path), LEARNS[name]) for name, path in deeplabv3.CLIPS.items()]
    print(json.dumps(rows, indent=1))
    write("taught", {"clips": rows, "updates": forged_updates.counted()}, bars=BARS, floor=FLOOR, ways=str(WAYS))


if __name__ == "__main__":
    main()
