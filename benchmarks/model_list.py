"""The pinned list of models: small members of many families, with random weights that hide no branch.

Every entry makes a module and its inputs at any batch size. Inputs are small where the family allows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Call = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the list: how to make it, and a call of it at a batch size."""

    name: str
    make: Callable[[], nn.Module]
    call: Callable[[int, torch.Generator], Call]


def build(entry: Entry, seed: int = 0) -> nn.Module:
    """The entry's module with seeded random weights that hide no branch, in evaluation mode."""
    torch.manual_seed(seed)
    module = entry.make()
    _perturb(module)
    _calibrate(module, entry.call(4, torch.Generator().manual_seed(seed)))
    return module.eval()


@torch.no_grad()
def _perturb(module: nn.Module) -> None:
    """Add noise to every constant parameter: zero-initialised norms and LayerScale of 1e-6 hide whole branches."""
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.numel() > 1 and parameter.std() < 1e-6:
            parameter.add_(0.1 * torch.randn_like(parameter))


@torch.no_grad()
def _calibrate(module: nn.Module, call: Call) -> None:
    """Batch-norm statistics of random weights: with fresh ones the signal dies and a wrong cut passes."""
    norms = [layer for layer in module.eval().modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if norms:
        module(*call[0], **call[1])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def image(size: int | tuple[int, ...], channels: int = 3) -> Callable[[int, torch.Generator], Call]:
    shape = (channels, size, size) if isinstance(size, int) else (channels, *size)
    return lambda batch, generator: ((torch.rand(batch, *shape, generator=generator),), {})


def tokens(length: int = 12, **constants: Any) -> Callable[[int, torch.Generator], Call]:
    def call(batch: int, generator: torch.Generator) -> Call:
        return (), {"input_ids": ids(batch, length, generator), **constants}

    return call


def ids(batch: int, length: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(3, 99, (batch, length), generator=generator)


def timm_entry(name: str, size: int = 96, **arguments: Any) -> Entry:
    def make() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, **arguments)

    return Entry(f"timm:{name}", make, image(size))


def torchvision_entry(name: str, call: Callable[[int, torch.Generator], Call], **arguments: Any) -> Entry:
    def make() -> nn.Module:
        from torchvision.models import get_model

        return get_model(name, weights=None, **arguments)

    return Entry(f"torchvision:{name}", make, call)


def transformers_entry(name: str, call: Callable[[int, torch.Generator], Call], **arguments: Any) -> Entry:
    def make() -> nn.Module:
        import transformers

        kind = getattr(transformers, name)
        return kind(kind.config_class(**arguments))

    return Entry(f"transformers:{name}", make, call)


TIMM = [
    timm_entry("resnet18", 64),
    timm_entry("resnetv2_18", 64),
    timm_entry("resnest14d", 64),
    timm_entry("skresnet18", 64),
    timm_entry("seresnext26t_32x4d", 64),
    timm_entry("regnety_002", 64),
    timm_entry("nf_regnet_b0", 64),
    timm_entry("densenet121", 64),
    timm_entry("dla46_c", 64),
    timm_entry("dpn48b", 64),
    timm_entry("res2net50_14w_8s", 64),
    timm_entry("hrnet_w18_small", 64),
    timm_entry("vgg11", 64),
    timm_entry("inception_v3", 128),
    timm_entry("inception_next_atto", 64),
    timm_entry("xception41", 64),
    timm_entry("cspresnet50", 64),
    timm_entry("selecsls42", 64),
    timm_entry("repvgg_a0", 64),
    timm_entry("mobileone_s0", 64),
    timm_entry("gernet_s", 64),
    timm_entry("ese_vovnet19b_slim", 64),
    timm_entry("hgnetv2_b0", 64),
    timm_entry("mobilenetv2_100"),
    timm_entry("mobilenetv3_small_050"),
    timm_entry("mobilenetv4_conv_small_035"),
    timm_entry("efficientnet_lite0"),
    timm_entry("tf_efficientnetv2_b0"),
    timm_entry("mixnet_s"),
    timm_entry("ghostnetv2_100"),
    timm_entry("rexnet_100"),
    timm_entry("starnet_s1"),
    timm_entry("convnext_atto"),
    timm_entry("convnextv2_atto"),
    timm_entry("edgenext_xx_small"),
    timm_entry("focalnet_tiny_srf"),
    timm_entry("mambaout_femto"),
    timm_entry("poolformer_s12"),
    timm_entry("caformer_s18"),
    timm_entry("repvit_m0_9"),
    timm_entry("fastvit_t8", 128),
    timm_entry("vit_tiny_patch16_224", img_size=96),
    timm_entry("deit_tiny_distilled_patch16_224", img_size=96),
    timm_entry("beit_base_patch16_224", 64, img_size=64, depth=3, embed_dim=96, num_heads=3),
    timm_entry("eva02_tiny_patch14_224", 112, img_size=112),
    timm_entry("cait_xxs24_224", img_size=96, depth=4),
    timm_entry("xcit_nano_12_p16_224", img_size=96),
    timm_entry("convit_tiny", 96, img_size=96),
    timm_entry("crossvit_tiny_240", 240),
    timm_entry("coat_lite_tiny", img_size=96),
    timm_entry("davit_tiny"),
    timm_entry("swin_tiny_patch4_window7_224", 112, img_size=112),
    timm_entry("swinv2_tiny_window8_256", 128, img_size=128),
    timm_entry("maxvit_nano_rw_256", 256),
    timm_entry("mvitv2_tiny", img_size=96),
    timm_entry("nest_tiny", 112, img_size=112),
    timm_entry("pit_ti_224", 224),
    timm_entry("pvt_v2_b0"),
    timm_entry("levit_128s", 224),
    timm_entry("mobilevit_xxs"),
    timm_entry("mobilevitv2_050"),
    timm_entry("efficientformer_l1", 224),
    timm_entry("efficientformerv2_s0", 224),
    timm_entry("efficientvit_b0"),
    timm_entry("tiny_vit_5m_224", 224),
    timm_entry("twins_svt_small"),
    timm_entry("visformer_tiny", 224),
    timm_entry("volo_d1_224", 96, img_size=96),
    timm_entry("hiera_tiny_224", 224),
    timm_entry("gcvit_xxtiny", 224),
    timm_entry("mixer_s32_224", 224),
    timm_entry("gmlp_ti16_224", 224),
    timm_entry("resmlp_12_224", 224),
    timm_entry("sequencer2d_s", 64),
]

_TEXT = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
_VISION = {k: v for k, v in _TEXT.items() if k != "vocab_size"} | {"image_size": 64, "patch_size": 16}
_SEQ2SEQ = {
    "vocab_size": 100, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
}  # fmt: skip
_SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def _frames(batch: int, generator: torch.Generator) -> Call:
    return (torch.rand(batch, 4, 3, 64, 64, generator=generator),), {}


def _masked(batch: int, generator: torch.Generator) -> Call:
    mask = torch.ones(batch, 12, dtype=torch.long)
    mask[:, 10:] = 0
    return (), {"input_ids": ids(batch, 12, generator), "attention_mask": mask}


def _two_texts(batch: int, generator: torch.Generator) -> Call:
    first, second = ids(batch, 12, generator), ids(batch, 5, generator)
    return (), {"input_ids": first, "decoder_input_ids": second, "use_cache": False}


def _text_and_image(batch: int, generator: torch.Generator) -> Call:
    pixels = torch.rand(batch, 3, 64, 64, generator=generator)
    return (), {"input_ids": ids(batch, 12, generator), "pixel_values": pixels}


def _speech(batch: int, generator: torch.Generator) -> Call:
    features = torch.rand(batch, 20, 64, generator=generator)
    return (), {"input_features": features, "decoder_input_ids": ids(batch, 5, generator), "use_cache": False}


def _wave(batch: int, generator: torch.Generator) -> Call:
    return (torch.rand(batch, 4000, generator=generator),), {}


def _clip_towers(**text: Any) -> dict[str, Any]:
    return {"text_config": _TEXT | text, "vision_config": dict(_VISION)}


def _smolvlm() -> nn.Module:
    import transformers

    config = transformers.SmolVLMConfig(
        text_config={"model_type": "llama", **_TEXT, **_SPECIAL},
        vision_config=dict(_VISION),
        image_token_id=99,
        scale_factor=2,
        use_cache=False,
    )
    return transformers.SmolVLMModel(config)


def _image_in_text(batch: int, generator: torch.Generator) -> Call:
    text = ids(batch, 12, generator) % 90 + 3
    text[:, 2:6] = 99
    pixels = torch.rand(batch, 1, 3, 64, 64, generator=generator)
    mask = torch.ones(batch, 12, dtype=torch.long)
    return (), {"input_ids": text, "pixel_values": pixels, "attention_mask": mask, "use_cache": False}


def _detr() -> nn.Module:
    import transformers

    backbone = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64, 64], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, num_queries=10,
        **{k: v for k, v in _SEQ2SEQ.items() if k != "vocab_size"},
    )  # fmt: skip
    return transformers.DetrForObjectDetection(config)


