"""An edge server's network that is taught what a codec leaves of frames: fewer bytes for the same answer, no label.

    python -m recipes.codec_aware_edge --clip camera.mp4 --codec h264 --settings 24,28,32,36,40 -o out
    python -m recipes.codec_aware_edge --smoke

A copy of the network sees frames as they arrive, at every setting of the codec and clean, and learns what the network
itself answers to the clean ones (`adaedge.distill`). The first half of a clip teaches; the second is sent through the
codec before both networks: mean bytes, and the divergence of the answer from the plain network's to the clean frame, in
nats. ``saved`` is how many bytes fewer the taught network needs for the plain one's divergence, the mean over the
settings at which it can be read off. Writes ``out/network.safetensors``, weights of the network to build a bundle from
(it learned clean frames too, which the terminal answers locally), and ``out/measured.json``.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

import adaedge
from adaedge import models
from adaedge.bundle.frames import prepare
from adaedge.clip import as_clip
from adaedge.distillation import SoftTargets
from adaedge.payload.codecs import get_codec
from adaedge.payload.video import video_codec
from recipes.train_bottleneck import normalise

CLEAN = ""


class Channels(nn.Module):
    """A network that looks at three of six channels: the frame as it arrived, or as it was."""

    def __init__(self, net: nn.Module, first: int) -> None:
        super().__init__()
        self.net, self.first = net, first

    def forward(self, pair: Tensor) -> Any:
        """The network's answer."""
        return self.net(pair[:, self.first : self.first + 3])


def arrived(pixels: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Frames as the edge server sees them, and mean bytes without headers; a video's build upon each other."""
    if name == CLEAN:
        return pixels, 0.0
    codec: Any = video_codec(name) or get_codec(name)
    seen, size, held, other = [], 0, None, None
    for frame in pixels:
        (headers, segments), held = codec.encode([frame[None]], [None], held)
        (shown,), other = codec.decode(headers, segments, 2**26, other)
        seen.append(np.asarray(shown)[0])
        size += sum(map(len, segments))
    return np.stack(seen), size / len(pixels)


@torch.inference_mode()
def answers(net: nn.Module, images: Tensor) -> Tensor:
    """What a network answers."""
    return torch.cat([net(part) for part in images.split(8)])


def curve(net: nn.Module, sent: dict[str, tuple[Tensor, float]], wanted: Tensor) -> list[dict[str, Any]]:
    """Each setting: mean bytes, divergence from the plain network's answer to the clean frame."""
    rows = []
    for name, (images, size) in sent.items():
        found = answers(net, images)
        nats = SoftTargets(1.0)(found, wanted).item()
        rows.append({"setting": name or "clean", "bytes": size, "divergence": nats})
    return rows


def saved(plain: list[dict[str, Any]], taught: list[dict[str, Any]]) -> float | None:
    """Share of the bytes that the taught network spares at the plain one's divergences; ``None``: none compare."""
    rows = sorted((row["divergence"], np.log(row["bytes"])) for row in taught if row["bytes"])
    nats, logs = zip(*rows, strict=True)
    known = [(row["bytes"], row["divergence"]) for row in plain if nats[0] <= row["divergence"] <= nats[-1]]
    spared = [1 - np.exp(np.interp(divergence, nats, logs)) / size for size, divergence in known if size]
    return float(np.mean(spared)) if spared else None


def halves(asked: argparse.Namespace, preprocessing: Any) -> tuple[np.ndarray, np.ndarray]:
    """Frames that teach, and others that judge, as the network takes them."""
    if asked.smoke:
        pixels = np.random.default_rng(0).integers(0, 256, (16, 10, 10, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    else:
        pixels = np.concatenate([prepare(frame, preprocessing) for frame in as_clip(str(asked.clip))])
    return pixels[: len(pixels) // 2], pixels[len(pixels) // 2 :]


def main(arguments: list[str] | None = None) -> None:
    """Read a network and frames, teach, judge, write."""
    asked = parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = models.load("timm:test_resnet", pretrained=False) if asked.smoke else models.load(asked.model)
    if asked.smoke:
        asked.settings, asked.epochs, asked.taught = "30,45", 1, 4
    names = [f"{asked.codec}@{setting}" for setting in asked.settings.split(",")]
    learning, judging = halves(asked, model.preprocessing)
    chosen = np.unique(np.linspace(0, len(learning) - 1, asked.taught).round().astype(int))
    clean = normalise(learning[chosen], model.preprocessing)
    coded = [normalise(arrived(learning, name)[0][chosen], model.preprocessing) for name in (CLEAN, *names)]
    pairs = torch.cat([torch.cat([seen, clean], 1) for seen in coded])
    taught, begun_s = copy.deepcopy(model.module), time.monotonic()
    student, teacher = Channels(taught, 0), Channels(model.module, 3).eval()
    loader, slow = DataLoader(pairs, batch_size=8, shuffle=True), partial(torch.optim.AdamW, lr=1e-4)
    adaedge.distill(student, teacher, loader, loss=SoftTargets(1.0), epochs=asked.epochs, optimizer=slow)
    save_file(dict(taught.state_dict()), asked.out / "network.safetensors")
    through = {name: arrived(judging, name) for name in (CLEAN, *names)}
    sent = {name: (normalise(seen, model.preprocessing), size) for name, (seen, size) in through.items()}
    wanted = answers(model.module, sent[CLEAN][0])
    plain, after = (curve(net, sent, wanted) for net in (model.module, taught.eval()))
    spared = saved(plain, after)
    document = {"model": asked.model, "codec": asked.codec, "taught": len(chosen), "saved": spared}
    document |= {"seconds": time.monotonic() - begun_s, "plain": plain, "aware": after}
    (asked.out / "measured.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    shown = "no divergence to compare at" if spared is None else f"{spared:.1%} fewer bytes"
    print(f"taught on {len(chosen) / len(learning):.0%} of the half: {shown}")  # noqa: T201


def parser() -> argparse.ArgumentParser:
    """The options."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m recipes.codec_aware_edge", description=__doc__, formatter_class=raw)
    made.add_argument("--model", default="timm:efficientnet_lite0", help="its trained weights must be installed")
    made.add_argument("--clip", type=Path, help="a video: its first half teaches, its second judges")
    made.add_argument("--codec", default="h264", help="jpeg, webp, h264, h264-444, hevc, …")
    made.add_argument("--settings", default="24,28,32,36,40", help="of the codec: qualities or CRFs")
    made.add_argument("--taught", type=int, default=100, help="frames that teach, at even distances")
    made.add_argument("--epochs", type=int, default=4)
    made.add_argument("-o", "--out", type=Path, default=Path("aware"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on patterns: shows only that it works")
    return made


if __name__ == "__main__":
    main()
