"""What does a network of clips gain where only the new frames of each window are computed, and what does it lose?

Clips of 16 frames at 112 by 112 that move on by 8, of the person's film. r3d_18, whose convolutions along time are
padded at both ends, and MobileNetV2 on each frame by itself with a convolution along time behind it; both with random
weights, batch-norms with the statistics of one clip. In ONNX Runtime, fp32, one thread: the whole clip and the slide
take turns in random order, CPU seconds of the thread, medians. ``errors`` are of the network's answer, the norm of the
difference by that of the clip's own; ``between`` is the same of two clips that follow each other, which is what an
answer that is kept would cost.

Bar: 1.5 times, exact where the plan says so. Goal: 2.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from adaedge.builder.incremental_graphs import onnx_slide
from adaedge.clip import decode
from adaedge.incremental.slide import slid
from benchmarks.result import write
from benchmarks.video_clips import CLIPS

FRAMES, STEP, SIDE = 16, 8, 112
Row = dict[str, Any]


class PerFrame(nn.Module):
    """MobileNetV2's features of each frame, a convolution along time, a classifier; clips (1, 3, frames, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = timm.create_model("mobilenetv2_100", num_classes=0)
        self.time, self.classifier = nn.Conv1d(1280, 256, 3, padding=1), nn.Linear(256, 400)

    def forward(self, clip: Tensor) -> Tensor:
        """Scores (1, 400)."""
        features = self.frames(clip[0].transpose(0, 1))
        return self.classifier(self.time(features.T[None]).relu().mean(2))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "r3d_18": lambda: torchvision.models.video.r3d_18(weights=None),
    "per frame": PerFrame,
}


def film(frames: int) -> Tensor:
    """The beginning of the person's film, in [-1, 1]."""
    pictures = islice(decode(str(CLIPS[0])), 400, 400 + 2 * frames, 2)
    small = [np.asarray(Image.fromarray(one).resize((SIDE, SIDE))) for one in pictures]
    return torch.from_numpy(np.stack(small)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def settled(net: nn.Module, clip: Tensor) -> nn.Module:
    """With batch-norms that have seen a clip: random ones would let nothing of it through."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = None
    with torch.no_grad():
        net.train()(clip)
    return net.eval()


def measured(name: str, slides: int) -> Row:
    """A network's row."""
    torch.manual_seed(0)
    frames = film(FRAMES + STEP * slides)
    first = frames[:, :, :FRAMES].contiguous()
    found = slid(settled(NETWORKS[name](), first), first, STEP)
    runner, arrays, draw = onnx_slide(found), frames.numpy(), random.Random(0)
    _, cache = runner.run(first.numpy())
    seconds: dict[str, list[float]] = {"clip": [], "slide": []}
    errors, between, before = [], [], None
    for begin in range(STEP, STEP * slides + 1, STEP):
        clip = np.ascontiguousarray(arrays[:, :, begin : begin + FRAMES])
        new, made = np.ascontiguousarray(clip[:, :, -STEP:]), {}
        for way in draw.sample(["clip", "slide"], 2):
            started = time.thread_time()
            if way == "clip":
                made[way] = runner.whole.run([clip])[: found.plan.outputs]
            else:
                made[way], cache = runner.run(new, cache)
            seconds[way].append(time.thread_time() - started)
        expected = made["clip"][0]
        errors.append(float(np.linalg.norm(made["slide"][0] - expected) / np.linalg.norm(expected)))
        if before is not None:
            between.append(float(np.linalg.norm(before - expected) / np.linalg.norm(expected)))
        before = expected
    times = {way: statistics.median(each[1:]) for way, each in seconds.items()}
    return {
        "model": name,
        "slides": slides,
        "is_exact": found.plan.is_exact,
        "macs_share": round(found.plan.macs_share, 3),
        "held_mb": round(sum(np.prod(one.shape) * 4 for one in found.plan.held) / 1e6, 2),
        "clip_ms": round(1e3 * times["clip"], 1),
        "slide_ms": round(1e3 * times["slide"], 1),
        "gain": round(times["clip"] / times["slide"], 2),
        "largest_error": max(errors),
        "median_error": statistics.median(errors),
        "median_between": statistics.median(between),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=12)
    options = parser.parse_args()
    rows = []
    for name in NETWORKS:
        rows.append(measured(name, options.slides))
        print(rows[-1], flush=True)
    write("incremental_slide", rows, frames=FRAMES, step=STEP, side=SIDE)


if __name__ == "__main__":
    main()
