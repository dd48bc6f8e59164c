"""A level's own scales and shifts: they learn with the shared weights, and end in the level's statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adaedge import Elastic
from adaedge.distillation import Plan, Sandwich, SwitchableAffine, train

IMAGES, LABELS = torch.rand(16, 3, 8, 8), torch.arange(16) % 5


class Concatenating(nn.Module):
    """Its second batch-norm reads two groups of channels, so that a level gathers its scales."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
        self.norm, self.head = nn.BatchNorm2d(16), nn.Linear(16, 5)

    def forward(self, images):
        both = torch.cat([self.first(images), self.second(images)], 1)
        return self.head(torch.relu(self.norm(both)).mean((2, 3)))


def plain():
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))


@pytest.fixture(params=[plain, Concatenating])
def elastic(request):
    torch.manual_seed(0)
    return Elastic(request.param(), (IMAGES,), widths=(1.0, 0.75, 0.5))


def drawn(elastic, width=0.5, **settings):
    own = SwitchableAffine(elastic, width, **settings)
    for parameter in own.parameters():
        nn.init.normal_(parameter, std=0.3)
    return own


@pytest.mark.parametrize("frozen", [False, True])
def test_folding_keeps_what_it_computes_and_starts_at_zero_again(elastic, frozen):
    own = drawn(elastic.eval(), frozen=frozen)
    with torch.no_grad():
        wanted = own(IMAGES)
        assert not torch.allclose(wanted, elastic.level(0.5)(IMAGES), atol=1e-3)
        own.fold()
        torch.testing.assert_close(elastic.level(0.5)(IMAGES), wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(own(IMAGES), wanted, rtol=1e-4, atol=1e-5)
    assert not any(parameter.any() for parameter in own.parameters())


def test_recalibration_sees_what_the_level_computes_with_its_own(elastic):
    own = drawn(elastic.eval())
    own.recalibrate([IMAGES])
    wanted: dict[str, torch.Tensor] = {}
    last = list(own.norms)[-1]
    with torch.no_grad():
        own.norms[last].register_forward_pre_hook(lambda _norm, taken: wanted.update(taken=taken[0]))
        own(IMAGES)
    torch.testing.assert_close(own.norms[last].running_mean, wanted["taken"].mean((0, 2, 3)), rtol=1e-2, atol=1e-3)


def test_shared_weights_learn_with_it_unless_it_is_frozen(elastic):
    for frozen, learns in ((False, True), (True, False)):
        own = drawn(elastic, frozen=frozen)
        elastic.zero_grad()
        own(IMAGES).square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in own.parameters())
        assert any(parameter.grad is not None for parameter in elastic.parameters()) is learns


def test_a_width_alone_has_the_gradient_of_its_own_batch_norm(elastic):
    """Through γ · exp(scale): what an ordinary batch-norm with that weight gets, times exp(scale)."""
    own, alone = drawn(elastic.train()), elastic.extract(0.5).train()
    norms = dict(alone.named_modules())
    with torch.no_grad():
        for name, scale, shift in zip(own.norms, own.scales, own.shifts, strict=True):
            norms[name].weight.mul_(scale.exp())
            norms[name].bias.sub_(norms[name].weight * shift)
    own(IMAGES).square().sum().backward()
    alone(IMAGES).square().sum().backward()
    for (name, norm), scale, shift in zip(own.norms.items(), own.scales, own.shifts, strict=True):
        full, kept, other = elastic.net.get_submodule(name), elastic.indices(0.5)[f"{name}.weight"][0], norms[name]
        with torch.no_grad():
            slope = (other.weight.grad - other.bias.grad * shift) * scale.exp()
            shifting = -other.bias.grad * norm.weight * scale.exp()
        torch.testing.assert_close(full.weight.grad[kept], slope, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(shift.grad, shifting, rtol=1e-3, atol=1e-4)


def test_the_sandwich_trains_it_and_the_full_width_knows_nothing_of_it(elastic):
    own = {width: SwitchableAffine(elastic, width) for width in elastic.widths[1:]}
    student = nn.ModuleList([elastic, *own.values()])
    data = [(IMAGES, LABELS)] * 4
    loader = torch.utils.data.DataLoader(data, batch_size=None)
    train(student, loader, Sandwich(elastic, own=own), torch.optim.SGD(student.parameters(), lr=0.5), Plan(3))
    assert all(parameter.any() for affine in own.values() for parameter in affine.parameters())
    full = elastic.net(IMAGES)
    for affine in own.values():
        affine.recalibrate([IMAGES])
        affine.fold()
    assert torch.equal(elastic.net(IMAGES), full)
