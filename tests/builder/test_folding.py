from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import adaedge
from adaedge.builder import decoder_fold
from adaedge.bundle import Bundle
from adaedge.errors import CaptureError, PayloadError
from adaedge.operating_point import Level
from adaedge.payload import wire
from adaedge.runtime import EdgeServer

TALL, WIDE = 16, 24


def picture(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return nn.functional.interpolate(torch.randn(1, 3, 20, 20, generator=generator), (32, 48), mode="bilinear")


IMAGES = [picture(seed) for seed in range(16)]


class Tokens(nn.Module):
    """Mixes tokens by a matrix product, as the first thing behind its split point."""

    def __init__(self):
        super().__init__()
        self.embed, self.act = nn.Conv2d(3, 12, 4, stride=4), nn.ReLU()
        self.fc, self.out = nn.Linear(12, 20, bias=False), nn.Linear(20, 10)

    def forward(self, x):
        features = self.act(self.embed(x)).flatten(2).transpose(1, 2)
        return self.out(self.fc(features).relu().mean(1))


def convolutional(*behind, seed=1):
    torch.manual_seed(seed)
    stem = nn.Sequential(nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU())
    return nn.Sequential(stem, *behind, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10)).eval()


class Residual(nn.Module):
    """Its features go two ways, so no operator takes them alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x)


FOLDING = {
    "1x1": convolutional(nn.Conv2d(12, 20, 1, bias=False), nn.BatchNorm2d(20), nn.ReLU()),
    "3x3 and padding": convolutional(nn.Conv2d(12, 20, 3, padding=1), nn.ReLU()),
    "strides and dilation": convolutional(nn.Conv2d(12, 20, 3, stride=2, dilation=2, padding=(2, 1)), nn.ReLU()),
}
OTHERS = {
    "depthwise": convolutional(nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.ReLU()),
    "an activation first": convolutional(nn.GELU(), nn.Conv2d(12, 20, 1)),
    "two ways": convolutional(Residual()),
}


def built(net, split="0", widths=(1.0,)):
    net(IMAGES[0])
    space = adaedge.Space(splits=[split], widths=widths, precisions=["fp32"], codecs=["u8", "bottleneck"])
    samples = [(image.numpy(),) for image in IMAGES]
    with torch.no_grad():
        for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 1.5)
            norm.running_mean.uniform_(-0.5, 0.5)
    return adaedge.build(net, (IMAGES[0],), space, calibrate=samples)


def both_ways(bundle, split, rate=6, lost=0):
    """A payload's answer by the folded tail, and by decoded features and the plain tail."""
    point = adaedge.OperatingPoint(split, codec=f"bottleneck@{rate}")
    payload = bundle.encode(point, bundle.head(split).run((IMAGES[3].numpy(),)))
    payload = payload[: len(payload) - lost]
    message, features = bundle.decode(payload)
    answered, outputs = bundle.answer(payload)
    assert (message.point, message.lost_segments) == (answered.point, answered.lost_segments)
    return outputs[0], bundle.tail(split).run(features)[0]


@pytest.mark.parametrize("name", FOLDING)
def test_a_folded_tail_answers_as_decoder_and_tail_do(name, tmp_path):
    bundle = built(FOLDING[name])
    (cut,) = (cut for cut in bundle.manifest.cuts if cut.split == "0")
    assert cut.folded_tail is not None
    assert [spec.name for spec in cut.folded_tail.inputs] == ["coefficients"]
    bundle.save(tmp_path / "folded.bundle")
    loaded = Bundle.load(tmp_path / "folded.bundle")
    for rate, lost in ((2, 0), (9, 0), (9, 9)):
        folded, plain = both_ways(loaded, "0", rate, lost)
        np.testing.assert_allclose(folded, plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())
    point = adaedge.OperatingPoint("0", codec="bottleneck@9")
    inputs = (IMAGES[3].numpy(),)
    np.testing.assert_array_equal(bundle.run(point, inputs)[0], both_ways(loaded, "0", 9)[0])


