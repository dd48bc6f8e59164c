"""What do networks that take clips compute and send, as a bundle?

VideoMAE-base (transformers), SlowFast-R50 (pytorchvideo) and r3d_18 (torchvision), with random weights, at the
geometry and the stride that they are published with. Three questions:

- Do their halves compute what PyTorch computes? At the input, at a split point in the middle and at the output, on a
  window of a real clip; the largest difference, relative to the largest output. Bar: 1e-4.
- What does a slide of the window send? Every camera frame is answered, once each of the windows that take turns was
  sent, or the window moves by a stride at a time; either against the same frames as a continuing stream of the same
  codec, ``len(payload)`` with header, over all slides of all clips. Bar: 1.15.
- What does a refresh send? All frames of a window, against as many refreshes of one frame.

What the edge server decodes of the new frame is compared with what the continuing stream decodes, to the bit. Frames
that are the one before again, pixel by pixel, are left out: a window would send nothing of them.

``--model`` takes one of them; without it one process each, and the result is written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaedge import Bundle, OperatingPoint, Space, build
from adaedge.builder.frames import ExampleCall
from adaedge.bundle import Preprocessing
from adaedge.bundle.frames import prepare
from adaedge.clip import decode
from adaedge.models import TwoRates, load
from adaedge.operating_point import INPUT
from adaedge.payload import Message, wire
from adaedge.payload.video import video_codec
from adaedge.stream import Playback, Window
from benchmarks.result import write
from benchmarks.video_clips import CLIPS

CODECS = ("h264@28", "hevc@28", "av1@37")
SLIDES = 40
ERROR, RATIO = 1e-4, 1.15
Row = dict[str, Any]
Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """A network, and what it takes."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    split: str
    preprocessing: Preprocessing


def _slowfast() -> nn.Module:
    from pytorchvideo.models.slowfast import create_slowfast

    return TwoRates(create_slowfast(), frames=32, alpha=4).eval()


def _named(name: str) -> Callable[[], nn.Module]:
    return lambda: load(name, pretrained=False).module


_IMAGENET = {"crop": 224 / 256, "interpolation": "bilinear"}
_KINETICS = {"mean": (0.45,) * 3, "std": (0.225,) * 3}
_TORCHVISION = {"mean": (0.43216, 0.394666, 0.37645), "std": (0.22803, 0.22145, 0.216989)}
CASES = {
    "VideoMAE-base": Case(
        _named("transformers:VideoMAEForVideoClassification"),
        (1, 16, 3, 224, 224),
        "videomae.encoder.layer.5",
        Preprocessing((224, 224), frames=16, stride=4, **_IMAGENET),
    ),
    "SlowFast-R50": Case(
        _slowfast,
        (1, 3, 32, 224, 224),
        "net.blocks.2",
        Preprocessing((224, 224), frames=32, stride=2, **_IMAGENET | _KINETICS),
    ),
    "r3d_18": Case(
        _named("torchvision:r3d_18"),
        (1, 3, 16, 112, 112),
        "layer2",
        Preprocessing((112, 112), frames=16, stride=1, **_IMAGENET | _TORCHVISION),
    ),
}


