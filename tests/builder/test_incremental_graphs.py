"""Segments in ONNX Runtime: parts of any size equal the whole, in a network with all that makes that hard."""

import numpy as np
import timm
import torch
from torch import nn

from adaedge.builder.incremental_graphs import dense_engines, onnx_runner, onnx_token_runner
from adaedge.graph.capture import capture
from adaedge.graph.signature import Signature
from adaedge.incremental.planner import planned
from adaedge.incremental.tokens import staged
from adaedge.stream.incremental import Kind, Tolerance
from adaedge.stream.incremental.segment_costs import measure_segments
from adaedge.stream.incremental.tokens import Choice


class Picture(nn.Module):
    """A uint8 picture to a map: a shortcut, strides, "same" padding and a pooled branch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.norm = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8)
        self.b, self.c, self.short = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 16, 3, 2, 1), nn.Conv2d(8, 16, 1, 2)
        self.pooled, self.last = nn.Conv2d(16, 16, 1), nn.Conv2d(32, 4, 1)

    def forward(self, picture):
        x = (picture.float() / 255 - 0.5).permute(0, 3, 1, 2)
        x = self.norm(self.a(nn.functional.pad(x, (0, 1, 0, 1)))).relu()
        x = x + self.b(x).relu()
        x = self.c(x) + self.short(x)
        pooled = self.pooled(x.mean((2, 3), keepdim=True)).relu().expand(-1, -1, *x.shape[2:])
        return (self.last(torch.cat([x, pooled], 1)),)


def pictures():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1, 161, 210, 3), np.uint8)
    for top, left in ((0, 0), (150, 200), (40, 77)):
        picture = picture.copy()
        picture[:, top : top + 11, left : left + 10] = rng.integers(0, 256, (1, 11, 10, 3), np.uint8)
        yield picture


def test_onnx_segments_equal_dense_in_parts():
    net = Picture().eval()
    frames = list(pictures())
    runner = onnx_runner(planned(net, Signature.of((torch.from_numpy(frames[0]),), {})))
    assert sum(segment.kind is Kind.PART for segment in runner.plan.segments) >= 2
    cache = None
    for frame in frames:
        (given,), cache = runner.run([frame], cache)
        with torch.no_grad():
            expected = net(torch.from_numpy(frame))[0].numpy()
        assert np.abs(given - expected).max() <= 1e-5 * np.abs(expected).max()
    assert cache.stats.path == "incremental"
    assert cache.stats.macs_share < 0.5


def test_int8_segments_follow_int8_as_a_whole():
    net, frames = Picture().eval(), list(pictures())
    example, samples = torch.from_numpy(frames[0]), [(frame,) for frame in frames]
    runner = onnx_runner(planned(net, Signature.of((example,), {})), samples=samples)
    int8 = dense_engines(net, (example,), samples)["int8"]
    cache = None
    for frame in frames:
        (given,), cache = runner.run([frame], cache)
        (expected,) = int8.run([frame])
        # Quantised at the cuts as well: a few steps of 1/255 of the range.
        assert np.abs(given - expected).max() <= 0.05 * np.abs(expected).max()


def test_costs_are_measured():
    net, frames = Picture().eval(), list(pictures())
    runner = onnx_runner(planned(net, Signature.of((torch.from_numpy(frames[0]),), {})))
    costs = measure_segments(runner, [frames[0]], rounds=1)
    assert len(costs.segments) == len(runner.plan.segments)
    assert costs.whole > 0
    assert min(costs.segments) > 0
    assert 0 <= costs.call < costs.whole
    runner.costs = costs
    _, cache = runner.run([frames[0]], None)
    _, cache = runner.run([255 - frames[0]], cache)
    assert cache.stats.path == "dense"


def test_onnx_stages_equal_the_transformer():
    torch.manual_seed(0)
    whole = timm.create_model("vit_tiny_patch16_224", img_size=64, patch_size=8, depth=2, embed_dim=48, num_heads=3)
    net, frame = whole.eval(), torch.rand(1, 3, 64, 64)
    found = staged(capture(net, Signature.of((frame,), {}), dynamic=False))
    runner = onnx_token_runner(found, Tolerance(0.01), Choice(rounds=0, most=1.0))
    _, cache = runner.run([frame.numpy()], None)
    for side in (1, 20, 64):
        frame = frame.clone()
        frame[..., :side, :side] = torch.rand(1, 3, side, side)
        (given,), cache = runner.run([frame.numpy()], cache)
        assert cache.stats.path == "tokens"
    with torch.no_grad():
        assert np.allclose(given, net(frame).numpy(), atol=1e-5)
