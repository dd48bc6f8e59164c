"""ResNet-20 and ResNet-56 for CIFAR (He et al., 'Deep residual learning', 2015, section 4.2), shortcuts of option A.

Names are those of akamaster/pytorch_resnet_cifar10, so that its weights load. A shortcut that changes the shape takes
every second pixel and pads channels with zeros: it has no weights, and ties all channels of the residual stream
together, so the channels between a block's two convolutions are the ones that a width can take away.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut: (N, before, H, W) to (N, after, H / stride, W / stride)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.stride = stride
        self.padding = (after - before) // 2

    def forward(self, features: Tensor) -> Tensor:
        """The block's output."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        shortcut = features
        if self.stride > 1:
            thinned = features[:, :, :: self.stride, :: self.stride]
            shortcut = functional.pad(thinned, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(self.bn2(self.conv2(inner)) + shortcut)


class CifarResNet(nn.Module):
    """A residual network of ``depth`` = 6 n + 2 layers: float images (N, 3, 32, 32) to logits (N, 10)."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks)
        self.layer2 = _stage(16, 32, blocks)
        self.layer3 = _stage(32, 64, blocks)
        self.linear = nn.Linear(64, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images that are normalised with ImageNet's mean and standard deviation."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.linear(features.mean((2, 3)))


def _stage(before: int, after: int, blocks: int) -> nn.Sequential:
    first = Block(before, after, stride=after // before)
    return nn.Sequential(first, *(Block(after, after, 1) for _ in range(blocks - 1)))
