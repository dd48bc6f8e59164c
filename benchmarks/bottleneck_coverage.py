"""Does a bottleneck fit networks that it was not written for?

Ten of the pinned list, convolutional and token, with random weights: so this says that fitting needs no code, and
nothing about bytes. Each is cut at the first split point past 25 % of its multiply-accumulates that carries features,
and fitted on eight random inputs. A row holds if the stream of a fresh input decodes to the features' shapes, the
answer is finite, and a finer rate comes nearer to the network's own answer.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import torch
from rich.progress import track
from torch.utils import _pytree as pytree

from adaedge import Bottleneck, Splittable
from adaedge.arrays import cosine
from adaedge.errors import CodecError
from adaedge.graph import SplitPoint
from adaedge.payload.latent import Layout
from benchmarks import result
from benchmarks.model_list import ENTRIES, build

MODELS = (
    "timm:resnet18",
    "timm:mobilenetv3_small_050",
    "timm:convnext_atto",
    "timm:regnety_002",
    "timm:densenet121",
    "timm:vit_tiny_patch16_224",
    "timm:swin_tiny_patch4_window7_224",
    "timm:pvt_v2_b0",
    "torchvision:r3d_18",
    "transformers:Dinov2Model",
)


def fits(point: SplitPoint) -> bool:
    """Whether what crosses is features on one grid."""
    crossing = point.crossing
    try:
        Layout.of([t.shape for t in crossing], [t.axis for t in crossing], [t.dtype for t in crossing])
    except CodecError:
        return False
    return True


def row_of(name: str) -> dict[str, Any]:
    entry = ENTRIES[name]
    net = build(entry)
    calls = [entry.call(1, torch.Generator().manual_seed(seed)) for seed in range(10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cut = Splittable(net, *calls[0])
    late = [point for point in cut.points if point.head_macs >= 0.25 * cut.points[-1].head_macs]
    point = next(point for point in late if fits(point))
    started = time.perf_counter()
    bottleneck = Bottleneck.fit(cut, (), split=point.name, images=(args for args, _ in calls[:8]))
    fit_s = time.perf_counter() - started
    args, kwargs = calls[9]
    with torch.no_grad():
        features, wanted = bottleneck.head(*args, **kwargs), first(net(*args, **kwargs))
        cosines, lengths = [], []
        for rate in bottleneck.rates:
            bottleneck.rate = rate
            data = bottleneck.compress(*features)
            back = bottleneck.decompress(data)
            assert [one.shape for one in back] == [one.shape for one in features]
            answer = first(bottleneck.tail(*back))
            cosines.append(cosine(wanted.numpy(), answer.numpy()))
            lengths.append(len(data))
    raw = sum(feature.numel() * feature.element_size() for feature in features)
    return {
        "model": name,
        "split": point.name,
        "crossing": [list(feature.shape) for feature in features],
        "sides": list(bottleneck.latents.layout.sides),
        "raw_bytes": raw,
        "bytes": [lengths[0], lengths[-1]],
        "cosine": [round(cosines[0], 4), round(cosines[-1], 4)],
        "fit_s": round(fit_s, 1),
        "holds": cosines[-1] >= cosines[0] and cosines[-1] == cosines[-1] and list(lengths) == sorted(lengths),
    }


def first(output: Any) -> torch.Tensor:
    return next(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="two models; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in track(MODELS[::5] if asked.smoke else MODELS):
        rows.append(row_of(name))
        print(rows[-1])
    print(f"{sum(row['holds'] for row in rows)} of {len(rows)} hold")
    if not asked.smoke:
        result.write(
            "bottleneck_coverage", rows, weights="random", fitted_on=8, holds=sum(row["holds"] for row in rows)
        )


if __name__ == "__main__":
    main()
