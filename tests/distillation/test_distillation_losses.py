"""Each loss against its formula, worked by hand or written out in loops."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from adaedge.distillation import (
    AttentionTransfer,
    BoxTargets,
    DecoupledTargets,
    FeatureMSE,
    Relational,
    SoftTargetMaps,
    SoftTargets,
)
from adaedge.distillation.projectors import projector
from adaedge.errors import TrainingError


def pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, requires_grad=True), torch.randn(*shape, generator=generator)


def kl(wanted, found):
    return (wanted * (wanted / found).log()).sum()


def test_maps_are_soft_targets_of_each_position():
    student, teacher = pair(2, 5, 3, 4)
    loss = SoftTargetMaps(3.0)(student, teacher)
    places = itertools.product(range(2), range(3), range(4))
    each = [SoftTargets(3.0)(student[n, :, y, x][None], teacher[n, :, y, x][None]) for n, y, x in places]
    torch.testing.assert_close(loss, torch.stack(each).mean())


def test_a_teacher_s_map_takes_the_student_s_size():
    student, teacher = pair(2, 5, 4, 4)
    blocks = teacher.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(SoftTargetMaps()(student, blocks), SoftTargetMaps()(student, teacher))
    assert SoftTargetMaps()(student, teacher[:, :, :2, :2]).isfinite()


@pytest.mark.parametrize("labelled", [True, False])
def test_decoupled_targets_are_the_right_class_and_the_others_apart(labelled):
    student, teacher = pair(3, 5)
    labels = torch.tensor([2, 0, 4]) if labelled else teacher.argmax(1)
    loss = DecoupledTargets(2.0, right=1.0, others=8.0)(student, teacher, labels if labelled else None)
    wanted = 0.0
    for found, sought, label in zip((student / 2).softmax(1), (teacher / 2).softmax(1), labels, strict=True):
        right = [torch.stack([chances[label], 1 - chances[label]]) for chances in (sought, found)]
        rest = [torch.cat([chances[:label], chances[label + 1 :]]) for chances in (sought, found)]
        wanted += kl(*right) + 8 * kl(*(part / part.sum() for part in rest))
    torch.testing.assert_close(loss, 4 * wanted / 3, rtol=1e-4, atol=1e-5)


def test_decoupled_targets_with_the_teacher_s_weights_are_soft_targets():
    """Of one sample the others count 1 − p of the right class in plain soft targets: equation 6 of the paper."""
    student, teacher = pair(1, 6)
    label = teacher.argmax(1)
    others = 1 - (teacher / 4).softmax(1)[0, label].item()
    torch.testing.assert_close(
        DecoupledTargets(4.0, 1.0, others)(student, teacher), SoftTargets(4.0)(student, teacher), rtol=1e-4, atol=1e-6
    )


def test_attention_is_the_place_whatever_the_channels():
    student, teacher = pair(2, 3, 4, 4)
    many = torch.cat([teacher, teacher, teacher], 1)
    loss = AttentionTransfer()
    torch.testing.assert_close(loss(student, many), loss(student, teacher))
    maps = [features.square().mean(1).flatten(1) for features in (student, teacher)]
    found, wanted = (each / each.norm(dim=1, keepdim=True) for each in maps)
    torch.testing.assert_close(loss(student, teacher), (found - wanted).square().mean())
    assert loss(student, torch.rand(2, 8, 9, 9)).isfinite()


def test_relations_are_distances_of_pairs_and_angles_of_triples():
    student, teacher = pair(4, 3)
    wanted = torch.rand(4, 7)
    distances, angles = [], []
    for samples in (student, wanted):
        apart = torch.stack([torch.stack([(a - b).norm() for b in samples]) for a in samples])
        distances.append(apart / (apart.sum() / 12))
        cosines = torch.zeros(4, 4, 4)
        for i, j, k in itertools.product(range(4), repeat=3):
            if i not in (j, k):
                cosines[i, j, k] = functional.cosine_similarity(samples[j] - samples[i], samples[k] - samples[i], 0)
        angles.append(cosines)
    expected = 3 * functional.smooth_l1_loss(*distances) + 5 * functional.smooth_l1_loss(*angles)
    loss = Relational(3.0, 5.0)(student, wanted)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    loss.backward()
    assert student.grad.isfinite().all()
    assert Relational()(2 * teacher @ torch.linalg.qr(torch.randn(3, 3))[0], teacher) < 1e-6
    assert Relational()(student[:2], teacher[:2]) == 0


@pytest.mark.parametrize(
    "loss", [SoftTargets(), SoftTargetMaps(), DecoupledTargets(), AttentionTransfer(), Relational(), FeatureMSE()]
)
def test_a_student_learns_and_its_teacher_gets_no_gradient(loss):
    shape = (4, 5, 3, 3) if isinstance(loss, SoftTargetMaps | AttentionTransfer) else (4, 5)
    student, teacher = pair(*shape)
    teacher = teacher.requires_grad_()
    loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0
    torch.testing.assert_close(loss(teacher.detach(), teacher.detach()), torch.tensor(0.0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((2, 8, 16, 16), (2, 32, 8, 8)),
        ((2, 8, 4, 4), (2, 8, 9, 9)),
        ((2, 8, 4, 4), (2, 3, 4, 4)),
        ((2, 8, 2, 4, 4), (2, 5, 4, 2, 2)),
        ((2, 8), (2, 3)),
        ((2, 9, 8), (2, 9, 3)),
        ((2, 8, 4, 4), (2, 3)),
    ],
)
def test_a_projector_joins(student, teacher):
    made = projector(torch.rand(student), torch.rand(teacher))
    assert made(torch.rand(5, *student[1:])).shape == (5, *teacher[1:])
    learned = any(True for _ in made.parameters())
    assert learned or student[1] == teacher[1]


def test_no_projector_is_made_where_none_is_needed():
    assert projector(torch.rand(2, 3, 4, 4), torch.rand(7, 3, 4, 4)) is None


@pytest.mark.parametrize(
    ("student", "teacher"), [((2, 8), (2, 8, 4, 4)), ((2, 9, 8), (2, 7, 8)), ((2, 9, 8), (2, 9)), ((2,), (2,))]
)
def test_nothing_joins_the_others(student, teacher):
    with pytest.raises(TrainingError, match="no projector joins"):
        projector(torch.rand(student), torch.rand(teacher))


def test_what_cannot_be_is_refused():
    for make in (SoftTargetMaps, DecoupledTargets):
        with pytest.raises(TrainingError, match="temperature is above 0; got 0"):
            make(temperature=0)
    with pytest.raises(TrainingError, match="power of an attention map is above 0; got -1"):
        AttentionTransfer(-1)
    with pytest.raises(TrainingError, match=r"student's tensor is \(2, 3\), the teacher's \(2, 1\)"):
        SoftTargets()(torch.rand(2, 3), torch.rand(2, 1))
    with pytest.raises(TrainingError, match="of three classes or more"):
        DecoupledTargets()(torch.rand(2, 2), torch.rand(2, 2))
    with pytest.raises(TrainingError, match="a batch of 2 cannot relate as one of 3"):
        Relational()(torch.rand(2, 2), torch.rand(3, 2))
    assert isinstance(projector(torch.rand(2, 3), torch.rand(2, 4)), nn.Linear)


def test_boxes_are_weighed_by_what_the_teacher_sees():
    generator = torch.Generator().manual_seed(0)

    def answer():
        boxes, logits = torch.rand(2, 6, 4, generator=generator), torch.randn(2, 6, 3, generator=generator)
        return {"boxes": boxes, "scores": logits}

    student, teacher = answer(), answer()
    loss = BoxTargets(2.0, boxes=3.0, background=0.1)(student, teacher)
    total = weights = 0.0
    for n, m in itertools.product(range(2), range(6)):
        weight = 0.1 + 0.9 * teacher["scores"][n, m].sigmoid().max()
        wanted, found = ((each["scores"][n, m] / 2).sigmoid() for each in (teacher, student))
        classes = kl(wanted, found) + kl(1 - wanted, 1 - found)
        places = functional.smooth_l1_loss(student["boxes"][n, m], teacher["boxes"][n, m], reduction="sum")
        total, weights = total + weight * (4 * classes + 3 * places), weights + weight
    torch.testing.assert_close(loss, total / weights)
    with pytest.raises(TrainingError, match=r"take boxes \(N, M, 4\) and logits .*; got \(2, 6, 3\)"):
        BoxTargets()(student["scores"], teacher)
    fewer = {name: each[:, :4] for name, each in teacher.items()}
    with pytest.raises(TrainingError, match="heads of the same anchors and classes"):
        BoxTargets()(student, fewer)
