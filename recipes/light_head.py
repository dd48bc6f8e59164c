"""A light head for a trained network: a small encoder in front of the same tail, with a bottleneck behind both.

    python -m recipes.light_head --images photos/ --test others/ -o out
    python -m recipes.light_head --model timm:mobilenetv2_100 --split blocks.3 --images photos/ --fraction 0.25
    python -m recipes.light_head --smoke

Fits the light head on unlabelled images (`adaedge.LightHead`), then a bottleneck for the full head and one for the
light one, and sends the test images through both at every rate: mean bytes, and how often the class is the full
network's. Writes ``out/light.safetensors`` and ``out/measured.json``. Started again after a kill, it goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from adaedge import Bottleneck, LightHead, Splittable, models
from adaedge.distillation import evenly_spaced
from recipes.train_bottleneck import normalise, read

FITTED = 64  # images that bottlenecks are fitted on
TIMED = 15


@torch.inference_mode()
def agreement(bottleneck: Bottleneck, wanted: Tensor, images: Tensor) -> list[dict[str, float]]:
    """Each rate through real streams: mean bytes, and how often the class is the full network's."""
    features = [bottleneck.head(image) for image in images.split(1)]
    rows = []
    for rate in bottleneck.rates:
        bottleneck.rate = rate
        streams = [bottleneck.compress(*each) for each in features]
        found = torch.cat([bottleneck.tail(*bottleneck.decompress(data)) for data in streams])
        same = (found.argmax(1) == wanted.argmax(1)).float().mean().item()
        rows.append({"rate": rate, "bytes": float(np.mean([*map(len, streams)])), "agreement": same})
    return rows


@torch.inference_mode()
def seconds(heads: dict[str, nn.Module], image: Tensor) -> dict[str, float]:
    """Median seconds of each head in PyTorch, one image at a time, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in heads}
    for turn in range(TIMED + 3):
        for name, head in heads.items():
            started_s = time.perf_counter()
            head(image)
            if turn >= 3:
                taken[name].append(time.perf_counter() - started_s)
    return {name: statistics.median(values) for name, values in taken.items()}


def measured(net: nn.Module, light: LightHead, fitted: Tensor, test: Tensor) -> dict[str, Any]:
    """Both heads: MACs, seconds, agreement as they are and behind each rate of a bottleneck."""
    with torch.inference_mode():
        wanted, found = (torch.cat([each(image) for image in test.split(1)]) for each in (net, light))
    same = (wanted.argmax(1) == found.argmax(1)).float().mean().item()
    curves, heads = {}, {}
    for name, network in (("full", net), ("light", light)):
        split = Splittable(network, (test[:1],))
        images = evenly_spaced(fitted, FITTED).split(1)
        curves[name] = agreement(Bottleneck.fit(split, (), split=light.split, images=images), wanted, test)
        heads[name] = split.at(light.split)[0]
    macs = {"full": light.full_macs, "light": light.macs}
    return {"macs": macs, "head_s": seconds(heads, test[:1]), "agreement": same, "curves": curves}


def main(arguments: list[str] | None = None) -> None:
    """Read a model and images, fit, measure, write."""
    asked = parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    model = models.load("timm:test_resnet", pretrained=False) if asked.smoke else models.load(asked.model)
    if asked.smoke:
        asked.split, asked.epochs, asked.fraction = "layer2", 1, 0.5
        pixels = np.random.default_rng(0).integers(0, 256, (12, 160, 160, 3), np.uint8)
    else:
        pixels = read(asked.images, model.preprocessing)
    seen = read(asked.test, model.preprocessing) if asked.test else pixels[::4]
    images = normalise(pixels if asked.test else np.delete(pixels, np.s_[::4], 0), model.preprocessing)
    test = normalise(seen, model.preprocessing)
    started_s = time.monotonic()
    light = LightHead.fit(
        model.module,
        (images[:1],),
        split=asked.split,
        images=images,
        macs_fraction=asked.fraction,
        epochs=asked.epochs,
        checkpoint=asked.out / "light.checkpoint.safetensors",
        log=asked.out / "log",
    )
    fit_s = time.monotonic() - started_s
    encoder = {name: tensor.contiguous() for name, tensor in light.encoder.state_dict().items()}
    save_file(encoder, asked.out / "light.safetensors")
    document = {"model": asked.model, "split": asked.split, "images": len(images), "test": len(test), "fit_s": fit_s}
    document |= measured(model.module, light, images, test)
    (asked.out / "measured.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    share = light.macs / light.full_macs
    print(f"{share:.1%} of the head's MACs, {document['agreement']:.1%} agreement on {len(test)} images")  # noqa: T201


def parser() -> argparse.ArgumentParser:
    """The options."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m recipes.light_head", description=__doc__, formatter_class=raw)
    made.add_argument("--model", default="timm:efficientnet_lite0", help="its trained weights must be installed")
    made.add_argument("--images", type=Path, help="folder of images to learn from")
    made.add_argument("--test", type=Path, help="folder of other images; without it, a quarter is kept aside")
    made.add_argument("--split", default="blocks.3", help="name of the split point")
    made.add_argument("--fraction", type=float, default=0.15, help="of the head's multiply-accumulates")
    made.add_argument("--epochs", type=int, default=20)
    made.add_argument("--threads", type=int, default=torch.get_num_threads())
    made.add_argument("-o", "--out", type=Path, default=Path("light"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    return made


if __name__ == "__main__":
    main()
