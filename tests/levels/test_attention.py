"""Widths of attention, over layouts of heads × widths (laws 2 and 3)."""

import pytest
import timm
import torch
import transformers
from timm.models.levit import Attention as LevitAttention
from timm.models.swin_transformer import WindowAttention
from timm.models.swin_transformer_v2 import WindowAttention as CosineWindowAttention
from torch import nn
from torch.utils import _pytree as pytree

from adaedge import Elastic
from adaedge.levels.attention import head_groups
from adaedge.levels.masks import masking

WIDTHS = (1.0, 0.75, 0.5, 0.25)
VISION = {
    "image_size": 32, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 24,
}  # fmt: skip
TEXT = {key: VISION[key] for key in VISION if "size" not in key} | {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 24, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0,
}  # fmt: skip
IDS = {"input_ids": torch.tensor([[3, 9, 14, 7, 30], [8, 4, 5, 9, 44]])}
IMAGE = (torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)),)
CLIP = (torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(1)),)
TOKENS = (torch.rand(2, 16, 32, generator=torch.Generator().manual_seed(1)),)


def hugging(name, **config):
    kind = getattr(transformers, name)
    return lambda: kind(kind.config_class(**config))


def vit(heads):
    return lambda: timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=1, num_heads=heads, num_classes=7
    )


class BiasesOfItsOwn(nn.Module):
    """Queries and values have biases, keys have none: parameters beside a fused projection, as in VideoMAE."""

    def __init__(self):
        super().__init__()
        self.num_heads, self.all_head_dim, self.scale = 4, 32, 8**-0.5
        self.qkv, self.proj = nn.Linear(32, 96, bias=False), nn.Linear(32, 32)
        self.q_bias, self.v_bias = nn.Parameter(torch.randn(32)), nn.Parameter(torch.randn(32))

    def forward(self, x):
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = nn.functional.linear(x, self.qkv.weight, bias)
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(x.transpose(1, 2).reshape(*x.shape[::2], self.all_head_dim))