TRANSFORMERS = [
    transformers_entry("ViTForImageClassification", image(64), **_VISION),
    transformers_entry("DeiTModel", image(64), **_VISION),
    transformers_entry("BeitModel", image(64), **_VISION),
    transformers_entry("Dinov2Model", image(64), **_VISION),
    transformers_entry(
        "SwinModel", image(64), image_size=64, embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=4
    ),
    transformers_entry("ConvNextModel", image(64), hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1]),
    transformers_entry(
        "SegformerForSemanticSegmentation",
        image(64),
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=32,
    ),
    Entry("transformers:DetrForObjectDetection", _detr, image(128)),
    transformers_entry("VideoMAEForVideoClassification", _frames, num_frames=4, **_VISION),
    transformers_entry("TimesformerForVideoClassification", _frames, num_frames=4, **_VISION),
    transformers_entry(
        "VivitForVideoClassification",
        _frames,
        num_frames=4,
        tubelet_size=[2, 16, 16],
        **{k: v for k, v in _VISION.items() if k != "patch_size"},
    ),
    transformers_entry("CLIPModel", _text_and_image, **_clip_towers(**_SPECIAL), projection_dim=16),
    transformers_entry("SiglipModel", _text_and_image, **_clip_towers(**_SPECIAL, projection_size=32)),
    Entry("transformers:SmolVLMModel", _smolvlm, _image_in_text),
    transformers_entry("BertModel", _masked, **_TEXT),
    transformers_entry("RobertaForSequenceClassification", _masked, **_TEXT),
    transformers_entry("AlbertModel", tokens(), embedding_size=16, **_TEXT),
    transformers_entry("DistilBertModel", _masked, vocab_size=100, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
    transformers_entry(
        "GPT2LMHeadModel", tokens(use_cache=False), vocab_size=100, n_embd=32, n_layer=2, n_head=2, **_SPECIAL
    ),
    transformers_entry("LlamaForCausalLM", tokens(use_cache=False), **_TEXT, **_SPECIAL),
    transformers_entry("Qwen2ForCausalLM", tokens(use_cache=False), num_key_value_heads=2, **_TEXT, **_SPECIAL),
    transformers_entry(
        "T5ForConditionalGeneration",
        _two_texts,
        vocab_size=100,
        d_model=32,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        d_kv=16,
    ),
    transformers_entry("BartModel", _two_texts, **_SEQ2SEQ, **_SPECIAL),
    transformers_entry("WhisperModel", _speech, num_mel_bins=20, max_source_positions=32, **_SEQ2SEQ, **_SPECIAL),
    transformers_entry(
        "Wav2Vec2Model",
        _wave,
        conv_dim=[16, 16, 16],
        conv_stride=[5, 4, 4],
        conv_kernel=[10, 8, 4],
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        **_TEXT,
    ),
]


