"""A bottleneck for a trained network: fitted, refined by training, and its curve beside JPEG's, without any label.

    python -m recipes.train_bottleneck --images photos/ --test others/ -o out
    python -m recipes.train_bottleneck --model timm:mobilenetv2_100 --split blocks.3 --images photos/ --epochs 8
    python -m recipes.train_bottleneck --smoke

Fits the analytic bottleneck on some of the images, refines it on views of all (`adaedge.distillation.refine`), and
sends the test images through both, and through JPEG: mean bytes, how often the class stays, and the divergence of the
prediction in nats. Writes ``out/bottleneck.safetensors`` (read it with `adaedge.Bottleneck.load`), ``curve.json`` and
``curve.png``. Started again after it was killed, it goes on where it was. Images are read from subfolders too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence, Sized
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from adaedge import Bottleneck, Splittable, models
from adaedge.bundle.frames import prepare
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.distillation import SoftTargets, evenly_spaced, refine
from adaedge.payload.jpeg import Jpeg

FITTED = 64  # images; more hardly change the analytic transform
DEEPEST = 0.45  # of the multiply-accumulates, where the recipe chooses the split point
QUALITIES = (10, 20, 30, 45, 60, 75, 85, 90, 95)


@dataclass(frozen=True, slots=True)
class Row:
    """One point of a curve: mean bytes, fraction of images whose class stays, divergence in nats."""

    setting: str
    payload_bytes: float
    agreement: float
    divergence: float


def read(folder: Path, preprocessing: Preprocessing) -> np.ndarray:
    """Every image below a folder after resize and crop: uint8 (N, H, W, 3)."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in Image.registered_extensions())
    return np.concatenate([prepare(np.asarray(Image.open(path).convert("RGB")), preprocessing) for path in paths])


def normalise(pixels: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """Pixels as the network takes them: float (N, 3, H, W)."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (preprocessing.mean, preprocessing.std))
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std


def narrowest(split: Splittable) -> str:
    """The split point within `DEEPEST` that fewest bytes cross."""
    allowed = [point for point in split.points[1:-1] if point.head_macs <= DEEPEST * split.points[-1].head_macs]
    return min(allowed, key=lambda point: (point.payload_bytes, point.head_macs)).name


@torch.inference_mode()
def curve(bottleneck: Bottleneck, images: Tensor) -> Iterator[Row]:
    """Each rate of a bottleneck, through real streams."""
    features = [bottleneck.head(image) for image in images.split(1)]
    wanted = torch.cat([bottleneck.tail(*each) for each in features])
    for rate in bottleneck.rates:
        bottleneck.rate = rate
        streams = [bottleneck.compress(*each) for each in features]
        found = torch.cat([bottleneck.tail(*bottleneck.decompress(data)) for data in streams])
        yield row(f"rate {rate}", streams, found, wanted)


@torch.inference_mode()
def jpeg_curve(net: nn.Module, pixels: np.ndarray, preprocessing: Preprocessing) -> Iterator[Row]:
    """The same of whole frames as JPEG files."""
    wanted = torch.cat([net(image) for image in normalise(pixels, preprocessing).split(1)])
    for codec in map(Jpeg, QUALITIES):
        sent = [codec.encode([image[None]], [None])[0] for image in pixels]
        seen = np.concatenate([codec.decode(*each, max_bytes=2**24)[0][0] for each in sent])
        found = torch.cat([net(image) for image in normalise(seen, preprocessing).split(1)])
        yield row(f"quality {codec.quality}", [segments[0] for _, segments in sent], found, wanted)


def row(setting: str, payloads: Sequence[Sized], found: Tensor, wanted: Tensor) -> Row:
    """What these payloads cost, and what was lost."""
    same = (found.argmax(1) == wanted.argmax(1)).float().mean().item()
    apart = SoftTargets()(found, wanted).item()
    return Row(setting, float(np.mean([len(payload) for payload in payloads])), same, apart)


def plot(curves: dict[str, list[Row]], path: Path) -> None:
    """Agreement over bytes."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, rows in curves.items():
        axes.plot([each.payload_bytes for each in rows], [100 * each.agreement for each in rows], "o-", label=name)
    axes.set(xscale="log", xlabel="bytes a frame, header included", ylabel="same class as the network alone (%)")
    axes.legend()
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Read a model and images, fit, refine, measure, write."""
    asked = parser().parse_args(arguments)
    model = models.load("timm:test_resnet", pretrained=False) if asked.smoke else models.load(asked.model)
    noise = np.random.default_rng(0).integers(0, 256, (12, 160, 160, 3), np.uint8)
    pixels = noise if asked.smoke else read(asked.images, model.preprocessing)
    test = read(asked.test, model.preprocessing) if asked.test else pixels[::4]
    images = normalise(pixels if asked.test else np.delete(pixels, np.s_[::4], 0), model.preprocessing)
    split = Splittable(model.module, (images[:1],))
    at = asked.split or narrowest(split)
    asked.out.mkdir(parents=True, exist_ok=True)
    fitted = Bottleneck.fit(split, (), split=at, images=evenly_spaced(images, FITTED).split(1))
    refined = refine(fitted, images.split(1), epochs=asked.epochs, checkpoint=asked.out / "refining.safetensors")
    refined.save(asked.out / "bottleneck.safetensors")

    seen = normalise(test, model.preprocessing)
    curves = {"JPEG": list(jpeg_curve(model.module, test, model.preprocessing))}
    curves |= {"fitted": list(curve(fitted, seen)), "refined": list(curve(refined, seen))}
    print(f"split at {at}, {len(test)} images that were not fitted to")  # noqa: T201
    for name, each in ((name, each) for name, rows in curves.items() for each in rows):
        told = f"{each.payload_bytes:8.0f} bytes {each.agreement:6.1%} agreement {each.divergence:7.4f} nats"
        print(f"{name:>8} {each.setting:>10}: {told}")  # noqa: T201
    written = {name: [asdict(each) for each in rows] for name, rows in curves.items()}
    (asked.out / "curve.json").write_text(json.dumps({"model": asked.model, "split": at, "curves": written}, indent=1))
    plot(curves, asked.out / "curve.png")


def parser() -> argparse.ArgumentParser:
    """The options."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m recipes.train_bottleneck", description=__doc__, formatter_class=raw)
    made.add_argument("--model", default="timm:efficientnet_lite0", help="its trained weights must be installed")
    made.add_argument("--images", type=Path, help="folder of images to learn from")
    made.add_argument("--test", type=Path, help="folder of other images; without it, a quarter is kept aside")
    made.add_argument("--split", help="name of the split point; the narrowest of the first 45 %% without it")
    made.add_argument("--epochs", type=int, default=3)
    made.add_argument("-o", "--out", type=Path, default=Path("bottleneck"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    return made


if __name__ == "__main__":
    main()
