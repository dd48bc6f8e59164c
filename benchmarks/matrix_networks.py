"""The networks of ``energy_accuracy``: how each is made, cut and judged, and on which clips it is shown.

VideoMAE-base, SlowFast-R50, I3D-R50 and r3d_18 have no trained weights here: they count for their cost only. What they
send at ``input`` is real; features of random weights at their split point are not what trained ones would send.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from adaedge import Bottleneck, Bundle, Space, Splittable, build
from adaedge.builder.kept_curve import AnsweredClip, fit_kept
from adaedge.bundle import Preprocessing
from adaedge.clip import Clip, Frame
from adaedge.errors import MetricError
from adaedge.metrics import Cosine, Divergence, LabelIoU, Metric
from adaedge.models import TwoRates, load
from adaedge.operating_point import OUTPUT, KeptCurve, OperatingPoint
from adaedge.stream import MovedBlocks
from benchmarks import deeplabv3
from benchmarks.rate_accuracy import CASES as TRAINED
from benchmarks.rate_accuracy import loaded
from benchmarks.video_clips import CLIPS, class_of, count

RATES, FITTED, IN_ORDER, CALIBRATED = 4, 48, 10, 5
CURVE_FRAMES = 150
"""Of a clip's first half, evenly: what the curve of its kept answers is fitted on."""
PICTURES = ("jpeg@60", "jpeg@80", "jpeg@95", "h264@22", "h264@28", "h264-444@20")
FINE_PICTURES = ("jpeg@90", "jpeg444@98", "h264-444@6", "h264-444@12")
ONE_CODEC = ("u4+zstd", "jpeg@80", "h264@28")


@dataclass(frozen=True)
class Case:
    """A network.

    Attributes:
        make: its module, an example of its input, and how frames are prepared.
        split: where it is cut.
        metric: judges its answers; ``None`` where its weights are random.
        codecs: of whole frames; of random weights, all codecs.
        answer: the answer codec.
        scenario: what is asked of it.
        most: frames of each half of a clip that are really run.
        finest: of the bottleneck's last rate.
    """

    make: Callable[[], tuple[nn.Module, torch.Tensor, Preprocessing]]
    split: str
    metric: Metric | None = None
    codecs: tuple[str, ...] = PICTURES
    answer: str | None = None
    scenario: str = "robot-video"
    most: int = 40
    finest: float | None = None
    clips: tuple[Path, ...] = field(default=CLIPS)


def _trained(name: str, side: int) -> Callable[[], tuple[nn.Module, torch.Tensor, Preprocessing]]:
    def make() -> tuple[nn.Module, torch.Tensor, Preprocessing]:
        model = loaded(TRAINED[name])
        assert model.preprocessing is not None
        return model.module, torch.zeros(1, 3, side, side), model.preprocessing

    return make


def _segmenter() -> tuple[nn.Module, torch.Tensor, Preprocessing]:
    side = deeplabv3.SIDE
    geometry = Preprocessing((side, side), 1.0, "bilinear", deeplabv3.MEAN, deeplabv3.STD)
    return deeplabv3.load(), torch.zeros(1, 3, side, side), geometry


def _clips(
    make: Callable[[], nn.Module], shape: tuple[int, ...], frames: int
) -> Callable[[], tuple[nn.Module, torch.Tensor, Preprocessing]]:
    def made() -> tuple[nn.Module, torch.Tensor, Preprocessing]:
        torch.manual_seed(0)
        side = shape[-1]
        geometry = Preprocessing((side, side), 224 / 256, "bilinear", frames=frames, stride=1)
        return make().eval(), torch.zeros(shape), geometry

    return made


def _named(name: str) -> Callable[[], nn.Module]:
    return lambda: load(name, pretrained=False).module


def _slowfast() -> nn.Module:
    from pytorchvideo.models.slowfast import create_slowfast

    return TwoRates(create_slowfast(), frames=32, alpha=4)


def _i3d() -> nn.Module:
    from pytorchvideo.models.hub.resnet import i3d_r50

    return i3d_r50(pretrained=False)


