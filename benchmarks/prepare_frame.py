"""What does it cost to make the model's pixels of a frame, and to see how much of it changed?

`prepare` resizes only what the crop keeps. Against it: the whole frame resized, then cropped, as timm's evaluation
transform does, which is what `prepare` did before. The frames are enlarged photographs, or white noise where the folder
of real inputs is absent. Seconds of the thread's processor time.

The change of a frame against an earlier one, by each of adaedge's detectors, is measured beside EfficientNet-Lite0 in
ONNX Runtime, one thread, interleaved. Bars: 640 by 360 to 224 squared in at most 1.0 ms, bicubic; the change in at
most 2 % of the network's time.

    python -m benchmarks.prepare_frame [--change] [--smoke]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adaedge import Space, build, models
from adaedge.bundle import Preprocessing
from adaedge.bundle.frames import _resized, prepare
from adaedge.operating_point import OUTPUT
from adaedge.stream.detectors import DETECTORS
from benchmarks import result
from benchmarks.timing import spread, timed

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SHAPES = [(360, 640), (480, 640), (720, 1280), (1080, 1920), (224, 224)]
BAR_S, CHANGE_BAR = 1.0e-3, 0.02
INTERPOLATIONS = ["bicubic", "bilinear"]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def whole(frame: Pixels, preprocessing: Preprocessing) -> Pixels:
    """The whole frame resized, then its centre cropped."""
    height, width = _resized(frame.shape[:2], preprocessing)
    image = Image.fromarray(frame).resize((width, height), Image.Resampling[preprocessing.interpolation.upper()])
    top, left = (round((size - crop) / 2) for size, crop in zip((height, width), preprocessing.size, strict=True))
    return np.array(image.crop((left, top, left + preprocessing.size[1], top + preprocessing.size[0])))[None]


def photograph(shape: tuple[int, int]) -> Pixels:
    path = next(iter(sorted((DATA / "images").glob("*.JPEG"))), None)
    if path is None:
        return np.random.default_rng(0).integers(256, size=(*shape, 3), dtype=np.uint8)
    return np.array(Image.open(path).convert("RGB").resize((shape[1], shape[0])))


def measure(shape: tuple[int, int], preprocessing: Preprocessing, rounds: int) -> dict[str, Any]:
    frame = photograph(shape)
    arms = {"part": lambda: prepare(frame, preprocessing), "whole": lambda: whole(frame, preprocessing)}
    cpu_s = {name: seconds[0] for name, seconds in timed(arms, rounds).items()}
    levels = np.abs(arms["part"]().astype(int) - arms["whole"]())
    return {
        "frame": list(shape),
        "size": list(preprocessing.size),
        "interpolation": preprocessing.interpolation,
        **{f"{name}_s": spread(seconds) for name, seconds in cpu_s.items()},
        "ratio": round(float(np.median(cpu_s["part"] / cpu_s["whole"])), 3),
        "levels_at_most": int(levels.max()),
        "fraction_that_differs": round(float((levels > 0).mean()), 5),
    }


def change(rounds: int) -> list[dict[str, Any]]:
    """What looking at a frame and comparing it takes, and as a share of the network's time."""
    model = models.load("timm:efficientnet_lite0", pretrained=False)
    network = build(model.module, model.args, Space(), preprocessing=model.preprocessing, trained=False)
    whole, rows = network.head(OUTPUT), []
    for shape in SHAPES[:4]:
        frame = photograph(shape)
        inputs = (network.preprocess(frame),)
        arms: dict[str, Callable[[], Any]] = {"network": lambda inputs=inputs: whole.run(inputs)}
        for detector in DETECTORS:
            before = detector.look(np.roll(frame, 3, axis=1))
            arms[detector.name] = lambda frame=frame, detector=detector, before=before: detector.change(
                before, detector.look(frame)
            )
        cpu_s = {name: seconds[0] for name, seconds in timed(arms, rounds).items()}
        for detector in DETECTORS:
            share = round(float(np.median(cpu_s[detector.name] / cpu_s["network"])), 4)
            rows.append({"frame": list(shape), "detector": detector.name, "change_over_network": share})
            rows[-1] |= {"change_s": spread(cpu_s[detector.name]), "network_s": spread(cpu_s["network"])}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="20 rounds; prints the rows and writes nothing")
    parser.add_argument("--change", action="store_true", help="the change alone, a record of its own")
    options = parser.parse_args()
    rounds = 20 if options.smoke else 500
    shapes = () if options.change else SHAPES
    rows = [
        measure(shape, Preprocessing(interpolation=interpolation), rounds)
        for shape in shapes
        for interpolation in INTERPOLATIONS
    ]
    changes = change(rounds)
    print(json.dumps(rows + changes, indent=1))
    quick = all(row["part_s"]["median"] <= BAR_S for row in rows[:1])
    met = quick and all(row["change_over_network"] <= CHANGE_BAR for row in changes)
    print(f"bars: {'met' if met else 'MISSED'}")
    if options.smoke:
        return
    bars = {"360x640 to 224x224, bicubic_s": BAR_S, "change_over_network": CHANGE_BAR}
    if options.change:
        result.write("frame_change", changes, rounds=rounds, bar=CHANGE_BAR, met=met)
    else:
        result.write("prepare_frame", rows, change=changes, rounds=rounds, bars=bars, met=met)


if __name__ == "__main__":
    main()
