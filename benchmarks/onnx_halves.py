"""Do head and tail as ONNX graphs compute what the model computes?

Twelve models of several families, three split points each, spread over the execution order: the halves of a bundle in
ONNX Runtime against the eager model in PyTorch, on an input that the build has not seen. Bar: at least 95 % of the
pairs within 1e-4, relative to the largest output.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import timm
import torch
import torchvision
import transformers
from rich.progress import track
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from adaedge.builder import Space, build
from adaedge.builder.verification import relative_error
from adaedge.bundle import Bundle
from adaedge.errors import AdaedgeError
from adaedge.graph import Splittable
from benchmarks.result import write

TOLERANCE = 1e-4
BAR = 0.95
POINTS = 3

Call = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and its calls: the positional arguments are under ``args``."""

    name: str
    make: Callable[[], nn.Module]
    call: Callable[[], Call]


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of halves."""

    model: str
    split: str
    crossing: int
    error: float | None
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether the halves compute what the model computes."""
        return self.error is not None and self.error <= TOLERANCE


def image(size: int = 224) -> Call:
    return {"args": (torch.randn(1, 3, size, size),)}


def clip(size: int = 112, frames: int = 8) -> Call:
    return {"args": (torch.randn(1, 3, frames, size, size),)}


def tokens(length: int = 32) -> Call:
    return {"input_ids": torch.randint(5, 900, (1, length)), "attention_mask": torch.ones(1, length, dtype=torch.int64)}


def hugging(kind: str, head: str, **config: Any) -> nn.Module:
    settings = getattr(transformers, f"{kind}Config")(**config)
    return getattr(transformers, f"{kind}{head}")(settings)


TEXT = {
    "vocab_size": 1000,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
VISION = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128}

SUBJECTS = (
    *(
        Subject(f"timm:{name}", lambda name=name: timm.create_model(name), image)
        for name in (
            "resnet18",
            "mobilenetv2_100",
            "efficientnet_lite0",
            "convnext_atto",
            "vit_tiny_patch16_224",
            "swin_tiny_patch4_window7_224",
        )
    ),
    Subject("torchvision:r3d_18", lambda: torchvision.models.video.r3d_18(), clip),
    Subject("transformers:BertModel", lambda: hugging("Bert", "Model", **TEXT), tokens),
    Subject(
        "transformers:GPT2LMHeadModel",
        lambda: hugging("GPT2", "LMHeadModel", vocab_size=1000, n_embd=64, n_layer=4, n_head=4, use_cache=False),
        lambda: {"input_ids": torch.randint(5, 900, (1, 32))},
    ),
    Subject(
        "transformers:ViTForImageClassification",
        lambda: hugging("ViT", "ForImageClassification", image_size=64, **VISION),
        lambda: {"pixel_values": torch.randn(1, 3, 64, 64)},
    ),
    Subject(
        "transformers:VideoMAEForVideoClassification",
        lambda: hugging("VideoMAE", "ForVideoClassification", image_size=64, num_frames=8, **VISION),
        lambda: {"pixel_values": torch.randn(1, 8, 3, 64, 64)},
    ),
    Subject(
        "transformers:SegformerForSemanticSegmentation",
        lambda: hugging("Segformer", "ForSemanticSegmentation"),
        lambda: {"pixel_values": torch.randn(1, 3, 128, 128)},
    ),
)


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two models only")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    subjects = [SUBJECTS[0], SUBJECTS[7]] if options.smoke else SUBJECTS
    rows = [row for subject in track(subjects, "ONNX halves") for row in measure(subject, options.seed)]
    passed = sum(row.passed for row in rows)
    for row in rows:
        print(f"{row.model:48} {row.split:52} {row.crossing:2} crossing  {row.error or row.failure}")
    verdict = "met" if passed >= BAR * len(rows) else "MISSED"
    print(f"{passed} of {len(rows)} pairs within {TOLERANCE:g}; bar {BAR:.0%}: {verdict}")
    if not options.smoke:
        settings = {"tolerance": TOLERANCE, "bar": BAR, "seed": options.seed, "threads": 1, "repetitions": 1}
        table = [asdict(row) | {"passed": row.passed} for row in rows]
        write("onnx_halves", table, **settings, pairs=len(rows), passed=passed)


def measure(subject: Subject, seed: int) -> list[Row]:
    """Build the model with three split points and compare each pair of halves."""
    torch.manual_seed(seed)
    net = awake(subject.make().eval())
    call = subject.call()
    args, kwargs = call.pop("args", ()), call
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner = Splittable(net, args, kwargs, dynamic=False).points[1:-1]
    points = [inner[round((at + 1) * len(inner) / (POINTS + 1))] for at in range(POINTS)]
    rows = []
    for point in points:
        try:
            bundle = build(net, args, Space(splits=[point.name]), kwargs=kwargs)
            rows.append(Row(subject.name, point.name, len(point.crossing), compare(net, bundle, point.name, subject)))
        except AdaedgeError as error:
            rows.append(Row(subject.name, point.name, len(point.crossing), None, f"{type(error).__name__}: {error}"))
    return rows


def awake(net: nn.Module) -> nn.Module:
    """The model with its zero-initialised branches perturbed: a wrong cut of them would not show otherwise."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.is_floating_point() and parameter.std(unbiased=False) < 1e-3:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


def compare(net: nn.Module, bundle: Bundle, split: str, subject: Subject) -> float:
    """The largest relative error of an output, for an input that the build has not seen."""
    call = subject.call()
    args, kwargs = call.pop("args", ()), call
    with torch.no_grad():
        expected = [leaf.numpy() for leaf in pytree.tree_leaves(net(*args, **kwargs)) if isinstance(leaf, Tensor)]
    inputs = [leaf.numpy() for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    found = bundle.tail(split).run(bundle.head(split).run(inputs))
    if len(found) != len(expected):
        return float(np.inf)
    return max(relative_error(one, other) for one, other in zip(found, expected, strict=True))


if __name__ == "__main__":
    main()