COST_ONLY = {"codecs": ONE_CODEC, "scenario": "video-clip", "most": 3}
SEGMENTED = ("one-by-one-person-detection", "bottle-detection", "indoor-1080p", "wrestling-moving")
"""Clips that show what the segmenter knows."""
_FEW = tuple(clip for clip in CLIPS if clip.stem in ("one-by-one-person-detection", "wrestling-moving", "bikes"))
CASES = {
    "EfficientNet-Lite0": Case(_trained("lite0", 224), "blocks.3", Divergence(), finest=0.05),
    "DeepLabV3": Case(
        _segmenter,
        "blocks.2",
        LabelIoU(),
        FINE_PICTURES,
        "labels-aligned@129x129",
        most=16,
        finest=0.01,
        clips=tuple(clip for clip in CLIPS if clip.stem in SEGMENTED),
    ),
    "MobileNetV2": Case(_trained("mobilenetv2", 224), "blocks.3.1", Divergence(), finest=0.05),
    "r3d_18": Case(_clips(_named("torchvision:r3d_18"), (1, 3, 16, 112, 112), 16), "layer1", clips=_FEW, **COST_ONLY),
    "ViT-S/14": Case(_trained("vit", 224), "blocks.4", Cosine(), most=10, finest=0.03),
    "I3D-R50": Case(_clips(_i3d, (1, 3, 8, 224, 224), 8), "blocks.1", clips=_FEW, **COST_ONLY),
    "SlowFast-R50": Case(_clips(_slowfast, (1, 3, 32, 224, 224), 32), "net.blocks.1", clips=_FEW, **COST_ONLY),
    "VideoMAE-base": Case(
        _clips(_named("transformers:VideoMAEForVideoClassification"), (1, 16, 3, 224, 224), 16),
        "videomae.encoder.layer.2",
        clips=_FEW,
        **COST_ONLY,
    ),
}


def first_half(path: Path, most: int, period_s: float | None = None) -> Clip:
    """Frames of a clip's first half: evenly so many, or from its begin on at a period."""
    opened, half = Clip.read(path), count(path) // 2
    every = max(1, half // most) if period_s is None else max(1, round(period_s * opened.fps))
    frames = list(islice(islice(opened, half), 0, None, every))[:most]
    return Clip(frames, opened.fps / every)


def built(name: str, folder: Path) -> Bundle:
    """A network's bundle; read from a folder where it was built before."""
    case, path = CASES[name], folder / f"{_file(name)}.bundle"
    if not (path / "manifest.json").exists():
        bundle = _judged(name, case) if case.metric else _cost_only(name, case)
        bundle.save(path)
    return Bundle.load(path)


def _judged(name: str, case: Case) -> Bundle:
    module, example, geometry = case.make()
    cut = Splittable(module, (example,))
    evenly = [frame for clip in case.clips for frame in first_half(clip, FITTED // len(case.clips) + 1)]
    tensors = [_tensor(frame, geometry) for frame in evenly]
    ordered = [[_tensor(frame, geometry) for frame in first_half(clip, IN_ORDER, 0.04)] for clip in case.clips]
    own = Bottleneck.fit(cut, (), split=case.split, images=tensors, rates=RATES, finest=case.finest)
    own = own.fit_changes(ordered)
    space = Space([case.split], precisions=("fp32", "int8"), codecs=("u4+zstd", own, "delta", *case.codecs), kept=False)
    clips = [first_half(clip, CALIBRATED, 0.2) for clip in case.clips]
    more = {"preprocessing": geometry, "answer": case.answer, "name": name}
    return build(module, (example,), space, calibrate=clips, evaluate=case.metric, **more)


def _cost_only(name: str, case: Case) -> Bundle:
    module, example, geometry = case.make()
    clip = first_half(case.clips[0], 5, 0.5)
    space = Space([case.split], codecs=case.codecs, kept=False)
    more = {"preprocessing": geometry, "trained": False, "name": name, "evaluate": lambda _: 1.0}
    return build(module, (example,), space, calibrate=[clip], **more)


def _tensor(frame: Frame, geometry: Preprocessing) -> torch.Tensor:
    from adaedge.bundle.frames import prepare

    pixels = torch.from_numpy(np.asarray(prepare(frame, geometry))).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (geometry.mean, geometry.std))
    return (pixels - mean) / std


def metric_of(case: Case, clip: Path) -> Metric | None:
    """What judges answers on a clip: a segmenter's by the class that the clip shows."""
    shown = class_of(clip.stem)
    return LabelIoU((shown,)) if isinstance(case.metric, LabelIoU) and shown is not None else case.metric


def kept_curve(bundle: Bundle, clip: Path, metric: Metric) -> KeptCurve | None:
    """How good kept answers are, fitted on a clip's first half; ``None`` where it cannot tell."""
    shown, detector, local = first_half(clip, CURVE_FRAMES), MovedBlocks(), OperatingPoint(OUTPUT)
    answers = [bundle.run(local, bundle.inputs_of(frame)) for frame in shown]
    try:
        return fit_kept([AnsweredClip([*map(detector.look, shown)], answers, shown.fps)], detector, metric)
    except MetricError:
        return None


def _file(name: str) -> str:
    return name.lower().replace("/", "-")


def floor_of(case: Case) -> float:
    """The floor that every arm keeps: 0.1 nats, or 0.95."""
    return 0.0 if case.metric is None else math.exp(-0.1) if isinstance(case.metric, Divergence) else 0.95
