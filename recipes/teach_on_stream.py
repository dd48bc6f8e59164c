"""A small network that is taught on its own camera's stream by the edge server that has the large one.

    python -m recipes.teach_on_stream --clip camera.mp4 --student timm:mobilenetv2_050 --after blocks.3 -o out
    python -m recipes.teach_on_stream --smoke

Distils the student on the first half of a clip, builds one bundle of both networks, and plays the second half twice:
the student left alone, and taught by `adaedge.teach` with a few labels a second. Compares both with the large network's
answers, frame by frame, and counts the bytes up and down. Writes ``out/bundle``, ``out/student.taught`` (what the
terminal holds in the end) and ``out/measured.json``. Frames cross to the edge server as a video of their own: play
only clips whose frames may.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import adaedge
from adaedge import OperatingPoint, StreamTeacher, TaughtNetwork, models
from adaedge.clip import Clip, as_clip
from adaedge.distillation import Lessons, Pace, SoftTargets, TaughtStream
from adaedge.metrics import default_metric
from adaedge.models import Model
from adaedge.taught import UpdateKey
from recipes.train_bottleneck import normalise

FULL = OperatingPoint("output")


def drifting(count: int = 120, side: int = 160) -> Clip:
    """For a run that only shows that the recipe works: coarse patterns that turn into others."""
    draws, frames = np.random.default_rng(0), []
    one, other = draws.integers(0, 256, (2, 8, 8, 3))
    for at in range(count):
        mixed = one + (other - one) * at / count + draws.normal(0, 12, one.shape)
        frames.append(np.kron(mixed.clip(0, 255), np.ones((side // 8, side // 8, 1))).astype(np.uint8))
    return Clip(frames, 10.0)


def halves(clip: Clip, learned: int) -> tuple[list[np.ndarray], Iterator[np.ndarray], int]:
    """Frames at even distances over the first half; all of the second; how many there are in all."""
    count = sum(1 for _ in clip)
    first = [*islice(iter(clip), 0, count // 2, max(1, count // 2 // learned))]
    return first, islice(iter(clip), count // 2, None), count


def student_of(model: Model, asked: argparse.Namespace, frames: list[np.ndarray]) -> nn.Module:
    """A student that has learned the large network's answers to some frames."""
    torch.manual_seed(0)
    if asked.smoke:
        layers = [nn.Conv2d(3, 16, 7, stride=8), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=4), nn.ReLU()]
        student: nn.Module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 1000))
    else:
        student = models.load(asked.student, pretrained=asked.pretrained).module
    pixels = np.concatenate([adaedge.bundle.frames.prepare(frame, model.preprocessing) for frame in frames])
    loader = DataLoader(normalise(pixels, model.preprocessing), batch_size=8, shuffle=True)
    adaedge.distill(student, model.module, loader, loss=SoftTargets(2.0), epochs=asked.epochs)
    return student


def score(bundle: adaedge.Bundle, wanted: list[Any], run: TaughtStream) -> float:
    """Of the student's answers against the large network's."""
    metric = default_metric(bundle.answers.specs, bundle.manifest.labels)
    return metric.score(wanted, [frame.answer for frame in run.frames]).value


def mirrored(inputs: Tensor, answer: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The mirror image of a frame, which has the same classes."""
    return [(inputs.flip(3), answer)]


def main(arguments: list[str] | None = None) -> None:
    """Read a clip and two networks, distil, build, play, write."""
    asked = parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    model = models.load("timm:test_resnet", pretrained=False) if asked.smoke else models.load(asked.model)
    clip = drifting() if asked.smoke else as_clip(str(asked.clip))
    if asked.smoke:
        asked.after, asked.epochs, asked.learned = "3", 2, 16
    begun_s = time.monotonic()
    first, _, count = halves(clip, asked.learned)
    student = student_of(model, asked, first)
    pace = Pace(asked.labels, asked.period, min(1.0, asked.period))
    space = adaedge.Space([], codecs=["raw", pace.codec], networks={"student": student})
    about = {"preprocessing": model.preprocessing, "kwargs": model.kwargs, "labels": model.labels}
    bundle = adaedge.build(model.module, model.args, space, answer="raw", **about)
    bundle.save(asked.out / "bundle")

    key = UpdateKey(asked.secret)
    kept = asked.out / "student.taught"
    kept.unlink(missing_ok=True)
    lessons = Lessons(fraction=asked.fraction)
    wanted = [bundle.run(FULL, bundle.inputs_of(frame)) for frame in halves(clip, 1)[1]]
    teacher = partial(StreamTeacher, bundle, "student", student, model.args, key, after=asked.after, loss=SoftTargets())
    never = Pace(asked.labels, 1e9, 1.0, pace.codec)
    alone = adaedge.teach(
        bundle, TaughtNetwork(bundle, "student", key), teacher(), halves(clip, 1)[1], clip.fps, pace=never
    )
    taught = adaedge.teach(
        bundle, TaughtNetwork(bundle, "student", key, path=kept), teacher(lessons=lessons, views=mirrored),
        halves(clip, 1)[1], clip.fps, pace=pace,
    )  # fmt: skip
    document = {"model": asked.model, "student": asked.student, "frames": count, "fps": clip.fps}
    document |= {"alone": score(bundle, wanted, alone), "taught": score(bundle, wanted, taught)}
    document |= {"up_bps": taught.up_bps, "down_bps": taught.down_bps, "updates": taught.frames[-1].version}
    document |= {"held_back": taught.held_back, "seconds": time.monotonic() - begun_s}
    (asked.out / "measured.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    rates = f"{document['up_bps'] / 1e3:.0f} kbit/s up, {document['down_bps'] / 1e3:.0f} down"
    print(f"alone {document['alone']:.1%}, taught {document['taught']:.1%}; {rates}")  # noqa: T201


def parser() -> argparse.ArgumentParser:
    """The options."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m recipes.teach_on_stream", description=__doc__, formatter_class=raw)
    made.add_argument("--clip", type=Path, help="a video of one camera")
    made.add_argument("--model", default="timm:efficientnet_lite0", help="its trained weights must be installed")
    made.add_argument("--student", default="timm:mobilenetv2_050", help="a small network of the same classes")
    made.add_argument("--pretrained", action="store_true", help="begin with the student's own trained weights")
    made.add_argument("--after", default="input", help="split point after which the student learns on the stream")
    made.add_argument("--learned", type=int, default=150, help="frames of the first half that it is distilled on")
    made.add_argument("--epochs", type=int, default=20, help="of that")
    made.add_argument("--labels", type=float, default=2.0, help="labels a second")
    made.add_argument("--period", type=float, default=2.0, help="seconds between two updates")
    made.add_argument("--fraction", type=float, default=0.1, help="of the weights that an update may change")
    made.add_argument("--secret", default="only for a clip that is played here", help="signs the updates")
    made.add_argument("-o", "--out", type=Path, default=Path("taught"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on patterns: shows only that it works")
    return made


if __name__ == "__main__":
    main()