def _mvit_v2_s() -> nn.Module:
    from unittest import mock

    from torchvision.models.video import mvit

    original, small = mvit._mvit, {"spatial_size": (64, 64), "temporal_size": 4}
    with mock.patch.object(mvit, "_mvit", lambda **arguments: original(**arguments | small)):
        return mvit.mvit_v2_s(weights=None)


def _slowfast() -> nn.Module:
    from pytorchvideo.models.slowfast import create_slowfast

    return create_slowfast(model_depth=18, model_num_class=10, head_pool_kernel_sizes=((8, 2, 2), (32, 2, 2)))


def _two_rates(batch: int, generator: torch.Generator) -> Call:
    slow = torch.rand(batch, 3, 8, 64, 64, generator=generator)
    return ([slow, torch.rand(batch, 3, 32, 64, 64, generator=generator)],), {}


def _x3d() -> nn.Module:
    from pytorchvideo.models.x3d import create_x3d

    return create_x3d(input_clip_length=4, input_crop_size=64, model_num_class=10)


def _two_images(batch: int, generator: torch.Generator) -> Call:
    first, second = torch.rand(2, batch, 3, 128, 128, generator=generator)
    return (first, second), {}


def _list_of_images(batch: int, generator: torch.Generator) -> Call:
    return (list(torch.rand(batch, 3, 64, 64, generator=generator)),), {}


VIDEO_AND_VISION = [
    torchvision_entry("r3d_18", image((4, 64, 64))),
    torchvision_entry("r2plus1d_18", image((4, 64, 64))),
    torchvision_entry("s3d", image((16, 224, 224))),
    Entry("torchvision:mvit_v2_s", _mvit_v2_s, image((4, 64, 64))),
    torchvision_entry("swin3d_t", image((4, 64, 64))),
    torchvision_entry("squeezenet1_1", image(64)),
    torchvision_entry("shufflenet_v2_x0_5", image(64)),
    torchvision_entry("vit_b_32", image(64), image_size=64),
    torchvision_entry("lraspp_mobilenet_v3_large", image(64), weights_backbone=None),
    torchvision_entry("raft_small", _two_images),
    torchvision_entry("fasterrcnn_mobilenet_v3_large_320_fpn", _list_of_images, weights_backbone=None),
    Entry("pytorchvideo:slowfast_r18", _slowfast, _two_rates),
    Entry("pytorchvideo:x3d", _x3d, image((4, 64, 64))),
]

ENTRIES = {entry.name: entry for entry in [*TIMM, *TRANSFORMERS, *VIDEO_AND_VISION]}
