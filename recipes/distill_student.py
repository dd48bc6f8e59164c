"""A small CIFAR-10 network taught by a large one, beside the same network taught by labels alone.

    python -m recipes.distill_student --data cifar10-jpeg.tar --teacher cifar_resnet56.safetensors -o out
    python -m recipes.distill_student --data cifar10-jpeg.tar --teacher resnet56.safetensors --depth 8 --seeds 0 1 2
    python -m recipes.distill_student --smoke

For each seed, two students of one architecture, one order of images and one budget: ``alone`` learns the labels, and
``taught`` learns labels and teacher (`adaedge.distill`: softened predictions, and the features of the last stage).
Writes ``out/student-SEED.safetensors`` and ``out/measured.json``: test accuracy of all three, seconds, settings. Start
it again after it was killed, and it goes on where it was. On a GPU it runs in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import SGD

import adaedge
from adaedge.distillation import CrossEntropy, Plan, WarmCosine, Weighted, train
from recipes import cifar10
from recipes.cifar_resnet import CifarResNet


@torch.inference_mode()
def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Fraction of the images whose class is right."""
    parts = zip(images.split(250), labels.split(250), strict=True)
    right = [net(cifar10.normalise(part)).argmax(1) == wanted for part, wanted in parts]
    return torch.cat(right).float().mean().item()


def made(depth: int, seed: int) -> nn.Module:
    """A student before training, the same for one seed."""
    torch.manual_seed(seed)
    return CifarResNet(depth).to(memory_format=torch.channels_last)


def both(teacher: nn.Module, data: cifar10.Arrays, asked: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One seed: the student alone, and the student that is taught."""
    optimizer = partial(SGD, lr=asked.rate, momentum=0.9, nesterov=True, weight_decay=asked.decay)
    loader = cifar10.loader(data["train_images"], data["train_labels"], asked.batch)
    row: dict[str, Any] = {"seed": seed}

    def plan(name: str) -> Plan:
        path = asked.out / f"{name}-{seed}.checkpoint.safetensors"
        return Plan(asked.epochs, WarmCosine(), seed, checkpoint=path, log=asked.out / "log" / f"{name}-{seed}")

    alone = made(asked.depth, seed)
    started_s = time.monotonic()
    train(alone, loader, CrossEntropy(alone), optimizer(alone.parameters()), plan("alone"))
    row["alone_s"] = time.monotonic() - started_s

    taught = made(asked.depth, seed)
    losses = {
        (None, None): Weighted(adaedge.SoftTargets(asked.temperature), asked.soft),
        ("layer3", "layer3"): Weighted(adaedge.FeatureMSE(), asked.features),
    }
    started_s = time.monotonic()
    adaedge.distill(
        taught, teacher, loader, losses=losses, label_weight=1 - asked.soft, optimizer=optimizer, plan=plan("taught")
    )
    row["taught_s"] = time.monotonic() - started_s
    save_file(
        {name: tensor.contiguous() for name, tensor in taught.state_dict().items()},
        asked.out / f"student-{seed}.safetensors",
    )
    for name, net in (("alone", alone), ("taught", taught)):
        row[name] = accuracy(net, data["test_images"], data["test_labels"])
    return row


def main(arguments: list[str] | None = None) -> None:
    """Read data and teacher, train both students for each seed, write."""
    asked = parser().parse_args(arguments)
    if asked.smoke:
        asked.depth, asked.epochs, asked.batch, asked.teacher_depth, asked.teacher = 8, 1, 16, 8, None
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    data = cifar10.synthetic() if asked.smoke else cifar10.read(asked.data, asked.cache)
    teacher = made(asked.teacher_depth, 0).eval()
    if asked.teacher:
        teacher.load_state_dict(load_file(asked.teacher))
    full = accuracy(teacher, data["test_images"], data["test_labels"])
    rows = [both(teacher, data, asked, seed) for seed in asked.seeds]
    mean = {name: sum(row[name] for row in rows) / len(rows) for name in ("alone", "taught")}
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(asked).items()}
    document = {"settings": settings, "teacher": full, "mean": mean, "rows": rows}
    (asked.out / "measured.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"teacher {full:.2%}, ResNet-{asked.depth} alone {mean['alone']:.2%}, taught {mean['taught']:.2%}")  # noqa: T201


def parser() -> argparse.ArgumentParser:
    """The options."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m recipes.distill_student", description=__doc__, formatter_class=raw)
    made.add_argument("--data", type=Path, help="CIFAR-10 as a tar of JPEGs")
    made.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()), help="folder for the decoded images")
    made.add_argument("--teacher", type=Path, help="safetensors of the teacher")
    made.add_argument("--teacher-depth", type=int, default=56)
    made.add_argument("--depth", type=int, default=20, help="layers of the student: 20 or 8")
    made.add_argument("--epochs", type=int, default=30)
    made.add_argument("--batch", type=int, default=128)
    made.add_argument("--rate", type=float, default=0.1, help="highest learning rate")
    made.add_argument("--decay", type=float, default=5e-4, help="weight decay")
    made.add_argument("--temperature", type=float, default=4.0)
    made.add_argument(
        "--soft", type=float, default=0.9, help="weight of the teacher's predictions; labels have the rest"
    )
    made.add_argument("--features", type=float, default=0.1, help="weight of the last stage's features")
    made.add_argument("--seeds", type=int, nargs="+", default=[0])
    made.add_argument("--threads", type=int, default=torch.get_num_threads())
    made.add_argument("-o", "--out", type=Path, default=Path("student"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    return made


if __name__ == "__main__":
    main()
