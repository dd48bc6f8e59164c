"""Detectors of a few hundred parameters: real classes of torchvision and transformers around a tiny backbone."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


class Backbone(nn.Module):
    """Two feature maps, a quarter and an eighth of the image."""

    def __init__(self, channels=8, out_channels=8):
        super().__init__()
        self.out_channels = out_channels
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 4, 1), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(channels, channels, 3, 2, 1), nn.ReLU())

    def forward(self, image):
        first = self.stem(image)
        return OrderedDict([("0", first), ("1", self.down(first))])


def ssd():
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD

    generator = DefaultBoxGenerator([[2], [2, 3]], min_ratio=0.2, max_ratio=0.9)
    return SSD(Backbone(8, [8, 8]), generator, (48, 64), 5, score_thresh=0.2, topk_candidates=30, detections_per_img=25)


def retinanet():
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.retinanet import RetinaNet

    generator = AnchorGenerator(((12, 16), (24, 32)), ((0.5, 1.0, 2.0),) * 2)
    return RetinaNet(
        Backbone(), 4, min_size=48, max_size=80, anchor_generator=generator, score_thresh=0.01, detections_per_img=20,
        topk_candidates=50,
    )  # fmt: skip


def fcos():
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.fcos import FCOS, FCOSHead

    generator = AnchorGenerator(((8,), (16,)), ((1.0,),) * 2)
    return FCOS(
        Backbone(32, 32),
        4,
        min_size=48,
        max_size=80,
        anchor_generator=generator,
        score_thresh=0.06,
        head=FCOSHead(32, 1, 4, num_convs=1),
        detections_per_img=20,
    )


def detr():
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    inside = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )
    config = DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone_config=inside, backbone=None, d_model=16,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, num_queries=12, num_labels=9,
    )  # fmt: skip
    return DetrForObjectDetection(config)


def yolos():
    from transformers import YolosConfig, YolosForObjectDetection

    config = YolosConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=[48, 64],
        patch_size=8, num_detection_tokens=12, num_labels=4,
    )  # fmt: skip
    return YolosForObjectDetection(config)


KINDS = {"ssd": ssd, "retinanet": retinanet, "fcos": fcos, "detr": detr, "yolos": yolos}


def made(kind):
    """One of them, its weights spread so that scores and boxes differ, the same each time."""
    torch.manual_seed(0)
    net = KINDS[kind]().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1 + (parameter.dim() > 1)).add_(0.05 * torch.randn(parameter.shape))
        if hasattr(net, "class_labels_classifier"):  # of a transformer that was not trained all queries look alike
            for name, parameter in net.named_parameters():
                if "query_position" in name or "detection_tokens" in name or "class_labels_classifier" in name:
                    parameter.copy_(3 * torch.randn(parameter.shape))
                elif "encoder_attn" in name:
                    parameter.mul_(10)
    return net
