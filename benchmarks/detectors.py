"""Detectors: do bundles of them answer the boxes that PyTorch does, and what does the part behind the graph cost?

torchvision's ssdlite320, FCOS and RetinaNet and transformers' DETR and YOLOS, their full architectures on inputs of
320 pixels, cut at evenly spaced split points and run in ONNX Runtime. No trained weights can be had without a network,
so weights are random, the scores spread to a deviation of 2, and the threshold is the score of the 60th box. Compared
with the library's own post-processing in eager PyTorch. Bars: every half within 1e-4 of PyTorch (of an output's
largest value), and boxes equal after the suppression: the same number, each with its label, corners within 0.05 pixels,
scores within 1e-4. What cannot be captured is refused within 2 s.

    python -m benchmarks.detectors [--only NAME] [--smoke]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torchvision.models import detection

import adaedge
from adaedge.bundle import Bundle
from adaedge.detection import Postprocessing
from adaedge.models import Detector, detector_of
from adaedge.operating_point import OperatingPoint
from benchmarks import result

FRAME = (240, 320)
CUTS, FRAMES, REPETITIONS, BOXES = 4, 1, 9, 60
HALVES, CORNERS_PIXELS, SCORES, REFUSAL_S = 1e-4, 0.05, 1e-4, 2.0


def _torchvision(name: str, **more: Any) -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module = getattr(detection, name)(weights=None, weights_backbone=None, **more)
    return net.eval()


def _detr() -> nn.Module:
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    torch.manual_seed(0)
    inside = ResNetConfig(out_features=["stage4"])
    config = DetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone_config=inside, backbone=None)
    return DetrForObjectDetection(config).eval()


def _yolos() -> nn.Module:
    from transformers import YolosConfig, YolosForObjectDetection

    torch.manual_seed(0)
    sizes = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}  # YOLOS-Ti
    return YolosForObjectDetection(YolosConfig(image_size=[*FRAME], num_labels=91, **sizes)).eval()


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "ssdlite320_mobilenet_v3_large": (lambda: _torchvision("ssdlite320_mobilenet_v3_large"), (320, 320)),
    "fcos_resnet50_fpn": (lambda: _torchvision("fcos_resnet50_fpn", min_size=320, max_size=448), FRAME),
    "retinanet_resnet50_fpn": (lambda: _torchvision("retinanet_resnet50_fpn", min_size=320, max_size=448), FRAME),
    "DetrForObjectDetection": (_detr, FRAME),
    "YolosForObjectDetection": (_yolos, FRAME),
}


def spread(net: nn.Module, found: Detector, image: torch.Tensor) -> None:
    """Let a random network's logits differ from each other: else every score is the same."""
    with torch.no_grad():
        logits = found.heads(image)[1]
        for name, part in net.named_modules():
            if isinstance(part, nn.Conv2d | nn.Linear) and ("cls_logits" in name or "class" in name):
                ends = len(part.weight) % logits.shape[2] == 0
                part.weight.mul_(2 / logits.std(unbiased=False) if ends else 1)


def threshold_of(post: Postprocessing, heads: list[Any]) -> float:
    """The score of the 60th box, or of the last one of fewer."""
    scores = replace(post, threshold=0.0).run(heads)[1][0]
    return float(scores[scores >= 0][:BOXES][-1]) * (1 - 1e-3)


def eager(net: Any, image: torch.Tensor, threshold: float) -> list[Any]:
    """Boxes, scores and labels by the library's own post-processing, best first."""
    with torch.no_grad():
        if hasattr(net, "postprocess_detections"):
            (found,) = net([*image])
        else:
            from transformers import DetrImageProcessor

            own = DetrImageProcessor().post_process_object_detection(net(image), threshold, [tuple(image.shape[2:])])
            order = own[0]["scores"].argsort(descending=True, stable=True)
            found = {name: own[0][name][order] for name in own[0]}
    return [found[name].numpy() for name in ("boxes", "scores", "labels")]


