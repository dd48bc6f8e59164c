"""A narrower level of a trained network, repaired with a few hundred photographs without labels.

    python -m recipes.repair --images photos/ -o lite0.safetensors
    python -m recipes.repair --images photos/ --test others/ --model timm:efficientnet_lite1 --macs 0.5
    python -m recipes.repair --smoke

Channels are dropped where the network's output suffers least, down to a fraction of its multiply-accumulates; then the
level learns the full width's predictions (`adaedge.distillation.repair`). Prints how often the level's class is the
full network's, before and after. Read what is written with `adaedge.Elastic.load`. EfficientNet-Lite0, 250 photographs:
about a quarter of an hour on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from adaedge import Elastic, models
from adaedge.bundle.frames import prepare
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.distillation import evenly_spaced, repair
from adaedge.levels import Taylor
from adaedge.runtime.sources import frames

SCORED, SOUNDED = 128, 48  # images that importance and sensitivity are measured on


@dataclass(frozen=True, slots=True)
class Outcome:
    """A level, its agreement with the full network at three moments, and whether the full width is what it was."""

    elastic: Elastic
    width: float
    sliced: Tensor
    recalibrated: Tensor
    repaired: Tensor
    unchanged: bool


def read(images: Iterable[object], preprocessing: Preprocessing) -> Tensor:
    """Images as the network takes them: float (N, 3, H, W), normalised."""
    pixels = torch.cat([torch.from_numpy(prepare(image, preprocessing)) for image in images])
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (preprocessing.mean, preprocessing.std))
    return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std


def agreement(level: nn.Module, full: nn.Module, images: Tensor) -> Tensor:
    """Whether the level's class is the full network's: bool (N,)."""
    with torch.inference_mode():
        return torch.cat([level(part).argmax(1) == full(part).argmax(1) for part in images.split(25)])


def narrow_and_repair(net: nn.Module, images: Tensor, test: Tensor, macs: float, epochs: int) -> Outcome:
    """The whole recipe: order the channels, choose a width for a fraction of the MACs, repair it."""
    scored, sounded = (evenly_spaced(images, count) for count in (SCORED, SOUNDED))
    importance = Taylor(scored.split(1), samples=SCORED)
    elastic = Elastic(net, (images[:1],), (1.0,), importance=importance, sensitivity=sounded.split(16))
    width = elastic.choose(macs=macs * elastic.macs(1.0))
    level = elastic.eval().level(width)
    sliced = agreement(level, elastic.net, test)
    elastic.recalibrate(images.split(50))
    recalibrated = agreement(level, elastic.net, test)
    before = {name: tensor.clone() for name, tensor in elastic.net.state_dict().items()}
    repair(elastic, images, epochs=epochs)
    unchanged = all(torch.equal(before[name], tensor) for name, tensor in elastic.net.state_dict().items())
    return Outcome(elastic, width, sliced, recalibrated, agreement(level, elastic.net, test), unchanged)


def main(arguments: list[str] | None = None) -> None:
    """Read a model and images, narrow, repair, write."""
    asked = parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    if asked.smoke:
        net, images = models.load("timm:test_resnet", pretrained=False).module, torch.randn(32, 3, 64, 64)
        test, asked.epochs = images, 1
    else:
        model = models.load(asked.model)
        if model.preprocessing is None:
            raise SystemExit(f"{asked.model} takes no images")
        net, images = model.module, read(frames(str(asked.images)), model.preprocessing)
        test = read(frames(str(asked.test)), model.preprocessing) if asked.test else images
    net, images = (each.to(memory_format=torch.channels_last) for each in (net, images))

    outcome = narrow_and_repair(net, images, test, asked.macs, asked.epochs)
    share = outcome.elastic.macs(outcome.width) / outcome.elastic.macs(1.0)
    print(f"width {outcome.width:g}: {share:.3f} of the multiply-accumulates")  # noqa: T201
    where = "other images" if asked.test else "the images that it was repaired with"
    moments = {"sliced": outcome.sliced, "recalibrated": outcome.recalibrated, "repaired": outcome.repaired}
    for moment, agrees in moments.items():
        print(f"{moment:>13}: {agrees.float().mean():.1%} agreement on {len(agrees)} of {where}")  # noqa: T201
    print(f"the full width is {'as it was' if outcome.unchanged else 'CHANGED'}, bit for bit")  # noqa: T201
    if asked.out:
        outcome.elastic.save(asked.out)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m recipes.repair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", default="timm:efficientnet_lite0", help="its trained weights must be installed")
    made.add_argument("--images", type=Path, help="folder of images to repair with")
    made.add_argument("--test", type=Path, help="folder of other images to measure on")
    made.add_argument("--macs", type=float, default=0.75, help="fraction of the multiply-accumulates to keep")
    made.add_argument("--epochs", type=int, default=12)
    made.add_argument("--threads", type=int, default=torch.get_num_threads())
    made.add_argument("-o", "--out", type=Path, help="safetensors file to write")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    return made


if __name__ == "__main__":
    main()
