"""Transformers by tokens: equal to dense where all tokens are recomputed, close where few are, and never drifting."""

import numpy as np
import pytest
import timm
import torch
import transformers
from torch import nn

from adaedge import Incremental
from adaedge.arrays import cosine
from adaedge.errors import CacheError
from adaedge.stream.incremental.tokens import Choice, TokenRunner

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 128,
    "image_size": 64, "patch_size": 8, "num_labels": 5,
}  # fmt: skip


def timm_vit():
    torch.manual_seed(0)
    return timm.create_model(
        "vit_tiny_patch16_224",
        img_size=64,
        patch_size=8,
        depth=3,
        embed_dim=48,
        num_heads=3,
        reg_tokens=2,
        num_classes=5,
    ).eval()


def hf_vit():
    torch.manual_seed(0)
    return transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL)).eval()


def video_mae():
    torch.manual_seed(0)
    return transformers.VideoMAEForVideoClassification(transformers.VideoMAEConfig(num_frames=4, **SMALL)).eval()


CASES = {
    "timm": (timm_vit, (1, 3, 64, 64), 3),
    "transformers": (hf_vit, (1, 3, 64, 64), 1),
    "VideoMAE": (video_mae, (1, 4, 3, 64, 64), 0),
}


def dense(net, frame):
    with torch.no_grad():
        output = net(frame)
    return output if isinstance(output, torch.Tensor) else output.logits


def logits(output):
    return output if isinstance(output, torch.Tensor) else output.logits


def cornered(frame, side=16):
    frame = frame.clone()
    frame[..., :side, :side] = torch.rand_like(frame[..., :side, :side])
    return frame


@pytest.mark.parametrize("name", CASES)
def test_few_tokens_are_recomputed_and_all_of_them_equal_dense(name):
    make, shape, always = CASES[name]
    net, frame = make(), torch.rand(shape)
    stream = Incremental(net, (frame,), tolerance=0.01)
    runner = stream.runner
    assert isinstance(runner, TokenRunner)
    assert len(runner.plan.always) == always
    assert not stream.is_exact
    output, cache = stream(frame, None)
    assert stream.stats.path == "refresh"
    assert torch.allclose(logits(output), dense(net, frame), atol=1e-5)
    before, frame = frame, cornered(frame)
    output, cache = stream(frame, cache)
    assert stream.stats.path == "tokens"
    assert stream.stats.macs_share < 0.5
    expected = dense(net, frame)
    error, held = (logits(output) - expected).norm(), (dense(net, before) - expected).norm()
    assert error < 0.5 * held  # much nearer than the answer of the frame before
    runner.choice = Choice(most=1.0)
    frame = torch.rand(shape)
    output, _ = stream(frame, cache)
    assert stream.stats.path == "tokens"
    assert torch.allclose(logits(output), dense(net, frame), atol=1e-5)


def test_where_most_changed_all_is_computed():
    net, frame = hf_vit(), torch.rand(1, 3, 64, 64)
    stream = Incremental(net, (frame,), tolerance=0.01)
    _, cache = stream(frame, None)
    output, _ = stream(cornered(frame, 64), cache)
    assert stream.stats.path == "dense"
    assert output.logits.isfinite().all()


def test_old_tokens_come_round_so_nothing_drifts():
    net, frame = timm_vit(), torch.rand(1, 3, 64, 64)
    stream = Incremental(net, (frame,), tolerance=0.02)
    stream.runner.choice = Choice(rounds=8)
    _, cache = stream(frame, None)
    moved = cornered(frame)
    _, cache = stream(moved, cache)
    errors = []
    for _ in range(20):  # nothing moves any more: the answer becomes the network's own
        output, cache = stream(moved, cache)
        errors.append(float((output - dense(net, moved)).norm()))
    assert errors[-1] < 0.3 * errors[0]
    stream.runner.choice = Choice(rounds=0)
    _, cache = stream(moved, cache)
    assert stream.stats.macs_share < 0.2


def test_slow_change_is_held_against_what_was_propagated():
    net, frame = hf_vit(), torch.rand(1, 3, 64, 64)
    stream = Incremental(net, (frame,), tolerance=0.1)
    stream.runner.choice = Choice(rounds=0, most=1.0)
    _, cache = stream(frame, None)
    changes = []
    for _ in range(40):
        frame = frame * 0.98
        _, cache = stream(frame, cache)
        changes.append(stream.stats.changed)
    assert changes[0] == 0
    assert max(changes) > 0.5


def test_what_is_not_a_number_does_not_stay():
    net, frame = hf_vit(), torch.rand(1, 3, 64, 64)
    stream = Incremental(net, (frame,), tolerance=0.05)
    _, cache = stream(frame, None)
    broken = frame.clone()
    broken[0, 0, 0, 0] = float("nan")
    output, cache = stream(broken, cache)
    assert output.logits.isnan().any()
    output, cache = stream(frame, cache)
    assert torch.allclose(output.logits, dense(net, frame), atol=1e-5)


def test_an_audit_returns_the_dense_answer_and_tightens():
    net, frame = timm_vit(), torch.rand(1, 3, 64, 64)
    stream = Incremental(net, (frame,), tolerance=0.3, audit_every=2, floor=1.0)
    _, cache = stream(frame, None)
    for turn in range(2):
        frame = cornered(frame, 16 + 8 * turn)
        output, cache = stream(frame, cache)
    assert stream.stats.path == "audit"
    assert torch.allclose(output, dense(net, frame), atol=1e-5)
    assert cache.tightened == 0.5


def test_a_cache_of_the_other_kind_is_refused(tmp_path):
    net, frame = timm_vit(), torch.rand(1, 3, 64, 64)
    _, exact = Incremental(net, (frame,))(frame, None)
    stream = Incremental(net, (frame,), tolerance=0.1)
    with pytest.raises(CacheError, match="this cache is of another network or tolerance"):
        stream(frame, exact)
    _, cache = stream(frame, None)
    cache.save(tmp_path / "tokens")
    stream(cornered(frame), type(cache).load(tmp_path / "tokens"))
    assert stream.stats.path == "tokens"


def test_causal_attention_and_windows_run_as_ever():
    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(16, 48)

        def forward(self, tokens):
            q, k, v = (part[:, None] for part in self.qkv(tokens * 2).chunk(3, -1))
            return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0]

    tokens = torch.rand(1, 24, 16)
    stream = Incremental(Causal().eval(), (tokens,), tolerance=0.1)
    assert not isinstance(stream.runner, TokenRunner)
    output, _ = stream(tokens, None)
    assert np.isclose(cosine(output.numpy(), dense(stream.net, tokens).numpy()), 1)
