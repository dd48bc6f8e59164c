"""Repair: a level comes nearer to the full width, and nothing but its own statistics changes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from adaedge import Elastic
from adaedge.distillation import Crops, CrossEntropy, Plan, SwitchableAffine, repair, train
from adaedge.distillation.batch_norm_fit import regress
from adaedge.errors import LevelError

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(64, 1, 8, 8, generator=GENERATOR) * torch.linspace(0, 2, 8)


@pytest.fixture(scope="module")
def trained():
    """A network that has learnt something: which quarter of an image is brightest."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 16, 3)]
    net = nn.Sequential(*layers, nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
    labels = nn.functional.avg_pool2d(IMAGES, 4).flatten(1).argmax(1)
    data = [
        (images, labels[start : start + 16]) for start, images in zip(range(0, 64, 16), IMAGES.split(16), strict=True)
    ]
    train(
        net,
        torch.utils.data.DataLoader(data, batch_size=None),
        CrossEntropy(net),
        torch.optim.Adam(net.parameters(), 0.01),
        Plan(10),
    )
    return net


def distance(elastic, width):
    with torch.no_grad():
        apart = elastic.level(width)(IMAGES) - elastic.net(IMAGES)
        return (apart - apart.mean(1, keepdim=True)).square().mean().sqrt().item()


def test_a_level_comes_nearer_than_statistics_alone_bring_it(trained):
    elastic = Elastic(trained, (IMAGES[:1],), widths=(1.0, 0.75, 0.5))
    elastic.recalibrate(IMAGES.split(16))
    before = {width: distance(elastic, width) for width in (0.75, 0.5)}
    rows = repair(elastic, IMAGES, epochs=15, augment=lambda image: image)
    assert list(rows) == [0.75, 0.5]
    for width, epochs in rows.items():
        assert epochs[-1]["logits"] < epochs[0]["logits"]
        assert distance(elastic, width) < 0.9 * before[width]
    assert not elastic.training


def test_only_the_level_s_own_statistics_change(trained):
    elastic = Elastic(trained, (IMAGES[:1],), widths=(1.0, 0.75, 0.5))
    before = {name: tensor.clone() for name, tensor in elastic.state_dict().items()}
    other = elastic.level(0.75)(IMAGES)
    repair(elastic, IMAGES, widths=[0.5], epochs=1)
    changed = {name for name, tensor in elastic.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("_statistics.0_5") for name in changed)
    assert torch.equal(elastic.level(0.75)(IMAGES), other)
    assert all(parameter.grad is None for parameter in elastic.parameters())


def test_folding_keeps_what_was_trained(trained):
    elastic = Elastic(trained, (IMAGES[:1],), widths=(1.0, 0.5)).eval()
    own = SwitchableAffine(elastic, 0.5)
    for parameter in own.parameters():
        nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        wanted = own(IMAGES)
        assert not torch.allclose(wanted, elastic.level(0.5)(IMAGES), atol=1e-2)
        own.fold()
        torch.testing.assert_close(elastic.level(0.5)(IMAGES), wanted, rtol=1e-4, atol=1e-5)


def test_regression_finds_the_shift_and_scale_that_were_taken_away(trained):
    net = copy.deepcopy(trained)
    net[1].weight.data[::2] *= -1  # a scale may be below 0; a deviation may not
    elastic = Elastic(net, (IMAGES[:1],), widths=(1.0, 0.5)).eval()
    level = elastic.level(0.5)
    with torch.no_grad():
        for norm in (level[1], level[5]):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.1, 10)
    regress(elastic, 0.5, IMAGES)
    # The first batch-norm sees what the full width's sees, so nothing is lost there.
    torch.testing.assert_close(level[:2](IMAGES), elastic.net[:2](IMAGES)[:, :8], rtol=1e-3, atol=1e-4)
    # The second sees half of its inputs: no other shift and scale of a channel is nearer.
    found, wanted = level[:6](IMAGES), elastic.net[:6](IMAGES)[:, :8]
    best = (found - wanted).square().mean((0, 2, 3))
    for scale, shift in ((1.01, 0.0), (0.99, 0.0), (1.0, 0.01), (1.0, -0.01)):
        mean = found.mean((0, 2, 3), keepdim=True)
        other = (((found - mean) * scale + mean + shift) - wanted).square().mean((0, 2, 3))
        assert (other > best).all()


def test_a_channel_without_a_scale_stays_as_it_is(trained):
    net = copy.deepcopy(trained)
    net[1].weight.data[:] = 0.0
    elastic = Elastic(net, (IMAGES[:1],), widths=(1.0, 0.5)).eval()
    repair(elastic, IMAGES, epochs=1)
    assert all(tensor.isfinite().all() for tensor in elastic.state_dict().values())


def test_a_repaired_level_survives_saving(trained, tmp_path):
    elastic = Elastic(trained, (IMAGES[:1],), widths=(1.0, 0.5))
    repair(elastic, IMAGES, epochs=1)
    elastic.save(tmp_path / "elastic.safetensors")
    loaded = Elastic.load(tmp_path / "elastic.safetensors", trained, (IMAGES[:1],))
    assert torch.equal(loaded.level(0.5)(IMAGES), elastic.level(0.5)(IMAGES))
    torch.testing.assert_close(elastic.extract(0.5)(IMAGES), elastic.level(0.5)(IMAGES))


def test_a_level_without_batch_norm_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 4))
    elastic = Elastic(net, (IMAGES[:1],), widths=(1.0, 0.5))
    with pytest.raises(LevelError, match=r"width 0\.5 has no batch-norm.*Train all widths together"):
        repair(elastic, IMAGES, epochs=1)


def test_a_crop_is_another_view_of_the_same_size():
    image = torch.arange(3 * 12 * 10, dtype=torch.float32).view(3, 12, 10)
    views = [Crops()(image) for _ in range(20)]
    assert {view.shape for view in views} == {image.shape}
    assert all(view.min() >= image.min() and view.max() <= image.max() for view in views)
    assert any(not torch.equal(view, image) for view in views)
    assert {bool(view[0, 0, 0] < view[0, 0, -1]) for view in views} == {True, False}  # some are flipped
