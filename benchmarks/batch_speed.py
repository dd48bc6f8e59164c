"""Would an edge server answer more frames if it computed those of several terminals as one batch?

The tails that an edge server runs after a picture, and after a late split point, in ONNX Runtime on one thread: seconds
a frame for batches of 1, 2, 4 and 8, the batch made a free dimension of the same graph. An edge server computes as many
payloads at a time as it has cores, so a batch pays only by what a frame costs less in it. Bar: 1.5 times the frames.

    python -m benchmarks.batch_speed [--smoke]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from adaedge import Space, build, models
from adaedge.bundle import Bundle
from adaedge.engine import OnnxEngine
from benchmarks import result
from benchmarks.timing import timed

NETWORKS = {"resnet10t": "layer3", "mobilenetv2_100": "blocks.5", "efficientnet_lite0": "blocks.5"}
BATCHES, ROUNDS = (1, 2, 4, 8), 12
BARS = {"frames_of_8": 1.5}


def with_free_batch(graph: bytes) -> bytes:
    """The same graph, its first dimension free."""
    model = onnx.load_from_string(graph)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    return model.SerializeToString()


def measure(name: str, split: str, rounds: int) -> list[dict[str, Any]]:
    """Each tail of a network at each batch."""
    model = models.load(f"timm:{name}", pretrained=False)
    space = Space(splits=["input", split], widths=[1.0], precisions=["fp32"], codecs=["raw"])
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder) / "b"
        build(model.module, model.args, space, preprocessing=model.preprocessing, name=model.name).save(path)
        bundle = Bundle.load(path)
    return [_row(bundle, name, place, rounds) for place in ("input", split)]


def _row(bundle: Bundle, name: str, split: str, rounds: int) -> dict[str, Any]:
    half = bundle.manifest.cut(split).tail
    engine = OnnxEngine(with_free_batch(bundle._files[half.graph]), bundle._engines._given(half))
    draw, arms = np.random.default_rng(0), {}
    for batch in BATCHES:
        inputs = [
            draw.integers(0, 256, (batch, *spec.shape[1:])).astype(spec.dtype)
            if spec.dtype == "uint8"
            else draw.standard_normal((batch, *spec.shape[1:])).astype(spec.dtype)
            for spec in half.inputs
        ]
        arms[str(batch)] = lambda inputs=inputs: engine.run(inputs)
    alone = [array[:1] for array in inputs]
    together, single = engine.run(inputs)[0][:1], engine.run(alone)[0]
    spent = {arm: float(np.median(seconds[0])) / int(arm) for arm, seconds in timed(arms, rounds, warm_up=2).items()}
    return {
        "network": name,
        "split": split,
        "seconds_a_frame": spent,
        "frames_of_8": spent["1"] / spent["8"],
        "off": float(np.abs(together - single).max() / np.abs(single).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one network, two rounds, nothing written")
    options = parser.parse_args()
    names = [*NETWORKS][:1] if options.smoke else [*NETWORKS]
    rows = [row for name in names for row in measure(name, NETWORKS[name], 2 if options.smoke else ROUNDS)]
    print(json.dumps(rows, indent=1))
    if not options.smoke:
        result.write("batch_speed", rows, bars=BARS)


if __name__ == "__main__":
    main()
