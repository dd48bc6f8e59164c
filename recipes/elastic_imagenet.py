"""Several widths of any timm classifier from one set of weights, on any folder of labelled images.

    python -m recipes.elastic_imagenet --model resnet50 --train imagenet/train --val imagenet/val -o out
    python -m recipes.elastic_imagenet --model mobilenetv2_100 --train flowers/train --val flowers/val --epochs 20
    accelerate launch -m recipes.elastic_imagenet --model resnet50 --train imagenet/train --val imagenet/val
    python -m recipes.elastic_imagenet --smoke

Starts from timm's pretrained weights, trains by the sandwich rule, and writes ``out/elastic.safetensors`` (read it with
`adaedge.Elastic.load`) and the accuracy of each width. Started again after it was killed, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import timm
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import FakeData, ImageFolder

from adaedge import Elastic
from adaedge.distillation import Plan, Sandwich, WarmCosine, train
from adaedge.levels import WIDTHS

RECALIBRATION_IMAGES = 1024


def data(asked: argparse.Namespace, config: dict[str, Any]) -> tuple[Dataset[Any], Dataset[Any], Dataset[Any]]:
    """Training images cropped at random; the same, and validation images, as timm evaluates them."""
    random, still = (timm.data.create_transform(**config, is_training=training) for training in (True, False))
    if asked.smoke:
        shape = config["input_size"]
        return tuple(FakeData(16, shape, asked.classes, transform=each) for each in (random, still, still))
    return ImageFolder(asked.train, random), ImageFolder(asked.train, still), ImageFolder(asked.val, still)


def accuracy(net: nn.Module, loader: DataLoader[Any], device: torch.device) -> float:
    """Top-1."""
    right = [(net(images.to(device)).argmax(1).cpu() == labels).float() for images, labels in loader]
    return torch.cat(right).mean().item()


def main(arguments: list[str] | None = None) -> None:
    """Read model and data, train, recalibrate, measure, write."""
    asked = parser().parse_args(arguments)
    if asked.smoke:
        asked.model, asked.classes, asked.epochs, asked.batch, asked.workers = "test_resnet", 10, 1, 8, 0
    elif asked.classes is None:
        asked.classes = len(ImageFolder(asked.train).classes)
    torch.manual_seed(asked.seed)
    net = timm.create_model(asked.model, pretrained=not (asked.smoke or asked.random), num_classes=asked.classes)
    config = timm.data.resolve_model_data_config(net)
    training, still, validation = data(asked, config)
    loaded = {"batch_size": asked.batch, "num_workers": asked.workers}
    loader = DataLoader(training, **loaded, shuffle=True, drop_last=True, persistent_workers=asked.workers > 0)

    accelerator = Accelerator()
    elastic = Elastic(net.to(memory_format=torch.channels_last), (torch.rand(1, *config["input_size"]),), asked.widths)
    print(f"kept whole: {elastic.skipped}")  # noqa: T201
    optimizer = SGD(elastic.parameters(), lr=asked.rate, momentum=0.9, nesterov=True, weight_decay=asked.decay)
    plan = Plan(asked.epochs, WarmCosine(), asked.seed, checkpoint=asked.out / "elastic.checkpoint.safetensors")
    rows = train(elastic, loader, Sandwich(elastic, weight=asked.narrower), optimizer, plan, accelerator=accelerator)

    if not accelerator.is_main_process:
        return
    some = zip(DataLoader(still, **loaded, shuffle=True), range(0, RECALIBRATION_IMAGES, asked.batch), strict=False)
    elastic.recalibrate([images.to(accelerator.device) for (images, _), _ in some], elastic.widths)
    evaluated = DataLoader(validation, **loaded)
    with torch.no_grad():
        found = {width: accuracy(elastic.level(width), evaluated, accelerator.device) for width in elastic.widths}
    elastic.to("cpu").save(asked.out / "elastic.safetensors")
    (asked.out / "elastic.json").write_text(json.dumps({"accuracy": found, "epochs": rows}))
    for width, top_1 in found.items():
        print(f"width {width:g}: {top_1:.2%}, {elastic.macs(width) / 1e6:.0f} million MACs")  # noqa: T201


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m recipes.elastic_imagenet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--model", default="resnet50", help="name in timm")
    made.add_argument("--random", action="store_true", help="start from random weights, not from timm's")
    made.add_argument("--train", type=Path, help="folder with a folder of images for each class")
    made.add_argument("--val", type=Path, help="the same, for validation")
    made.add_argument("--classes", type=int, help="number of classes; the number of folders without it")
    made.add_argument("--widths", type=float, nargs="+", default=list(WIDTHS), help="fractions of channels")
    made.add_argument("--epochs", type=int, default=10)
    made.add_argument("--batch", type=int, default=128)
    made.add_argument("--workers", type=int, default=8, help="processes that read images")
    made.add_argument("--rate", type=float, default=0.02, help="highest learning rate")
    made.add_argument("--decay", type=float, default=1e-4, help="weight decay")
    made.add_argument("--narrower", type=float, default=0.25, help="weight of each narrower width's loss")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("-o", "--out", type=Path, default=Path("elastic-imagenet"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    return made


if __name__ == "__main__":
    main()