# What is made, its arguments, the size of its group of heads.
CASES = {
    "timm vit, heads": (vit(4), IMAGE, {}, 4),
    "timm vit, two heads made smaller": (vit(2), IMAGE, {}, 16),
    "timm vit, one head made smaller": (vit(1), IMAGE, {}, 32),
    "timm swin": (lambda: nn.Sequential(WindowAttention(32, 4, window_size=4)), TOKENS, {}, 4),
    "timm swin, heads made smaller": (lambda: nn.Sequential(WindowAttention(32, 2, window_size=4)), TOKENS, {}, 16),
    "timm levit, all of a head together": (
        lambda: nn.Sequential(LevitAttention(32, key_dim=8, num_heads=4, attn_ratio=2, resolution=(4, 4))),
        TOKENS, {}, 4,
    ),
    "biases of its own": (lambda: nn.Sequential(BiasesOfItsOwn()), TOKENS, {}, 4),
    "beit, its table beside it": (hugging("BeitModel", **VISION, use_relative_position_bias=True), IMAGE, {}, 8),
    "vit": (hugging("ViTForImageClassification", **VISION), IMAGE, {}, 4),
    "vit, two heads": (hugging("ViTModel", **VISION | {"num_attention_heads": 2}), IMAGE, {}, 16),
    "deit": (hugging("DeiTModel", **VISION), IMAGE, {}, 4),
    "swin": (
        hugging("SwinModel", image_size=32, patch_size=4, embed_dim=16, depths=[2], num_heads=[4], window_size=4),
        IMAGE, {}, 4,
    ),
    "video": (hugging("VideoMAEForVideoClassification", **VISION, num_frames=4), CLIP, {}, 4),
    "bert": (hugging("BertModel", **TEXT), (), IDS, 4),
    "gpt2, transposed weights": (
        hugging("GPT2Model", vocab_size=50, n_embd=32, n_layer=1, n_head=4), (), IDS | {"use_cache": False}, 4,
    ),
    "llama, two queries to a key": (
        hugging("LlamaModel", **TEXT | {"num_attention_heads": 8, "num_key_value_heads": 4}),
        (), IDS | {"use_cache": False}, 4,
    ),
    "whisper, across": (
        hugging(
            "BartModel", vocab_size=50, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=24, decoder_ffn_dim=24,
        ),
        (), IDS | {"use_cache": False}, 4,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def case(request):
    make, args, kwargs, size = CASES[request.param]
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.numel() > 1 and parameter.std() < 1e-6:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return net, Elastic(net, args, WIDTHS, kwargs=kwargs), (args, kwargs), size


def outputs(net, call):
    args, kwargs = call
    with torch.no_grad():
        return [leaf for leaf in pytree.tree_leaves(net(*args, **kwargs)) if isinstance(leaf, torch.Tensor)]


def heads_of(elastic):
    return [group for group in elastic.groups if f"{group.name}.weight" not in {m.tensor for m in group.members}]


def test_every_attention_becomes_narrower(case):
    net, elastic, _, size = case
    proposed, _ = head_groups(net)
    assert {group.name for group in heads_of(elastic)} == {group.name for group in proposed}
    assert {group.size for group in heads_of(elastic)} == {size}
    assert elastic.macs(0.5) < elastic.macs(1.0)


def test_the_full_width_is_the_plain_network(case):
    net, elastic, call, _ = case
    for found, expected in zip(outputs(elastic.level(1.0), call), outputs(net, call), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_a_level_is_the_zero_masked_network(case, width):
    net, elastic, call, _ = case
    with masking(elastic.net, elastic.groups, elastic.kept(width)):
        expected = outputs(elastic.net.train().eval(), call)
    elastic.net.train().eval()
    assert any(not torch.allclose(mine, plain) for mine, plain in zip(expected, outputs(net, call), strict=True))
    for found, masked in zip(outputs(elastic.level(width), call), expected, strict=True):
        torch.testing.assert_close(found, masked, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_what_is_extracted_is_the_level(case, width):
    _, elastic, call, _ = case
    plain = elastic.extract(width).eval()
    for found, expected in zip(outputs(plain, call), outputs(elastic.level(width), call), strict=True):
        assert torch.equal(found, expected)
    full, index = dict(elastic.net.state_dict()), elastic.indices(width)
    for name, tensor in plain.state_dict().items():
        if name in index:
            assert tensor.shape == tuple(
                full[name].shape[dim] if kept is None else len(kept) for dim, kept in enumerate(index[name])
            )


def test_gradients_reach_the_one_weight_set(case):
    net, elastic, (args, kwargs), _ = case
    for module in (net, elastic):
        module.train().eval()  # what an earlier test cached of the weights has no gradient
    reached = []
    for run, owner in ((elastic.level(0.25), elastic.net), (net, net)):
        owner.zero_grad()
        leaves = pytree.tree_leaves(run(*args, **kwargs))
        sum(leaf.square().mean() for leaf in leaves if isinstance(leaf, torch.Tensor)).backward()
        reached.append({name for name, parameter in owner.named_parameters() if parameter.grad is not None})
    assert reached[0] == reached[1]


def test_at_least_one_head_is_left():
    torch.manual_seed(0)
    elastic = Elastic(vit(4)().eval(), IMAGE, (1.0, 0.01))
    narrow = elastic.extract(0.01).blocks[0].attn
    assert narrow.num_heads == 1
    assert narrow.qkv.weight.shape == (3 * 8, 32)
    assert narrow.proj.weight.shape == (32, 8)


def test_smaller_heads_keep_their_scale():
    torch.manual_seed(0)
    elastic = Elastic(vit(2)().eval(), IMAGE, (1.0, 0.5))
    full, narrow = elastic.level(1.0).blocks[0].attn, elastic.level(0.5).blocks[0].attn
    assert (narrow.num_heads, narrow.head_dim) == (2, 8)
    assert narrow.scale == full.scale == 16**-0.5
    assert full.fused_attn
    assert not narrow.fused_attn  # fused, PyTorch would divide by the root of 8


def test_tables_of_positions_follow_the_heads_and_the_index_stays():
    torch.manual_seed(0)
    elastic = Elastic(CASES["timm swin"][0]().eval(), TOKENS, (1.0, 0.5))
    full, narrow = elastic.level(1.0)[0], elastic.level(0.5)[0]
    assert narrow.relative_position_bias_table.shape == (49, 2)
    assert torch.equal(narrow.relative_position_index, full.relative_position_index)


def test_what_cannot_be_narrowed_is_listed():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 24, batch_first=True).eval()
    elastic = Elastic(layer, TOKENS, (1.0, 0.5))
    assert elastic.skipped["self_attn"] == "torch.nn.MultiheadAttention runs at one width only"
    assert [group.name for group in elastic.groups] == ["linear1"]
    elastic = Elastic(nn.Sequential(CosineWindowAttention(32, (4, 4), 4), nn.Linear(32, 8), nn.Linear(8, 3)), TOKENS)
    assert "the narrower network does not run" in elastic.skipped["0"]


def test_a_module_that_only_counts_heads_is_listed():
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.num_heads, self.qkv = 4, nn.Linear(32, 7)

    _, skipped = head_groups(nn.Sequential(Alone()))
    assert skipped == {"0": "no projections into and out of its heads were found"}
