"""A network of single frames with a temporal head, taught by a network of whole clips: each new frame is computed once.

    python -m recipes.video_student --images photos/ -o out
    python -m recipes.video_student --images photos/ --clips 4000 --epochs 30 -o out
    python -m recipes.video_student --smoke

There are no labelled clips to be had here, so clips are **composed**: a window moves over a photograph, or grows, or
shrinks, or turns, and the motion is the class. So accuracies say what the student takes over of motion, nothing of real
actions. The teacher, of 3-D convolutions, learns from labels. The student computes features of each frame by itself and
looks at the last ones with a small head; `adaedge.distill` teaches it the teacher's answers. A twin learns from labels
alone. The test's photographs are others. Writes ``student.safetensors`` and ``measured.json``.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.v2.functional import pil_to_tensor

import adaedge
from adaedge.distillation import SoftTargets, Weighted

FRAMES, SIDE = 8, 48
RANGES = ((0.02, 0.06), (-0.3, 0.3), (-0.3, 0.3), (-math.pi, math.pi))  # speed, where it is, how it is turned
MOTIONS = ("still", "left", "right", "up", "down", "near", "away", "turn", "turn back")


def composed(images: list[Tensor], count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Clips (count, 3, FRAMES, SIDE, SIDE) of windows that move over images, and the classes of their motions."""
    draws, clips = torch.Generator().manual_seed(seed), []
    labels = torch.arange(count) % len(MOTIONS)
    steps = torch.arange(FRAMES) - (FRAMES - 1) / 2
    for label in labels.tolist():
        image = images[int(torch.randint(len(images), (), generator=draws))]
        speed, x, y, angle = (low + (high - low) * torch.rand((), generator=draws) for low, high in RANGES)
        motion, still = MOTIONS[label], torch.zeros(FRAMES)
        shift_x = x + speed * steps * {"left": -1, "right": 1}.get(motion, 0)
        shift_y = y + speed * steps * {"up": -1, "down": 1}.get(motion, 0)
        size = 0.4 * torch.exp(speed * 2 * steps * {"near": -1, "away": 1}.get(motion, 0))
        turned = angle + speed * 3 * steps * {"turn": 1, "turn back": -1}.get(motion, 0) + still
        cos, sin = size * turned.cos(), size * turned.sin()
        windows = torch.stack([cos, -sin, shift_x + still, sin, cos, shift_y + still], -1).view(FRAMES, 2, 3)
        grid = functional.affine_grid(windows, [FRAMES, 3, SIDE, SIDE], align_corners=False)
        seen = functional.grid_sample(image.expand(FRAMES, -1, -1, -1), grid, "bilinear", "reflection", False)
        clips.append(seen.transpose(0, 1))
    return torch.stack(clips) * 2 - 1, labels


class ClipNet(nn.Module):
    """The teacher: 3-D convolutions over the whole clip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((3, width, 2 * width, 4 * width)):
            layers += [nn.Conv3d(before, after, 3, (1, 2, 2), 1), nn.BatchNorm3d(after), nn.ReLU()]
        self.features, self.classify = nn.Sequential(*layers), nn.Linear(4 * width, len(MOTIONS))

    def forward(self, clip: Tensor) -> Tensor:
        """Scores of the motions."""
        return self.classify(self.features(clip).mean((2, 3, 4)))


class FrameNet(nn.Module):
    """The student: ``encode`` sees one frame; ``temporal`` the features of the last ones, which a terminal keeps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((3, width, width, 2 * width)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.encode = nn.Sequential(*layers)
        mixing = nn.Conv3d(2 * width, 2 * width, 3, 1, 1)
        self.temporal = nn.Sequential(mixing, nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.classify = nn.Linear(2 * width, len(MOTIONS))

    def forward(self, clip: Tensor) -> Tensor:
        """Scores of the motions."""
        frames = self.encode(clip.transpose(1, 2).flatten(0, 1))
        return self.classify(self.temporal(frames.unflatten(0, (-1, clip.shape[2])).transpose(1, 2)))


def learned(net: nn.Module, teacher: nn.Module, data: TensorDataset, epochs: int, share: float) -> None:
    """A network after so many epochs: a share of the loss is the teacher's answers, the rest the labels."""
    loader, losses = DataLoader(data, batch_size=16, shuffle=True), {(None, None): Weighted(SoftTargets(2.0), share)}
    adaedge.distill(net, teacher, loader, losses=losses, label_weight=1 - 0.5 * share, epochs=epochs)


@torch.inference_mode()
def accuracy(net: nn.Module, clips: Tensor, labels: Tensor) -> float:
    """How often the motion is right."""
    return float((torch.cat([net(part) for part in clips.split(32)]).argmax(1) == labels).float().mean())


def photographs(asked: argparse.Namespace) -> list[Tensor]:
    """Images (1, 3, 160, 160) in [0, 1]."""
    if asked.smoke:
        return [*functional.interpolate(torch.rand(8, 3, 20, 20), (160, 160)).split(1)]
    paths = sorted(path for path in asked.images.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
    return [pil_to_tensor(Image.open(path).convert("RGB").resize((160, 160)))[None] / 255 for path in paths]


def main(arguments: list[str] | None = None) -> None:
    """Compose, teach the teacher, teach the student and its twin, judge, write."""
    torch.manual_seed(0)
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m recipes.video_student", description=__doc__, formatter_class=raw)
    made.add_argument("--images", type=Path, help="folder of photographs; a quarter of them are for the test")
    made.add_argument("--clips", type=int, default=1800, help="that teach; a third as many judge")
    made.add_argument("--epochs", type=int, default=12)
    made.add_argument("-o", "--out", type=Path, default=Path("video"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    asked, begun_s = made.parse_args(arguments), time.monotonic()
    asked.out.mkdir(parents=True, exist_ok=True)
    asked.clips, asked.epochs = (36, 1) if asked.smoke else (asked.clips, asked.epochs)
    images = photographs(asked)
    data = TensorDataset(*composed(images[: len(images) * 3 // 4], asked.clips, 0))
    shown = composed(images[len(images) * 3 // 4 :], asked.clips // 3, 1)
    teacher, student, anyone = ClipNet(16), FrameNet(12), ClipNet(1).eval()  # whose answers weigh nothing
    twin = copy.deepcopy(student)
    learned(teacher, anyone, data, asked.epochs, 0.0)
    learned(student, teacher, data, asked.epochs, 1.0)
    learned(twin, anyone, data, asked.epochs, 0.0)
    save_file(student.state_dict(), asked.out / "student.safetensors")
    parts = ((teacher, shown[0][:1]), (student, shown[0][:1]), (student.encode, shown[0][:1, :, 0]))
    full, whole, frame = (adaedge.Splittable(net, (each,)).points[-1].head_macs for net, each in parts)
    head = whole - FRAMES * frame
    found = {name: accuracy(net, *shown) for name, net in (("teacher", teacher), ("student", student), ("twin", twin))}
    document = found | {"clips": asked.clips, "epochs": asked.epochs, "motions": MOTIONS, "composed": True}
    document |= {"macs": {"teacher": full, "frame": frame, "head": head}, "seconds": time.monotonic() - begun_s}
    (asked.out / "measured.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(", ".join(f"{name} {value:.1%}" for name, value in found.items()))  # noqa: T201
    print(f"a new frame takes {(frame + head) / full:.1%} of the clip network's MACs")  # noqa: T201


if __name__ == "__main__":
    main()
