"""How much faster is a transformer that recomputes only tokens that changed, and how far is it from dense?

``vit``: DINOv2's ViT-S/14 at 518², real weights, on a clip of a static camera: the tokens' features. The tolerance is
chosen on the first frames so that at most a tenth of the tokens is recomputed, the oldest included; then up to 500
frames are measured. Dense runs in ONNX Runtime, fp32 and int8, on one frame in ``--every``, interleaved; CPU seconds of
one thread, embedding and choice of tokens included. `moving_cosine`: of tokens whose patch moved since the frame before
(mean absolute difference above 4 grey levels), `still_cosine` of the others, both against dense fp32; of the first and
of the last fifth of the frames, which shows drift. `held_cosine`: of moving tokens where the dense features of the
frame measured before stand.

``videomae``: the shape of VideoMAE-base with random weights (its speed is that of any weights; its error is not), 16
frames at 224² that slide by a tubelet of two. The newest takes the place of the oldest, so that an eighth of the tokens
changes: a ring of time slots, whose positions stay. `error`: relative, of the output against dense on the same ring;
`order_error`: against dense on the clip in the order of time, which is what the ring leaves undone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from adaedge.builder.incremental_graphs import dense_engines, onnx_token_runner
from adaedge.clip import as_clip
from adaedge.graph.capture import capture
from adaedge.graph.signature import Signature
from adaedge.incremental.tokens import staged
from adaedge.metrics.features import cosines
from adaedge.models import load
from adaedge.stream.incremental import Tolerance
from adaedge.stream.incremental.tokens import Choice, TokenRunner
from benchmarks.deeplabv3 import DATA
from benchmarks.result import write

Array = npt.NDArray[Any]
Row = dict[str, Any]
WEIGHTS = DATA / "weights" / "vit_small_patch14_dinov2-fp16.safetensors"
CLIP = DATA / "clips" / "one-by-one-person-detection.mp4"
SIDE, PATCH = 518, 14
TOLERANCES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
SHARE, MOVED_LEVELS, TRIED = 0.10, 4.0, 12
BARS = {"vit": 8.0, "moving_cosine": 0.99, "videomae": 4.0}


class Features(nn.Module):
    """A uint8 picture (1, 518, 518, 3) to the features of all tokens."""

    def __init__(self) -> None:
        super().__init__()
        arguments = {"img_size": SIDE, "num_classes": 0}
        self.net = load("timm:vit_small_patch14_dinov2", weights=WEIGHTS, model_args=arguments).module
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)), persistent=False)
        self.register_buffer("std", torch.tensor((0.229, 0.224, 0.225)), persistent=False)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor]:
        """(1, 1370, 384)."""
        return (self.net.forward_features(((picture.float() / 255 - self.mean) / self.std).permute(0, 3, 1, 2)),)


def prepared(frame: Array) -> Array:
    """All of a frame, its sides scaled apart."""
    return np.array(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BILINEAR))[None]


def moving(before: Array, after: Array) -> npt.NDArray[np.bool_]:
    """Patches that moved."""
    side = SIDE // PATCH
    apart = np.abs(after[0].astype(np.int16) - before[0]).reshape(side, PATCH, side, PATCH, 3)
    found: npt.NDArray[np.bool_] = apart.mean((1, 3, 4)).reshape(-1) > MOVED_LEVELS
    return found


def of_patches(one: Array, other: Array) -> Array:
    """The cosine of each patch's features; the class token is left out."""
    return cosines((one[0, 1:],), (other[0, 1:],))


def vit(clip: Path, frames: int, every: int, *, int8: bool) -> Row:
    """See above."""
    net = Features().eval()
    pictures = (prepared(frame) for frame in islice(as_clip(str(clip)), frames))
    first = [next(pictures) for _ in range(TRIED)]
    example = torch.from_numpy(first[0])
    runner = onnx_token_runner(staged(capture(net, Signature.of((example,), {}), dynamic=False)), Tolerance(0.1))
    engines = dense_engines(net, (example,), [(one,) for one in first[::8]] if int8 else ())
    tried: dict[float, float] = {}
    for tolerance in TOLERANCES:
        runner.tolerance = Tolerance(tolerance)
        cache, shares = None, []
        for picture in first:
            _, cache = runner.run([picture], cache)
            shares.append(cache.stats.macs_share)
        tried[tolerance] = round(float(np.mean(shares[1:])), 4)
        if tried[tolerance] <= SHARE:
            break
    return {"model": "vit_small_patch14_dinov2", "clip": clip.stem, "tolerance": tolerance, "tried": tried} | followed(
        runner, engines, [*first, *pictures], every
    )


