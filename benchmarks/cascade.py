"""How much does a terminal compute less where a small network answers when it is sure, at no loss that can be seen?

    python -m benchmarks.cascade

Photographs: the 10,000 test images of CIFAR-10 as JPEG, ResNet-20 before ResNet-56, judged by their labels. Clips: each
frame of seven, EfficientNet-Lite0 on a smaller picture before the same weights on the whole one, judged by agreement
with the latter, for nobody labelled them. Temperature, threshold, limit and side are chosen on one half and reported on
the other, either way round: of photographs every second one, of a clip its halves. The difference is paired, its 90 %
interval bootstrapped over photographs, or over clips. CPU seconds are of ONNX Runtime on one thread, arms in turns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import adaedge
from adaedge import OperatingPoint, models
from adaedge.bundle.frames import prepare
from adaedge.cascade.risk import controlled_threshold
from adaedge.cascade.sureness import fitted_temperature, top_probability
from adaedge.clip import as_clip
from benchmarks import result
from benchmarks.deeplabv3 import DATA
from benchmarks.video_clips import CLIPS
from recipes.cifar10 import normalise, read
from recipes.cifar_resnet import CifarResNet

FULL = OperatingPoint("output")
SIDES = (192, 160, 128, 96)
LIMITS = (0.1, 0.07, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015)  # how many first answers may differ from the full network's
BAR, LOWEST = 1.7, -0.01
STRETCH = 25  # frames of a clip that count as one when a threshold is chosen
TIMED = 200
Floats = NDArray[np.float64]


class Smaller(nn.Module):
    """A network on a smaller picture: its own weights, a share of its multiply-accumulates."""

    def __init__(self, net: nn.Module, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side

    def forward(self, image: Tensor) -> Tensor:
        """The network's answer."""
        return self.net(functional.interpolate(image, (self.side, self.side), mode="bilinear", antialias=True))


@dataclass(frozen=True, slots=True)
class Material:
    """Frames by way of a small network and of the full one.

    Attributes:
        first: scores (frames, classes) of the small one.
        full: of the full one.
        right: classes that are right; the full network's where nobody has said.
        half: 0 or 1, a frame each.
        groups: what an interval is bootstrapped over.
        stretches: what counts as one when a threshold is chosen.
        macs: the small network's share of the full one's multiply-accumulates.
        cpu: likewise of CPU seconds.
    """

    first: Floats
    full: Floats
    right: NDArray[np.int64]
    half: NDArray[np.int64]
    groups: NDArray[np.int64]
    stretches: NDArray[np.int64]
    macs: float
    cpu: float


def scores(bundle: adaedge.Bundle, point: OperatingPoint, frames: Sequence[Any]) -> Floats:
    """What a network answers."""
    head = bundle.route(point).head
    return np.concatenate([head.run((frame,))[0] for frame in frames]).astype(np.float64)


def cpu_share(bundle: adaedge.Bundle, first: OperatingPoint, frames: Sequence[Any]) -> float:
    """CPU seconds of the small network as a share of the full one's; arms in turns."""
    seconds: dict[OperatingPoint, list[float]] = {first: [], FULL: []}
    for frame in frames[:TIMED]:
        for point in (first, FULL):
            start_s = time.process_time()
            bundle.route(point).head.run((frame,))
            seconds[point].append(time.process_time() - start_s)
    return float(np.median(seconds[first]) / np.median(seconds[FULL]))


def macs(net: nn.Module, args: tuple[Any, ...]) -> int:
    """Multiply-accumulates of a frame."""
    return adaedge.Splittable(net, args).points[-1].head_macs


def photographs() -> Material:
    """CIFAR-10's test images, in an order of their own, every second one in one half."""
    arrays = read(DATA / "cifar10-jpeg.tar", Path(os.environ.get("XDG_CACHE_HOME", gettempdir())) / "adaedge-cifar10")
    nets = {depth: CifarResNet(depth).eval() for depth in (20, 56)}
    for depth, net in nets.items():
        net.load_state_dict(load_file(DATA / "weights" / f"cifar_resnet{depth}.safetensors"))
    order = np.random.default_rng(0).permutation(len(arrays["test_images"]))
    frames = [image[None].numpy() for image in normalise(arrays["test_images"][order]).contiguous()]
    args, first = (normalise(arrays["test_images"][:1]),), OperatingPoint("output", network="small")
    bundle = adaedge.build(nets[56], args, adaedge.Space([], networks={"small": nets[20]}))
    share, cpu = macs(nets[20], args) / macs(nets[56], args), cpu_share(bundle, first, frames)
    own, count = np.arange(len(frames)), len(frames)
    right = arrays["test_labels"][order].numpy()
    of = scores(bundle, first, frames), scores(bundle, FULL, frames)
    return Material(*of, right, np.arange(count) % 2, own, own, share, cpu)


