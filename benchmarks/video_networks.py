"""Networks that benchmarks of streams send frames to, how answers are scored, and bottlenecks fitted on a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaedge import Bottleneck, Bundle, Space, Splittable, build
from adaedge.bundle import Preprocessing
from adaedge.clip import decode
from adaedge.distillation import refine
from adaedge.metrics import LabelIoU
from adaedge.payload.answers import LabelMap
from benchmarks import deeplabv3
from benchmarks.rate_accuracy import CASES, loaded
from benchmarks.video_clips import class_of, count

NATS, IOU = 0.10, 0.90
FITTED = 64
"""So many frames, at even distances over a clip's first half, are what a bottleneck is fitted on."""
EPOCHS, REFINED_BATCH = 4, 4
"""How often it is refined on each frame, and on how many at once."""


@dataclass(frozen=True)
class Network:
    """A network in a bundle, and how its answers are scored."""

    bundle: Bundle
    prepare: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]
    reduce: Callable[[Any], Any]
    metric: str
    target: float
    module: nn.Module
    example: tuple[Any, ...]
    geometry: Preprocessing | None

    def score(self, expected: Sequence[Any], given: Sequence[Any], name: str) -> float:
        """How good the answers to a clip are."""
        if self.metric == "divergence":
            return float(np.mean([_nats(one[0], other[0]) for one, other in zip(expected, given, strict=True)]))
        shown = class_of(name)
        return LabelIoU(() if shown is None else (shown,)).score(expected, given).value

    def good(self, score: float) -> bool:
        """Whether a score reaches the target."""
        return score <= self.target if self.metric == "divergence" else score >= self.target


def classifier(name: str) -> Network:
    """EfficientNet-Lite0 or MobileNetV2 with real weights."""
    model = loaded(CASES[name])
    bundle = build(model.module, model.args, Space(), preprocessing=model.preprocessing)
    about = model.module, model.args, model.preprocessing
    return Network(bundle, bundle.preprocess, lambda outputs: outputs, "divergence", NATS, *about)


def segmenter() -> Network:
    """DeepLabV3 on MobileNetV2 with real weights."""
    side = deeplabv3.SIDE
    geometry = Preprocessing((side, side), 1.0, "bilinear", deeplabv3.MEAN, deeplabv3.STD)
    network, example = deeplabv3.load(), (torch.zeros(1, 3, side, side),)
    bundle = build(network, example, Space(), preprocessing=geometry)
    labels = LabelMap((deeplabv3.LABEL_SIDE, deeplabv3.LABEL_SIDE), aligned=True)
    return Network(bundle, deeplabv3.resized, labels.reduce, "iou", IOU, network, example, geometry)


NETWORKS: dict[str, Callable[[], Network]] = {
    "efficientnet_lite0": lambda: classifier("lite0"),
    "mobilenetv2": lambda: classifier("mobilenetv2"),
    "deeplabv3": segmenter,
}


def with_bottlenecks(
    network: Network,
    clip: Path,
    splits: Sequence[str],
    fitted: int = FITTED,
    *,
    refined: int = 0,
    kept: Path | None = None,
) -> Network:
    """The network in a bundle that holds bottlenecks, fitted on a clip's first half.

    Args:
        network: one of ``NETWORKS``.
        clip: whose first half is looked at.
        splits: where bottlenecks are wanted.
        fitted: how many frames they are fitted on.
        refined: how many frames they are refined on; 0 where they are not.
        kept: a folder in which what is fitted is kept.
    """
    cut = Splittable(network.module, network.example)
    own = [bottleneck_of(network, clip, cut, split, fitted, refined=refined, kept=kept) for split in splits]
    space = Space(splits, codecs=own)
    return replace(network, bundle=build(network.module, network.example, space, preprocessing=network.geometry))


def bottleneck_of(
    network: Network,
    clip: Path,
    cut: Splittable,
    split: str,
    fitted: int = FITTED,
    *,
    refined: int = 0,
    kept: Path | None = None,
) -> Bottleneck:
    """A bottleneck of a clip's first half; read from a folder where it was fitted before.

    It is fitted, and refined, on frames at even distances. No other views of them are taken: the camera stands still,
    so that each place has its own mean, and a part of the picture elsewhere would be another camera's.
    """
    path = kept and kept / f"{clip.stem}-{split}-{fitted}-{refined}.bottleneck"
    if path and path.exists():
        return Bottleneck.load(path, cut)
    if refined:
        plain = bottleneck_of(network, clip, cut, split, fitted, kept=kept)
        progress = path.with_suffix(".training") if path else None
        frames = apart(network, clip, refined)
        own = refine(plain, frames, epochs=EPOCHS, views=0, batch=REFINED_BATCH, checkpoint=progress)
    else:
        own = Bottleneck.fit(cut, (), split=split, images=apart(network, clip, fitted), limit=fitted)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        own.save(path)
    return own


def apart(network: Network, clip: Path, frames: int) -> list[torch.Tensor]:
    """Frames at even distances over a clip's first half, as the network takes them."""
    half = count(clip) // 2
    places = {round(at * (half - 1) / max(frames - 1, 1)) for at in range(frames)}
    pictures = enumerate(islice(decode(str(clip)), half))
    return [tensor_of(network, network.prepare(picture)) for at, picture in pictures if at in places]


def tensor_of(network: Network, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Pixels (N, H, W, 3) as the network itself takes them, in PyTorch."""
    if network.geometry is None:
        raise ValueError("the network says nothing of how its frames are normalised")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (network.geometry.mean, network.geometry.std))
    return (torch.tensor(pixels).permute(0, 3, 1, 2) / 255 - mean) / std


def _nats(expected: npt.NDArray[Any], given: npt.NDArray[Any]) -> float:
    """KL(expected ‖ given) of logits (1, C)."""
    p, q = (torch.log_softmax(torch.from_numpy(one).double(), 1) for one in (expected, given))
    return float((p.exp() * (p - q)).sum())