def followed(runner: TokenRunner, engines: dict[str, Any], pictures: Sequence[Array], every: int) -> Row:
    """All frames incrementally, one in ``every`` densely as well."""
    seconds: dict[str, list[float]] = {name: [] for name in ("incremental", *engines)}
    cosine: dict[str, list[Array]] = {"moving": [], "still": [], "held": []}
    shares, paths, cache, held = [], [], None, None
    for at, picture in enumerate(pictures):
        started = time.thread_time()
        (given,), cache = runner.run([picture], cache)
        if at:
            seconds["incremental"].append(time.thread_time() - started)
            shares.append(cache.stats.macs_share)
            paths.append(cache.stats.path)
        if at % every:
            continue
        made = {}
        for name in engines if at // every % 2 else reversed(engines):
            started = time.thread_time()
            (made[name],) = engines[name].run([picture])
            seconds[name].append(time.thread_time() - started)
        if at:
            moved, found = moving(pictures[at - 1], picture), of_patches(given, made["fp32"])
            cosine["moving"].append(found[moved])
            cosine["still"].append(found[~moved])
            cosine["held"].append(of_patches(held, made["fp32"])[moved])
        held = made["fp32"]
    fifth = max(1, len(cosine["moving"]) // 5)
    mean = {name: float(np.mean(values)) for name, values in seconds.items()}
    row: Row = {f"{name}_ms": round(1e3 * value, 2) for name, value in mean.items()}
    row |= {f"against_{name}": round(mean[name] / mean["incremental"], 2) for name in engines}
    row |= {"frames": len(pictures), "macs_share": round(float(np.mean(shares)), 4)}
    row |= {"dense_frames": paths.count("dense"), "bytes": 0 if cache is None else cache.length_bytes}
    for name, values in cosine.items():
        row[f"{name}_cosine"] = _mean(values)
    row |= {f"{name}_cosine_first": _mean(cosine[name][:fifth]) for name in ("moving", "still")}
    return row | {f"{name}_cosine_last": _mean(cosine[name][-fifth:]) for name in ("moving", "still")}


def _mean(values: Sequence[Array]) -> float | None:
    joined = np.concatenate(values) if values else np.zeros(0)
    return round(float(joined.mean()), 4) if len(joined) else None


def videomae(clip: Path, slides: int, *, small: bool = False) -> Row:
    """See above."""
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 192}
    config = transformers.VideoMAEConfig(**(sizes if small else {}))
    whole = transformers.VideoMAEForVideoClassification(config).eval()

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = whole

        def forward(self, clip: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.net(clip).logits,)

    net, span = Logits().eval(), config.num_frames
    frames = [
        np.asarray(Image.fromarray(frame).resize((224, 224))).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
        for frame in islice(as_clip(str(clip)), 0, 4 * (span + 2 * slides), 4)
    ]
    window = np.stack(frames[:span])[None]
    found = staged(capture(net, Signature.of((torch.from_numpy(window),), {}), dynamic=False))
    runner = onnx_token_runner(found, Tolerance(1e-4), Choice(rounds=0))
    (_,), cache = runner.run([window], None)
    seconds: dict[str, list[float]] = {"incremental": [], "fp32": []}
    errors, order_errors, shares = [], [], []
    for slide in range(slides):
        slot = (2 * slide) % span
        window = window.copy()
        window[0, slot : slot + 2] = frames[span + 2 * slide : span + 2 * slide + 2]
        started = time.thread_time()
        (given,), cache = runner.run([window], cache)
        seconds["incremental"].append(time.thread_time() - started)
        shares.append(cache.stats.changed)
        ordered = np.roll(window, -(slot + 2), axis=1)
        started = time.thread_time()
        in_order = runner.engines.whole.run([ordered])[-1]
        seconds["fp32"].append(time.thread_time() - started)
        same_ring = runner.engines.whole.run([window])[-1]
        errors.append(float(np.linalg.norm(given - same_ring) / np.linalg.norm(same_ring)))
        order_errors.append(float(np.linalg.norm(given - in_order) / np.linalg.norm(in_order)))
    mean = {name: float(np.median(values)) for name, values in seconds.items()}
    return {
        "model": "VideoMAE-base, random weights",
        "clip": clip.stem,
        "slides": slides,
        "changed": round(float(np.mean(shares)), 4),
        **{f"{name}_ms": round(1e3 * value, 1) for name, value in mean.items()},
        "against_fp32": round(mean["fp32"] / mean["incremental"], 2),
        "error": round(float(np.max(errors)), 4),
        "order_error": round(float(np.max(order_errors)), 4),
        "bytes": cache.length_bytes,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("vit", "videomae"), help="nothing is written")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--every", type=int, default=10, help="one frame in so many runs dense as well")
    parser.add_argument("--fp32", action="store_true", help="leave dense int8 out")
    parser.add_argument("--slides", type=int, default=8)
    parser.add_argument("--smoke", action="store_true", help="a small VideoMAE, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    if options.smoke:
        print(json.dumps(videomae(options.clip, 2, small=True), indent=1))
        return
    if options.only != "videomae":
        rows.append(vit(options.clip, options.frames, options.every, int8=not options.fp32))
        print(json.dumps(rows[-1], indent=1), flush=True)
    if options.only != "vit":
        rows.append(videomae(options.clip, options.slides))
        print(json.dumps(rows[-1], indent=1), flush=True)
    if not options.only:
        write("incremental_tokens", rows, bars=BARS, share=SHARE, moved_levels=MOVED_LEVELS)


if __name__ == "__main__":
    main()