def test_tokens_fold_into_a_matrix_product():
    torch.manual_seed(0)
    bundle = built(Tokens().eval(), ":transpose")
    (cut,) = (cut for cut in bundle.manifest.cuts if cut.split not in ("input", "output"))
    assert cut.folded_tail is not None
    folded, plain = both_ways(bundle, cut.split)
    np.testing.assert_allclose(folded, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_where_no_operator_takes_the_features_alone_nothing_is_folded(name):
    bundle = built(OTHERS[name])
    assert all(cut.folded_tail is None for cut in bundle.manifest.cuts)
    folded, plain = both_ways(bundle, "0")
    np.testing.assert_array_equal(folded, plain)


def test_a_folded_tail_has_one_convolution_and_counts_what_it_computes():
    bundle = built(FOLDING["1x1"])
    (cut,) = (cut for cut in bundle.manifest.cuts if cut.split == "0")
    graph = onnx.load_from_string(bundle._files[cut.folded_tail.graph]).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") == 1
    assert kinds.count("MatMul") == 2  # the maps along the sides; the one across channels is in the convolution
    _, positions, components = cut.folded_tail.inputs[0].shape
    more = positions * components * (TALL + WIDE) + positions * 20 * (components - 12)
    assert cut.folded_tail.macs == cut.tail.macs + more


def test_each_width_has_a_folded_tail_of_its_own():
    net = convolutional(nn.Conv2d(12, 20, 1), nn.ReLU(), nn.Conv2d(20, 20, 3), nn.ReLU(), seed=2)
    bundle = built(net, widths=(1.0, 0.5))
    halves = [cut.folded_tail for cut in bundle.manifest.cuts if cut.split == "0"]
    assert len({half.graph for half in halves}) == 2
    point = adaedge.OperatingPoint("0", width=0.5, codec="bottleneck@9")
    payload = bundle.encode(point, bundle.head("0", Level(width=0.5)).run((IMAGES[3].numpy(),)))
    (plain,) = bundle.tail("0", Level(width=0.5)).run(bundle.decode(payload)[1])
    np.testing.assert_allclose(bundle.answer(payload)[1][0], plain, rtol=1e-4, atol=1e-5)


def test_a_damaged_payload_is_refused_by_the_folded_tail_too():
    bundle = built(FOLDING["1x1"])
    point = adaedge.OperatingPoint("0", codec="bottleneck@9")
    message = wire.decode(bundle.encode(point, bundle.head("0").run((IMAGES[0].numpy(),))))
    two = tuple(replace(header, shape=(2, *header.shape[1:])) for header in message.tensors)
    for changes, text in (
        ({"segments": message.segments[:1] * 2}, r"not the lengths that this codec writes|words came, it says"),
        ({"tensors": two}, r"do not decode|are escaped|oversized|features at '0'"),
        ({"tensors": (replace(two[0], dtype="float64"),)}, "its headers say"),
    ):
        with pytest.raises(PayloadError, match=text):
            bundle.answer(wire.encode(replace(message, **changes)))


def test_profile_and_edge_server_know_the_folded_tail():
    bundle = built(FOLDING["1x1"])
    (cut,) = (cut for cut in bundle.manifest.cuts if cut.split == "0")
    profile = adaedge.profile(bundle, repetitions=2)
    plain, folded = (profile[adaedge.OperatingPoint("0", codec=codec)] for codec in ("u8", "bottleneck@5"))
    assert plain.tail_s == plain.finish_s == folded.finish_s
    assert folded.tail_s != folded.finish_s
    fresh = bundle.with_threads(1)
    with pytest.warns(UserWarning, match="not encrypted"):
        server = EdgeServer(fresh, insecure=True)
    server.preload()
    server.stop()
    assert {cut.folded_tail.graph, cut.tail.graph} <= fresh._engines._engines.keys()


def test_a_folded_tail_that_computes_something_else_is_not_built(monkeypatch):
    monkeypatch.setattr(decoder_fold, "_of_mean", lambda *_: np.full((1, 20, TALL, WIDE), 7.0, np.float32))
    with pytest.raises(CaptureError, match=r"the tail at '0' that a bottleneck's decoder was folded into differs"):
        built(FOLDING["1x1"])


def test_a_value_of_the_model_may_have_the_name_of_the_input():
    net = convolutional(nn.Conv2d(12, 20, 1), nn.ReLU(), seed=3)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.rest = net[0], net[1:]
            self.coefficients = nn.Parameter(torch.full((1, 1, 1, 1), 1.5))

        def forward(self, x):
            first, *others = self.rest
            y = first(self.stem(x)) * self.coefficients
            for other in others:
                y = other(y)
            return y

    folded, plain = both_ways(built(Scaled().eval(), "stem"), "stem")
    np.testing.assert_allclose(folded, plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())
