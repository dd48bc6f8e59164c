"""Four widths of a CIFAR-10 ResNet from one set of weights, by the sandwich rule; or one width alone, as a control.

    python -m recipes.elastic_cifar --data cifar10-jpeg.tar --weights cifar_resnet56.safetensors -o out
    python -m recipes.elastic_cifar --data cifar10-jpeg.tar --weights cifar_resnet56.safetensors -o out --alone 0.5
    python -m recipes.elastic_cifar --smoke

Writes ``out/elastic.safetensors`` (read it with `adaedge.Elastic.load`) or ``out/alone-0.5.safetensors``, and beside it
a JSON file with the settings and the losses. Started again after it was killed, it goes on where it was. ResNet-56, six
epochs: an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import SGD
from torch.optim.swa_utils import update_bn

from adaedge import Elastic
from adaedge.distillation import CrossEntropy, Plan, Sandwich, SwitchableAffine, WarmCosine, train
from recipes import cifar10
from recipes.cifar_resnet import CifarResNet

EXAMPLE = torch.zeros(1, 3, 32, 32)
RECALIBRATION_IMAGES = 5120
OWN = 5.0  # logarithmic scales move a batch-norm's γ by γ² times the rate; γ is about 0.4 here


def make(depth: int, widths: list[float], weights: Path | None) -> Elastic:
    """The widths before training: slices of trained weights where there are some."""
    net = CifarResNet(depth)
    if weights:
        net.load_state_dict(load_file(weights))
    return Elastic(net.to(memory_format=torch.channels_last), (EXAMPLE,), widths=widths)


def main(arguments: list[str] | None = None) -> None:
    """Read data and weights, train, set the statistics of batch-norm, write."""
    asked = parser().parse_args(arguments)
    if asked.smoke:
        asked.depth, asked.epochs, asked.batch, asked.weights = 8, 1, 16, None
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    data = cifar10.synthetic() if asked.smoke else cifar10.read(asked.data, asked.cache)
    loader = cifar10.loader(data["train_images"], data["train_labels"], asked.batch)
    elastic = make(asked.depth, asked.widths, asked.weights)

    own = {width: SwitchableAffine(elastic, width) for width in elastic.widths[1:]}
    student: nn.Module = nn.ModuleList([elastic, *own.values()])
    objective: Sandwich | CrossEntropy = Sandwich(elastic, weight=asked.narrower, own=own)
    learnt = [parameter for affine in own.values() for parameter in affine.parameters()]
    groups = [{"params": list(elastic.parameters())}, {"params": learnt, "lr": OWN * asked.rate}]
    if asked.alone:
        student = elastic.extract(asked.alone).to(memory_format=torch.channels_last)
        objective, groups = CrossEntropy(student), [{"params": list(student.parameters())}]
    name = f"alone-{asked.alone:g}" if asked.alone else "elastic"
    optimizer = SGD(groups, lr=asked.rate, momentum=0.9, nesterov=True, weight_decay=asked.decay)
    plan = Plan(asked.epochs, WarmCosine(), asked.seed, checkpoint=asked.out / f"{name}.checkpoint.safetensors")

    started_s = time.monotonic()
    rows = train(student, loader, objective, optimizer, plan)
    seconds = time.monotonic() - started_s

    # Statistics that were gathered while the weights moved are replaced: means over images as the test will see them.
    # The archive is sorted by class, so every n-th image is taken, and batches are made of all classes.
    every = max(1, len(data["train_images"]) // RECALIBRATION_IMAGES)
    some = data["train_images"][::every]
    images = [cifar10.normalise(some[start :: len(some) // asked.batch]) for start in range(len(some) // asked.batch)]
    if asked.alone:
        update_bn(images, student)
        tensors = {key: tensor.contiguous() for key, tensor in student.eval().state_dict().items()}
        save_file(tensors, asked.out / f"{name}.safetensors")
    else:
        elastic.recalibrate(images, [1.0])
        for affine in own.values():
            affine.recalibrate(images)
            affine.fold()
        elastic.eval().save(asked.out / f"{name}.safetensors")
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(asked).items()}
    (asked.out / f"{name}.json").write_text(json.dumps({"settings": settings, "epochs": rows, "seconds": seconds}))
    print(f"{asked.out / name}.safetensors: trained in {seconds:.0f} s")  # noqa: T201


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m recipes.elastic_cifar",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--data", type=Path, help="CIFAR-10 as a tar of JPEGs")
    made.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()), help="folder for the decoded images")
    made.add_argument("--weights", type=Path, help="safetensors of the full network; without them, random weights")
    made.add_argument("--depth", type=int, default=56, help="layers: 20 and 56 have published weights")
    made.add_argument("--widths", type=float, nargs="+", default=[1.0, 0.75, 0.5, 0.25], help="fractions of channels")
    made.add_argument("--alone", type=float, help="train this width alone, on labels, from the same slices")
    made.add_argument("--epochs", type=int, default=6)
    made.add_argument("--batch", type=int, default=128)
    made.add_argument("--rate", type=float, default=0.02, help="highest learning rate")
    made.add_argument("--decay", type=float, default=1e-4, help="weight decay")
    made.add_argument("--narrower", type=float, default=1.0, help="weight of each narrower width's loss")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--threads", type=int, default=torch.get_num_threads())
    made.add_argument("-o", "--out", type=Path, default=Path("elastic-cifar"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    return made


if __name__ == "__main__":
    main()
