"""Does one bottleneck at many rates cost bytes against one that is fitted for a single rate?

EfficientNet-Lite0 after ``blocks.3``, 64 photographs of the fitting half to fit, the test half to score. Of the shared
bottleneck's rates two are taken. Alone, tables and decoder's centres are fitted on that step and its neighbours' one by
one, and bytes are compared at equal divergence, log bytes linear in log divergence. Bar: within 5 %.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from adaedge import Bottleneck
from adaedge.bottleneck import class_loss
from adaedge.bottleneck.fisher import gather
from adaedge.bottleneck.fit import integer_latents
from adaedge.bottleneck.transform import fit_transform
from benchmarks import result
from benchmarks.rate_accuracy import CASES, SPLIT, Scorer

RATES = (4, 7)
BAR = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "adaedge-rate-accuracy")
    parser.add_argument("--smoke", action="store_true", help="a few photographs; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.cache.mkdir(parents=True, exist_ok=True)
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    fit, test = split["fit_and_choose"], split["test"]
    fit, test = (fit[:8], test[:6]) if asked.smoke else (fit[:: len(fit) // 64][:64], test)
    scorer = Scorer(CASES["lite0"], test, fit, asked.cache)
    images = [scorer.tensor(frame) for frame in scorer.fit_frames]
    shared = Bottleneck.fit(scorer.cut, (), split=scorer.case.split, images=images)
    layout = shared.latents.layout
    sample = gather(scorer.head, scorer.tail, images, layout, loss=class_loss, limit=64, draws=4, seed=0)
    transform = fit_transform(sample, layout, ridge=0.03, shrinkage=5.0)
    classes = np.rint(4 * np.log2(shared.latents.sizes)).astype(np.int64)
    rows = []
    for rate in RATES:
        together = scorer.bottleneck(shared, rate)
        alone = []
        for near in track((2, 1, 0, -1, -2), f"rate {rate}: fitted alone"):
            latents = integer_latents(sample, transform, layout, classes[rate : rate + 1] + near)
            alone.append(scorer.bottleneck(shared.with_latents(latents), 0))
        rows.append(row_of(rate, together, alone))
        print(rows[-1])
    holds = all(row["more_bytes"] <= BAR for row in rows)
    print("holds" if holds else "MISSED")
    if not asked.smoke:
        result.write("many_rates", rows, network=scorer.case.name, split=SPLIT.name, bar=BAR, holds=holds)


def row_of(rate: int, together: dict[str, Any], alone: list[dict[str, Any]]) -> dict[str, Any]:
    """How many more bytes the shared bottleneck takes at the divergence that it has."""
    logs = np.log([[one["kl"], one["bytes"]] for one in sorted(alone, key=lambda one: one["kl"])])
    needed = float(np.exp(np.interp(np.log(together["kl"]), logs[:, 0], logs[:, 1])))
    kept = ("bytes", "kl", "agreement", "without_last_tenth", "predicted")
    return {
        "rate": rate,
        **{name: together[name] for name in kept},
        "bytes_alone": round(needed, 1),
        "more_bytes": round(together["bytes"] / needed - 1, 4),
        "alone": [{name: one[name] for name in kept} for one in alone],
    }


if __name__ == "__main__":
    main()
