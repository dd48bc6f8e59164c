"""A real segmenter for benchmarks: DeepLabV3 on MobileNetV2, PASCAL VOC's 21 classes, from a file of real weights.

The names of its weights are those of timm's ``mobilenetv2_100`` of output stride 16 (``conv_stem``, ``bn1``,
``blocks``), followed by ``aspp``, ``pooling``, ``projection`` and ``classifier``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
WEIGHTS = DATA / "weights" / "deeplabv3_mobilenetv2_voc-fp16.safetensors"
SIDE, LABEL_SIDE = 513, 129
MEAN = STD = (0.5, 0.5, 0.5)
CLIPS = {
    "person": DATA / "clips" / "one-by-one-person-detection.mp4",
    "bottle": DATA / "clips" / "bottle-detection.mp4",
}
CLASSES = {"person": 15, "bottle": 5}


class DeepLabV3(nn.Module):
    """Images (N, 3, 513, 513), normalised, to logits (N, 21, 33, 33), of which labels are read with aligned corners."""

    def __init__(self) -> None:
        super().__init__()
        backbone = timm.create_model("mobilenetv2_100", output_stride=16, pad_type="same")
        self.conv_stem, self.bn1, self.blocks = backbone.conv_stem, backbone.bn1, backbone.blocks
        self.aspp, self.pooling = nn.Conv2d(320, 256, 1), nn.Conv2d(320, 256, 1)
        self.projection, self.classifier = nn.Conv2d(512, 256, 1), nn.Conv2d(256, 21, 1)

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        features = self.blocks(self.bn1(self.conv_stem(image)))
        pooled = self.pooling(features.mean((2, 3), keepdim=True)).relu().expand(-1, -1, *features.shape[2:])
        joined = torch.cat([pooled, self.aspp(features).relu()], 1)
        return self.classifier(self.projection(joined).relu())


def load(weights: Path = WEIGHTS) -> DeepLabV3:
    """The network with its weights, in fp32."""
    network = DeepLabV3()
    network.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in load_file(weights).items()}
    )
    return network.eval()


def resized(picture: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A picture (H, W, 3) as the network takes it, uint8 (1, 513, 513, 3): all of it, its sides scaled apart."""
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR))[None]


def normalised(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Pixels (N, H, W, 3) as (N, 3, H, W)."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, STD))
    return (torch.tensor(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
