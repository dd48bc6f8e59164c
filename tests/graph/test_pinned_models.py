"""Coverage and exactness on a handful of the pinned list that rotates with the commit."""

from __future__ import annotations

import hashlib
import random
import subprocess

import pytest
import torch

from benchmarks.model_list import ENTRIES
from benchmarks.split_coverage import check

# Those that are captured and cut in a few seconds on one core.
QUICK = (
    "timm:resnet18", "timm:skresnet18", "timm:regnety_002", "timm:mobilenetv2_100", "timm:mobilenetv3_small_050",
    "timm:efficientnet_lite0", "timm:convnext_atto", "timm:starnet_s1", "timm:repvgg_a0", "timm:gernet_s",
    "timm:ese_vovnet19b_slim", "timm:inception_next_atto", "timm:vit_tiny_patch16_224", "timm:pit_ti_224",
    "timm:mobilevit_xxs", "timm:mixer_s32_224", "timm:pvt_v2_b0", "transformers:ViTForImageClassification",
    "transformers:Dinov2Model", "transformers:SwinModel", "transformers:ConvNextModel",
    "transformers:VideoMAEForVideoClassification", "transformers:VivitForVideoClassification",
    "transformers:CLIPModel", "transformers:BertModel", "transformers:DistilBertModel", "transformers:GPT2LMHeadModel",
    "transformers:LlamaForCausalLM", "transformers:T5ForConditionalGeneration", "transformers:WhisperModel",
    "torchvision:squeezenet1_1", "torchvision:r2plus1d_18",
)  # fmt: skip


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no git"


def _handful() -> list[str]:
    draw = random.Random(hashlib.sha256(_commit().encode()).digest())
    return draw.sample(QUICK, 4)


@pytest.mark.filterwarnings("ignore")  # what other libraries warn of is not what is tested
@pytest.mark.parametrize("name", _handful())
def test_a_model_of_the_pinned_list_is_captured_and_cut_exactly(name):
    fastpath = torch.backends.mha.get_fastpath_enabled()
    try:
        row = check(ENTRIES[name], cuts=8)
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
    assert row["captured"], row["obstacle"]
    assert row["exact"] == row["tried"]
    assert row["batch3_correct"] == row["tried"]
    assert row["finite"]
    assert row["changed_by_input"] > 1e-4


def test_the_list_is_as_wide_as_it_says():
    sources = [name.partition(":")[0] for name in ENTRIES]
    assert len(ENTRIES) >= 70
    assert sources.count("timm") >= 45
    assert sources.count("transformers") >= 16
    assert sources.count("torchvision") + sources.count("pytorchvideo") >= 8
    assert set(QUICK) <= ENTRIES.keys()