@cache
def pixels() -> tuple[list[Any], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All frames of all clips as the network takes them; of each its clip, its half, its stretch."""
    about, frames, clips, half, stretches = models.load("timm:efficientnet_lite0").preprocessing, [], [], [], []
    for at, clip in enumerate(CLIPS):
        own = [prepare(frame, about) for frame in as_clip(str(clip))]
        frames += own
        clips += [at] * len(own)
        half += [int(2 * number >= len(own)) for number in range(len(own))]
        stretches += [1000 * at + number // STRETCH for number in range(len(own))]
    return frames, np.array(clips), np.array(half), np.array(stretches)


def clips() -> Iterator[tuple[int, Material]]:
    """The clips, for each side of the smaller picture."""
    model = models.load("timm:efficientnet_lite0")
    frames, groups, half, stretches = pixels()
    networks = {f"small{side}": Smaller(model.module, side) for side in SIDES}
    space = adaedge.Space([], networks=networks)
    bundle = adaedge.build(model.module, model.args, space, calibrate=[frames[0][0]], preprocessing=model.preprocessing)
    full = scores(bundle, FULL, frames)
    for side in SIDES:
        first = OperatingPoint("output", network=f"small{side}")
        share = macs(networks[f"small{side}"], model.args) / macs(model.module, model.args)
        cpu, found = cpu_share(bundle, first, frames), scores(bundle, first, frames)
        yield side, Material(found, full, full.argmax(1), half, groups, stretches, share, cpu)


def judged(seen: Material, here: NDArray[np.bool_], temperature: float, threshold: float) -> dict[str, float]:
    """Some frames with a threshold: how many stand, what is lost, what is spared."""
    sure = np.array([top_probability([row[None]], temperature) for row in seen.first[here]])
    stands, right = sure >= threshold, seen.right[here]
    then = seen.full[here].argmax(1) == right
    gain = np.where(stands, seen.first[here].argmax(1) == right, then).astype(float) - then
    groups = [gain[seen.groups[here] == group] for group in np.unique(seen.groups[here])]
    sums, counts = (np.array([measure(group) for group in groups]) for measure in (np.sum, len))
    draws = np.random.default_rng(0).integers(len(groups), size=(2000, len(groups)))
    low, high = np.quantile(sums[draws].sum(1) / counts[draws].sum(1), [0.05, 0.95])
    spared = {f"less_{name}": 1 / (cost + 1 - stands.mean()) for name, cost in (("macs", seen.macs), ("cpu", seen.cpu))}
    found = {"frames": len(gain), "stands": stands.mean(), "full": then.mean(), "gain": gain.mean()}
    return {name: float(value) for name, value in (found | {"low": low, "high": high} | spared).items()}


def chosen(seen: Material, half: int) -> tuple[float, float, float, float] | None:
    """On one half: what spares most (returned first) with a lower bound that meets the bar, and its settings."""
    here = seen.half == half
    classes = seen.full[here].argmax(1)
    temperature = fitted_temperature([row[None] for row in seen.first[here]], [one[None] for one in classes])
    sure = [top_probability([row[None]], temperature) for row in seen.first[here]]
    wrong = (seen.first[here].argmax(1) != classes).astype(float)
    for limit in LIMITS:
        threshold = controlled_threshold(sure, wrong, np.zeros(len(wrong)), limit, seen.stretches[here])
        found = judged(seen, here, temperature, threshold)
        if found["low"] >= LOWEST:
            return found["less_macs"], temperature, threshold, limit
    return None


def row(name: str, materials: dict[int, Material], half: int) -> dict[str, Any]:
    """Chosen on one half, reported on the other."""
    found = {side: best for side, seen in materials.items() if (best := chosen(seen, half))}
    if not found:
        return {"material": name, "chosen_on": half, "holds": False, "why": "no threshold meets the bar where chosen"}
    side = max(found, key=lambda each: found[each][0])
    seen, (_, temperature, threshold, limit) = materials[side], found[side]
    told = judged(seen, seen.half != half, temperature, threshold)
    about = {"material": name, "chosen_on": half, "side": side, "limit": limit, "threshold": threshold}
    about |= {"temperature": temperature, "first_macs": seen.macs, "first_cpu": seen.cpu}
    held = told["gain"] >= -limit
    return about | told | {"floor_held": held, "holds": told["less_macs"] >= BAR and told["low"] >= LOWEST and held}


def main() -> None:
    """Measure and write."""
    materials = {"photographs": {32: photographs()}, "clips": dict(clips())}
    rows = [row(name, each, half) for name, each in materials.items() for half in (0, 1)]
    result.write(
        "cascade", rows, bar=BAR, lowest=LOWEST, limits=LIMITS, sides=SIDES, clips=[clip.stem for clip in CLIPS]
    )
    for each in rows:
        print(each)


if __name__ == "__main__":
    main()
