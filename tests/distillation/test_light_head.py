"""A light head: within its budget, in front of the tail as it is, better than what it began as, and in a bundle."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge import LightHead, Space, Splittable
from adaedge.distillation import light_head
from adaedge.distillation.light_encoders import NarrowEncoder
from adaedge.errors import LevelError, SplitError, TrainingError

IMAGES = torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        stem = [nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU()]
        self.blocks = nn.Sequential(nn.Sequential(*stem), nn.Sequential(nn.Conv2d(32, 24, 3, 2, 1), nn.ReLU()))
        self.deep = nn.Sequential(nn.Conv2d(24, 32, 3, 2, 1), nn.ReLU())
        self.classify = nn.Linear(32, 7)

    def forward(self, image):
        return self.classify(self.deep(self.blocks(image)).mean((2, 3)))


def net():
    torch.manual_seed(0)
    return Net().eval()


def fit(full, **changes):
    settings = {"split": "blocks.1", "images": IMAGES, "macs_fraction": 0.3, "epochs": 1} | changes
    return LightHead.fit(full, (IMAGES[:1],), **settings)


def apart(light, full):
    head, _ = Splittable(full, (IMAGES[:1],)).at("blocks.1")
    with torch.no_grad():
        wanted = head(IMAGES)[0]
        return ((light.encoder(IMAGES) - wanted).square().mean() / wanted.var()).item()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("light") / "run.safetensors"


@pytest.fixture(scope="module")
def trained(path):
    return fit(net(), epochs=12, checkpoint=path)


def test_it_is_within_its_budget_learns_and_changes_nothing(trained, monkeypatch):
    full = net()
    before, seen, narrower = copy.deepcopy(full), [], light_head.narrower

    def noted(*args):
        for encoder in narrower(*args):
            seen.append((encoder.shrink, copy.deepcopy(encoder)))
            yield encoder

    monkeypatch.setattr(light_head, "narrower", noted)
    begun = fit(full, rate=1e-9)
    assert trained.macs <= 0.3 * trained.full_macs
    assert trained.macs > 0.1 * trained.full_macs
    assert trained.full_macs == Splittable(full, (IMAGES[:1],)).point("blocks.1").head_macs
    assert apart(trained, full) < 0.9 * apart(begun, full)
    assert apart(begun, full) < 0.3  # of the variance: it began as the full head's own channels
    assert not trained.training

    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, full.state_dict()[name])
    assert all(parameter.requires_grad for parameter in full.parameters())
    features = torch.rand(2, 24, 8, 8)
    _, tail = Splittable(full, (IMAGES[:1],)).at("blocks.1")
    with torch.no_grad():
        assert torch.equal(trained.get_submodule(light_head._TAIL)(features), tail(features))

    assert [shrink for shrink, _ in seen] == [1, 2]  # at half the resolution too, and the nearer one is taken
    for _, encoder in seen:
        assert isinstance(encoder, NarrowEncoder)
        assert encoder(IMAGES).shape == (32, 24, 8, 8)
    near = [light_head._Relative()(encoder(IMAGES), before.blocks(IMAGES)).item() for _, encoder in seen]
    assert begun.encoder.shrink == 1 + near.index(min(near))


def test_a_training_that_is_finished_is_read(trained, path):
    again = fit(net(), epochs=12, checkpoint=path)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in trained.state_dict().items())


def test_in_a_bundle_it_is_cut_where_the_head_was_and_its_tail_is_stored_once(trained):
    full = net()
    samples = [(image[None].numpy(),) for image in IMAGES]
    space = Space(["blocks.1"], codecs=["u8", "bottleneck"], networks={"light": trained})
    bundle = adaedge.build(full, (IMAGES[:1],), space, calibrate=samples)
    points = [str(point) for point in bundle.points]
    assert "blocks/w1/fp32/u8/light" in points
    assert "blocks/w1/fp32/bottleneck@0/light" in points
    (cut,) = [cut for cut in bundle.manifest.cuts if (cut.level.network, cut.split) == ("light", "blocks")]
    assert cut.tail.weights
    assert not [name for name in cut.tail.weights if name.startswith("light/")]  # all of it is the full network's
    assert all(name.startswith("light/") for name in cut.head.weights)
    (point,) = [point for point in bundle.points if str(point) == "blocks/w1/fp32/u8/light"]
    with torch.no_grad():
        expected = trained(IMAGES[:1]).numpy()
    np.testing.assert_allclose(bundle.run(point, samples[0])[0], expected, atol=0.05 * np.abs(expected).max())


def test_where_no_channel_can_be_left_out_it_begins_anew():
    class Fixed(nn.Module):
        """Its only hidden channels are reshaped in a way that ties them to their number."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 64, 3, 4, 1)
            self.classify = nn.Linear(64 * 8 * 8, 5)

        def forward(self, image):
            features = self.stem(image).view(-1, 64, 8, 8)
            return self.classify(features.flatten(1))

    torch.manual_seed(0)
    full = Fixed().eval()
    light = LightHead.fit(full, (IMAGES[:1],), split="stem", images=IMAGES, macs_fraction=0.9, epochs=1)
    assert light(IMAGES).shape == (32, 5)
    assert light.macs <= 0.9 * light.full_macs


def test_what_cannot_be_is_refused():
    full = net()
    with pytest.raises(SplitError, match=r"no split point 'blocks\.9'"):
        fit(full, split="blocks.9")
    with pytest.raises(SplitError, match="behind some layers; 1 cross 'input'"):
        fit(full, split="input")
    with pytest.raises(LevelError, match=r"macs_fraction is a fraction of the head's MACs, in \(0, 1\); got 1"):
        fit(full, macs_fraction=1.0)
    with pytest.raises(LevelError, match=r"costs .* MACs at least; the fraction allows"):
        fit(full, macs_fraction=1e-4)
    with pytest.raises(TrainingError, match="no images came"):
        fit(full, images=[])
    with pytest.raises(TrainingError, match="a network of one image tensor"):
        LightHead.fit(full, (IMAGES[:1], 3), split="blocks.1", images=IMAGES)
    with pytest.raises(TrainingError, match="in training mode"):
        fit(net().train())
