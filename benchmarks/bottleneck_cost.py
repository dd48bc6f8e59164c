"""What does the bottleneck cost the terminal and the edge server, in time and in storage?

The networks of ``rate_accuracy`` with their real weights and split points, head and tail in ONNX Runtime as a bundle
runs them, one thread, batch 1, every photograph of a few once a round, arms in random order. Encoding and decoding are
whole: from the tensors to the segments' bytes and back; ``transform`` is the encoder without the entropy coder. Where
the decoder folds into the tail, ``folded_over_tail`` is what decoding adds to the tail as an edge server runs it: to
coefficients, and the folded tail in place of the plain one. Rows are rates. Bars: encoding at most 15 % of the head's
time, decoding at most 20 % of the tail's, at most 0.5 MB for encoder and coder; ``stored_bytes`` is the whole file,
decoder included. Times are CPU seconds of the one thread; ``wall`` ratios are by the clock.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import adaedge
from adaedge import Bottleneck
from adaedge.payload.latent.storage import to_bytes
from benchmarks import result
from benchmarks.rate_accuracy import CASES, SPLIT, Case, Scorer
from benchmarks.timing import spread, timed

BARS = {"encode_over_head": 0.15, "decode_over_tail": 0.20, "encoder_bytes": 500_000}
ENCODER = ("mean", "channels", "places", "spread", "steps", "fineness", "frequencies")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "adaedge-rate-accuracy")
    parser.add_argument("--smoke", action="store_true", help="a few photographs and rounds; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.cache.mkdir(parents=True, exist_ok=True)
    rows = [row for name in asked.networks for row in rows_of(CASES[name], asked)]
    if not asked.smoke:
        result.write("bottleneck_cost", rows, threads=1, batch=1, bars=BARS)


def rows_of(case: Case, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """One network at some of its rates."""
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    fit = split["fit_and_choose"]
    scorer = Scorer(case, split["test"][:8], fit[: 8 if asked.smoke else 64], asked.cache)
    images = [scorer.tensor(frame) for frame in scorer.fit_frames]
    bottleneck = Bottleneck.fit(scorer.cut, (), split=case.split, images=images)
    arrays = bottleneck.latents.arrays()
    sizes = {
        "encoder_bytes": sum(arrays[name].nbytes for name in ENCODER),
        "stored_bytes": len(to_bytes(case.split, bottleneck.latents)),
    }
    space = adaedge.Space(splits=[case.split], widths=[1.0], precisions=["fp32"], codecs=["raw", bottleneck])
    bundle = adaedge.build(scorer.net, (images[0],), space)
    rows = []
    for rate in bottleneck.rates:
        row = row_of(bundle, scorer, bottleneck, rate, 5 if asked.smoke else asked.rounds) | sizes
        rows.append(row | {"holds": all(row[name] <= bar for name, bar in BARS.items())})
        print(rows[-1])
    return rows


def row_of(bundle: Any, scorer: Scorer, bottleneck: Bottleneck, rate: int, rounds: int) -> dict[str, Any]:
    bottleneck.rate = rate
    codec, latents = bottleneck.codec, bottleneck.latents
    head, tail = bundle.head(scorer.case.split), bundle.tail(scorer.case.split)
    frames = itertools.cycle([scorer.tensor(frame).numpy() for frame in scorer.frames])
    features = itertools.cycle(scorer.features)
    sent = itertools.cycle([codec.encode([feature])[0] for feature in scorer.features])
    arms = {
        "head": lambda: head.run([next(frames)]),
        "transform": lambda: latents.quantise(latents.analyse(latents.layout.rows([next(features)])), rate),
        "encode": lambda: codec.encode([next(features)])[0],
        "decode": lambda: codec.decode(*next(sent), 2**24)[0],
        "tail": lambda: tail.run([next(features)]),
    }
    half = bundle.route(adaedge.OperatingPoint(scorer.case.split, codec=f"bottleneck@{rate}")).edge_half
    if half is not bundle.manifest.cut(scorer.case.split).tail:
        segments = itertools.cycle([codec.encode([feature])[0][1] for feature in scorer.features])
        arms["folded"] = lambda: bundle.engine(half).run([codec.coefficients(next(segments), 1)])
    seconds = timed(arms, rounds)
    payload = sum(sum(map(len, next(sent)[1])) for _ in scorer.features) / len(scorer.features)
    row: dict[str, Any] = {
        "network": scorer.case.name,
        "split": scorer.case.split,
        "rate": rate,
        "bytes": round(payload),
    }
    row |= {f"{name}_s": spread(both[0]) for name, both in seconds.items()}
    for over, of, name in (("encode", "head", "encode_over_head"), ("decode", "tail", "decode_over_tail")):
        medians = np.median(seconds[over], axis=1) / np.median(seconds[of], axis=1)
        row[name], row[f"wall_{name}"] = (round(float(value), 4) for value in medians)
    if "folded" in arms:
        both = np.median(seconds["folded"], axis=1) / np.median(seconds["tail"], axis=1) - 1
        row["folded_over_tail"], row["wall_folded_over_tail"] = (round(float(value), 4) for value in both)
    return row


if __name__ == "__main__":
    main()