def built(net: nn.Module, found: Detector, post: Postprocessing, samples: list[Any]) -> Bundle:
    """A bundle cut at evenly spaced split points."""
    names = [point.name for point in adaedge.Splittable(found.heads, found.args, dynamic=False).points[1:-1]]
    modules = [name for name in names if ":" not in name] or names
    space = adaedge.Space(modules[:: max(1, len(modules) // CUTS)][:CUTS], [1], ["fp32"], ["raw"])
    return adaedge.build(net, found.args, space, calibrate=samples, postprocessing=post, trained=False)


def compared(bundle: Bundle, inputs: Any, heads: list[Any], expected: list[Any]) -> dict[str, Any]:
    """The worst half, and the boxes by each way, beside PyTorch's."""
    exact = Bundle(replace(bundle.manifest, answer="raw"), dict(bundle._files))
    worst, apart = 0.0, []
    points = [point for point in bundle.points if point.codec == "raw"]
    for point in points:
        outputs = bundle.tail(point.split).run(bundle.head(point.split).run(inputs))
        worst = max(worst, *(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(outputs, heads, strict=True)))
        apart.append(differences(exact.answers.nested(exact.run(point, inputs)), expected))
    corners, scores = (max(one) for one in zip(*apart, strict=True))
    return {
        "ways": len(points),
        "worst_half": worst,
        "boxes": len(expected[0]),
        "corners_pixels": corners,
        "scores": scores,
        "met": worst <= HALVES and corners <= CORNERS_PIXELS and scores <= SCORES,
    }


def differences(answer: dict[str, Any], expected: list[Any]) -> tuple[float, float]:
    """Largest difference of a corner and of a score, box by box of one label; infinite where a box has no partner.

    Scores that are equal up to rounding may come in another order, so each expected box is compared with the nearest.
    """
    if len(answer["labels"]) != len(expected[2]):
        return np.inf, np.inf
    free, corners, scores = np.ones(len(expected[2]), bool), 0.0, 0.0
    for box, score, label in zip(*expected, strict=True):
        apart = np.abs(answer["boxes"] - box).max(axis=1)
        apart[(answer["labels"] != label) | ~free] = np.inf
        at = int(apart.argmin())
        free[at] = False
        corners, scores = max(corners, float(apart[at])), max(scores, abs(float(answer["scores"][at] - score)))
    return corners, scores


def measure(name: str) -> dict[str, Any]:
    """One network."""
    make, size = NETWORKS[name]
    net: Any = make()
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(FRAMES)]
    images = [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames]
    found = detector_of(net, (images[0],))
    assert found is not None
    geometry = found.preprocessing
    mean, std = (
        torch.tensor(one)[:, None, None] for one in ((geometry.mean, geometry.std) if geometry else ((0.0,), (1.0,)))
    )
    spread(net, found, (images[0] - mean) / std)
    with torch.no_grad():
        heads = [head.numpy() for head in found.heads((images[0] - mean) / std)]
    threshold = threshold_of(found.postprocessing, heads)
    net.score_thresh = threshold
    post = replace(found.postprocessing, threshold=threshold)
    samples = frames if geometry else [(image.numpy(),) for image in images]
    bundle = built(net, found, post, samples)
    inputs = bundle.inputs_of(samples[0])
    row = {"network": name, "input": [*size], "split_points": len(bundle.manifest.cuts)}
    row |= compared(bundle, inputs, heads, eager(net, images[0], threshold))
    answer = bundle.run(OperatingPoint("output"), inputs)
    accuracy = {str(entry.point): entry.accuracy and entry.accuracy.value for entry in bundle.manifest.points}
    return row | {
        "answer_bytes": len(bundle.answers.write(answer)),
        "heads_bytes": sum(head.nbytes for head in heads),
        "postprocessing_ms": 1e3 * _seconds(lambda: post.run(heads)),
        "f1": accuracy,
    }


def _seconds(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPETITIONS + 1):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return median(times[1:])


def refusals() -> list[dict[str, Any]]:
    """Seconds until a detector is refused that no graph can hold, and the lines that say why."""
    rows = []
    for name in ("ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"):
        net, begun = _torchvision(name), time.perf_counter()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            split = adaedge.Splittable(net, ([torch.rand(3, 320, 320)],))
        taken = time.perf_counter() - begun
        assert split.obstacle is not None
        rows.append(
            {"network": name, "refused_s": taken, "characters": len(str(told[0].message)), "met": taken <= REFUSAL_S}
        )
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NETWORKS, help="one network, nothing written")
    parser.add_argument("--smoke", action="store_true", help="the smallest network, nothing written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = [arguments.only] if arguments.only else [*NETWORKS][-1:] if arguments.smoke else [*NETWORKS]
    rows, console = [], Console()
    for name in names:
        rows.append(measure(name))
        console.print_json(data=rows[-1])
    refused = refusals()
    table = Table(title="Detectors beside PyTorch")
    for heading in ("network", "ways", "worst half", "boxes", "corners, px", "answer, bytes", "behind, ms", "met"):
        table.add_column(heading)
    for row in rows:
        keys = ("network", "ways", "worst_half", "boxes", "corners_pixels", "answer_bytes", "postprocessing_ms", "met")
        table.add_row(*(f"{row[key]:.3g}" if isinstance(row[key], float) else str(row[key]) for key in keys))
    console.print(table)
    console.print(refused)
    if not (arguments.only or arguments.smoke):
        bars = {"halves": HALVES, "corners_pixels": CORNERS_PIXELS, "scores": SCORES, "refusal_s": REFUSAL_S}
        result.write("detectors", {"networks": rows, "refusals": refused}, bars=bars, weights="random", threads=1)


if __name__ == "__main__":
    main()
