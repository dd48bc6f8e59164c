"""What does one weight set for several widths cost in accuracy?

ResNet-56 on CIFAR-10 (as JPEGs), four widths from one set by the sandwich rule, against the same network at each width
trained alone: equal epochs, data order and learning rate, starting from the same slices. All 10,000 test images; the
intervals are paired, 95 %. Bars: full width within 0.3 points, each narrower within 0.5 points, half of the
multiplications within 1.0 point of the full width.

The networks are trained first, by ``recipes.elastic_cifar`` (without ``--alone``, then with it for each width), into
one folder for each set of widths.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.progress import track
from safetensors.torch import load_file
from torch import Tensor, nn

from adaedge import Elastic
from benchmarks.result import write
from recipes import cifar10, elastic_cifar
from recipes.cifar_resnet import CifarResNet

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
FULL_BAR, NARROWER_BAR, HALF_BAR = 0.003, 0.005, 0.010
NORMAL_95 = 1.96
TOLD = ("depth", "epochs", "batch", "rate", "decay", "narrower", "seed", "threads")


@dataclass(frozen=True, slots=True)
class Difference:
    """One network's accuracy less another's, on the same images."""

    first: str
    second: str
    first_accuracy: float
    second_accuracy: float
    difference: float
    low: float
    high: float
    bar: float
    holds: bool


def difference(first: str, second: str, right: dict[str, Tensor], bar: float) -> Difference:
    """Paired: each image counts −1, 0 or 1; normal approximation."""
    each = right[first].double() - right[second].double()
    mean, half = each.mean().item(), NORMAL_95 * each.std().item() / math.sqrt(len(each))
    accuracies = (right[name].double().mean().item() for name in (first, second))
    return Difference(first, second, *accuracies, mean, mean - half, mean + half, -bar, mean >= -bar)


def right_of(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Whether each image is classified rightly."""
    net.eval()
    with torch.inference_mode():
        guesses = [net(cifar10.normalise(part)).argmax(1) for part in images.split(500)]
    return torch.cat(guesses) == labels


def networks(folder: Path, depth: int) -> tuple[Elastic, dict[str, nn.Module]]:
    """The trained widths: ``elastic WIDTH`` and ``alone WIDTH``."""
    elastic = Elastic.load(folder / "elastic.safetensors", CifarResNet(depth), (elastic_cifar.EXAMPLE,))
    nets = {f"elastic {width:g}": elastic.level(width) for width in elastic.widths}
    for width in elastic.widths:
        alone = elastic.extract(width)
        alone.load_state_dict(load_file(folder / f"alone-{width:g}.safetensors"))
        nets[f"alone {width:g}"] = alone
    return elastic, nets


def compare(folder: Path, depth: int, images: Tensor, labels: Tensor) -> tuple[Elastic, list[Difference]]:
    """The widths of one weight set against the same widths alone, and its half against its full width."""
    elastic, nets = networks(folder, depth)
    right = {name: right_of(net, images, labels) for name, net in track(nets.items(), description=folder.name)}
    rows = [
        difference(f"elastic {width:g}", f"alone {width:g}", right, FULL_BAR if width == 1 else NARROWER_BAR)
        for width in elastic.widths
    ]
    half = min(elastic.widths, key=lambda width: abs(elastic.macs(width) / elastic.macs(1.0) - 0.5))
    return elastic, [*rows, difference(f"elastic {half:g}", "elastic 1", right, HALF_BAR)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trained", type=Path, nargs="+", default=[Path("elastic-cifar")], help="what the recipe wrote"
    )
    parser.add_argument("--data", type=Path, default=DATA / "cifar10-jpeg.tar", help="CIFAR-10 as a tar of JPEGs")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()), help="folder for decoded images")
    parser.add_argument("--smoke", action="store_true", help="on noise; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = cifar10.synthetic() if asked.smoke else cifar10.read(asked.data, asked.cache)
    images, labels = data["test_images"], data["test_labels"]

    sets = []
    for folder in asked.trained:
        logs = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
        settings = logs["elastic"]["settings"]
        elastic, rows = compare(folder, settings["depth"], images, labels)
        for row in rows:
            print(
                f"{row.first} {row.first_accuracy:.2%}, {row.second} {row.second_accuracy:.2%}: "
                f"{100 * row.difference:+.2f} points [{100 * row.low:+.2f}, {100 * row.high:+.2f}], "
                f"bar {100 * row.bar:+.1f}: {'holds' if row.holds else 'MISSED'}"
            )
        sets.append(
            {
                "widths": elastic.widths,
                "differences": [asdict(row) for row in rows],
                "training": {key: settings[key] for key in TOLD},
                "macs": {f"{width:g}": elastic.macs(width) for width in elastic.widths},
                "training_s": {name: log["seconds"] for name, log in logs.items()},
                "losses": {name: log["epochs"] for name, log in logs.items()},
            }
        )
    if not asked.smoke:
        write(
            "elastic_accuracy",
            sets,
            optimizer="SGD, momentum 0.9, Nesterov; warm-up over 5 % of the steps, then a cosine to 0",
            test_images=len(labels),
            intervals="paired, 95 %, normal approximation",
        )


if __name__ == "__main__":
    main()
