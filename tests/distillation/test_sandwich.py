"""The sandwich rule: what each width learns, and from whom."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional

from adaedge import Elastic
from adaedge.distillation import Sandwich, SoftTargets
from adaedge.errors import TrainingError
from adaedge.levels.slices import sliced

IMAGES, LABELS = torch.rand(6, 3, 8, 8), torch.arange(6) % 5


def elastic(widths=(1.0, 0.5, 0.25)):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    return Elastic(net, (IMAGES,), widths=widths)


def test_gradients_are_the_labels_at_full_width_and_the_full_width_s_predictions_below():
    made, weight = elastic(), 0.5
    alone = {width: made.extract(width).train() for width in made.widths}
    made.train().zero_grad()
    Sandwich(made, weight=weight)((IMAGES, LABELS), torch.Tensor.backward)

    logits = alone[1.0](IMAGES)
    functional.cross_entropy(logits, LABELS).backward()
    wanted = {name: parameter.grad.clone() for name, parameter in alone[1.0].named_parameters()}
    for width in made.widths[1:]:
        soft = logits.detach().softmax(-1)
        divergence = (soft * (soft.log() - alone[width](IMAGES).log_softmax(-1))).sum() / len(IMAGES)
        (weight * divergence).backward()
        index = made.indices(width)
        for name, parameter in alone[width].named_parameters():
            # a prefix slice, so that adding to it adds to the full gradient
            sliced(wanted[name], index.get(name, ())).add_(parameter.grad)
    for name, parameter in made.net.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name])


def test_full_and_narrowest_always_learn_and_others_take_turns():
    made = elastic((1.0, 0.9, 0.75, 0.5, 0.25))
    objective = Sandwich(made.train(), others=1)
    seen = Counter(name for _ in range(30) for name in objective((IMAGES, LABELS), torch.Tensor.backward))
    assert seen["width 1"] == seen["width 0.25"] == 30
    assert seen["width 0.9"] + seen["width 0.75"] + seen["width 0.5"] == 30
    assert min(seen.values()) > 3


def test_each_width_gathers_statistics_of_its_own():
    made = elastic().train()
    Sandwich(made)((IMAGES, LABELS), torch.Tensor.backward)
    second = {width: made.level(width)[4].running_mean for width in made.widths}
    assert [len(mean) for mean in second.values()] == [12, 6, 3]
    assert all(mean.abs().sum() > 0 for mean in second.values())
    assert not torch.allclose(second[1.0][:6], second[0.5])


def test_soft_targets_is_the_divergence_of_two_softened_predictions():
    student, teacher = torch.randn(4, 7, requires_grad=True), torch.randn(4, 7, requires_grad=True)
    loss = SoftTargets(temperature=3.0)(student, teacher)
    soft, wanted = (student / 3).softmax(-1), (teacher / 3).softmax(-1)
    torch.testing.assert_close(loss, 9 * (wanted * (wanted / soft).log()).sum() / 4)
    loss.backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_what_cannot_be_is_refused():
    with pytest.raises(TrainingError, match="takes two widths or more"):
        Sandwich(Elastic(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), (torch.rand(1, 4),), widths=(1.0,)))
    with pytest.raises(TrainingError, match="temperature is above 0; got 0"):
        SoftTargets(temperature=0)