def main() -> None:
    """Measure them, print the figures, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=CASES)
    options = parser.parse_args()
    if options.model:
        torch.manual_seed(0)
        print(json.dumps(measured(options.model, CASES[options.model])))
        return
    rows = []
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.clip_models", "--model", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1], indent=1), flush=True)
    write("clip_models", rows, codecs=CODECS, slides=SLIDES, bars={"error": ERROR, "slide": RATIO})


def measured(name: str, case: Case) -> Row:
    """One network: its halves, and what its windows send."""
    net = case.make()
    bundle = build(
        net,
        (torch.rand(case.shape, generator=torch.Generator().manual_seed(0)),),
        Space(splits=[case.split], codecs=["raw", *CODECS]),
        preprocessing=case.preprocessing,
        trained=False,
    )
    links = [crossing(bundle, case.preprocessing, codec) for codec in CODECS]
    errors = halves(bundle, net, case)
    worst = max(one[way] for one in links for way in ("every_frame", "every_stride"))
    return {
        "model": name,
        "frames": case.preprocessing.frames,
        "stride": case.preprocessing.stride,
        "side": case.preprocessing.size[0],
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "errors": errors,
        "largest_error": max(errors.values()),
        "links": links,
        "largest_slide": worst,
        "bars_met": max(errors.values()) <= ERROR and worst <= RATIO and all(one["pictures_equal"] for one in links),
    }


def halves(bundle: Bundle, net: nn.Module, case: Case) -> dict[str, float]:
    """Of each split point, the largest difference from PyTorch, relative to the largest output."""
    window = Window(case.preprocessing)
    for frame in islice(decode(str(CLIPS[0])), case.preprocessing.span):
        inputs = window.inputs_of(frame)
    call = ExampleCall((torch.zeros(case.shape),), {}, case.preprocessing)
    with torch.no_grad():
        output = net(*call.unflattened(inputs))
    expected = (output if isinstance(output, torch.Tensor) else output.logits).numpy()
    found = {}
    for cut in bundle.manifest.cuts:
        (given,) = bundle.tail(cut.split, cut.level).run(bundle.head(cut.split, cut.level).run(inputs))
        found[cut.split] = float(np.abs(given - expected).max() / np.abs(expected).max())
    return found


def crossing(bundle: Bundle, preprocessing: Preprocessing, codec: str) -> Row:
    """What windows send by a codec, over all clips."""
    every_frame, every_stride, refresh, one_by_one, equal = [], [], [], [], True
    for clip in CLIPS:
        count = preprocessing.span + preprocessing.stride * (SLIDES + 1)
        frames = list(islice(_moving(prepare(frame, preprocessing) for frame in decode(str(clip))), count))
        if len(frames) < count:
            continue
        for each, step in ((every_frame, 1), (every_stride, preprocessing.stride)):
            found = slides(bundle, preprocessing, codec, frames, step)
            each.append(found[0])
            equal = equal and found[1]
        point = OperatingPoint(INPUT, codec=codec)
        window = np.stack(frames[: preprocessing.span : preprocessing.stride], axis=1)
        refresh.append(len(bundle.encode(point, (window,))))
        one_by_one.append(sum(len(alone(bundle, codec, [frame])[0][0]) for frame in _of(window)))
    return {
        "codec": codec,
        "clips": len(refresh),
        "every_frame": float(np.sum(every_frame, axis=0)[0] / np.sum(every_frame, axis=0)[1]),
        "every_stride": float(np.sum(every_stride, axis=0)[0] / np.sum(every_stride, axis=0)[1]),
        "worst_clip": float(max(window / stream for window, stream in every_frame + every_stride)),
        "slide_bytes": float(np.mean(every_frame, axis=0)[0]) / SLIDES,
        "refresh_bytes": float(np.mean(refresh)),
        "refresh_against_frames_alone": float(np.sum(refresh) / np.sum(one_by_one)),
        "pictures_equal": equal,
    }


def slides(
    bundle: Bundle, preprocessing: Preprocessing, codec: str, frames: Sequence[Frame], step: int
) -> tuple[tuple[int, int], bool]:
    """Bytes of windows that slide by ``step`` frames, of the same frames alone, and whether both show the same."""
    span, stride = preprocessing.span, preprocessing.stride
    first = range(0, stride, step)  # the windows that take turns
    playback = Playback(bundle, OperatingPoint(INPUT, codec=codec))
    sizes, newest, order = [], [], []
    for start in (*first, *range(first[-1] + step, first[-1] + step + SLIDES * step, step)):
        if start + span > len(frames):
            break
        window = np.stack(frames[start : start + span : stride], axis=1)
        payload = playback.encode((window,))
        _, (shown,) = playback.receive(payload)
        order += list(_of(window)) if start in first else [frames[start + span - 1]]
        sizes.append(len(payload))
        newest.append(shown[0, -1])
    skip = len(first)
    payloads, pictures = alone(bundle, codec, order)
    streamed = [len(payload) for payload in payloads[skip * preprocessing.frames :]]
    own = pictures[skip * preprocessing.frames :]
    return (sum(sizes[skip:]), sum(streamed)), all(map(np.array_equal, newest[skip:], own))


def alone(bundle: Bundle, codec: str, frames: Sequence[Frame]) -> tuple[list[bytes], list[Frame]]:
    """The payloads of frames as a stream of their own, and what they decode to."""
    here, sent, held = video_codec(codec), None, None
    assert here is not None
    payloads, pictures = [], []
    for frame in frames:
        (headers, segments), sent = here.encode([frame], [None], sent)
        (shown,), held = here.decode(headers, segments, 2**26, held)
        message = Message(bundle.digest, 1, OperatingPoint(INPUT, codec=codec), headers, segments, 1, 1)
        payloads.append(wire.encode(message))
        pictures.append(shown[0])
    return payloads, pictures


def _moving(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Without those that are the frame before again: of these a window sends nothing."""
    before: Frame | None = None
    for frame in frames:
        if before is None or not np.array_equal(frame, before):
            yield frame
        before = frame


def _of(window: Frame) -> Iterator[Frame]:
    return (window[:, at] for at in range(window.shape[1]))


if __name__ == "__main__":
    main()
